// The edge operations for one instruction set: see kernels/edges.py for the formula.
// Forward: per block of channels and atom, the sums over the atom's edges stay in registers.
// Backward: per edge and path, sums over the channels stay in registers; the Clebsch-Gordan coefficients are applied
// to those vectors once per edge, and each harmonic's adjoint is summed over the lanes at the very end.
#include "kernels.h"

#include "batch.h"

namespace {

using namespace lammps_mace;

// What fits the registers: accumulators of a matrix beside the other vectors, and of a tile.
constexpr int kAtOnce = kVectorBytes == 64 ? 21 : 7, kTileSize = kVectorBytes == 64 ? 25 : 10;
constexpr int kForwardBlocks = kVectorBytes == 64 ? 2 : 1;

// Radial weights of one path and edge: a cubic spline from four rows of the table. Explicit weights are a table whose
// four rows are the same, with pieces 1, 0, 0, 0 and slopes 0.
template <class T>
struct Weights {
  const T *at;
  std::int64_t row, slab;
  const T *pieces, *slopes;

  LM_INLINE Weights(const Batch<T> &batch, int path, int edge)
      : at(batch.at[edge].weights + path * batch.path_stride),
        row(batch.row),
        slab(batch.slab),
        pieces(batch.pieces + 4 * edge),
        slopes(batch.slopes + 4 * edge) {}
  LM_INLINE const T *block(int channel) const { return at + channel / kTableBlock * slab + channel % kTableBlock; }

  template <bool Tail>
  LM_INLINE Vector<T> value(int channel, int n) const {
    const T *t = block(channel);
    return pieces[0] * load_some<Tail>(t, n) + pieces[1] * load_some<Tail>(t + row, n) +
           pieces[2] * load_some<Tail>(t + 2 * row, n) + pieces[3] * load_some<Tail>(t + 3 * row, n);
  }
  template <bool Tail>
  LM_INLINE void both(int channel, int n, Vector<T> &value, Vector<T> &slope) const {
    const T *t = block(channel);
    const Vector<T> c0 = load_some<Tail>(t, n), c1 = load_some<Tail>(t + row, n);
    const Vector<T> c2 = load_some<Tail>(t + 2 * row, n), c3 = load_some<Tail>(t + 3 * row, n);
    value = pieces[0] * c0 + pieces[1] * c1 + pieces[2] * c2 + pieces[3] * c3;
    slope = slopes[0] * c0 + slopes[1] * c1 + slopes[2] * c2 + slopes[3] * c3;
  }
};

// Where one path finds its arrays.
template <class T>
struct Operands {
  std::int64_t stride;  // between the components of the result, or of its adjoint
  std::int64_t result;  // of the path's first component in its array
  LM_INLINE Operands(const EdgeTask<T> &task, const Path &path, std::int64_t atom)
      : stride(static_cast<std::int64_t>(task.result_paths[path.result]) * task.channels),
        result(atom * (2 * path.target + 1) * stride + path.position * task.channels) {}
};

template <class T>
LM_INLINE const T *matrix_of(const Batch<T> &batch, const Path &path, int edge) {
  return batch.at[edge].matrices + path.matrix * kWidth<T>;
}

// One path, one atom, Blocks blocks of channels: each matrix element is loaded once for all of them.
template <class T, int L1, int LO, bool Scalar, int Blocks>
void forward_path(const EdgeTask<T> &task, const Batch<T> &batch, const Segment &segment, int index, int channel) {
  constexpr int N = 2 * L1 + 1, M = 2 * LO + 1, W = kWidth<T>;
  const Path &path = task.paths[index];
  const Operands<T> at(task, path, segment.atom);
  const std::int64_t channels = task.channels;
  const T *sent = task.sent + path.source_row * channels + channel;
  T *out = task.results[path.result] + at.result + channel;
  Vector<T> sums[M * Blocks] = {};
  if (segment.more)
    LM_EACH(m, M, LM_EACH(b, Blocks, sums[m * Blocks + b] = load(out + m * at.stride + b * W);))
  for (int e = segment.begin; e < segment.end; e++) {
    const Weights<T> weights(batch, index, e);
    const T *h = sent + batch.at[e].sender, *matrix = matrix_of(batch, path, e);
    Vector<T> s[N * Blocks];
    LM_EACH(b, Blocks, {
      const Vector<T> r = weights.template value<false>(channel + b * W, W);
      LM_EACH(k, N, s[k * Blocks + b] = r * load(h + k * channels + b * W);)
    })
    if constexpr (Scalar)
      LM_EACH(m, M * Blocks, sums[m] += matrix[0] * s[m];)
    else
      LM_EACH(m, M, LM_EACH(k, N, LM_EACH(b, Blocks, {
        sums[m * Blocks + b] += matrix[(m * N + k) * W] * s[k * Blocks + b];
      })))
  }
  LM_EACH(m, M, LM_EACH(b, Blocks, store(out + m * at.stride + b * W, sums[m * Blocks + b]);))
}

// The same for any degrees and for the last, incomplete block of channels.
template <class T, bool Tail>
void forward_any(const EdgeTask<T> &task, const Batch<T> &batch, const Segment &segment, int index, int channel) {
  constexpr int W = kWidth<T>;
  const Path &path = task.paths[index];
  const int N = 2 * path.source + 1, M = 2 * path.target + 1, n = Tail ? task.channels - channel : W;
  const Operands<T> at(task, path, segment.atom);
  T *out = task.results[path.result] + at.result + channel;
  Vector<T> sums[2 * kMaxDegree + 1] = {};
  if (segment.more)
    for (int m = 0; m < M; m++) sums[m] = load_some<Tail>(out + m * at.stride, n);
  for (int e = segment.begin; e < segment.end; e++) {
    const Vector<T> r = Weights<T>(batch, index, e).template value<Tail>(channel, n);
    const T *h = task.sent + batch.at[e].sender + path.source_row * task.channels + channel;
    const T *matrix = matrix_of(batch, path, e);
    for (int k = 0; k < N; k++) {
      const Vector<T> s = r * load_some<Tail>(h + k * task.channels, n);
      if (path.scalar)
        sums[k] += matrix[0] * s;
      else
        for (int m = 0; m < M; m++) sums[m] += matrix[(m * N + k) * W] * s;
    }
  }
  for (int m = 0; m < M; m++) store_some<Tail>(out + m * at.stride, sums[m], n);
}

// Arrays of one path and edge.
template <class T>
struct EdgeOperands {
  Weights<T> weights;
  Operands<T> at;
  const T *matrix, *adjoint, *h;
  T *dh, *drow;

  LM_INLINE EdgeOperands(const EdgeTask<T> &task, const Batch<T> &batch, std::int64_t atom, int index, int e)
      : weights(batch, index, e), at(task, task.paths[index], atom) {
    const Path &path = task.paths[index];
    const std::int64_t sender = batch.at[e].sender + path.source_row * static_cast<std::int64_t>(task.channels);
    matrix = matrix_of(batch, path, e);
    adjoint = task.adjoints[path.result] + at.result;
    h = task.sent + sender;
    dh = task.sent_adjoint ? task.sent_adjoint + sender : nullptr;
    drow = task.row_adjoint
               ? task.row_adjoint + ((batch.rows[e] - task.first_row) * task.n_paths + index) * task.channels
               : nullptr;
  }
};

// Adds r * q to the sender's adjoint, and what r itself gets to `radial` or to the adjoint of explicit weights.
template <class T, int N>
LM_INLINE void give_back(const EdgeTask<T> &task, const EdgeOperands<T> &edge, int channel, Vector<T> r,
                         Vector<T> slope, const Vector<T> *source, const Vector<T> *q, Vector<T> &radial) {
  Vector<T> share = {};
  LM_EACH(k, N, share += q[k] * source[k];)
  if (edge.dh) LM_EACH(k, N, T *p = edge.dh + k * task.channels + channel; store(p, load(p) + r * q[k]);)
  if (edge.drow) store(edge.drow + channel, share);
  radial += slope * share;
}

// One path, one edge, all whole blocks of channels. Stores the adjoint of the edge's matrix and adds to that of its
// distance, both as vectors still to be summed over the lanes. For matrices that fit the registers.
template <class T, int L1, int LO, bool Scalar>
LM_INLINE void backward_at_once(const EdgeTask<T> &task, const EdgeOperands<T> &edge, Vector<T> &radial,
                                Vector<T> *matrix) {
  constexpr int N = 2 * L1 + 1, M = 2 * LO + 1, W = kWidth<T>;
  Vector<T> dmatrix[Scalar ? 1 : M * N] = {}, total = radial;
  for (int channel = 0; channel + W <= task.channels; channel += W) {
    Vector<T> r, slope, s[N], source[N], q[N] = {};
    edge.weights.template both<false>(channel, W, r, slope);
    LM_EACH(k, N, source[k] = load(edge.h + k * task.channels + channel); s[k] = r * source[k];)
    LM_EACH(m, M, {
      const Vector<T> adjoint = load(edge.adjoint + m * edge.at.stride + channel);
      if constexpr (Scalar)
        q[m] = edge.matrix[0] * adjoint;
      else
        LM_EACH(k, N, q[k] += edge.matrix[(m * N + k) * W] * adjoint; dmatrix[m * N + k] += adjoint * s[k];)
    })
    give_back<T, N>(task, edge, channel, r, slope, source, q, total);
  }
  radial = total;
  if constexpr (!Scalar) LM_EACH(k, M * N, matrix[k] = dmatrix[k];)
}

// dmatrix[first ... first + M) += sum over the panel of adjoint * s; N columns.
template <class T, int N, int M>
LM_INLINE void outer_products(const T *adjoint, std::int64_t stride, int panel, const Vector<T> *s, Vector<T> *matrix) {
  Vector<T> sums[M * N];
  LM_EACH(k, M * N, sums[k] = matrix[k];)
  for (int i = 0; i < panel; i++, s += N)
    LM_EACH(m, M, {
      const Vector<T> a = load(adjoint + m * stride + i * kWidth<T>);
      LM_EACH(k, N, sums[m * N + k] += a * s[k];)
    })
  LM_EACH(k, M * N, matrix[k] = sums[k];)
}

// The same for larger matrices: first all but the matrix, for a panel of channels; then the matrix tile by tile.
template <class T, int L1, int LO>
LM_INLINE void backward_in_tiles(const EdgeTask<T> &task, const EdgeOperands<T> &edge, Vector<T> &radial,
                                 Vector<T> *matrix) {
  constexpr int N = 2 * L1 + 1, M = 2 * LO + 1, W = kWidth<T>, kPanel = 16;
  constexpr int kTile = kTileSize / N < M ? kTileSize / N : M, kRest = M % kTile;
  Vector<T> s[kPanel * N], total = radial;
  LM_EACH(k, M * N, matrix[k] = Vector<T>{};)
  for (int start = 0; start + W <= task.channels; start += kPanel * W) {
    const int panel = std::min(kPanel, (task.channels - start) / W);
    for (int i = 0; i < panel; i++) {
      const int channel = start + i * W;
      Vector<T> r, slope, source[N], q[N] = {};
      edge.weights.template both<false>(channel, W, r, slope);
      LM_EACH(m, M, {
        const Vector<T> adjoint = load(edge.adjoint + m * edge.at.stride + channel);
        LM_EACH(k, N, q[k] += edge.matrix[(m * N + k) * W] * adjoint;)
      })
      LM_EACH(k, N, source[k] = load(edge.h + k * task.channels + channel); s[i * N + k] = r * source[k];)
      give_back<T, N>(task, edge, channel, r, slope, source, q, total);
    }
    const T *a = edge.adjoint + start;
    LM_EACH(t, M / kTile, {
      outer_products<T, N, kTile>(a + t * kTile * edge.at.stride, edge.at.stride, panel, s, matrix + t * kTile * N);
    })
    if constexpr (kRest > 0)
      outer_products<T, N, kRest>(a + (M - kRest) * edge.at.stride, edge.at.stride, panel, s, matrix + (M - kRest) * N);
  }
  radial = total;
}

template <class T, int L1, int LO, bool Scalar>
void backward_path(const EdgeTask<T> &task, const EdgeOperands<T> &edge, Vector<T> &radial, Vector<T> *matrix) {
  if constexpr (Scalar || (2 * L1 + 1) * (2 * LO + 1) <= kAtOnce)
    backward_at_once<T, L1, LO, Scalar>(task, edge, radial, matrix);
  else
    backward_in_tiles<T, L1, LO>(task, edge, radial, matrix);
}

// The same for any degrees and for one block of channels, also the last, incomplete one; adds to all sums.
template <class T, bool Tail>
void backward_any(const EdgeTask<T> &task, const Path &path, const EdgeOperands<T> &edge, int channel,
                  Vector<T> &radial, Vector<T> *matrix) {
  constexpr int W = kWidth<T>;
  const int N = 2 * path.source + 1, M = 2 * path.target + 1, n = Tail ? task.channels - channel : W;
  Vector<T> r, slope, share = {};
  edge.weights.template both<Tail>(channel, n, r, slope);
  for (int k = 0; k < N; k++) {
    const Vector<T> source = load_some<Tail>(edge.h + k * task.channels + channel, n), s = r * source;
    Vector<T> q = {};
    for (int m = path.scalar ? k : 0; m < (path.scalar ? k + 1 : M); m++) {
      const Vector<T> adjoint = load_some<Tail>(edge.adjoint + m * edge.at.stride + channel, n);
      q += edge.matrix[path.scalar ? 0 : (m * N + k) * W] * adjoint;
      if (!path.scalar) matrix[m * N + k] += adjoint * s;
    }
    share += q * source;
    if (!edge.dh) continue;
    T *p = edge.dh + k * task.channels + channel;
    store_some<Tail>(p, load_some<Tail>(p, n) + r * q, n);
  }
  if (edge.drow) store_some<Tail>(edge.drow + channel, share, n);
  radial += slope * share;
}

// Kernels by (source degree, target degree), and those of scalar paths; null where only the general ones exist.
template <class T>
struct Table {
  using Forward = void (*)(const EdgeTask<T> &, const Batch<T> &, const Segment &, int, int);
  using Backward = void (*)(const EdgeTask<T> &, const EdgeOperands<T> &, Vector<T> &, Vector<T> *);

  template <int L1, int LO, bool Scalar>
  struct Pair {
    static constexpr Forward one = forward_path<T, L1, LO, Scalar, 1>;
    static constexpr Forward forward = forward_path<T, L1, LO, Scalar, kForwardBlocks>;
    static constexpr Backward backward = backward_path<T, L1, LO, Scalar>;
  };
  static Forward forward(const Path &path) {
    return select(path, [](auto pair) LM_FLAT -> Forward { return decltype(pair)::forward; });
  }
  static Forward one(const Path &path) {
    return select(path, [](auto pair) LM_FLAT -> Forward { return decltype(pair)::one; });
  }
  static Backward backward(const Path &path) {
    return select(path, [](auto pair) LM_FLAT -> Backward { return decltype(pair)::backward; });
  }

 private:
  template <class F>
  static auto select(const Path &path, F &&f) -> decltype(f(Pair<0, 0, true>{})) {
    switch (path.source) {
      case 0: return by_target<0>(path, f);
      case 1: return by_target<1>(path, f);
      case 2: return by_target<2>(path, f);
      default: return nullptr;
    }
  }
  template <int L1, class F>
  static auto by_target(const Path &path, F &&f) -> decltype(f(Pair<0, 0, true>{})) {
    if (path.scalar) return f(Pair<L1, L1, true>{});
    switch (path.target) {
      case 0: return f(Pair<L1, 0, false>{});
      case 1: return f(Pair<L1, 1, false>{});
      case 2: return f(Pair<L1, 2, false>{});
      case 3: return f(Pair<L1, 3, false>{});
      default: return f(Pair<L1, 4, false>{});
    }
  }
};

// All paths and atoms, the channels from `channel` on; returns where it stopped.
template <class T>
int forward_channels(const EdgeTask<T> &task, const Batch<T> &batch, int channel) {
  constexpr int W = kWidth<T>;
  const int left = task.channels - channel, blocks = left >= kForwardBlocks * W ? kForwardBlocks : 1;
  for (int p = 0; p < task.n_paths; p++) {
    const Path &path = task.paths[p];
    auto kernel = blocks == kForwardBlocks ? Table<T>::forward(path) : Table<T>::one(path);
    if (kernel && left >= W) {
      for (int s = 0; s < batch.n_segments; s++) kernel(task, batch, batch.segments[s], p, channel);
      continue;
    }
    for (int c = channel; c < channel + blocks * W; c += W)
      for (int s = 0; s < batch.n_segments; s++)
        (left < W ? forward_any<T, true> : forward_any<T, false>)(task, batch, batch.segments[s], p, c);
  }
  return channel + blocks * W;
}

template <class T>
void forward(const EdgeTask<T> &task) {
  Batch<T> batch(task);
  for (Cursor cursor; next_batch(task, batch, cursor, false);)
    for (int channel = 0; channel < task.channels;) channel = forward_channels(task, batch, channel);
}

// Adds to the adjoint of the distance, stores that of the matrix.
template <class T>
LM_INLINE void backward_one(const EdgeTask<T> &task, const Path &path, const EdgeOperands<T> &edge, Vector<T> &radial,
                            Vector<T> *matrix) {
  constexpr int W = kWidth<T>;
  const auto kernel = Table<T>::backward(path);
  if (kernel) {
    kernel(task, edge, radial, matrix);
  } else {
    const int rows = path.scalar ? 0 : (2 * path.source + 1) * (2 * path.target + 1);
    for (int k = 0; k < rows; k++) matrix[k] = Vector<T>{};
    for (int channel = 0; channel + W <= task.channels; channel += W)
      backward_any<T, false>(task, path, edge, channel, radial, matrix);
  }
  if (task.channels % W) backward_any<T, true>(task, path, edge, task.channels / W * W, radial, matrix);
}

// What the backward pass needs besides the batch: the adjoints of all matrices of one edge, as vectors still to be
// summed over the lanes, and the coefficients sorted by harmonic.
template <class T>
struct Transposed {
  Vector<T> *matrices;
  std::int32_t *first, *rows;  // entries first[h] ... first[h + 1] of harmonic h, in these rows of the matrices
  T *values;

  Transposed(const EdgeTask<T> &task, void *memory) {
    const auto &m = task.matrices;
    const int entries = m.first[m.rows];
    Arena arena(memory);
    matrices = arena.take<Vector<T>>(m.rows);
    first = arena.take<std::int32_t>(kHarmonics + 1), rows = arena.take<std::int32_t>(entries);
    values = arena.take<T>(entries);
    int n = 0;
    for (int h = 0; h < kHarmonics; h++) {
      first[h] = n;
      for (int row = 0; row < m.rows; row++)
        for (int k = m.first[row]; k < m.first[row + 1]; k++)
          if (m.harmonics[k] == h) rows[n] = row, values[n++] = static_cast<T>(m.values[k]);
    }
    first[kHarmonics] = n;
  }
  static std::size_t bytes(const EdgeTask<T> &task) {
    const std::size_t rows = task.matrices.rows, entries = task.matrices.first[rows];
    return Arena::bytes<Vector<T>>(rows) + Arena::bytes<std::int32_t>(kHarmonics + 1) +
           Arena::bytes<std::int32_t>(entries) + Arena::bytes<T>(entries);
  }
};

// The adjoints of the harmonics and, in the place of the first, of the distance of one edge.
template <class T>
void backward_edge(const EdgeTask<T> &task, const Batch<T> &batch, const Transposed<T> &transposed,
                   std::int64_t atom, int e) {
  constexpr int W = kWidth<T>;
  Vector<T> adjoints[(kHarmonics + W - 1) / W * W] = {}, radial = {};
  for (int p = 0; p < task.n_paths; p++) {
    const Path &path = task.paths[p];
    backward_one(task, path, EdgeOperands<T>(task, batch, atom, p, e), radial, transposed.matrices + path.matrix);
  }
  adjoints[0] = radial;
  const int count = (task.degree + 1) * (task.degree + 1);
  for (int h = 1; h < count; h++) {
    Vector<T> adjoint = {};
    for (int k = transposed.first[h]; k < transposed.first[h + 1]; k++)
      adjoint += transposed.values[k] * transposed.matrices[transposed.rows[k]];
    adjoints[h] = adjoint;
  }
  T *out = batch.harmonics_of(e);
  for (int first = 0; first < count; first += W) {
    const Vector<T> totals = sums<T, W>(adjoints + first);
    for (int i = 0; i < std::min(W, count - first); i++) out[(first + i) * W] = totals[i];
  }
}

// With u = D / r: dE/dD = (g - u (u g)) / r + u dE/dr, g the gradient of the harmonics' polynomials.
template <class T>
void add_gradient(const EdgeTask<T> &task, const Batch<T> &batch, int begin) {
  constexpr int W = kWidth<T>;
  const Vector<T> x = load(batch.x + begin), y = load(batch.y + begin), z = load(batch.z + begin);
  const Vector<T> inverse = load(batch.inverse + begin);
  const Vector<T> *adjoints = batch.harmonics + static_cast<std::size_t>(begin / W) * kHarmonics;
  Vector<T> g[3];
  harmonics_gradient<T>(task.degree, task.norms, x, y, z, adjoints, g);
  const Vector<T> along = adjoints[0] - (x * g[0] + y * g[1] + z * g[2]) * inverse;
  const Vector<T> total[3] = {g[0] * inverse + x * along, g[1] * inverse + y * along, g[2] * inverse + z * along};
  for (int i = 0; i < std::min(W, batch.size - begin); i++)
    for (int k = 0; k < 3; k++) task.gradient[3 * batch.rows[begin + i] + k] += total[k][i];
}

template <class T>
void backward(const EdgeTask<T> &task) {
  Batch<T> batch(task, Transposed<T>::bytes(task));
  const Transposed<T> transposed(task, batch.more);
  for (Cursor cursor; next_batch(task, batch, cursor, true);) {
    for (int s = 0; s < batch.n_segments; s++)
      for (int e = batch.segments[s].begin; e < batch.segments[s].end; e++)
        backward_edge(task, batch, transposed, batch.segments[s].atom, e);
    for (int begin = 0; begin < batch.size; begin += kWidth<T>) add_gradient(task, batch, begin);
  }
}

}  // namespace

namespace LM_ISA {
void edges_forward_f32(const EdgeTask<float> &task) { forward(task); }
void edges_forward_f64(const EdgeTask<double> &task) { forward(task); }
void edges_backward_f32(const EdgeTask<float> &task) { backward(task); }
void edges_backward_f64(const EdgeTask<double> &task) { backward(task); }
}  // namespace LM_ISA
