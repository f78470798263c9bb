// What all custom calls of XLA need: errors, exceptions that become errors, and operands that are updated in place.
#ifndef LAMMPS_MACE_CUSTOM_CALL_H
#define LAMMPS_MACE_CUSTOM_CALL_H

#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "xla/ffi/api/ffi.h"

namespace lammps_mace {

inline xla::ffi::Error invalid(const std::string &what)
{
  return xla::ffi::Error::InvalidArgument("lammps-mace kernels: " + what);
}

// `call` as XLA may call it: it is C beyond this point, where an exception would end the process.
template <auto call> struct Guarded;
template <class... Arguments, xla::ffi::Error (*call)(Arguments...)> struct Guarded<call> {
  static xla::ffi::Error run(Arguments... arguments)
  {
    try {
      return call(arguments...);
    } catch (const std::bad_alloc &) {
      return xla::ffi::Error(xla::ffi::ErrorCode::kResourceExhausted, "no host memory");    // short: in the string itself
    } catch (const std::exception &error) {
      return xla::ffi::Error::Internal(error.what());
    }
  }
};

// XLA updates operands in place where it can, and else hands over a copy's place to fill.
inline void fill_copy(const xla::ffi::AnyBuffer &from, xla::ffi::AnyBuffer &to)
{
  if (from.untyped_data() != to.untyped_data()) std::memcpy(to.untyped_data(), from.untyped_data(), from.size_bytes());
}

}    // namespace lammps_mace

#endif
