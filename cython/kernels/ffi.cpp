// XLA's view of the kernels: custom calls that check their operands and fill a task.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "custom_call.h"
#include "isa.h"

namespace ffi = xla::ffi;
using lammps_mace::ContractionTask;
using lammps_mace::EdgeTask;
using lammps_mace::fill_copy;
using lammps_mace::Guarded;
using lammps_mace::invalid;
using lammps_mace::LinearTask;
using lammps_mace::Path;

namespace {

struct Free {
  void operator()(void *p) const { std::free(p); }
};

// One growing buffer per thread.
void *scratch(std::size_t bytes)
{
  thread_local std::unique_ptr<void, Free> memory;
  thread_local std::size_t size = 0;
  if (bytes > size) {
    memory.reset();
    size = 0;
    const std::size_t rounded = (bytes + 4095) / 4096 * 4096;
    void *p = std::aligned_alloc(4096, rounded);
    if (!p) throw std::bad_alloc();
    memory.reset(p);
    size = rounded;
  }
  return memory.get();
}

using Integers = ffi::Span<const std::int32_t>;
using Reals = ffi::Span<const double>;
using IntBuffer = ffi::Buffer<ffi::S32>;

// Rows of the first dimension from `first` on become zero.
void clear_from(std::int64_t first, ffi::AnyBuffer &buffer)
{
  const std::int64_t rows = buffer.dimensions()[0];
  if (first == rows) return;
  const std::size_t row_bytes = buffer.size_bytes() / rows;
  std::memset(static_cast<char *>(buffer.untyped_data()) + first * row_bytes, 0, (rows - first) * row_bytes);
}

// Which rows the atoms of a chunk take: the first ones, of one species.
struct Filled {
  std::int32_t species;
  std::int64_t atoms;

  Filled(const IntBuffer &species, const IntBuffer &atoms) : species(species.typed_data()[0]), atoms(atoms.typed_data()[0])
  {}

  ffi::Error check(std::int64_t rows) const
  {
    if (atoms >= 0 && atoms <= rows) return ffi::Error::Success();
    return invalid(std::to_string(atoms) + " atoms in " + std::to_string(rows) + " rows");
  }
};

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
  IntBuffer first_rows;
  ffi::AnyBuffer vectors;
  IntBuffer starts, ends, senders;
  ffi::AnyBuffer sent;
  Integers paths, result_paths, coupling_first, coupling_harmonics;
  Reals coupling_values;
  double cutoff, knot_scale;
  std::int32_t n_splines;
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
  task.cutoff = call.cutoff, task.knot_scale = call.knot_scale;
  const auto shape = call.radial.dimensions();
  task.table = shape.size() == 4 ? call.radial.typed_data<T>() : nullptr;
  task.rows = shape.size() == 4 ? nullptr : call.radial.typed_data<T>();
  task.table_rows = shape.size() == 4 ? shape[1] : 0;
  task.knots = shape.size() == 4 ? shape[1] / call.n_splines - (lammps_mace::kSplineRows<T> - 1) : 0;
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

ffi::Error check(const EdgeCall &call)
{
  const auto type = call.vectors.element_type();
  if (type != ffi::F32 && type != ffi::F64) return invalid("vectors must be float32 or float64");
  if (call.sent.element_type() != type || call.radial.element_type() != type)
    return invalid("vectors, radial weights and sent features must have one type");
  const auto shape = call.radial.dimensions();
  const std::int64_t n_paths = call.paths.size() * sizeof(std::int32_t) / sizeof(Path);
  const std::int64_t channels = call.sent.dimensions()[2];
  const bool table = shape.size() == 4 && shape[2] == n_paths && shape[3] == lammps_mace::kTableBlock &&
      shape[0] * shape[3] >= channels && call.n_splines > 0 && shape[1] % call.n_splines == 0 &&
      shape[1] / call.n_splines >= (type == ffi::F32 ? lammps_mace::kSplineRows<float> : lammps_mace::kSplineRows<double>);
  const bool rows = shape.size() == 3 && shape[1] == n_paths && shape[2] == channels;
  if (!table && !rows) return invalid("the radial weights do not fit the paths and channels");
  return ffi::Error::Success();
}

template <class T> void forward(const EdgeCall &call, ffi::RemainingRets &results)
{
  std::vector<double> norms;
  std::vector<T *> out;
  for (std::size_t i = 0; i < results.size(); i++) out.push_back((*results.get<ffi::AnyBuffer>(i))->typed_data<T>());
  EdgeTask<T> task = edge_task<T>(call, norms);
  task.results = out.data();
  if constexpr (sizeof(T) == 4)
    lammps_mace::kernels().edges_forward_f32(task);
  else
    lammps_mace::kernels().edges_forward_f64(task);
}

ffi::Error edges_forward(ffi::AnyBuffer radial, IntBuffer first_rows, ffi::AnyBuffer vectors, IntBuffer starts,
                         IntBuffer ends, IntBuffer senders, ffi::AnyBuffer sent, ffi::RemainingRets results, Integers paths,
                         Integers result_paths, Integers first, Integers harmonics, Reals values, double cutoff,
                         double knot_scale, std::int32_t n_splines)
{
  const EdgeCall call{radial,       first_rows, vectors,   starts, ends,   senders,    sent,     paths,
                      result_paths, first,      harmonics, values, cutoff, knot_scale, n_splines};
  if (auto error = check(call); error.failure()) return error;
  vectors.element_type() == ffi::F32 ? forward<float>(call, results) : forward<double>(call, results);
  return ffi::Error::Success();
}

// Results: gradient; with `to_senders` also the senders' adjoint; with explicit weights also theirs.
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
  if (task.rows) {
    ffi::AnyBuffer to = **results.get<ffi::AnyBuffer>(next);
    std::memset(to.untyped_data(), 0, to.size_bytes());
    task.row_adjoint = to.typed_data<T>();
  }
  if constexpr (sizeof(T) == 4)
    lammps_mace::kernels().edges_backward_f32(task);
  else
    lammps_mace::kernels().edges_backward_f64(task);
}

ffi::Error edges_backward(ffi::AnyBuffer radial, IntBuffer first_rows, ffi::AnyBuffer vectors, IntBuffer starts,
                          IntBuffer ends, IntBuffer senders, ffi::AnyBuffer sent, ffi::RemainingArgs more,
                          ffi::RemainingRets results, Integers paths, Integers result_paths, Integers first,
                          Integers harmonics, Reals values, double cutoff, double knot_scale, std::int32_t n_splines,
                          bool to_senders)
{
  const EdgeCall call{radial,       first_rows, vectors,   starts, ends,   senders,    sent,     paths,
                      result_paths, first,      harmonics, values, cutoff, knot_scale, n_splines};
  if (auto error = check(call); error.failure()) return error;
  if (more.size() != result_paths.size() + (to_senders ? 2 : 1)) return invalid("wrong number of operands");
  vectors.element_type() == ffi::F32 ? backward<float>(call, more, results, to_senders)
                                     : backward<double>(call, more, results, to_senders);
  return ffi::Error::Success();
}

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
  if constexpr (sizeof(T) == 4)
    lammps_mace::kernels().contraction_forward_f32(call.task);
  else
    lammps_mace::kernels().contraction_forward_f64(call.task);
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
  if constexpr (sizeof(T) == 4)
    lammps_mace::kernels().contraction_backward_f32(call.task);
  else
    lammps_mace::kernels().contraction_backward_f64(call.task);
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

ffi::Error check(const ffi::AnyBuffer &block, const ffi::AnyBuffer &table, const ffi::AnyBuffer &result,
                 const Filled &filled)
{
  const auto rows = block.dimensions(), packed = table.dimensions(), out = result.dimensions();
  if (block.element_type() != ffi::F32 && block.element_type() != ffi::F64)
    return invalid("features must be float32 or float64");
  if (table.element_type() != block.element_type()) return invalid("features and matrices must have one type");
  if (rows.size() != 3 || packed.size() != 4 || packed[2] != rows[2] || packed[3] != lammps_mace::kPanel ||
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
    lammps_mace::kernels().linear_f32(task);
  else
    lammps_mace::kernels().linear_f64(task);
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

ffi::Error pass_index(IntBuffer index, ffi::ResultBuffer<ffi::S32> same)
{
  same->typed_data()[0] = index.typed_data()[0];
  return ffi::Error::Success();
}

}    // namespace

#define LM_EDGE_OPERANDS \
  ffi::Ffi::Bind() \
      .Arg<ffi::AnyBuffer>() \
      .Arg<IntBuffer>() \
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
      .Attr<std::int32_t>("n_splines")

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_edges_forward, Guarded<edges_forward>::run,
                              LM_EDGE_ATTRIBUTES(LM_EDGE_OPERANDS.RemainingRets()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_edges_backward, Guarded<edges_backward>::run,
                              LM_EDGE_ATTRIBUTES(LM_EDGE_OPERANDS.RemainingArgs().RemainingRets()).Attr<bool>("to_senders"));
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
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_linear, Guarded<linear>::run,
                              ffi::Ffi::Bind().Arg<IntBuffer>().Arg<IntBuffer>().RemainingArgs().RemainingRets());
XLA_FFI_DEFINE_HANDLER_SYMBOL(lammps_mace_pass_index, pass_index, ffi::Ffi::Bind().Arg<IntBuffer>().Ret<IntBuffer>());
#pragma GCC visibility pop
