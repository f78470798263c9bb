// A batch of edges of consecutive atoms, only those within the cutoff, and all that depends on the edge alone.
#pragma once

#include "harmonics.h"
#include "product.h"

namespace {

// Edges [begin, end) of the batch, those of an atom to one kind of senders; `more`: continues an earlier batch.
struct Segment {
  std::int64_t atom;
  int kind, begin, end;
  bool more;
};

// Where one edge finds its radial weights of path 0 and block 0, the pieces of its spline, its matrices (entries of
// both are a vector apart), and the features of its sender.
template <class T> struct EdgeAt {
  const T *weights, *pieces, *matrices;
  std::int64_t sender;
};

// Splits a buffer into aligned arrays.
class Arena {
 public:
  explicit Arena(void *memory) : at_(static_cast<char *>(memory)) {}
  template <class U> U *take(std::size_t n)
  {
    U *p = reinterpret_cast<U *>(at_);
    at_ += bytes<U>(n);
    return p;
  }
  template <class U> static std::size_t bytes(std::size_t n) { return (n * sizeof(U) + 63) / 64 * 64; }

 private:
  char *at_;
};

constexpr int kMaxSegments = 256;
constexpr int kMaxEdges = 1024;
constexpr std::size_t kMatrixBytes = 256 * 1024;    // what the matrices of a batch may take of the cache
constexpr std::size_t kRowBytes = 16 * 1024;    // rows of splines for an edge: more of them do not stay in the first cache
constexpr std::size_t kWeightBytes = 256 * 1024;    // likewise its radial weights, where they are made of functions

// What an edge's matrices are made for: their values, and in the backward pass also their slopes in two directions
// across the edge.
constexpr int kForward = 1, kBackward = 3;

// Per edge: x, y, z, 1/r; the pieces of its spline and their slopes; row of vectors and sender.
template <class T> struct Batch {
  static constexpr int W = kWidth<T>;
  int sets;    // kForward or kBackward
  int capacity, size = 0, n_segments = 0;
  Segment *segments;
  T *x, *y, *z, *inverse;
  Vector<T> *pieces;    // [edge / W][pieces, slopes][edge % W]
  std::int32_t *senders;
  EdgeAt<T> *at;
  // Strides of the radial weights: from knot to knot (or from values to slopes), from path to path, from block to block
  // of channels.
  std::int64_t knot_stride, path_stride, slab;
  std::int64_t *rows, *sorted;
  std::uint8_t *shells;
  bool by_distance;       // the edges of a segment are sorted
  Vector<T> *matrices;    // [edge / W][set][row][edge % W]
  T *values;              // [matrix entry], the Clebsch-Gordan coefficients
  int weight_sets;        // values, and slopes in the backward pass
  T *functions;           // [edge][set][function] where the radial weights are made of them
  T *weights;             // [edge][set][weight], likewise
  int n_weights;          // made for each edge and set, [path][channel], or none

  void *more;    // bytes asked for besides

  Batch(const EdgeTask<T> &task, int sets, std::size_t bytes = 0) : sets(sets)
  {
    const std::size_t per_edge = sizeof(T) * sets * std::max(task.couplings.rows, 1);
    capacity = static_cast<int>(std::clamp<std::size_t>(kMatrixBytes / per_edge / W * W, 64, kMaxEdges));
    weight_sets = sets == kForward ? 1 : 2;
    n_weights = task.matrix ? task.n_paths * task.channels : 0;
    const std::size_t made = std::size_t(weight_sets) * n_weights, read = made ? weight_sets * task.n_functions : 0;
    if (made) capacity = static_cast<int>(std::clamp<std::size_t>(kWeightBytes / (sizeof(T) * made) / W * W, W, capacity));
    const std::size_t n = capacity, entries = task.couplings.first[task.couplings.rows];
    Arena arena(task.scratch(Arena::bytes<Segment>(kMaxSegments) + 4 * Arena::bytes<T>(n) +
                             Arena::bytes<T>(2 * kSplineRows<T> * n) + Arena::bytes<std::int32_t>(n) +
                             Arena::bytes<EdgeAt<T>>(n) + 2 * Arena::bytes<std::int64_t>(n) + Arena::bytes<std::uint8_t>(n) +
                             Arena::bytes<T>(n * sets * task.couplings.rows) + Arena::bytes<T>(entries) +
                             Arena::bytes<T>(n * read) + Arena::bytes<T>(n * made) + bytes));
    segments = arena.take<Segment>(kMaxSegments);
    x = arena.take<T>(n), y = arena.take<T>(n), z = arena.take<T>(n), inverse = arena.take<T>(n);
    pieces = reinterpret_cast<Vector<T> *>(arena.take<T>(2 * kSplineRows<T> * n));
    senders = arena.take<std::int32_t>(n), at = arena.take<EdgeAt<T>>(n), rows = arena.take<std::int64_t>(n);
    sorted = arena.take<std::int64_t>(n), shells = arena.take<std::uint8_t>(n);
    matrices = reinterpret_cast<Vector<T> *>(arena.take<T>(n * sets * task.couplings.rows));
    values = arena.take<T>(entries);
    functions = arena.take<T>(n * read), weights = arena.take<T>(n * made);
    more = arena.take<char>(bytes);
    path_stride = task.table ? kTableBlock : task.matrix ? task.channels : 0;
    knot_stride = path_stride ? path_stride * task.n_paths : task.n_functions;
    slab = knot_stride * task.table_rows;
    by_distance = task.table && kSplineRows<T> * sizeof(T) * task.n_paths * task.channels > kRowBytes;
    for (std::size_t k = 0; k < entries; k++) values[k] = static_cast<T>(task.couplings.values[k]);
  }

  LM_INLINE void put(int edge, std::int64_t row, const T *vector, std::int32_t sender)
  {
    x[edge] = vector[0], y[edge] = vector[1], z[edge] = vector[2];
    rows[edge] = row, senders[edge] = sender;
  }
  void locate(const EdgeTask<T> &task, int edge, const T *weights)
  {
    at[edge].weights = weights;
    at[edge].matrices = reinterpret_cast<const T *>(matrices_of(task, edge)) + edge % W;
    at[edge].pieces = reinterpret_cast<const T *>(pieces_of(edge)) + edge % W;
    at[edge].sender = static_cast<std::int64_t>(senders[edge]) * task.sent_rows * task.channels;
  }
  Vector<T> *matrices_of(const EdgeTask<T> &task, int edge) const
  {
    return matrices + static_cast<std::size_t>(edge / W) * sets * task.couplings.rows;
  }
  T *weights_of(int edge) const { return weights + edge * weight_sets * knot_stride; }
  Vector<T> *pieces_of(int edge) const { return pieces + static_cast<std::size_t>(edge / W) * 2 * kSplineRows<T>; }
};

// Where filling goes on: the next edge, its atom, and the kind of senders.
struct Cursor {
  std::int64_t atom = 0;
  int kind = 0;
  std::int64_t edge = -1;    // -1: at the atom's first
};

// Sorts the edges from `begin` on by distance, roughly: neighbours in this order share most rows of the splines, and these
// stay in the first cache. By their squares, with a linear sort.
template <class T> void sort_by_distance(const EdgeTask<T> &task, Batch<T> &batch, int begin)
{
  constexpr int kShells = 128;
  const T scale = static_cast<T>(kShells / (task.cutoff * task.cutoff));
  std::int32_t next[kShells + 1] = {};
  const int n = batch.size - begin;
  for (int i = 0; i < n; i++) {
    const T x = batch.x[begin + i], y = batch.y[begin + i], z = batch.z[begin + i];
    const int shell = std::min(static_cast<int>((x * x + y * y + z * z) * scale), kShells - 1);
    next[shell + 1]++;
    batch.shells[i] = static_cast<std::uint8_t>(shell);
  }
  for (int k = 1; k < kShells; k++) next[k] += next[k - 1];
  for (int i = 0; i < n; i++) batch.sorted[next[batch.shells[i]]++] = batch.rows[begin + i];
  for (int i = 0; i < n; i++) {
    const std::int64_t row = batch.sorted[i];
    batch.put(begin + i, row, task.vectors + 3 * row, task.senders[row]);
  }
}

// Adds edges of the atom and kind from the cursor on; false when the batch is full.
template <class T> bool add_segment(const EdgeTask<T> &task, Batch<T> &batch, Cursor &cursor)
{
  const bool more = cursor.edge >= 0;
  Segment segment{cursor.atom, cursor.kind, batch.size, batch.size, more};
  std::int64_t e = more ? cursor.edge : task.starts[cursor.atom];
  const std::int64_t end = task.ends[cursor.atom];
  const T cutoff = static_cast<T>(task.cutoff);
  for (; e < end && batch.size < batch.capacity; e++) {
    if (task.kinds > 1 && task.senders[e] != cursor.kind) continue;
    const T *d = task.vectors + 3 * e;
    const T squared = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    if (!(squared > 0) || !(root(squared) < cutoff)) continue;
    batch.put(batch.size++, e, d, task.senders[e]);
  }
  if (batch.by_distance) sort_by_distance(task, batch, segment.begin);
  segment.end = batch.size;
  batch.segments[batch.n_segments++] = segment;
  if (e < end) {
    cursor.edge = e;
    return false;
  }
  const bool last = cursor.kind + 1 == task.kinds;
  cursor = Cursor{cursor.atom + last, last ? 0 : cursor.kind + 1};
  return true;
}

// The pieces of the cubic B-spline at t and their slopes, as in kernels/spline.py.
template <class T> LM_INLINE void cubic_pieces(Vector<T> t, Vector<T> *b, Vector<T> *d)
{
  const Vector<T> q = 1 - t;
  b[0] = q * q * q * T(1. / 6), b[1] = (3 * t - 6) * t * t * T(1. / 6) + T(2. / 3);
  b[3] = t * t * t * T(1. / 6), b[2] = (3 * q - 6) * q * q * T(1. / 6) + T(2. / 3);
  d[0] = T(-.5) * q * q, d[1] = (T(1.5) * t - 2) * t;
  d[3] = T(.5) * t * t, d[2] = -(T(1.5) * q - 2) * q;
}

// The same of any degree by the recurrence over the degrees, from piece to piece downwards.
template <class T, int Degree> LM_INLINE void pieces_of_degree(Vector<T> t, Vector<T> *b, Vector<T> *d)
{
  b[0] = t * 0 + 1;
  LM_EACH(p0, Degree, {
    constexpr int p = p0 + 1;
    b[p] = Vector<T>{};
    if constexpr (p == Degree)
      LM_EACH(j, p + 1, {
        d[j] = -b[j];
        if constexpr (j > 0) d[j] += b[j - 1];
      })
    LM_EACH(i, p, {
      constexpr int j = p - i;
      b[j] = ((t + T(i)) * b[j - 1] + (T(1 + j) - t) * b[j]) * T(1. / p);
    })
    b[0] = (1 - t) * b[0] * T(1. / p);
  })
}

// The functions of an edge, values and then slopes if there are any.
template <class T> const T *functions_of(const EdgeTask<T> &task, const Batch<T> &batch, int edge)
{
  const std::int64_t row = task.function_rows ? task.function_rows[batch.rows[edge]] : batch.rows[edge] - task.first_row;
  return task.functions + row * task.function_sets * task.n_functions;
}

// The radial weights of all edges, and their slopes, where they are made of functions.
template <class T> void make_weights(const EdgeTask<T> &task, const Batch<T> &batch)
{
  const int n = batch.weight_sets * task.n_functions, n_weights = batch.n_weights;
  for (int i = 0; i < batch.size; i++) std::copy_n(functions_of(task, batch, i), n, batch.functions + i * n);
  multiply(LinearTask<T>{batch.functions, batch.size * std::int64_t(batch.weight_sets), task.n_functions, n_weights,
                         task.matrix, batch.weights});
  if (!task.factors) return;
  for (int i = 0; i < batch.size; i++) {
    const T *factors = task.factors + task.first_rows[batch.rows[i] - task.first_row] * std::int64_t(n_weights);
    T *weights = batch.weights_of(i);
    for (int k = 0; k < batch.weight_sets * n_weights; k++) weights[k] *= factors[k % n_weights];
  }
}

// Where an edge's radial weights begin, and the pieces (and slopes) of its spline where they are splines.
template <class T> void prepare_weights(const EdgeTask<T> &task, Batch<T> &batch, int begin, Vector<T> r)
{
  constexpr int W = kWidth<T>;
  constexpr int kRows = kSplineRows<T>;
  Vector<T> *b = batch.pieces_of(begin), *d = b + kRows;
  if (!task.table) {
    for (int i = begin; i < std::min(begin + W, batch.size); i++)
      batch.locate(task, i, batch.n_weights ? batch.weights_of(i) : functions_of(task, batch, i));
    return;
  }
  const T scale = static_cast<T>(task.knot_scale);
  const T limit = static_cast<T>(task.knots * (1 + task.knot_scale / task.cutoff));
  const Vector<T> inverse = 1 / (r + scale), s = limit * r * inverse;
  Vector<T> k;
  for (int i = 0; i < W; i++) {
    const auto knot = std::min(static_cast<std::int64_t>(s[i]), task.knots - 1);
    k[i] = static_cast<T>(knot);
    if (begin + i >= batch.size) continue;
    const std::int64_t first = task.first_rows ? task.first_rows[batch.rows[begin + i] - task.first_row] : 0;
    batch.locate(task, begin + i, task.table + (first + knot) * batch.knot_stride);
  }
  // Not s - k: that would lose digits where knots are far apart.
  const Vector<T> rest = limit - k, t = rest * (r - scale * k / rest) * inverse;
  const Vector<T> density = limit * scale * inverse * inverse;    // ds/dr
  if constexpr (kRows == 4)
    cubic_pieces<T>(t, b, d);
  else
    pieces_of_degree<T, kRows - 1>(t, b, d);
  LM_EACH(j, kRows, d[j] *= density;)
}

// The matrices of W edges from their harmonics; from the slopes of these, those of the matrices.
template <class T>
void prepare_matrices(const EdgeTask<T> &task, const T *values, const Vector<T> *harmonics, Vector<T> *out)
{
  const auto &m = task.couplings;
  for (int row = 0; row < m.rows; row++) {
    Vector<T> entry = {};
    for (int k = m.first[row]; k < m.first[row + 1]; k++) entry += values[k] * harmonics[m.harmonics[k]];
    out[row] = entry;
  }
}

// Unit vectors, radial weights and matrices of W edges at once; lanes past the end get a harmless vector.
template <class T> void prepare_group(const EdgeTask<T> &task, Batch<T> &batch, int begin)
{
  constexpr int W = kWidth<T>;
  for (int i = batch.size; i < begin + W; i++) batch.x[i] = 1, batch.y[i] = 0, batch.z[i] = 0;
  Vector<T> x = load(batch.x + begin), y = load(batch.y + begin), z = load(batch.z + begin);
  const Vector<T> r = roots<T>(x * x + y * y + z * z), inverse = T(1) / r;
  x *= inverse, y *= inverse, z *= inverse;
  store(batch.x + begin, x), store(batch.y + begin, y), store(batch.z + begin, z);
  store(batch.inverse + begin, inverse);
  prepare_weights(task, batch, begin, r);
  Vector<T> found[kHarmonics], *out = batch.matrices_of(task, begin);
  harmonics<T>(task.degree, task.norms, x, y, z, found);
  prepare_matrices(task, batch.values, found, out);
  if (batch.sets == kForward) return;
  const Across<T> across(x, y, z);
  for (int i = 0; i < 2; i++) {
    harmonic_slopes<T>(task.degree, task.norms, x, y, z, across.direction[i], found);
    prepare_matrices(task, batch.values, found, out += task.couplings.rows);
  }
}

// Fills the batch from the cursor on; false when there is no atom left.
template <class T> bool next_batch(const EdgeTask<T> &task, Batch<T> &batch, Cursor &cursor)
{
  if (cursor.atom >= task.atoms) return false;
  batch.size = batch.n_segments = 0;
  while (cursor.atom < task.atoms && batch.n_segments < kMaxSegments)
    if (!add_segment(task, batch, cursor)) break;
  for (int begin = 0; begin < batch.size; begin += kWidth<T>) prepare_group(task, batch, begin);
  if (batch.n_weights) make_weights(task, batch);
  return true;
}

}    // namespace
