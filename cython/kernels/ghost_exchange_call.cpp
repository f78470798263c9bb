// Between two layers, within a step's program of XLA: features go to or come from other ranks, and the time is taken.
#include "../bridge.h"
#include "custom_call.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>

namespace ffi = xla::ffi;

namespace {

// What Step.seam writes into the operand of this name. No step: there is nobody to exchange with.
struct Seam {
  const lammps_mace_step *step;
  const std::int32_t *places;
};

// What read_passage in boundary.py reads: nanoseconds, and the system's number of the thread that was here.
struct Passage {
  std::int64_t reached, left, thread;
};

using Words = ffi::Buffer<ffi::U32>;

std::int64_t nanoseconds() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const char *exchange(const Seam &seam, bool reverse, ffi::AnyBuffer &buffer) {
  lammps_mace_rows rows{buffer.untyped_data(), 1, static_cast<int>(ffi::ByteWidth(buffer.element_type())), seam.places};
  for (std::size_t axis = 1; axis < buffer.dimensions().size(); axis++) rows.width *= buffer.dimensions()[axis];
  return seam.step->exchange(seam.step->exchanger, reverse, &rows);
}

ffi::Error boundary(ffi::AnyBuffer given, Words where, ffi::Result<ffi::AnyBuffer> rows, ffi::Result<Words> result,
                    ffi::Result<ffi::AnyBuffer> zero, bool reverse) {
  Passage passage{nanoseconds(), 0, syscall(SYS_gettid)};
  Seam seam;
  if (where.size_bytes() != sizeof seam || result->size_bytes() != sizeof passage)
    return lammps_mace::invalid("a seam or a passage has another size");
  std::memcpy(&seam, where.untyped_data(), sizeof seam);
  lammps_mace::fill_copy(given, *rows);
  if (seam.step)
    if (const char *reason = exchange(seam, reverse, *rows)) return ffi::Error::Internal(reason);
  passage.left = nanoseconds();
  std::memcpy(result->untyped_data(), &passage, sizeof passage);
  std::memset(zero->untyped_data(), 0, zero->size_bytes());
  return ffi::Error::Success();
}

}  // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_boundary, lammps_mace::Guarded<boundary>::run,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<Words>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<Words>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<bool>("reverse"));
#pragma GCC visibility pop
