// The custom calls of the edge operations: they check their operands and fill a task.
#include <cmath>
#include <vector>

#include "kernel_call.h"

namespace ffi = xla::ffi;
using namespace lammps_mace;

namespace {

// N_lm of harmonics.h, [degree + 1][degree + 1].
std::vector<double> harmonic_norms(int degree)
{
  std::vector<double> norms((degree + 1) * (degree + 1), 0.0);
  for (int l = 0; l <= degree; l++)
    for (int m = 0; m <= l; m++) {
      double square = (2 * l + 1) * (m ? 2.0 : 1.0);
      for (int k = l - m + 1; k <= l + m; k++) square /= k;
      norms[l * (degree + 1) + m] = std::sqrt(square);
    }
  return norms;
}

// What the edge operations have in common: operands and attributes of the program.
struct EdgeCall {
  ffi::AnyBuffer radial;
  IntBuffer first_rows, function_rows;
  ffi::AnyBuffer matrix, factors, vectors;
  IntBuffer starts, ends, senders;
  ffi::AnyBuffer sent;
  Integers paths, result_paths, coupling_first, coupling_harmonics;
  Reals coupling_values;
  double cutoff, knot_scale;
  std::int32_t n_splines, kinds;
};

// The task with all that does not depend on the direction. norms lives as long as the call.
template <class T> EdgeTask<T> edge_task(const EdgeCall &call, std::vector<double> &norms)
{
  EdgeTask<T> task{};
  task.paths = reinterpret_cast<const Path *>(call.paths.begin());
  task.n_paths = static_cast<int>(call.paths.size() * sizeof(std::int32_t) / sizeof(Path));
  task.couplings = {call.coupling_first.begin(), call.coupling_harmonics.begin(), call.coupling_values.begin(),
                    static_cast<int>(call.coupling_first.size()) - 1};
  task.degree = 0;
  for (int p = 0; p < task.n_paths; p++)
    if (task.paths[p].degree > task.degree) task.degree = task.paths[p].degree;
  norms = harmonic_norms(task.degree);
  task.norms = norms.data();
  task.channels = static_cast<int>(call.sent.dimensions()[2]);
  task.kinds = call.kinds;
  task.cutoff = call.cutoff, task.knot_scale = call.knot_scale;
  const auto shape = call.radial.dimensions();
  if (shape.size() == 4) {
    task.table = call.radial.typed_data<T>(), task.table_rows = shape[1];
    task.knots = shape[1] / call.n_splines - (kSplineRows<T> - 1);
  } else {
    task.functions = call.radial.typed_data<T>();
    task.function_sets = static_cast<int>(shape[1]), task.n_functions = static_cast<int>(shape[2]);
    task.matrix = call.matrix.element_count() ? call.matrix.typed_data<T>() : nullptr;
    task.factors = call.factors.element_count() ? call.factors.typed_data<T>() : nullptr;
  }
  task.function_rows = call.function_rows.element_count() ? call.function_rows.typed_data() : nullptr;
  task.first_rows = call.first_rows.element_count() ? call.first_rows.typed_data() : nullptr;
  task.vectors = call.vectors.typed_data<T>();
  task.starts = call.starts.typed_data(), task.ends = call.ends.typed_data(), task.senders = call.senders.typed_data();
  task.atoms = call.starts.element_count();
  task.first_row = task.atoms ? task.starts[0] : 0;
  task.sent = call.sent.typed_data<T>();
  task.sent_rows = call.sent.dimensions()[1];
  task.result_paths = call.result_paths.begin();
  task.scratch = scratch;
  return task;
}

bool is_table(const EdgeCall &call, std::int64_t n_paths, std::int64_t channels)
{
  const auto shape = call.radial.dimensions();
  return shape[2] == n_paths && shape[3] == kTableBlock && shape[0] * shape[3] >= channels && call.n_splines > 0 &&
      shape[1] % call.n_splines == 0 &&
      shape[1] / call.n_splines >= (call.vectors.element_type() == ffi::F32 ? kSplineRows<float> : kSplineRows<double>);
}

// Functions of each edge, values and perhaps slopes, and what makes radial weights of them.
bool are_functions(const EdgeCall &call, std::int64_t n_paths, std::int64_t channels, int sets)
{
  const auto shape = call.radial.dimensions(), matrix = call.matrix.dimensions(), factors = call.factors.dimensions();
  if (shape[1] < sets || shape[1] > 2) return false;
  if (!call.matrix.element_count()) return shape[2] == channels && !call.factors.element_count();
  if (matrix.size() != 3 || matrix[1] != shape[2] || matrix[2] != kPanel || matrix[0] * kPanel < n_paths * channels)
    return false;
  const bool shared = call.function_rows.element_count();
  if (shared && call.function_rows.element_count() != call.senders.element_count()) return false;
  return !call.factors.element_count() ||
      (factors.size() == 2 && factors[1] == n_paths * channels &&
       (shared || call.first_rows.element_count() == std::size_t(shape[0])));
}

ffi::Error check(const EdgeCall &call, int sets)
{
  const auto type = call.vectors.element_type();
  if (type != ffi::F32 && type != ffi::F64) return invalid("vectors must be float32 or float64");
  for (const auto &operand : {call.sent, call.radial, call.matrix, call.factors})
    if (operand.element_type() != type) return invalid("vectors, radial weights and sent features must have one type");
  if (call.kinds < 1 || (call.kinds > 1 && call.sent.dimensions()[0] != call.kinds))
    return invalid("what is sent must have a row for each kind of senders");
  const std::int64_t n_paths = call.paths.size() * sizeof(std::int32_t) / sizeof(Path);
  const std::int64_t channels = call.sent.dimensions()[2];
  const auto dimensions = call.radial.dimensions().size();
  if ((dimensions == 4 && is_table(call, n_paths, channels)) ||
      (dimensions == 3 && are_functions(call, n_paths, channels, sets)))
    return ffi::Error::Success();
  return invalid("the radial weights do not fit the paths and channels");
}

template <class T> void forward(const EdgeCall &call, ffi::RemainingRets &results)
{
  std::vector<double> norms;
  std::vector<T *> out;
  for (std::size_t i = 0; i < results.size(); i++) out.push_back((*results.get<ffi::AnyBuffer>(i))->typed_data<T>());
  EdgeTask<T> task = edge_task<T>(call, norms);
  task.results = out.data();
  const Kernels &kernels = kernels_for_rows(sizeof(T) * task.channels);
  if constexpr (sizeof(T) == 4)
    kernels.edges_forward_f32(task);
  else
    kernels.edges_forward_f64(task);
}

ffi::Error edges_forward(ffi::AnyBuffer radial, IntBuffer first_rows, IntBuffer function_rows, ffi::AnyBuffer matrix,
                         ffi::AnyBuffer factors, ffi::AnyBuffer vectors, IntBuffer starts, IntBuffer ends, IntBuffer senders,
                         ffi::AnyBuffer sent, ffi::RemainingRets results, Integers paths, Integers result_paths,
                         Integers first, Integers harmonics, Reals values, double cutoff, double knot_scale,
                         std::int32_t n_splines, std::int32_t kinds)
{
  const EdgeCall call{radial, first_rows,   function_rows, matrix,    factors, vectors, starts,     ends,      senders, sent,
                      paths,  result_paths, first,         harmonics, values,  cutoff,  knot_scale, n_splines, kinds};
  if (auto error = check(call, 1); error.failure()) return error;
  vectors.element_type() == ffi::F32 ? forward<float>(call, results) : forward<double>(call, results);
  return ffi::Error::Success();
}

// Results: gradient; with `to_senders` also the senders' adjoint.
template <class T>
void backward(const EdgeCall &call, ffi::RemainingArgs &more, ffi::RemainingRets &results, bool to_senders)
{
  std::vector<double> norms;
  std::vector<const T *> adjoints;
  const std::size_t targets = call.result_paths.size();
  for (std::size_t i = 0; i < targets; i++) adjoints.push_back(more.get<ffi::AnyBuffer>(i)->typed_data<T>());
  EdgeTask<T> task = edge_task<T>(call, norms);
  task.adjoints = adjoints.data();
  std::size_t next = 0;
  const auto in_place = [&] {
    ffi::AnyBuffer to = **results.get<ffi::AnyBuffer>(next);
    fill_copy(*more.get<ffi::AnyBuffer>(targets + next++), to);
    return to.typed_data<T>();
  };
  task.gradient = in_place();
  if (to_senders) task.sent_adjoint = in_place();
  const Kernels &kernels = kernels_for_rows(sizeof(T) * task.channels);
  if constexpr (sizeof(T) == 4)
    kernels.edges_backward_f32(task);
  else
    kernels.edges_backward_f64(task);
}

ffi::Error edges_backward(ffi::AnyBuffer radial, IntBuffer first_rows, IntBuffer function_rows, ffi::AnyBuffer matrix,
                          ffi::AnyBuffer factors, ffi::AnyBuffer vectors, IntBuffer starts, IntBuffer ends,
                          IntBuffer senders, ffi::AnyBuffer sent, ffi::RemainingArgs more, ffi::RemainingRets results,
                          Integers paths, Integers result_paths, Integers first, Integers harmonics, Reals values,
                          double cutoff, double knot_scale, std::int32_t n_splines, std::int32_t kinds, bool to_senders)
{
  const EdgeCall call{radial, first_rows,   function_rows, matrix,    factors, vectors, starts,     ends,      senders, sent,
                      paths,  result_paths, first,         harmonics, values,  cutoff,  knot_scale, n_splines, kinds};
  if (auto error = check(call, 2); error.failure()) return error;
  if (more.size() != result_paths.size() + (to_senders ? 2 : 1)) return invalid("wrong number of operands");
  vectors.element_type() == ffi::F32 ? backward<float>(call, more, results, to_senders)
                                     : backward<double>(call, more, results, to_senders);
  return ffi::Error::Success();
}

}    // namespace

#define LM_EDGE_OPERANDS \
  ffi::Ffi::Bind() \
      .Arg<ffi::AnyBuffer>() \
      .Arg<IntBuffer>() \
      .Arg<IntBuffer>() \
      .Arg<ffi::AnyBuffer>() \
      .Arg<ffi::AnyBuffer>() \
      .Arg<ffi::AnyBuffer>() \
      .Arg<IntBuffer>() \
      .Arg<IntBuffer>() \
      .Arg<IntBuffer>() \
      .Arg<ffi::AnyBuffer>()
#define LM_EDGE_ATTRIBUTES(binding) \
  binding.Attr<Integers>("paths") \
      .Attr<Integers>("result_paths") \
      .Attr<Integers>("coupling_first") \
      .Attr<Integers>("coupling_harmonics") \
      .Attr<Reals>("coupling_values") \
      .Attr<double>("cutoff") \
      .Attr<double>("knot_scale") \
      .Attr<std::int32_t>("n_splines") \
      .Attr<std::int32_t>("kinds")

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_edges_forward, Guarded<edges_forward>::run,
                              LM_EDGE_ATTRIBUTES(LM_EDGE_OPERANDS.RemainingRets()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_edges_backward, Guarded<edges_backward>::run,
                              LM_EDGE_ATTRIBUTES(LM_EDGE_OPERANDS.RemainingArgs().RemainingRets()).Attr<bool>("to_senders"));
#pragma GCC visibility pop
