// Which kernel takes which paths in the backward pass: those from one source go together where they fit the registers.
#pragma once

#include "backward_paths.h"

namespace {

template <class T, class Radial>
using Backward = void (*)(const EdgeTask<T> &, const Batch<T> &, const Segment &, const PathAt<T> *, Panel,
                          const Shares<T> &);

template <class T, class Radial> Backward<T, Radial> backward_kernel(const Path &path)
{
  using Kernel = Backward<T, Radial>;
  return kernel_by_degrees<Kernel>(path, [](auto d) LM_FLAT -> Kernel { return backward_path<T, Radial, decltype(d)>; });
}

// Paths that one kernel takes together.
template <class T, class Radial> struct Step {
  Backward<T, Radial> kernel;
  int first;    // of the plan's paths
  int panel;    // channels at once
};

// What a step reads of the splines and the adjoint should stay in the first cache from edge to edge.
constexpr int kPanelBytes = 28 * 1024;

// The steps of the backward pass of one atom.
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
  void move_to(const EdgeTask<T> &task, const Segment &segment)
  {
    for (int i = 0; i < n_paths; i++) {
      const Path &path = task.paths[paths[i].index];
      paths[i].adjoint = task.adjoints[path.result] + Operands<T>(task, path, segment.atom, segment.kind).result;
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
  // Channels of a step, so many that panels are of one size.
  static int panel(const EdgeTask<T> &task, std::initializer_list<int> members)
  {
    const int blocks = std::max(1, task.channels / kWidth<T>);
    int rows = 0;
    for (const int p : members) rows += kSplineRows<T> + 2 * task.paths[p].target + 1;
    const int panels = (blocks * rows * kVectorBytes + kPanelBytes - 1) / kPanelBytes;
    return (blocks + panels - 1) / panels * kWidth<T>;
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
    steps[n_steps++] = {kernel, n_paths, panel(task, members)};
    for (const int p : members) {
      const Path &path = task.paths[p];
      const std::int64_t channels = task.channels, stride = Operands<T>(task, path, 0, 0).stride;
      paths[n_paths++] = {
          p, p * batch_.path_stride, path.matrix * std::int64_t(kWidth<T>), path.source_row * channels, stride, nullptr};
      taken[p] = true;
    }
  }
};

}    // namespace
