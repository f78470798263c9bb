// The gradient of the sums over the edges for one instruction set: see kernels/edges.py for the formula.
// Per edge and path, the adjoint of the path's matrix times the slopes of the matrix in two directions across the edge,
// and along it the slope of the radial weights, give the gradient.
#include "backward_plan.h"

namespace {

// All edges of a segment: each step takes them all, a panel of channels after the other.
template <class T, class Radial>
void backward_segment(const EdgeTask<T> &task, const Batch<T> &batch, const Plan<T, Radial> &plan, const Segment &segment,
                      const Shares<T> &shares)
{
  const int whole = task.channels / kWidth<T> * kWidth<T>;
  for (int i = 0; i < plan.n_steps; i++) {
    const Step<T, Radial> &step = plan.steps[i];
    for (int begin = 0; begin < whole; begin += step.panel)
      step.kernel(task, batch, segment, plan.paths + step.first, {begin, std::min(whole, begin + step.panel)}, shares);
  }
  if (whole == task.channels) return;
  for (int e = segment.begin; e < segment.end; e++) {
    const EdgeStart<T, Radial> edge(task, batch, e);
    Share<T> share;
    for (int i = 0; i < plan.n_paths; i++)
      backward_tail(task.channels, task.paths[plan.paths[i].index], plan.paths[i], edge, share);
    shares.add(e, share);
  }
}

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
    shares.clear(batch.size);
    for (int s = 0; s < batch.n_segments; s++) {
      plan.move_to(task, batch.segments[s]);
      backward_segment(task, batch, plan, batch.segments[s], shares);
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
