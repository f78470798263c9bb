// The gradient of the sums over the edges for one instruction set: see kernels/edges.py for the formula.
// Per edge and path, sums over the channels stay in registers; the Clebsch-Gordan coefficients are applied to those
// vectors once per edge, and each harmonic's adjoint is summed over the lanes at the very end.
#include "edges.h"

namespace {

// What fits the registers: accumulators of a matrix beside the other vectors, and of a tile.
constexpr int kAtOnce = kVectorBytes == 64 ? 21 : 7, kTileSize = kVectorBytes == 64 ? 25 : 10;
constexpr int kMaxGroup = 4;  // paths

// Arrays of one path and edge.
template <class T>
struct EdgeOperands {
  Weights<T> weights;
  Operands<T> at;
  const T *matrix, *adjoint, *h;
  T *dh, *drow;
  int first;  // row of the path's matrix

  EdgeOperands() = default;
  LM_INLINE EdgeOperands(const EdgeTask<T> &task, const Batch<T> &batch, std::int64_t atom, int index, int e)
      : weights(batch, index, e), at(task, task.paths[index], atom) {
    const Path &path = task.paths[index];
    first = path.matrix;
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

// Adds the share of one path to the adjoint of the source, and what its weight gets to `radial` or to the adjoint of
// explicit weights.
template <class T, int N>
LM_INLINE void give_back(const EdgeOperands<T> &edge, int channel, Vector<T> r, Vector<T> slope,
                         const Vector<T> *source, const Vector<T> *q, Vector<T> *dsource, Vector<T> &radial) {
  Vector<T> share = {};
  LM_EACH(k, N, share += q[k] * source[k]; dsource[k] += r * q[k];)
  if (edge.drow) store(edge.drow + channel, share);
  radial += slope * share;
}

// Entries of the matrix of a path whose adjoints are needed: a scalar does not depend on the direction.
template <class D>
constexpr int kEntries = D::scalar ? 0 : (2 * D::source + 1) * (2 * D::target + 1);

// One path of a group, one block of channels: the adjoints of its source and of its matrix.
template <class T, class Member>
LM_INLINE void backward_member(const EdgeOperands<T> &edge, int channel, const Vector<T> *source, Vector<T> *dsource,
                               Vector<T> *dmatrix, Vector<T> &radial) {
  constexpr int N = 2 * Member::source + 1, M = 2 * Member::target + 1, W = kWidth<T>;
  Vector<T> r, slope, s[N], q[N] = {};
  edge.weights.template both<false>(channel, W, r, slope);
  LM_EACH(k, N, s[k] = r * source[k];)
  LM_EACH(m, M, {
    const Vector<T> adjoint = load(edge.adjoint + m * edge.at.stride + channel);
    if constexpr (Member::scalar)
      q[m] = edge.matrix[0] * adjoint;
    else
      LM_EACH(k, N, q[k] += edge.matrix[(m * N + k) * W] * adjoint; dmatrix[m * N + k] += adjoint * s[k];)
  })
  give_back<T, N>(edge, channel, r, slope, source, q, dsource, radial);
}

// The same for all paths of a group; the adjoints of their matrices follow each other from First on.
template <class T, int First, class Member, class... Rest>
LM_INLINE void backward_members(const EdgeOperands<T> *edges, int channel, const Vector<T> *source, Vector<T> *dsource,
                                Vector<T> *dmatrix, Vector<T> &radial) {
  backward_member<T, Member>(*edges, channel, source, dsource, dmatrix + First, radial);
  if constexpr (sizeof...(Rest) > 0)
    backward_members<T, First + kEntries<Member>, Rest...>(edges + 1, channel, source, dsource, dmatrix, radial);
}

template <class T, int First, class Member, class... Rest>
LM_INLINE void store_members(const EdgeOperands<T> *edges, const Vector<T> *dmatrix, Vector<T> *matrices) {
  LM_EACH(k, kEntries<Member>, matrices[edges->first + k] = dmatrix[First + k];)
  if constexpr (sizeof...(Rest) > 0)
    store_members<T, First + kEntries<Member>, Rest...>(edges + 1, dmatrix, matrices);
}

// Paths from one source, one edge, all whole blocks of channels. Stores the adjoints of the edge's matrices and adds to
// that of its distance, all as vectors still to be summed over the lanes. For matrices that fit the registers together.
template <class T, class Member, class... Rest>
void backward_group(const EdgeTask<T> &task, const EdgeOperands<T> *edges, Vector<T> &radial, Vector<T> *matrices) {
  constexpr int N = 2 * Member::source + 1, W = kWidth<T>;
  Vector<T> dmatrix[(kEntries<Rest> + ... + (kEntries<Member> + 1))] = {}, total = radial;
  for (int channel = 0; channel + W <= task.channels; channel += W) {
    Vector<T> source[N], dsource[N] = {};
    LM_EACH(k, N, source[k] = load(edges->h + k * task.channels + channel);)
    if (edges->dh) LM_EACH(k, N, dsource[k] = load(edges->dh + k * task.channels + channel);)
    backward_members<T, 0, Member, Rest...>(edges, channel, source, dsource, dmatrix, total);
    if (edges->dh) LM_EACH(k, N, store(edges->dh + k * task.channels + channel, dsource[k]);)
  }
  radial = total;
  store_members<T, 0, Member, Rest...>(edges, dmatrix, matrices);
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
void backward_in_tiles(const EdgeTask<T> &task, const EdgeOperands<T> *edges, Vector<T> &radial,
                       Vector<T> *matrices) {
  constexpr int N = 2 * L1 + 1, M = 2 * LO + 1, W = kWidth<T>, kPanel = 16;
  constexpr int kTile = kTileSize / N < M ? kTileSize / N : M, kRest = M % kTile;
  const EdgeOperands<T> &edge = *edges;
  Vector<T> s[kPanel * N], total = radial, *matrix = matrices + edge.first;
  LM_EACH(k, M * N, matrix[k] = Vector<T>{};)
  for (int start = 0; start + W <= task.channels; start += kPanel * W) {
    const int panel = std::min(kPanel, (task.channels - start) / W);
    for (int i = 0; i < panel; i++) {
      const int channel = start + i * W;
      Vector<T> r, slope, source[N], dsource[N] = {}, q[N] = {};
      edge.weights.template both<false>(channel, W, r, slope);
      LM_EACH(m, M, {
        const Vector<T> adjoint = load(edge.adjoint + m * edge.at.stride + channel);
        LM_EACH(k, N, q[k] += edge.matrix[(m * N + k) * W] * adjoint;)
      })
      LM_EACH(k, N, source[k] = load(edge.h + k * task.channels + channel); s[i * N + k] = r * source[k];)
      if (edge.dh) LM_EACH(k, N, dsource[k] = load(edge.dh + k * task.channels + channel);)
      give_back<T, N>(edge, channel, r, slope, source, q, dsource, total);
      if (edge.dh) LM_EACH(k, N, store(edge.dh + k * task.channels + channel, dsource[k]);)
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

template <class T, class D>
void backward_path(const EdgeTask<T> &task, const EdgeOperands<T> *edge, Vector<T> &radial, Vector<T> *matrices) {
  if constexpr (kEntries<D> <= kAtOnce)
    backward_group<T, D>(task, edge, radial, matrices);
  else
    backward_in_tiles<T, D::source, D::target>(task, edge, radial, matrices);
}

// The same for the last, incomplete block of channels, whatever the degrees; adds to all sums.
template <class T>
void backward_tail(const EdgeTask<T> &task, const Path &path, const EdgeOperands<T> &edge, Vector<T> &radial,
                   Vector<T> *matrices) {
  constexpr int W = kWidth<T>;
  const int N = 2 * path.source + 1, M = 2 * path.target + 1, n = task.channels % W, channel = task.channels - n;
  Vector<T> r, slope, share = {}, *matrix = matrices + edge.first;
  edge.weights.template both<true>(channel, n, r, slope);
  for (int k = 0; k < N; k++) {
    const Vector<T> source = load_some<true>(edge.h + k * task.channels + channel, n), s = r * source;
    Vector<T> q = {};
    for (int m = path.scalar ? k : 0; m < (path.scalar ? k + 1 : M); m++) {
      const Vector<T> adjoint = load_some<true>(edge.adjoint + m * edge.at.stride + channel, n);
      q += edge.matrix[path.scalar ? 0 : (m * N + k) * W] * adjoint;
      if (!path.scalar) matrix[m * N + k] += adjoint * s;
    }
    share += q * source;
    if (!edge.dh) continue;
    T *p = edge.dh + k * task.channels + channel;
    store_some<true>(p, load_some<true>(p, n) + r * q, n);
  }
  if (edge.drow) store_some<true>(edge.drow + channel, share, n);
  radial += slope * share;
}

template <class T>
using Backward = void (*)(const EdgeTask<T> &, const EdgeOperands<T> *, Vector<T> &, Vector<T> *);

template <class T>
Backward<T> backward_kernel(const Path &path) {
  return kernel_by_degrees<Backward<T>>(path, [](auto d) LM_FLAT -> Backward<T> { return backward_path<T, decltype(d)>; });
}

// Paths that one kernel takes together.
template <class T>
struct Step {
  Backward<T> kernel;
  int n_paths, paths[kMaxGroup];
};

// The steps of the backward pass of one edge.
template <class T>
struct Plan {
  Step<T> *steps;
  char *taken;  // [path]
  int n_steps = 0;

  Plan(const EdgeTask<T> &task, Arena &arena) {
    steps = arena.take<Step<T>>(task.n_paths), taken = arena.take<char>(task.n_paths);
    std::fill_n(taken, task.n_paths, 0);
    for (int p = 0; p < task.n_paths; p++)
      if (!taken[p]) add(task, p);
  }
  static std::size_t bytes(const EdgeTask<T> &task) {
    return Arena::bytes<Step<T>>(task.n_paths) + Arena::bytes<char>(task.n_paths);
  }

 private:
  template <int L1, int LO>
  using Full = Degrees<L1, LO, false>;
  template <int L>
  using Unit = Degrees<L, L, true>;

  void add(const EdgeTask<T> &task, int p) {
    const Path &path = task.paths[p];
    if (kAtOnce >= 15 && group<Unit<0>, Full<0, 1>, Full<0, 2>, Full<0, 3>>(task, path)) return;
    if (kAtOnce >= 12 && group<Full<1, 0>, Unit<1>, Full<1, 1>>(task, path)) return;
    if (group<Unit<0>, Full<0, 1>>(task, path)) return;
    steps[n_steps++] = {backward_kernel<T>(path), 1, {p}};
    taken[p] = true;
  }
  // Takes one path like each of Members from the source of `like`, if all are left.
  template <class... Members>
  bool group(const EdgeTask<T> &task, const Path &like) {
    static_assert(sizeof...(Members) <= kMaxGroup);
    Step<T> step{backward_group<T, Members...>, 0, {}};
    for (int found : {find<Members>(task, like)...}) {
      if (found < 0) return false;
      step.paths[step.n_paths++] = found;
    }
    for (int i = 0; i < step.n_paths; i++) taken[step.paths[i]] = true;
    steps[n_steps++] = step;
    return true;
  }
  template <class D>
  int find(const EdgeTask<T> &task, const Path &like) const {
    for (int p = 0; p < task.n_paths; p++) {
      const Path &path = task.paths[p];
      const bool same = path.source == D::source && path.target == D::target && bool(path.scalar) == D::scalar;
      if (!taken[p] && path.source_row == like.source_row && same) return p;
    }
    return -1;
  }
};

// Adds to the adjoint of the distance, stores those of the matrices.
template <class T>
LM_INLINE void backward_step(const EdgeTask<T> &task, const Batch<T> &batch, const Step<T> &step, std::int64_t atom,
                             int e, Vector<T> &radial, Vector<T> *matrices) {
  EdgeOperands<T> edges[kMaxGroup];
  for (int i = 0; i < step.n_paths; i++) edges[i] = EdgeOperands<T>(task, batch, atom, step.paths[i], e);
  step.kernel(task, edges, radial, matrices);
  if (task.channels % kWidth<T>)
    for (int i = 0; i < step.n_paths; i++)
      backward_tail(task, task.paths[step.paths[i]], edges[i], radial, matrices);
}

// What the backward pass needs besides the batch: the adjoints of all matrices of one edge, as vectors still to be
// summed over the lanes, and the coefficients sorted by harmonic.
template <class T>
struct Transposed {
  Vector<T> *matrices;
  std::int32_t *first, *rows;  // entries first[h] ... first[h + 1] of harmonic h, in these rows of the matrices
  T *values;

  Transposed(const EdgeTask<T> &task, Arena &arena) {
    const auto &m = task.matrices;
    const int entries = m.first[m.rows];
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
void backward_edge(const EdgeTask<T> &task, const Batch<T> &batch, const Plan<T> &plan,
                   const Transposed<T> &transposed, std::int64_t atom, int e) {
  constexpr int W = kWidth<T>;
  Vector<T> adjoints[(kHarmonics + W - 1) / W * W] = {}, radial = {};
  for (int i = 0; i < plan.n_steps; i++)
    backward_step(task, batch, plan.steps[i], atom, e, radial, transposed.matrices);
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
  Batch<T> batch(task, Transposed<T>::bytes(task) + Plan<T>::bytes(task));
  Arena arena(batch.more);
  const Transposed<T> transposed(task, arena);
  const Plan<T> plan(task, arena);
  for (Cursor cursor; next_batch(task, batch, cursor, true);) {
    for (int s = 0; s < batch.n_segments; s++)
      for (int e = batch.segments[s].begin; e < batch.segments[s].end; e++)
        backward_edge(task, batch, plan, transposed, batch.segments[s].atom, e);
    for (int begin = 0; begin < batch.size; begin += kWidth<T>) add_gradient(task, batch, begin);
  }
}

}  // namespace

namespace LM_ISA {
void edges_backward_f32(const EdgeTask<float> &task) { backward(task); }
void edges_backward_f64(const EdgeTask<double> &task) { backward(task); }
}  // namespace LM_ISA
