// The symmetric contraction for one instruction set. The polynomial is data: a walk over the tree of shared factors,
// for several atoms at a time, so that each weight is loaded once for all of them.
//
// Code, int32: per component a group; a group is
//   leaves, then per leaf its row;  inner nodes, then per inner node its row, 1 if a monomial ends there, its group.
// The weights are consumed in the order of the walk.
#include "kernels.h"

#include "batch.h"

namespace {

using namespace lammps_mace;

// Atoms at a time: as many as leave the values of two levels of the tree in registers; backward also their adjoints.
template <bool Back> constexpr int kAtoms = !Back ? 8 : kVectorBytes == 64 ? 6 : 4;
constexpr int kMaxOrder = 4;

template <class T, bool Back> struct Atoms {    // one vector of channels of each
  Vector<T> v[kAtoms<Back>];
};

template <class T, bool Back> struct Walk {
  const std::int32_t *code;
  const Vector<T> *weights;
  const Atoms<T, Back> *x;
  Atoms<T, Back> *dx;
};

// value += sum over the group; with Back also dx, `above` being the adjoint times the factors above the group.
template <class T, bool Back, int Depth>
LM_INLINE void walk_group(Walk<T, Back> &w, const Atoms<T, Back> &above, Atoms<T, Back> &value)
{
  constexpr int N = kAtoms<Back>;
  const int leaves = *w.code++;
  for (int i = 0; i < leaves; i++) {
    const int row = *w.code++;
    const Vector<T> weight = *w.weights++;
    LM_EACH(a, N, value.v[a] += weight * w.x[row].v[a]; if constexpr (Back) w.dx[row].v[a] += weight * above.v[a];)
  }
  const int nodes = *w.code++;
  if constexpr (Depth > 1) {
    for (int i = 0; i < nodes; i++) {
      const int row = *w.code++, own = *w.code++;
      const Vector<T> weight = own ? *w.weights++ : Vector<T>{};
      Atoms<T, Back> inner, below;
      LM_EACH(a, N, inner.v[a] = weight; if constexpr (Back) below.v[a] = above.v[a] * w.x[row].v[a];)
      walk_group<T, Back, Depth - 1>(w, below, inner);
      LM_EACH(a, N, value.v[a] += w.x[row].v[a] * inner.v[a]; if constexpr (Back) w.dx[row].v[a] += above.v[a] * inner.v[a];)
    }
  }
}

template <class T, bool Back> struct Scratch {
  Vector<T> *weights;
  Atoms<T, Back> *x, *dx;

  explicit Scratch(const ContractionTask<T> &task)
  {
    const std::size_t row = sizeof(Atoms<T, Back>);
    const std::size_t weight_bytes = Arena::bytes<T>(std::size_t(task.n_terms) * kWidth<T>);
    char *memory = static_cast<char *>(task.scratch(weight_bytes + 2 * row * task.n_rows));
    weights = reinterpret_cast<Vector<T> *>(memory);
    x = reinterpret_cast<Atoms<T, Back> *>(memory + weight_bytes);
    dx = x + task.n_rows;
  }
};

// Calls visit(row, block, offset of [atom][m][0]) for all rows of the features.
template <class T, class F> LM_INLINE void each_row(const ContractionTask<T> &task, std::int64_t atom, F &&visit)
{
  int row = 0;
  for (int b = 0; b < task.n_blocks; b++)
    for (std::int64_t m = 0; m < task.dims[b]; m++) visit(row++, b, (atom * task.dims[b] + m) * task.channels);
}

template <class T, bool Back, bool Tail>
void contract_atoms(const ContractionTask<T> &task, const Scratch<T, Back> &scratch, std::int64_t first, int channel, int n)
{
  constexpr int N = kAtoms<Back>;
  // Past the last atom the last one is taken again; its results are not stored twice.
  const int count = static_cast<int>(std::min<std::int64_t>(N, task.atoms - first));
  for (int a = 0; a < N; a++)
    each_row(task, first + std::min(a, count - 1), [&](int row, int b, std::int64_t offset) LM_FLAT {
      scratch.x[row].v[a] = load_some<Tail>(task.blocks[b] + offset + channel, n);
      if constexpr (Back) scratch.dx[row].v[a] = Vector<T>{};
    });
  Walk<T, Back> walk{task.code, scratch.weights, scratch.x, scratch.dx};
  for (int c = 0; c < task.n_components; c++) {
    const auto offset = [&](int a) {
      return ((first + std::min(a, count - 1)) * task.n_components + c) * task.channels + channel;
    };
    Atoms<T, Back> above, value = {};
    if constexpr (Back) LM_EACH(a, N, above.v[a] = load_some<Tail>(task.adjoint + offset(a), n);)
    walk_group<T, Back, kMaxOrder>(walk, above, value);
    if constexpr (!Back)
      for (int a = 0; a < count; a++) store_some<Tail>(task.result + offset(a), value.v[a], n);
  }
  if constexpr (Back)
    for (int a = 0; a < count; a++)
      each_row(task, first + a, [&](int row, int b, std::int64_t offset) LM_FLAT {
        store_some<Tail>(task.block_adjoints[b] + offset + channel, scratch.dx[row].v[a], n);
      });
}

template <class T, bool Back, bool Tail>
void contract_block(const ContractionTask<T> &task, const Scratch<T, Back> &scratch, int channel)
{
  const int n = std::min(kWidth<T>, task.channels - channel);
  for (int t = 0; t < task.n_terms; t++)
    scratch.weights[t] =
        load_some<Tail>(task.weights + static_cast<std::int64_t>(task.order[t]) * task.channels + channel, n);
  for (std::int64_t first = 0; first < task.atoms; first += kAtoms<Back>)
    contract_atoms<T, Back, Tail>(task, scratch, first, channel, n);
}

template <class T, bool Back> void contraction(const ContractionTask<T> &task)
{
  const Scratch<T, Back> scratch(task);
  int channel = 0;
  for (; channel + kWidth<T> <= task.channels; channel += kWidth<T>) contract_block<T, Back, false>(task, scratch, channel);
  if (channel < task.channels) contract_block<T, Back, true>(task, scratch, channel);
}

}    // namespace

namespace LM_ISA {
void contraction_forward_f32(const ContractionTask<float> &task) { contraction<float, false>(task); }
void contraction_forward_f64(const ContractionTask<double> &task) { contraction<double, false>(task); }
void contraction_backward_f32(const ContractionTask<float> &task) { contraction<float, true>(task); }
void contraction_backward_f64(const ContractionTask<double> &task) { contraction<double, true>(task); }
}    // namespace LM_ISA
