// The functions that every instruction set brings, in a namespace of its own (LM_ISA: sse2, avx2 or avx512).
#pragma once

#include "tasks.h"

#define LM_DECLARE(isa) \
  namespace isa { \
  void edges_forward_f32(const lammps_mace::EdgeTask<float> &); \
  void edges_forward_f64(const lammps_mace::EdgeTask<double> &); \
  void edges_backward_f32(const lammps_mace::EdgeTask<float> &); \
  void edges_backward_f64(const lammps_mace::EdgeTask<double> &); \
  void contraction_forward_f32(const lammps_mace::ContractionTask<float> &); \
  void contraction_forward_f64(const lammps_mace::ContractionTask<double> &); \
  void contraction_backward_f32(const lammps_mace::ContractionTask<float> &); \
  void contraction_backward_f64(const lammps_mace::ContractionTask<double> &); \
  void linear_f32(const lammps_mace::LinearTask<float> &); \
  void linear_f64(const lammps_mace::LinearTask<double> &); \
  }
LM_DECLARE(sse2)
LM_DECLARE(avx2)
LM_DECLARE(avx512)
#undef LM_DECLARE
