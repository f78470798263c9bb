// The gradient of the sums over the edges for one instruction set: see kernels/edges.py for the formula.
// Per edge and path, sums over the channels stay in registers: the adjoint of the path's matrix. Times the slopes of the
// matrix in two directions across the edge, and with the slope of the radial weights along it, that is the gradient.
#include "edges.h"

namespace {

// What fits the registers: accumulators of a matrix beside the other vectors, and of a tile.
constexpr int kAtOnce = kVectorBytes == 64 ? 21 : 7, kTileSize = kVectorBytes == 64 ? 25 : 10;

// Where one path finds its arrays from where those of the edge begin, and its adjoint at the atom in hand.
template <class T> struct PathAt {
  int index;
  std::int64_t weights, matrix, source, stride;
  const T *adjoint;
};

// Where the arrays of one edge begin: radial weights and, where these are given, their adjoints; matrices and their
// slopes; features of the sender and their adjoint.
template <class T, class Radial> struct EdgeStart {
  Radial weights;
  const T *matrices;
  std::int64_t set;    // from the matrices to their slopes, and to those in the other direction
  const T *h;
  T *dh, *drow;

  LM_INLINE EdgeStart(const EdgeTask<T> &task, const Batch<T> &batch, int e)
      : weights(batch, e), matrices(batch.at[e].matrices), set(static_cast<std::int64_t>(task.couplings.rows) * kWidth<T>),
        h(task.sent + batch.at[e].sender), dh(task.sent_adjoint ? task.sent_adjoint + batch.at[e].sender : nullptr),
        drow(task.row_adjoint ? task.row_adjoint + (batch.rows[e] - task.first_row) * batch.knot_stride : nullptr)
  {}
};

// An edge's share of the gradient, along it and across it, still to be summed over the lanes.
template <class T> struct Share {
  Vector<T> along = {}, across[2] = {};

  LM_INLINE void add(const Share &other)
  {
    along += other.along, across[0] += other.across[0], across[1] += other.across[1];
  }
};

// Entries of the matrix of a path whose adjoints are needed: a scalar does not depend on the direction.
template <class D> constexpr int kEntries = D::scalar ? 0 : (2 * D::source + 1) * (2 * D::target + 1);

// Adds what an entry of a path's matrix gets.
template <class T, class Edge>
LM_INLINE void add_entry(const Edge &edge, std::int64_t entry, Vector<T> adjoint, Share<T> &share)
{
  const T *slopes = edge.matrices + edge.set + entry;
  share.across[0] += slopes[0] * adjoint;
  share.across[1] += slopes[edge.set] * adjoint;
}

// The weights of one path, and their slopes where they are splines.
template <bool Tail, class T, class Radial>
LM_INLINE void weights_of(const EdgeStart<T, Radial> &edge, std::int64_t path, int channel, int n, Vector<T> &r,
                          Vector<T> &slope)
{
  if constexpr (Radial::kGiven)
    r = edge.weights.template value<Tail>(path, channel, n);
  else
    edge.weights.template both<Tail>(path, channel, n, r, slope);
}

// Takes the adjoint dr of the weights of one path: to `along` through their slopes, or to where it is kept.
template <bool Tail, class T, class Radial>
LM_INLINE void give_weights(const EdgeStart<T, Radial> &edge, std::int64_t path, int channel, int n, Vector<T> slope,
                            Vector<T> dr, Vector<T> &along)
{
  if constexpr (Radial::kGiven)
    store_some<Tail>(edge.drow + path + channel, dr, n);
  else
    along += slope * dr;
}

// Adds the part of one path to the adjoint of the source, and returns the adjoint of its weights.
template <class T, int N>
LM_INLINE Vector<T> give_back(Vector<T> r, const Vector<T> *source, const Vector<T> *q, Vector<T> *dsource)
{
  Vector<T> dr = {};
  LM_EACH(k, N, dr += q[k] * source[k]; dsource[k] += r * q[k];)
  return dr;
}

// One path of a group, one block of channels: the adjoints of its source and of its matrix.
template <class T, class Member, class Edge>
LM_INLINE void backward_member(const Edge &edge, const PathAt<T> &path, int channel, const Vector<T> *source,
                               Vector<T> *dsource, Vector<T> *dmatrix, Vector<T> &along)
{
  constexpr int N = 2 * Member::source + 1, M = 2 * Member::target + 1, W = kWidth<T>;
  const T *matrix = edge.matrices + path.matrix;
  Vector<T> r, slope, s[N], q[N] = {};
  weights_of<false>(edge, path.weights, channel, W, r, slope);
  LM_EACH(k, N, s[k] = r * source[k];)
  LM_EACH(m, M, {
    const Vector<T> adjoint = load(path.adjoint + m * path.stride + channel);
    if constexpr (Member::scalar)
      q[m] = matrix[0] * adjoint;
    else
      LM_EACH(k, N, q[k] += matrix[(m * N + k) * W] * adjoint; dmatrix[m * N + k] += adjoint * s[k];)
  })
  const Vector<T> dr = give_back<T, N>(r, source, q, dsource);
  give_weights<false>(edge, path.weights, channel, W, slope, dr, along);
}

// The same for all paths of a group; the adjoints of their matrices follow each other from First on.
template <class T, int First, class Member, class... Rest, class Edge>
LM_INLINE void backward_members(const Edge &edge, const PathAt<T> *paths, int channel, const Vector<T> *source,
                                Vector<T> *dsource, Vector<T> *dmatrix, Vector<T> &along)
{
  backward_member<T, Member>(edge, *paths, channel, source, dsource, dmatrix + First, along);
  if constexpr (sizeof...(Rest) > 0)
    backward_members<T, First + kEntries<Member>, Rest...>(edge, paths + 1, channel, source, dsource, dmatrix, along);
}

template <class T, int First, class Member, class... Rest, class Edge>
LM_INLINE void add_members(const Edge &edge, const PathAt<T> *paths, const Vector<T> *dmatrix, Share<T> &share)
{
  LM_EACH(k, kEntries<Member>, add_entry(edge, paths->matrix + k * kWidth<T>, dmatrix[First + k], share);)
  if constexpr (sizeof...(Rest) > 0) add_members<T, First + kEntries<Member>, Rest...>(edge, paths + 1, dmatrix, share);
}

// Paths from one source, one edge, all whole blocks of channels. For matrices that fit the registers together.
template <class T, class Radial, class Member, class... Rest>
void backward_group(int channels, const PathAt<T> *at, const EdgeStart<T, Radial> &start, Share<T> &share)
{
  constexpr int N = 2 * Member::source + 1, W = kWidth<T>;
  // Copies: for all that the compiler knows, a store below might change the originals.
  EdgeStart<T, Radial> edge = start;
  PathAt<T> paths[1 + sizeof...(Rest)];
  std::copy_n(at, 1 + sizeof...(Rest), paths);
  const T *h = edge.h + paths->source;
  T *dh = edge.dh ? edge.dh + paths->source : nullptr;
  Vector<T> dmatrix[(kEntries<Rest> + ... + (kEntries<Member> + 1))] = {};
  Share<T> here;
  for (int channel = 0; channel + W <= channels; channel += W) {
    Vector<T> source[N], dsource[N] = {};
    LM_EACH(k, N, source[k] = load(h + k * channels + channel);)
    if (dh) LM_EACH(k, N, dsource[k] = load(dh + k * channels + channel);)
    // Opaque: the pieces are read where they are needed and leave their registers to the sums.
    if constexpr (!Radial::kGiven) asm("" : "+r"(edge.weights.pieces));
    backward_members<T, 0, Member, Rest...>(edge, paths, channel, source, dsource, dmatrix, here.along);
    if (dh) LM_EACH(k, N, store(dh + k * channels + channel, dsource[k]);)
  }
  add_members<T, 0, Member, Rest...>(edge, paths, dmatrix, here);
  share.add(here);
}

// Adds what the entries get of N columns and M rows of a matrix, the first at `entry`, over a panel of channels.
template <class T, int N, int M, class Edge>
LM_INLINE void outer_products(const Edge &edge, std::int64_t entry, const T *adjoint, std::int64_t stride, int panel,
                              const Vector<T> *s, Share<T> &share)
{
  Vector<T> sums[M * N] = {};
  for (int i = 0; i < panel; i++, s += N)
    LM_EACH(m, M, {
      const Vector<T> a = load(adjoint + m * stride + i * kWidth<T>);
      LM_EACH(k, N, sums[m * N + k] += a * s[k];)
    })
  LM_EACH(k, M * N, add_entry(edge, entry + k * kWidth<T>, sums[k], share);)
}

// The same for larger matrices: first all but the matrix, for a panel of channels; then the matrix tile by tile.
template <class T, class Radial, int L1, int LO>
void backward_in_tiles(int channels, const PathAt<T> *paths, const EdgeStart<T, Radial> &edge, Share<T> &share)
{
  constexpr int N = 2 * L1 + 1, M = 2 * LO + 1, W = kWidth<T>, kPanel = 16;
  constexpr int kTile = kTileSize / N < M ? kTileSize / N : M, kRest = M % kTile;
  const PathAt<T> path = *paths;
  const T *h = edge.h + path.source, *matrix = edge.matrices + path.matrix;
  T *dh = edge.dh ? edge.dh + path.source : nullptr;
  Vector<T> s[kPanel * N];
  Share<T> here;
  for (int start = 0; start + W <= channels; start += kPanel * W) {
    const int panel = std::min(kPanel, (channels - start) / W);
    for (int i = 0; i < panel; i++) {
      const int channel = start + i * W;
      Vector<T> r, slope, source[N], dsource[N] = {}, q[N] = {};
      weights_of<false>(edge, path.weights, channel, W, r, slope);
      LM_EACH(m, M, {
        const Vector<T> adjoint = load(path.adjoint + m * path.stride + channel);
        LM_EACH(k, N, q[k] += matrix[(m * N + k) * W] * adjoint;)
      })
      LM_EACH(k, N, source[k] = load(h + k * channels + channel); s[i * N + k] = r * source[k];)
      if (dh) LM_EACH(k, N, dsource[k] = load(dh + k * channels + channel);)
      const Vector<T> dr = give_back<T, N>(r, source, q, dsource);
      give_weights<false>(edge, path.weights, channel, W, slope, dr, here.along);
      if (dh) LM_EACH(k, N, store(dh + k * channels + channel, dsource[k]);)
    }
    const T *a = path.adjoint + start;
    LM_EACH(t, M / kTile, {
      outer_products<T, N, kTile>(edge, path.matrix + t * kTile * N * W, a + t * kTile * path.stride, path.stride, panel, s,
                                  here);
    })
    if constexpr (kRest > 0)
      outer_products<T, N, kRest>(edge, path.matrix + (M - kRest) * N * W, a + (M - kRest) * path.stride, path.stride, panel,
                                  s, here);
  }
  share.add(here);
}

template <class T, class Radial, class D>
void backward_path(int channels, const PathAt<T> *path, const EdgeStart<T, Radial> &edge, Share<T> &share)
{
  if constexpr (kEntries<D> <= kAtOnce)
    backward_group<T, Radial, D>(channels, path, edge, share);
  else
    backward_in_tiles<T, Radial, D::source, D::target>(channels, path, edge, share);
}

// The same for the last, incomplete block of channels, whatever the degrees.
template <class T, class Radial>
void backward_tail(int channels, const Path &degrees, const PathAt<T> &path, const EdgeStart<T, Radial> &edge,
                   Share<T> &share)
{
  constexpr int W = kWidth<T>;
  const int N = 2 * degrees.source + 1, M = 2 * degrees.target + 1, n = channels % W, channel = channels - n;
  const bool scalar = degrees.scalar;
  Vector<T> r, slope, dr = {};
  weights_of<true>(edge, path.weights, channel, n, r, slope);
  for (int k = 0; k < N; k++) {
    const std::int64_t row = path.source + k * channels + channel;
    const Vector<T> source = load_some<true>(edge.h + row, n), s = r * source;
    Vector<T> q = {};
    for (int m = scalar ? k : 0; m < (scalar ? k + 1 : M); m++) {
      const Vector<T> adjoint = load_some<true>(path.adjoint + m * path.stride + channel, n);
      const std::int64_t entry = path.matrix + (scalar ? 0 : (m * N + k) * W);
      q += edge.matrices[entry] * adjoint;
      if (!scalar) add_entry(edge, entry, adjoint * s, share);
    }
    dr += q * source;
    if (edge.dh) store_some<true>(edge.dh + row, load_some<true>(edge.dh + row, n) + r * q, n);
  }
  give_weights<true>(edge, path.weights, channel, n, slope, dr, share.along);
}

template <class T, class Radial>
using Backward = void (*)(int channels, const PathAt<T> *, const EdgeStart<T, Radial> &, Share<T> &);

template <class T, class Radial> Backward<T, Radial> backward_kernel(const Path &path)
{
  using Kernel = Backward<T, Radial>;
  return kernel_by_degrees<Kernel>(path, [](auto d) LM_FLAT -> Kernel { return backward_path<T, Radial, decltype(d)>; });
}

// Paths that one kernel takes together.
template <class T, class Radial> struct Step {
  Backward<T, Radial> kernel;
  int first;    // of the plan's paths
};

// The steps of the backward pass of one edge.
template <class T, class Radial> struct Plan {
  PathAt<T> *paths;    // in the order of the steps
  Step<T, Radial> *steps;
  char *taken;    // [path]
  int n_paths = 0, n_steps = 0;

  Plan(const EdgeTask<T> &task, const Batch<T> &batch, Arena &arena) : batch_(batch)
  {
    paths = arena.take<PathAt<T>>(task.n_paths), steps = arena.take<Step<T, Radial>>(task.n_paths);
    taken = arena.take<char>(task.n_paths);
    std::fill_n(taken, task.n_paths, 0);
    for (int p = 0; p < task.n_paths; p++)
      if (!taken[p]) add(task, p);
  }
  static std::size_t bytes(const EdgeTask<T> &task)
  {
    return Arena::bytes<PathAt<T>>(task.n_paths) + Arena::bytes<Step<T, Radial>>(task.n_paths) +
        Arena::bytes<char>(task.n_paths);
  }
  void move_to(const EdgeTask<T> &task, std::int64_t atom)
  {
    for (int i = 0; i < n_paths; i++) {
      const Path &path = task.paths[paths[i].index];
      paths[i].adjoint = task.adjoints[path.result] + Operands<T>(task, path, atom).result;
    }
  }

 private:
  const Batch<T> &batch_;
  template <int L1, int LO> using Full = Degrees<L1, LO, false>;
  template <int L> using Unit = Degrees<L, L, true>;

  void add(const EdgeTask<T> &task, int p)
  {
    const Path &path = task.paths[p];
    if (kAtOnce >= 15 && group<Unit<0>, Full<0, 1>, Full<0, 2>, Full<0, 3>>(task, path)) return;
    if (kAtOnce >= 12 && group<Full<1, 0>, Unit<1>, Full<1, 1>>(task, path)) return;
    if (group<Unit<0>, Full<0, 1>>(task, path)) return;
    add_step(task, backward_kernel<T, Radial>(path), {p});
  }
  // Takes one path like each of Members from the source of `like`, if all are left.
  template <class... Members> bool group(const EdgeTask<T> &task, const Path &like)
  {
    const std::initializer_list<int> found = {find<Members>(task, like)...};
    if (std::min(found) < 0) return false;
    add_step(task, backward_group<T, Radial, Members...>, found);
    return true;
  }
  template <class D> int find(const EdgeTask<T> &task, const Path &like) const
  {
    for (int p = 0; p < task.n_paths; p++) {
      const Path &path = task.paths[p];
      const bool same = path.source == D::source && path.target == D::target && bool(path.scalar) == D::scalar;
      if (!taken[p] && path.source_row == like.source_row && same) return p;
    }
    return -1;
  }
  void add_step(const EdgeTask<T> &task, Backward<T, Radial> kernel, std::initializer_list<int> members)
  {
    steps[n_steps++] = {kernel, n_paths};
    for (const int p : members) {
      const Path &path = task.paths[p];
      const std::int64_t channels = task.channels, stride = Operands<T>(task, path, 0).stride;
      paths[n_paths++] = {
          p, p * batch_.path_stride, path.matrix * std::int64_t(kWidth<T>), path.source_row * channels, stride, nullptr};
      taken[p] = true;
    }
  }
};

// Asks for part `part` of n of what an edge reads and writes at its sender, while the edge before is worked on: rows of
// atoms are far apart in memory, and an edge takes longer than a row from the last cache. In parts, so that not all
// have to be waited for at once.
template <class T, class Radial>
LM_INLINE void fetch_rows(const EdgeTask<T> &task, const EdgeStart<T, Radial> &edge, std::int64_t part, int n)
{
  constexpr std::int64_t line = 64 / sizeof(T);
  const std::int64_t lines = (static_cast<std::int64_t>(task.sent_rows) * task.channels + line - 1) / line;
  for (std::int64_t i = lines * part / n; i < lines * (part + 1) / n; i++) {
    __builtin_prefetch(edge.h + i * line);
    if (edge.dh) __builtin_prefetch(edge.dh + i * line, 1);
  }
}

// The share of one edge.
template <class T, class Radial>
LM_INLINE Share<T> backward_edge(const EdgeTask<T> &task, const Batch<T> &batch, const Plan<T, Radial> &plan, int e)
{
  const EdgeStart<T, Radial> edge(task, batch, e), next(task, batch, std::min(e + 1, batch.size - 1));
  Share<T> share;
  for (int i = 0; i < plan.n_steps; i++) {
    fetch_rows(task, next, i, plan.n_steps);
    plan.steps[i].kernel(task.channels, plan.paths + plan.steps[i].first, edge, share);
  }
  if (task.channels % kWidth<T>)
    for (int i = 0; i < plan.n_paths; i++)
      backward_tail(task.channels, task.paths[plan.paths[i].index], plan.paths[i], edge, share);
  return share;
}

// The shares of a batch, one array per direction, so that a vector of edges is summed at once.
template <class T> struct Shares {
  Vector<T> *along, *across[2];    // [edge]

  Shares(const Batch<T> &batch, Arena &arena)
  {
    for (auto p : {&along, &across[0], &across[1]}) *p = arena.take<Vector<T>>(batch.capacity);
  }
  static std::size_t bytes(int edges) { return 3 * Arena::bytes<Vector<T>>(edges); }
  LM_INLINE void put(int e, const Share<T> &share) const
  {
    along[e] = share.along, across[0][e] = share.across[0], across[1][e] = share.across[1];
  }
};

// With u = D / r and two directions a_i across: dE/dD = u dE/dr + sum_i a_i (slope of E in u along a_i) / r.
template <class T> void add_gradient(const EdgeTask<T> &task, const Batch<T> &batch, const Shares<T> &shares, int begin)
{
  constexpr int W = kWidth<T>;
  const Vector<T> u[3] = {load(batch.x + begin), load(batch.y + begin), load(batch.z + begin)};
  const Vector<T> inverse = load(batch.inverse + begin), along = sums<T, W>(shares.along + begin);
  const Vector<T> first = sums<T, W>(shares.across[0] + begin), second = sums<T, W>(shares.across[1] + begin);
  const Across<T> across(u[0], u[1], u[2]);
  for (int k = 0; k < 3; k++) {
    const Vector<T> total = u[k] * along + (across.direction[0][k] * first + across.direction[1][k] * second) * inverse;
    for (int i = 0; i < std::min(W, batch.size - begin); i++) task.gradient[3 * batch.rows[begin + i] + k] += total[i];
  }
}

template <class T, class Radial> void backward_with(const EdgeTask<T> &task)
{
  using Steps = Plan<T, Radial>;
  Batch<T> batch(task, kBackward, Steps::bytes(task) + Shares<T>::bytes(kMaxEdges));
  Arena arena(batch.more);
  Steps plan(task, batch, arena);
  const Shares<T> shares(batch, arena);
  for (Cursor cursor; next_batch(task, batch, cursor);) {
    for (int s = 0; s < batch.n_segments; s++) {
      plan.move_to(task, batch.segments[s].atom);
      for (int e = batch.segments[s].begin; e < batch.segments[s].end; e++)
        shares.put(e, backward_edge(task, batch, plan, e));
    }
    for (int begin = 0; begin < batch.size; begin += kWidth<T>) add_gradient(task, batch, shares, begin);
  }
}

template <class T> void backward(const EdgeTask<T> &task)
{
  task.table ? backward_with<T, Splined<T>>(task) : backward_with<T, Given<T>>(task);
}

}    // namespace

namespace LM_ISA {
void edges_backward_f32(const EdgeTask<float> &task) { backward(task); }
void edges_backward_f64(const EdgeTask<double> &task) { backward(task); }
}    // namespace LM_ISA
