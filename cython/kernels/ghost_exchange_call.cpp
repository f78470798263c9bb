// The ghost exchange between two layers, as a call of the compiled program of a step: it also takes the time.
#include "../bridge.h"
#include "custom_call.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>

namespace ffi = xla::ffi;

namespace {

// What Step.exchange_handle gives. No step: there is nobody to exchange with.
struct ExchangeHandle {
  const lammps_mace_step *step;
  const std::int32_t *row_index;
};

// What read_timing in ghost_exchange_call.py reads: nanoseconds, and the system's number of the calling thread.
struct CallTiming {
  std::int64_t entered, left, thread;
};

using Words = ffi::Buffer<ffi::U32>;

std::int64_t nanoseconds() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

const char *exchange(const ExchangeHandle &handle, bool reverse, ffi::AnyBuffer &buffer)
{
  const int item_bytes = static_cast<int>(ffi::ByteWidth(buffer.element_type()));
  lammps_mace_rows rows{buffer.untyped_data(), 1, item_bytes, handle.row_index};
  for (std::size_t axis = 1; axis < buffer.dimensions().size(); axis++) rows.width *= buffer.dimensions()[axis];
  return handle.step->exchange(handle.step->exchanger, reverse, &rows);
}

ffi::Error ghost_exchange(ffi::AnyBuffer given, Words handle_words, ffi::Result<ffi::AnyBuffer> rows,
                          ffi::Result<Words> timing_words, ffi::Result<ffi::AnyBuffer> zero, bool reverse)
{
  CallTiming timing{nanoseconds(), 0, syscall(SYS_gettid)};
  ExchangeHandle handle;
  if (handle_words.size_bytes() != sizeof handle || timing_words->size_bytes() != sizeof timing)
    return lammps_mace::invalid("an exchange handle or a call timing has another size");
  std::memcpy(&handle, handle_words.untyped_data(), sizeof handle);
  lammps_mace::fill_copy(given, *rows);
  if (handle.step)
    if (const char *reason = exchange(handle, reverse, *rows)) return ffi::Error::Internal(reason);
  timing.left = nanoseconds();
  std::memcpy(timing_words->untyped_data(), &timing, sizeof timing);
  std::memset(zero->untyped_data(), 0, zero->size_bytes());
  return ffi::Error::Success();
}

}    // namespace

#pragma GCC visibility push(default)
// clang-format off
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_ghost_exchange, lammps_mace::Guarded<ghost_exchange>::run,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<Words>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<Words>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<bool>("reverse"));
// clang-format on
#pragma GCC visibility pop
