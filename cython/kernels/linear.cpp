// Rows of features times a matrix, for one instruction set.
#include "kernels.h"
#include "product.h"

namespace LM_ISA {
void linear_f32(const lammps_mace::LinearTask<float> &task) { multiply(task); }
void linear_f64(const lammps_mace::LinearTask<double> &task) { multiply(task); }
}    // namespace LM_ISA
