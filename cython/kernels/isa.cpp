// Chooses among the kernels by what the machine can do; compiled for the plainest x86-64.
#include "isa.h"

#include <atomic>
#include <cstring>

#include "kernels.h"

using namespace lammps_mace;

namespace {

struct Choice {
  const char *name;
  bool (*supported)();
  Kernels kernels;
};

#define LM_KERNELS(isa) \
  {isa::edges_forward_f32, \
   isa::edges_forward_f64, \
   isa::edges_backward_f32, \
   isa::edges_backward_f64, \
   isa::contraction_forward_f32, \
   isa::contraction_forward_f64, \
   isa::contraction_backward_f32, \
   isa::contraction_backward_f64, \
   isa::linear_f32, \
   isa::linear_f64}

// __builtin_cpu_supports also asks whether the operating system saves the wide registers.
const Choice kChoices[] = {
#ifdef LM_WIDE
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
     },
     LM_KERNELS(avx512)},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, LM_KERNELS(avx2)},
#endif
    {"sse2", [] { return true; }, LM_KERNELS(sse2)},
};

const Choice *widest()
{
#ifdef LM_WIDE
  __builtin_cpu_init();
#endif
  for (const auto &choice : kChoices)
    if (choice.supported()) return &choice;
  return nullptr;
}

std::atomic<const Choice *> &chosen()
{
  static std::atomic<const Choice *> choice{widest()};
  return choice;
}

}    // namespace

const Kernels &lammps_mace::kernels() { return chosen().load()->kernels; }

const char *lammps_mace_kernels_isa() { return chosen().load()->name; }

int lammps_mace_kernels_use(const char *isa)
{
  chosen();
  for (const auto &choice : kChoices) {
    if (std::strcmp(choice.name, isa) != 0) continue;
    if (!choice.supported()) return 2;
    chosen() = &choice;
    return 0;
  }
  return 1;
}
