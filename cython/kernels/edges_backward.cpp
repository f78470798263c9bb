// The gradient of the sums over the edges for one instruction set: see kernels/edges.py for the formula.
// Per edge and path, the adjoint of the path's matrix times the slopes of the matrix in two directions across the edge,
// and along it the slope of the radial weights, give the gradient.
#include "backward_plan.h"

namespace {

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
      plan.move_to(task, batch.segments[s]);
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
