// What the kernels are asked to do: plain data, filled by the custom calls, the same for every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lammps_mace {

constexpr int kTableBlock = 16;    // channels that lie together in a packed spline table
constexpr int kPanel = 32;         // columns that lie together in a packed matrix
constexpr int kMaxDegree = 4;      // of harmonics and targets
constexpr int kMaxSource = 3;
constexpr int kHarmonics = (kMaxDegree + 1) * (kMaxDegree + 1);

// One Clebsch-Gordan product. For each edge it is a matrix [2 target + 1][2 source + 1], stored at row `matrix` of
// the edge's matrices; with `scalar` it is a multiple of the unit matrix and only that one number is stored.
struct Path {
  std::int32_t source, source_row, degree, target, result, position, matrix, scalar;
};

// Clebsch-Gordan coefficients: entry m of an edge's matrices is the sum over k in [first[m], first[m + 1]) of
// values[k] * Y[harmonics[k]].
struct CouplingTable {
  const std::int32_t *first, *harmonics;
  const double *values;
  int rows;
};

template <class T>
constexpr int kSplineRows = sizeof(T) == 4 ? 4 : 8;    // cubic, or of degree 7; as spline_degree in kernels/spline.py

template <class T> struct EdgeTask {
  const Path *paths;
  CouplingTable couplings;
  int n_paths, channels, degree;
  int kinds;                            // of senders: the sums over each have channels of their own
  double cutoff, knot_scale;            // of the spline: see lammps_mace/kernels/spline.py
  const double *norms;                  // [degree + 1][degree + 1], see harmonics.h
  const T *table;                       // [blocks][table_rows][n_paths][kTableBlock], or null
  std::int64_t knots, table_rows;       // knots + kSplineRows - 1 rows for each spline
  const std::int32_t *first_rows;       // [chunk_edges], of the spline of each edge, or of its factors; null: there is one
  const T *functions;                   // [rows][function_sets][n_functions] where there is no table
  const std::int32_t *function_rows;    // [n_edges], of the functions of each edge; null: functions are [chunk_edges]
  int function_sets, n_functions;       // sets: values, and slopes if there are two
  const T *matrix;                      // from functions to weights, packed; null: each path has the functions as weights
  const T *factors;                     // [rows][n_paths][channels] of the weights, or null
  std::int64_t first_row;               // edge of functions[0] and first_rows[0]
  const T *vectors;                     // [n_edges][3]
  const std::int32_t *starts, *ends, *senders;
  std::int64_t atoms;
  const T *sent;    // [n_senders][sent_rows][channels]
  std::int64_t sent_rows;
  const std::int32_t *result_paths;       // paths to each result
  T *const *results;                      // forward: [atoms][2l + 1][paths * kinds * channels] each
  const T *const *adjoints;               // backward: likewise
  T *gradient, *sent_adjoint;             // backward; the latter may be null
  void *(*scratch)(std::size_t bytes);    // 64-byte aligned, valid until the next call on this thread
};

template <class T> struct ContractionTask {
  const std::int32_t *code;     // see contraction.cpp
  const std::int32_t *order;    // [n_terms] rows of the weights as the code meets them
  int n_terms, n_components, n_blocks, n_rows, channels;
  const std::int64_t *dims;
  std::int64_t atoms;
  const T *weights;            // [n_terms][channels], of the one species
  const T *const *blocks;      // [atoms][dims[b]][channels] each
  T *result;                   // forward: [atoms][n_components][channels]
  const T *adjoint;            // backward: likewise
  T *const *block_adjoints;    // backward: like blocks
  void *(*scratch)(std::size_t bytes);
};

template <class T> struct LinearTask {
  const T *rows;    // [n_rows][in]
  std::int64_t n_rows;
  int in, out;
  const T *table;    // [panels][in][kPanel]
  T *result;         // [n_rows][out]
};

template <class T> struct RadialLayer {
  const T *table;    // as of LinearTask
  int in, out;
};

// factor * sin(roots[n] r) / r times the polynomial of `power` that is 0 from the cutoff on; see kernels/radial.
template <class T> struct BesselBasis {
  const T *roots;    // [count], 1/Å
  int count, power;
  double cutoff, factor;
};

template <class T> struct RadialTask {
  const T *inputs;     // [n_rows][sets][in], or null
  const T *vectors;    // else [n_rows][3], of whose lengths the basis makes the inputs
  BesselBasis<T> basis;
  std::int64_t n_rows;
  int sets;    // 2: values, then slopes; 1: values alone
  const RadialLayer<T> *layers;
  int n_layers;
  T *result;    // [n_rows][sets][out]
  void *(*scratch)(std::size_t bytes);
};

// One set per instruction set.
struct Kernels {
  void (*edges_forward_f32)(const EdgeTask<float> &);
  void (*edges_forward_f64)(const EdgeTask<double> &);
  void (*edges_backward_f32)(const EdgeTask<float> &);
  void (*edges_backward_f64)(const EdgeTask<double> &);
  void (*contraction_forward_f32)(const ContractionTask<float> &);
  void (*contraction_forward_f64)(const ContractionTask<double> &);
  void (*contraction_backward_f32)(const ContractionTask<float> &);
  void (*contraction_backward_f64)(const ContractionTask<double> &);
  void (*linear_f32)(const LinearTask<float> &);
  void (*linear_f64)(const LinearTask<double> &);
  void (*radial_f32)(const RadialTask<float> &);
  void (*radial_f64)(const RadialTask<double> &);
};

}    // namespace lammps_mace
