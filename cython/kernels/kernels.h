// The functions that every instruction set brings, in a namespace of its own (LM_ISA).
// LM_PLAIN names the one that every processor of this kind has, with vectors of 128 bits: sse2, neon or plain.
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
  void radial_f32(const lammps_mace::RadialTask<float> &); \
  void radial_f64(const lammps_mace::RadialTask<double> &); \
  }
LM_DECLARE(LM_PLAIN)
#ifdef LM_WIDE
LM_DECLARE(avx2)
LM_DECLARE(avx512)
#endif
#undef LM_DECLARE
