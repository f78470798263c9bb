// Radial networks for one instruction set, see kernels/radial: all layers of a block of rows, so that they stay in the
// first cache; values, and slopes beside them.
#include "functions.h"
#include "kernels.h"
#include "product.h"

namespace {

constexpr int kBlock = 24;    // rows of values and of slopes

// silu of rows of a tile, x / (1 + exp(-x)); where there are two sets, of every first row, and the second one holds the
// slopes of x.
template <class T, int Sets> struct Silu {
  template <int R> LM_INLINE void apply(Vector<T> *sums) const
  {
    LM_EACH(i, R / Sets * kVectors, {
      constexpr int at = i / kVectors * Sets * kVectors + i % kVectors;
      const Vector<T> x = sums[at], s = reciprocal<T>(1 + power_of_two<T>(x * T(-1.4426950408889634074))), value = x * s;
      if constexpr (Sets == 2) sums[at + kVectors] *= s + value * (1 - s);
      sums[at] = value;
    })
  }
};

// Inputs of up to kWidth rows: their distances are the lanes. Where there is no distance, any harmless one.
template <class T> void bessel_basis(const BesselBasis<T> &basis, const T *vectors, int n, int sets, T *inputs)
{
  const T cutoff = static_cast<T>(basis.cutoff), p = static_cast<T>(basis.power);
  Vector<T> squared = {};
  for (int i = 0; i < n; i++)
    squared[i] =
        vectors[3 * i] * vectors[3 * i] + vectors[3 * i + 1] * vectors[3 * i + 1] + vectors[3 * i + 2] * vectors[3 * i + 2];
  squared = squared > 0 ? squared : Vector<T>{} + cutoff * cutoff / 4;
  const Vector<T> r = roots<T>(squared), inverse = 1 / r, x = r * (1 / cutoff);
  Vector<T> power = x;    // x^(p - 1)
  for (int k = 2; k < basis.power; k++) power *= x;
  const Vector<T> a = power * x * ((p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x);
  const Vector<T> slope = -p * (p + 1) * (p + 2) / 2 * power * (1 - x) * (1 - x);
  const Vector<T> inside = x < 1 ? Vector<T>{} + static_cast<T>(basis.factor) : Vector<T>{};
  const Vector<T> over_r = (1 - a) * inside * inverse;    // of the envelope and 1 / r
  const Vector<T> over_r_slope = (slope * (1 / cutoff) * inside - over_r) * inverse;
  for (int k = 0; k < basis.count; k++) {
    Vector<T> sine, cosine;
    const T root = basis.roots[k];
    sine_and_cosine<T>(r * (root * T(0.31830988618379067154)), sine, cosine);
    const Vector<T> value = over_r * sine, slope = over_r_slope * sine + over_r * (root * cosine);
    for (int i = 0; i < n; i++) {
      inputs[i * sets * basis.count + k] = value[i];
      if (sets == 2) inputs[(2 * i + 1) * basis.count + k] = slope[i];
    }
  }
}

template <class T> void radial(const RadialTask<T> &task)
{
  int widest = task.layers[0].in;
  for (int i = 0; i < task.n_layers; i++) widest = std::max(widest, task.layers[i].out);
  T *buffers[2];
  buffers[0] = static_cast<T *>(task.scratch(2 * kBlock * widest * sizeof(T))), buffers[1] = buffers[0] + kBlock * widest;
  const RadialLayer<T> &last = task.layers[task.n_layers - 1];
  const int sets = task.sets, at_once = kBlock / sets;
  for (std::int64_t first = 0; first < task.n_rows; first += at_once) {
    const int n = static_cast<int>(std::min<std::int64_t>(at_once, task.n_rows - first));
    const T *from = task.inputs ? task.inputs + first * sets * task.layers[0].in : buffers[1];
    if (!task.inputs)
      for (int i = 0; i < n; i += kWidth<T>)
        bessel_basis(task.basis, task.vectors + 3 * (first + i), std::min(kWidth<T>, n - i), sets,
                     buffers[1] + i * sets * task.basis.count);
    for (int i = 0; i < task.n_layers; i++) {
      const RadialLayer<T> &layer = task.layers[i];
      T *to = &layer == &last ? task.result + first * sets * layer.out : buffers[i % 2];
      const LinearTask<T> product{from, n * sets, layer.in, layer.out, layer.table, to};
      sets == 2 ? multiply(product, Silu<T, 2>{}) : multiply(product, Silu<T, 1>{});
      from = to;
    }
  }
}

}    // namespace

namespace LM_ISA {
void radial_f32(const RadialTask<float> &task) { radial(task); }
void radial_f64(const RadialTask<double> &task) { radial(task); }
}    // namespace LM_ISA
