// The custom call of radial networks: it checks its operands and fills a task.
#include <vector>

#include "kernel_call.h"

namespace ffi = xla::ffi;
using namespace lammps_mace;

namespace {

struct RadialCall {
  ffi::AnyBuffer inputs, roots;    // of the basis; without these the inputs are those of the first layer
  ffi::RemainingArgs tables;
  double cutoff, factor;
  std::int32_t power;
};

template <class T> void evaluate(const RadialCall &call, ffi::AnyBuffer &result, std::int64_t filled)
{
  std::vector<RadialLayer<T>> layers;
  for (std::size_t i = 0; i < call.tables.size(); i++) {
    const auto table = *call.tables.get<ffi::AnyBuffer>(i);
    const int in = static_cast<int>(table.dimensions()[1]);
    if (i) layers.back().out = in;
    layers.push_back({table.typed_data<T>(), in, static_cast<int>(result.dimensions()[2])});
  }
  RadialTask<T> task{};
  const T *inputs = call.inputs.typed_data<T>();
  (call.inputs.dimensions().size() == 3 ? task.inputs : task.vectors) = inputs;
  task.basis = {call.roots.typed_data<T>(), static_cast<int>(call.roots.element_count()), call.power, call.cutoff,
                call.factor};
  task.n_rows = filled, task.sets = static_cast<int>(result.dimensions()[1]);
  task.layers = layers.data(), task.n_layers = static_cast<int>(layers.size());
  task.result = result.typed_data<T>(), task.scratch = scratch;
  if constexpr (sizeof(T) == 4)
    kernels().radial_f32(task);
  else
    kernels().radial_f64(task);
}

// Returns how many inputs the first layer has, -1 where the operands cannot be right.
std::int64_t inputs_of(const RadialCall &call, const ffi::AnyBuffer &result)
{
  const auto rows = call.inputs.dimensions(), out = result.dimensions();
  if (out.size() != 3 || out[1] < 1 || out[1] > 2 || rows.size() < 2 || rows[0] != out[0]) return -1;
  if (rows.size() == 3) return rows[1] == out[1] ? rows[2] : -1;
  return rows[1] == 3 && call.roots.element_count() && call.power > 1 ? call.roots.element_count() : -1;
}

ffi::Error check(const RadialCall &call, const ffi::AnyBuffer &result)
{
  const auto type = call.inputs.element_type();
  if (type != ffi::F32 && type != ffi::F64) return invalid("inputs must be float32 or float64");
  if (call.roots.element_type() != type) return invalid("inputs and roots must have one type");
  std::int64_t width = inputs_of(call, result);
  if (width < 0 || !call.tables.size()) return invalid("the functions do not fit into the result");
  for (std::size_t i = 0; i < call.tables.size(); i++) {
    const auto table = *call.tables.get<ffi::AnyBuffer>(i);
    const auto shape = table.dimensions();
    if (table.element_type() != type) return invalid("inputs and matrices must have one type");
    if (shape.size() != 3 || shape[2] != kPanel || (i ? shape[1] > width : shape[1] != width))
      return invalid("a matrix does not fit its inputs");
    width = shape[0] * kPanel;
  }
  return width < result.dimensions()[2] ? invalid("the functions do not fit into the result") : ffi::Error::Success();
}

// Operands: how many rows are filled, the inputs or vectors, the roots of the basis, and the matrix of each layer.
ffi::Error radial(IntBuffer filled, ffi::AnyBuffer inputs, ffi::AnyBuffer roots, ffi::RemainingArgs tables,
                  ffi::Result<ffi::AnyBuffer> result, double cutoff, double factor, std::int32_t power)
{
  const RadialCall call{inputs, roots, tables, cutoff, factor, power};
  if (auto error = check(call, *result); error.failure()) return error;
  const std::int64_t rows = inputs.dimensions()[0], n = filled.typed_data()[0];
  if (n < 0 || n > rows) return invalid(std::to_string(n) + " rows of " + std::to_string(rows) + " are filled");
  inputs.element_type() == ffi::F32 ? evaluate<float>(call, *result, n) : evaluate<double>(call, *result, n);
  return ffi::Error::Success();
}

}    // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_radial, Guarded<radial>::run,
                              ffi::Ffi::Bind()
                                  .Arg<IntBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<double>("cutoff")
                                  .Attr<double>("factor")
                                  .Attr<std::int32_t>("power"));
#pragma GCC visibility pop
