// A batch of edges of consecutive atoms, only those within the cutoff, and all that depends on the edge alone.
#pragma once

#include <algorithm>

#include "harmonics.h"

namespace {

using lammps_mace::EdgeTask;
using lammps_mace::kHarmonics;
using lammps_mace::kTableBlock;

struct Segment {  // edges [begin, end) of the batch belong to this atom; `more`: continues an earlier batch
  std::int64_t atom;
  int begin, end;
  bool more;
};

// Where one edge finds its radial weights of path 0 and block 0, its matrices, and the features of its sender.
template <class T>
struct EdgeAt {
  const T *weights, *matrices;
  std::int64_t sender;
};

// Splits a buffer into aligned arrays.
class Arena {
 public:
  explicit Arena(void *memory) : at_(static_cast<char *>(memory)) {}
  template <class U>
  U *take(std::size_t n) {
    U *p = reinterpret_cast<U *>(at_);
    at_ += bytes<U>(n);
    return p;
  }
  template <class U>
  static std::size_t bytes(std::size_t n) {
    return (n * sizeof(U) + 63) / 64 * 64;
  }

 private:
  char *at_;
};

constexpr int kMaxSegments = 256;
constexpr int kMaxEdges = 1024;
constexpr std::size_t kMatrixBytes = 256 * 1024;  // what the matrices of a batch may take of the cache

// Per edge: x, y, z, 1/r; spline: knot and four weights, four slopes; row of vectors and sender.
template <class T>
struct Batch {
  static constexpr int W = kWidth<T>;
  int capacity, size = 0, n_segments = 0;
  Segment *segments;
  T *x, *y, *z, *inverse;
  T *pieces, *slopes;            // [edge][4]
  std::int32_t *senders;
  EdgeAt<T> *at;
  // Strides of the radial weights: from knot (or edge) to knot, path, row of the spline, block of channels.
  std::int64_t knot_stride, path_stride, row, slab;
  std::int64_t *rows;
  Vector<T> *matrices;           // [edge / W][row][edge % W]
  Vector<T> *harmonics;          // [edge / W][harmonic][edge % W]; later the adjoints of the harmonics
  T *values;                     // [matrix entry], the Clebsch-Gordan coefficients

  void *more;                    // bytes asked for besides

  explicit Batch(const EdgeTask<T> &task, std::size_t bytes = 0) {
    const std::size_t per_edge = sizeof(T) * std::max(task.matrices.rows, 1);
    capacity = static_cast<int>(std::clamp<std::size_t>(kMatrixBytes / per_edge / W * W, 64, kMaxEdges));
    const std::size_t n = capacity, entries = task.matrices.first[task.matrices.rows];
    Arena arena(task.scratch(Arena::bytes<Segment>(kMaxSegments) + 12 * Arena::bytes<T>(n) +
                             Arena::bytes<std::int32_t>(n) + Arena::bytes<EdgeAt<T>>(n) +
                             Arena::bytes<std::int64_t>(n) +
                             Arena::bytes<T>(n * task.matrices.rows) + Arena::bytes<T>(n * kHarmonics) +
                             Arena::bytes<T>(entries) + bytes));
    segments = arena.take<Segment>(kMaxSegments);
    x = arena.take<T>(n), y = arena.take<T>(n), z = arena.take<T>(n), inverse = arena.take<T>(n);
    pieces = arena.take<T>(4 * n), slopes = arena.take<T>(4 * n);
    senders = arena.take<std::int32_t>(n), at = arena.take<EdgeAt<T>>(n), rows = arena.take<std::int64_t>(n);
    matrices = reinterpret_cast<Vector<T> *>(arena.take<T>(n * task.matrices.rows));
    harmonics = reinterpret_cast<Vector<T> *>(arena.take<T>(n * kHarmonics));
    values = arena.take<T>(entries);
    more = arena.take<char>(bytes);
    path_stride = task.table ? kTableBlock : task.channels;
    knot_stride = path_stride * task.n_paths;
    row = task.table ? knot_stride : 0;
    slab = task.table ? knot_stride * (task.knots + 3) : kTableBlock;
    for (std::size_t k = 0; k < entries; k++) values[k] = static_cast<T>(task.matrices.values[k]);
  }

  void locate(const EdgeTask<T> &task, int edge, const T *weights) {
    const std::size_t group = edge / W;  // the matrix entries of one edge are W apart
    at[edge].weights = weights;
    at[edge].matrices = reinterpret_cast<const T *>(matrices + group * task.matrices.rows) + edge % W;
    at[edge].sender = static_cast<std::int64_t>(senders[edge]) * task.sent_rows * task.channels;
  }
  T *harmonics_of(int edge) const {
    return reinterpret_cast<T *>(harmonics + static_cast<std::size_t>(edge / W) * kHarmonics) + edge % W;
  }
};

// Where filling goes on: the next edge, and its atom.
struct Cursor {
  std::int64_t atom = 0;
  std::int64_t edge = -1;  // -1: at the atom's first
};

// Adds edges of the atom from the cursor on; false when the batch is full.
template <class T>
bool add_atom(const EdgeTask<T> &task, Batch<T> &batch, Cursor &cursor) {
  const bool more = cursor.edge >= 0;
  Segment segment{cursor.atom, batch.size, batch.size, more};
  std::int64_t e = more ? cursor.edge : task.starts[cursor.atom];
  const std::int64_t end = task.ends[cursor.atom];
  const T cutoff = static_cast<T>(task.cutoff);
  for (; e < end && batch.size < batch.capacity; e++) {
    const T x = task.vectors[3 * e], y = task.vectors[3 * e + 1], z = task.vectors[3 * e + 2];
    const T squared = x * x + y * y + z * z;
    if (!(squared > 0) || !(root(squared) < cutoff)) continue;
    const int n = batch.size++;
    batch.x[n] = x, batch.y[n] = y, batch.z[n] = z;
    batch.rows[n] = e, batch.senders[n] = task.senders[e];
  }
  segment.end = batch.size;
  batch.segments[batch.n_segments++] = segment;
  if (e < end) {
    cursor.edge = e;
    return false;
  }
  cursor = Cursor{cursor.atom + 1, -1};
  return true;
}

template <class T>
LM_INLINE void spline_pieces(const EdgeTask<T> &task, Batch<T> &batch, int edge, T r, bool with_slopes) {
  const T density = static_cast<T>(task.knots / task.cutoff), s = r * density;
  const auto knot = static_cast<std::int32_t>(s < task.knots - 1 ? s : task.knots - 1);
  const T t = s - static_cast<T>(knot), q = 1 - t;
  T *b = batch.pieces + 4 * edge, *d = batch.slopes + 4 * edge;
  if (edge < batch.size) batch.locate(task, edge, task.table + knot * batch.knot_stride);
  b[0] = q * q * q * T(1. / 6), b[1] = (3 * t - 6) * t * t * T(1. / 6) + T(2. / 3);
  b[3] = t * t * t * T(1. / 6), b[2] = (3 * q - 6) * q * q * T(1. / 6) + T(2. / 3);
  if (!with_slopes) return;
  d[0] = T(-.5) * q * q * density, d[1] = (T(1.5) * t - 2) * t * density;
  d[3] = T(.5) * t * t * density, d[2] = -(T(1.5) * q - 2) * q * density;
}

template <class T>
LM_INLINE void explicit_weights(const EdgeTask<T> &task, Batch<T> &batch, int edge) {
  T *b = batch.pieces + 4 * edge, *d = batch.slopes + 4 * edge;
  if (edge < batch.size)
    batch.locate(task, edge, task.rows + (batch.rows[edge] - task.first_row) * batch.knot_stride);
  for (int k = 0; k < 4; k++) b[k] = k == 0, d[k] = 0;
}

// Unit vectors, spline pieces and harmonics of W edges at once; lanes past the end get a harmless vector.
template <class T>
void prepare_group(const EdgeTask<T> &task, Batch<T> &batch, int begin, bool with_slopes) {
  constexpr int W = kWidth<T>;
  for (int i = batch.size; i < begin + W; i++) batch.x[i] = 1, batch.y[i] = 0, batch.z[i] = 0;
  Vector<T> x = load(batch.x + begin), y = load(batch.y + begin), z = load(batch.z + begin);
  const Vector<T> squared = x * x + y * y + z * z;
  Vector<T> r;
  for (int i = 0; i < W; i++) r[i] = root(squared[i]);
  const Vector<T> inverse = T(1) / r;
  x *= inverse, y *= inverse, z *= inverse;
  store(batch.x + begin, x), store(batch.y + begin, y), store(batch.z + begin, z);
  store(batch.inverse + begin, inverse);
  harmonics<T>(task.degree, task.norms, x, y, z, batch.harmonics + static_cast<std::size_t>(begin / W) * kHarmonics);
  for (int i = 0; i < W; i++) {
    if (task.table)
      spline_pieces(task, batch, begin + i, r[i], with_slopes);
    else
      explicit_weights(task, batch, begin + i);
  }
}

template <class T>
void prepare_matrices(const EdgeTask<T> &task, Batch<T> &batch, int group) {
  const auto &m = task.matrices;
  const Vector<T> *y = batch.harmonics + static_cast<std::size_t>(group) * kHarmonics;
  Vector<T> *out = batch.matrices + static_cast<std::size_t>(group) * m.rows;
  for (int row = 0; row < m.rows; row++) {
    Vector<T> entry = {};
    for (int k = m.first[row]; k < m.first[row + 1]; k++) entry += batch.values[k] * y[m.harmonics[k]];
    out[row] = entry;
  }
}

// Fills the batch from the cursor on; false when there is no atom left.
template <class T>
bool next_batch(const EdgeTask<T> &task, Batch<T> &batch, Cursor &cursor, bool with_slopes) {
  if (cursor.atom >= task.atoms) return false;
  batch.size = batch.n_segments = 0;
  while (cursor.atom < task.atoms && batch.n_segments < kMaxSegments)
    if (!add_atom(task, batch, cursor)) break;
  for (int begin = 0; begin < batch.size; begin += kWidth<T>) {
    prepare_group(task, batch, begin, with_slopes);
    prepare_matrices(task, batch, begin / kWidth<T>);
  }
  return true;
}

}  // namespace
