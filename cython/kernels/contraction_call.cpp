// The custom calls of the symmetric contraction: they check their operands and fill a task.
#include <vector>

#include "kernel_call.h"

namespace ffi = xla::ffi;
using namespace lammps_mace;

namespace {

// What both directions of the contraction share; dims and blocks live as long as the call.
template <class T> struct ContractionCall {
  std::vector<std::int64_t> dims;
  std::vector<const T *> blocks;
  ContractionTask<T> task{};

  ContractionCall(ffi::AnyBuffer weights, const Filled &filled, ffi::RemainingArgs &args, std::size_t n_blocks,
                  Integers code, Integers order, std::int64_t n_components)
  {
    for (std::size_t i = 0; i < n_blocks; i++) {
      const auto block = *args.get<ffi::AnyBuffer>(i);
      const auto shape = block.dimensions();
      dims.push_back(shape[1]);
      blocks.push_back(block.typed_data<T>());
      task.n_rows += static_cast<int>(dims.back());
    }
    task.atoms = filled.atoms;
    task.code = code.begin(), task.order = order.begin();
    task.n_terms = static_cast<int>(order.size()), task.n_components = static_cast<int>(n_components);
    task.n_blocks = static_cast<int>(n_blocks), task.dims = dims.data(), task.blocks = blocks.data();
    task.channels = static_cast<int>(weights.dimensions()[2]);
    task.weights = weights.typed_data<T>() + filled.species * weights.dimensions()[1] * weights.dimensions()[2];
    task.scratch = scratch;
  }
};

// `of_atoms` has a row for each atom and component.
ffi::Error check(const ffi::AnyBuffer &weights, const Filled &filled, Integers order, ffi::RemainingArgs &args,
                 std::size_t n_blocks, const ffi::AnyBuffer &of_atoms)
{
  const auto shape = weights.dimensions();
  if (shape.size() != 3 || shape[1] != static_cast<std::int64_t>(order.size()))
    return invalid("the weights do not fit the monomials");
  if (weights.element_type() != ffi::F32 && weights.element_type() != ffi::F64)
    return invalid("weights must be float32 or float64");
  if (filled.species < 0 || filled.species >= shape[0])
    return invalid("species " + std::to_string(filled.species) + " has no weights");
  for (std::size_t i = 0; i < n_blocks; i++)
    if ((*args.get<ffi::AnyBuffer>(i)).dimensions()[0] != of_atoms.dimensions()[0])
      return invalid("the features have different numbers of atoms");
  return filled.check(of_atoms.dimensions()[0]);
}

template <class T>
void contract(ffi::AnyBuffer weights, const Filled &filled, ffi::RemainingArgs &blocks, ffi::AnyBuffer &result,
              Integers code, Integers order)
{
  ContractionCall<T> call(weights, filled, blocks, blocks.size(), code, order, result.dimensions()[1]);
  call.task.result = result.typed_data<T>();
  const Kernels &kernels = kernels_for_rows(sizeof(T) * call.task.channels);
  if constexpr (sizeof(T) == 4)
    kernels.contraction_forward_f32(call.task);
  else
    kernels.contraction_forward_f64(call.task);
  clear_from(filled.atoms, result);
}

ffi::Error contraction_forward(ffi::AnyBuffer weights, IntBuffer species, IntBuffer atoms, ffi::RemainingArgs blocks,
                               ffi::Result<ffi::AnyBuffer> result, Integers code, Integers order)
{
  const Filled filled(species, atoms);
  if (auto error = check(weights, filled, order, blocks, blocks.size(), *result); error.failure()) return error;
  weights.element_type() == ffi::F32 ? contract<float>(weights, filled, blocks, *result, code, order)
                                     : contract<double>(weights, filled, blocks, *result, code, order);
  return ffi::Error::Success();
}

template <class T>
void pull_back(ffi::AnyBuffer weights, const Filled &filled, ffi::RemainingArgs &args, ffi::RemainingRets &results,
               Integers code, Integers order)
{
  const std::size_t n_blocks = args.size() - 1;
  const auto adjoint = *args.get<ffi::AnyBuffer>(n_blocks);
  ContractionCall<T> call(weights, filled, args, n_blocks, code, order, adjoint.dimensions()[1]);
  std::vector<T *> out;
  for (std::size_t i = 0; i < n_blocks; i++) {
    ffi::AnyBuffer result = **results.get<ffi::AnyBuffer>(i);
    clear_from(filled.atoms, result);
    out.push_back(result.typed_data<T>());
  }
  call.task.adjoint = adjoint.typed_data<T>();
  call.task.block_adjoints = out.data();
  const Kernels &kernels = kernels_for_rows(sizeof(T) * call.task.channels);
  if constexpr (sizeof(T) == 4)
    kernels.contraction_backward_f32(call.task);
  else
    kernels.contraction_backward_f64(call.task);
}

ffi::Error contraction_backward(ffi::AnyBuffer weights, IntBuffer species, IntBuffer atoms,
                                ffi::RemainingArgs blocks_and_adjoint, ffi::RemainingRets results, Integers code,
                                Integers order)
{
  const Filled filled(species, atoms);
  const std::size_t n_blocks = blocks_and_adjoint.size() - 1;
  const auto adjoint = *blocks_and_adjoint.get<ffi::AnyBuffer>(n_blocks);
  if (auto error = check(weights, filled, order, blocks_and_adjoint, n_blocks, adjoint); error.failure()) return error;
  weights.element_type() == ffi::F32 ? pull_back<float>(weights, filled, blocks_and_adjoint, results, code, order)
                                     : pull_back<double>(weights, filled, blocks_and_adjoint, results, code, order);
  return ffi::Error::Success();
}

}    // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_contraction_forward, Guarded<contraction_forward>::run,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<IntBuffer>()
                                  .Arg<IntBuffer>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<Integers>("code")
                                  .Attr<Integers>("order"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_contraction_backward, Guarded<contraction_backward>::run,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<IntBuffer>()
                                  .Arg<IntBuffer>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<Integers>("code")
                                  .Attr<Integers>("order"));
#pragma GCC visibility pop
