// What both edge operations need: radial weights, where a path finds its arrays, and the choice of a kernel by degrees.
#pragma once

#include "batch.h"
#include "kernels.h"

namespace {

using namespace lammps_mace;

// Radial weights of one edge, as splines: kSplineRows rows of the table, whose blocks are complete: an incomplete vector
// of channels is read with the zeros behind it. `path`: from the weights of the first path.
template <class T> struct Splined {
  static constexpr bool kSplined = true;
  static constexpr int kRows = kSplineRows<T>;
  const T *at;
  std::int64_t row, slab;
  const T *pieces;

  LM_INLINE Splined(const Batch<T> &batch, int edge)
      : at(batch.at[edge].weights), row(batch.knot_stride), slab(batch.slab), pieces(batch.at[edge].pieces)
  {}
  LM_INLINE T piece(int k) const { return pieces[k * kWidth<T>]; }
  LM_INLINE const T *block(std::int64_t path, int channel) const
  {
    return at + path + unsigned(channel) / kTableBlock * slab + unsigned(channel) % kTableBlock;
  }

  template <bool> LM_INLINE Vector<T> value(std::int64_t path, int channel, int) const
  {
    const T *t = block(path, channel);
    // Two sums: one would have to wait for each of its terms.
    Vector<T> even = piece(0) * load(t), odd = piece(1) * load(t + row);
    LM_EACH(k, kRows / 2 - 1, {
      even += piece(2 * k + 2) * load(t + (2 * k + 2) * row);
      odd += piece(2 * k + 3) * load(t + (2 * k + 3) * row);
    })
    return even + odd;
  }
  // Values and slopes of N paths, which share the pieces.
  template <bool, int N>
  LM_INLINE void both(const std::int64_t *paths, int channel, int, Vector<T> *value, Vector<T> *slope) const
  {
    const T *t[N];
    LM_EACH(i, N, t[i] = block(paths[i], channel);)
    LM_EACH(k, kRows, {
      Vector<T> at_value = piece(k) - Vector<T>{}, at_slope = piece(kRows + k) - Vector<T>{};
      hold(at_value), hold(at_slope);
      LM_EACH(i, N, {
        Vector<T> c = load(t[i] + k * row);
        hold(c);
        value[i] = k ? value[i] + at_value * c : at_value * c, slope[i] = k ? slope[i] + at_slope * c : at_slope * c;
        hold(value[i]), hold(slope[i]);
      })
    })
  }
};

// The same where the batch has them, edge by edge, values and slopes.
template <class T> struct Given {
  static constexpr bool kSplined = false;
  const T *at;
  std::int64_t slopes;

  LM_INLINE Given(const Batch<T> &batch, int edge) : at(batch.at[edge].weights), slopes(batch.knot_stride) {}

  template <bool Tail> LM_INLINE Vector<T> value(std::int64_t path, int channel, int n) const
  {
    return load_some<Tail>(at + path + channel, n);
  }
  template <bool Tail, int N>
  LM_INLINE void both(const std::int64_t *paths, int channel, int n, Vector<T> *value, Vector<T> *slope) const
  {
    LM_EACH(i, N, value[i] = load_some<Tail>(at + paths[i] + channel, n);
            slope[i] = load_some<Tail>(at + slopes + paths[i] + channel, n);)
  }
};

// Where one path finds its arrays.
template <class T> struct Operands {
  std::int64_t stride;    // between the components of the result, or of its adjoint
  std::int64_t result;    // of the path's first component in its array
  LM_INLINE Operands(const EdgeTask<T> &task, const Path &path, std::int64_t atom, int kind)
      : stride(static_cast<std::int64_t>(task.result_paths[path.result]) * task.kinds * task.channels),
        result(atom * (2 * path.target + 1) * stride + (path.position * task.kinds + kind) * task.channels)
  {}
};

template <class T> LM_INLINE const T *matrix_of(const Batch<T> &batch, const Path &path, int edge)
{
  return batch.at[edge].matrices + path.matrix * kWidth<T>;
}

// The degrees of a path as a type.
template <int L1, int LO, bool Diagonal> struct Degrees {
  static constexpr int source = L1, target = LO;
  static constexpr bool scalar = Diagonal;
};

template <class Kernel, int L1, class F> Kernel kernel_by_target(const Path &path, F &&f)
{
  if (path.scalar) return f(Degrees<L1, L1, true>{});
  switch (path.target) {
    case 0: return f(Degrees<L1, 0, false>{});
    case 1: return f(Degrees<L1, 1, false>{});
    case 2: return f(Degrees<L1, 2, false>{});
    case 3: return f(Degrees<L1, 3, false>{});
    default: return f(Degrees<L1, 4, false>{});
  }
}

// Returns f(degrees of the path), a function pointer.
template <class Kernel, class F> Kernel kernel_by_degrees(const Path &path, F &&f)
{
  static_assert(kMaxSource == 3);
  switch (path.source) {
    case 0: return kernel_by_target<Kernel, 0>(path, f);
    case 1: return kernel_by_target<Kernel, 1>(path, f);
    case 2: return kernel_by_target<Kernel, 2>(path, f);
    default: return kernel_by_target<Kernel, 3>(path, f);
  }
}

}    // namespace
