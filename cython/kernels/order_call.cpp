// A custom call that only copies an index: what needs the copy starts after it, see lammps_mace/kernels/order.py.
#include "kernel_call.h"

namespace ffi = xla::ffi;
using namespace lammps_mace;

namespace {

ffi::Error pass_index(IntBuffer index, ffi::ResultBuffer<ffi::S32> same)
{
  same->typed_data()[0] = index.typed_data()[0];
  return ffi::Error::Success();
}

}    // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_pass_index, pass_index, ffi::Ffi::Bind().Arg<IntBuffer>().Ret<IntBuffer>());
#pragma GCC visibility pop
