// The sums over the edges for one instruction set: see kernels/edges.py for the formula.
// Per block of channels and segment, the sums over the segment's edges stay in registers.
#include "edges.h"

namespace {

// Blocks of channels of a panel, and those that a path takes at once: as many as there are registers for its sums and for
// what it adds to them.
constexpr int kPanelBlocks = 4, kRegisters = kVectorBytes == 64 ? 32 : 16;
template <class D> constexpr int kFitting = (kRegisters - 2) / (2 * (D::source + D::target + 1));
template <class D> constexpr int kBlocks = kFitting<D> >= 4 ? 4 : kFitting<D> >= 2 ? 2 : 1;

// One path, one segment, Blocks blocks of channels: each matrix element is loaded once for all of them.
template <class T, class Radial, int L1, int LO, bool Scalar, int Blocks>
void forward_path(const EdgeTask<T> &task, const Batch<T> &batch, const Segment &segment, int index, int channel)
{
  constexpr int N = 2 * L1 + 1, M = 2 * LO + 1, W = kWidth<T>;
  const Path &path = task.paths[index];
  const Operands<T> at(task, path, segment.atom, segment.kind);
  const std::int64_t channels = task.channels, weight = index * batch.path_stride;
  const T *sent = task.sent + path.source_row * channels + channel;
  T *out = task.results[path.result] + at.result + channel;
  Vector<T> sums[M * Blocks] = {};
  if (segment.more) LM_EACH(m, M, LM_EACH(b, Blocks, sums[m * Blocks + b] = load(out + m * at.stride + b * W);))
  for (int e = segment.begin; e < segment.end; e++) {
    const Radial weights(batch, e);
    const T *h = sent + batch.at[e].sender, *matrix = matrix_of(batch, path, e);
    Vector<T> s[N * Blocks];
    LM_EACH(b, Blocks, {
      const Vector<T> r = weights.template value<false>(weight, channel + b * W, W);
      LM_EACH(k, N, s[k * Blocks + b] = r * load(h + k * channels + b * W);)
    })
    if constexpr (Scalar)
      LM_EACH(m, M * Blocks, sums[m] += matrix[0] * s[m];)
    else
      LM_EACH(m, M,
              LM_EACH(k, N, LM_EACH(b, Blocks, { sums[m * Blocks + b] += matrix[(m * N + k) * W] * s[k * Blocks + b]; })))
  }
  LM_EACH(m, M, LM_EACH(b, Blocks, store(out + m * at.stride + b * W, sums[m * Blocks + b]);))
}

// The same for the last, incomplete block of channels, whatever the degrees.
template <class T, class Radial>
void forward_tail(const EdgeTask<T> &task, const Batch<T> &batch, const Segment &segment, int index, int channel)
{
  constexpr int W = kWidth<T>;
  const Path &path = task.paths[index];
  const int N = 2 * path.source + 1, M = 2 * path.target + 1, n = task.channels - channel;
  const Operands<T> at(task, path, segment.atom, segment.kind);
  T *out = task.results[path.result] + at.result + channel;
  Vector<T> sums[2 * kMaxDegree + 1] = {};
  if (segment.more)
    for (int m = 0; m < M; m++) sums[m] = load_some<true>(out + m * at.stride, n);
  for (int e = segment.begin; e < segment.end; e++) {
    const Vector<T> r = Radial(batch, e).template value<true>(index * batch.path_stride, channel, n);
    const T *h = task.sent + batch.at[e].sender + path.source_row * task.channels + channel;
    const T *matrix = matrix_of(batch, path, e);
    for (int k = 0; k < N; k++) {
      const Vector<T> s = r * load_some<true>(h + k * task.channels, n);
      if (path.scalar)
        sums[k] += matrix[0] * s;
      else
        for (int m = 0; m < M; m++) sums[m] += matrix[(m * N + k) * W] * s;
    }
  }
  for (int m = 0; m < M; m++) store_some<true>(out + m * at.stride, sums[m], n);
}

template <class T> using Forward = void (*)(const EdgeTask<T> &, const Batch<T> &, const Segment &, int, int);

// The kernels of a path for `blocks` blocks at once, and for one.
template <class T> struct PathKernels {
  Forward<T> many, one;
  int blocks;
};

template <class T, class Radial> PathKernels<T> forward_kernels(const Path &path)
{
  return kernel_by_degrees<PathKernels<T>>(path, [](auto d) LM_FLAT -> PathKernels<T> {
    using D = decltype(d);
    return {forward_path<T, Radial, D::source, D::target, D::scalar, kBlocks<D>>,
            forward_path<T, Radial, D::source, D::target, D::scalar, 1>, kBlocks<D>};
  });
}

// All paths and atoms, a panel of channels from `channel` on; returns where it stopped.
template <class T, class Radial> int forward_channels(const EdgeTask<T> &task, const Batch<T> &batch, int channel)
{
  constexpr int W = kWidth<T>;
  const int end = channel + std::min(kPanelBlocks, (task.channels - channel) / W) * W;
  for (int p = 0; p < task.n_paths; p++) {
    const PathKernels<T> kernels = forward_kernels<T, Radial>(task.paths[p]);
    const auto all_segments = [&](Forward<T> kernel, int at) {
      for (int s = 0; s < batch.n_segments; s++) kernel(task, batch, batch.segments[s], p, at);
    };
    int at = channel;
    for (; at + kernels.blocks * W <= end; at += kernels.blocks * W) all_segments(kernels.many, at);
    for (; at < end; at += W) all_segments(kernels.one, at);
    if (end == channel) all_segments(forward_tail<T, Radial>, at);
  }
  return end == channel ? task.channels : end;
}

template <class T, class Radial> void forward_with(const EdgeTask<T> &task)
{
  Batch<T> batch(task, kForward);
  for (Cursor cursor; next_batch(task, batch, cursor);)
    for (int channel = 0; channel < task.channels;) channel = forward_channels<T, Radial>(task, batch, channel);
}

template <class T> void forward(const EdgeTask<T> &task)
{
  task.table ? forward_with<T, Splined<T>>(task) : forward_with<T, Given<T>>(task);
}

}    // namespace

namespace LM_ISA {
void edges_forward_f32(const EdgeTask<float> &task) { forward(task); }
void edges_forward_f64(const EdgeTask<double> &task) { forward(task); }
}    // namespace LM_ISA
