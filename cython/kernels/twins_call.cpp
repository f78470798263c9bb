// A custom call that finds the two directions of a pair of atoms: what depends on their distance alone is needed once.
#include <algorithm>
#include <cmath>

#include "kernel_call.h"

namespace ffi = xla::ffi;
using namespace lammps_mace;

namespace {

// The pairs that slot i receives are rows bounds[i] to bounds[i + 1].
template <class T> struct Pairs {
  const T *vectors;    // [rows][3]
  const std::int32_t *senders, *bounds;
  std::int64_t slots;
  T tolerance;

  // Returns the row before `row` of the same pair in the other direction, or -1; `atom` receives `row`.
  std::int64_t earlier_twin(std::int64_t row, std::int64_t atom) const
  {
    const std::int64_t sender = senders[row];
    if (sender > atom) return -1;    // also ghosts, whose rows follow the slots
    const T *v = vectors + 3 * row;
    for (std::int64_t e = bounds[sender]; e < std::min<std::int64_t>(bounds[sender + 1], row); e++) {
      const T *w = vectors + 3 * e;
      if (senders[e] == atom && std::abs(v[0] + w[0]) <= tolerance && std::abs(v[1] + w[1]) <= tolerance &&
          std::abs(v[2] + w[2]) <= tolerance)
        return e;
    }
    return -1;
  }
};

// `of_pairs`: for each row, that of its pair among `kept`, the vectors of one direction of each. Returns how many.
template <class T> std::int32_t keep_one_direction(const Pairs<T> &pairs, std::int32_t *of_pairs, T *kept)
{
  std::int32_t n = 0;
  for (std::int64_t atom = 0; atom < pairs.slots; atom++)
    for (std::int64_t row = pairs.bounds[atom]; row < pairs.bounds[atom + 1]; row++) {
      const std::int64_t twin = pairs.earlier_twin(row, atom);
      of_pairs[row] = twin < 0 ? n : of_pairs[twin];
      if (twin < 0) std::copy_n(pairs.vectors + 3 * row, 3, kept + 3 * n++);
    }
  return n;
}

bool are_bounds(const IntBuffer &bounds, std::int64_t rows)
{
  const std::int32_t *first = bounds.typed_data(), *end = first + bounds.element_count();
  return first != end && *first >= 0 && std::is_sorted(first, end) && end[-1] <= rows;
}

ffi::Error twins(ffi::AnyBuffer vectors, IntBuffer senders, IntBuffer bounds, ffi::ResultBuffer<ffi::S32> of_pairs,
                 ffi::Result<ffi::AnyBuffer> kept, ffi::ResultBuffer<ffi::S32> count, double tolerance)
{
  if (!are_bounds(bounds, senders.element_count())) return invalid("the bounds do not fit the pairs");
  const std::int64_t slots = bounds.element_count() - 1;
  const auto find = [&](auto *rows) {
    using T = std::remove_pointer_t<decltype(rows)>;
    const Pairs<T> pairs{rows, senders.typed_data(), bounds.typed_data(), slots, static_cast<T>(tolerance)};
    count->typed_data()[0] = keep_one_direction(pairs, of_pairs->typed_data(), kept->typed_data<T>());
  };
  vectors.element_type() == ffi::F32 ? find(vectors.typed_data<float>()) : find(vectors.typed_data<double>());
  return ffi::Error::Success();
}

}    // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_twins, Guarded<twins>::run,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<IntBuffer>()
                                  .Arg<IntBuffer>()
                                  .Ret<IntBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<IntBuffer>()
                                  .Attr<double>("tolerance"));
#pragma GCC visibility pop
