// The custom call of the linear maps: it checks its operands and fills a task for each block of features.
#include "kernel_call.h"

namespace ffi = xla::ffi;
using namespace lammps_mace;

namespace {

ffi::Error check(const ffi::AnyBuffer &block, const ffi::AnyBuffer &table, const ffi::AnyBuffer &result,
                 const Filled &filled)
{
  const auto rows = block.dimensions(), packed = table.dimensions(), out = result.dimensions();
  if (block.element_type() != ffi::F32 && block.element_type() != ffi::F64)
    return invalid("features must be float32 or float64");
  if (table.element_type() != block.element_type()) return invalid("features and matrices must have one type");
  if (rows.size() != 3 || packed.size() != 4 || packed[2] != rows[2] || packed[3] != kPanel ||
      packed[1] * packed[3] < out[2])
    return invalid("a matrix does not fit its features");
  if (packed[0] > 1 && (filled.species < 0 || filled.species >= packed[0]))
    return invalid("species " + std::to_string(filled.species) + " has no matrix");
  if (out[0] != rows[0] || out[1] != rows[1]) return invalid("the products do not fit into the result");
  return filled.check(rows[0]);
}

template <class T>
void multiply(const ffi::AnyBuffer &block, const ffi::AnyBuffer &table, ffi::AnyBuffer &result, const Filled &filled)
{
  const auto rows = block.dimensions(), packed = table.dimensions();
  const std::int64_t matrix = packed[0] > 1 ? filled.species * packed[1] * packed[2] * packed[3] : 0;
  const int columns = static_cast<int>(result.dimensions()[2]);
  const LinearTask<T> task{block.typed_data<T>(),          filled.atoms * rows[1], static_cast<int>(rows[2]), columns,
                           table.typed_data<T>() + matrix, result.typed_data<T>()};
  if constexpr (sizeof(T) == 4)
    kernels().linear_f32(task);
  else
    kernels().linear_f64(task);
  clear_from(filled.atoms, result);
}

// Operands: all blocks, then their tables.
ffi::Error linear(IntBuffer species, IntBuffer atoms, ffi::RemainingArgs args, ffi::RemainingRets results)
{
  const std::size_t n = results.size();
  if (args.size() != 2 * n) return invalid("as many matrices as blocks are needed");
  const Filled filled(species, atoms);
  for (std::size_t i = 0; i < n; i++) {
    const auto block = *args.get<ffi::AnyBuffer>(i), table = *args.get<ffi::AnyBuffer>(n + i);
    ffi::AnyBuffer result = **results.get<ffi::AnyBuffer>(i);
    if (auto error = check(block, table, result, filled); error.failure()) return error;
    block.element_type() == ffi::F32 ? multiply<float>(block, table, result, filled)
                                     : multiply<double>(block, table, result, filled);
  }
  return ffi::Error::Success();
}

}    // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_linear, Guarded<linear>::run,
                              ffi::Ffi::Bind().Arg<IntBuffer>().Arg<IntBuffer>().RemainingArgs().RemainingRets());
#pragma GCC visibility pop
