// Chooses among the kernels by what the machine can do; compiled for the plainest of its kind.
#include "isa.h"

#include <atomic>
#include <cstring>
#include <iterator>

#include "kernels.h"

using namespace lammps_mace;

namespace {

struct Choice {
  const char *name;
  int vector_bytes, vector_cost;
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
   isa::linear_f64, \
   isa::radial_f32, \
   isa::radial_f64}

#define LM_QUOTED(name) #name
#define LM_NAME(name) LM_QUOTED(name)

// __builtin_cpu_supports also asks whether the operating system saves the wide registers.
const Choice kChoices[] = {
#ifdef LM_WIDE
    {"avx512", 64, 3,
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
     },
     LM_KERNELS(avx512)},
    {"avx2", 32, 2, [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, LM_KERNELS(avx2)},
#endif
    {LM_NAME(LM_PLAIN), 16, 3, [] { return true; }, LM_KERNELS(LM_PLAIN)},
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

// What rows of so many bytes cost. An incomplete vector takes as long as several complete ones: its kernels are for any
// degrees and any number of channels.
std::int64_t cost(const Choice &choice, std::int64_t bytes)
{
  constexpr int incomplete = 16;
  return bytes / choice.vector_bytes * choice.vector_cost + (bytes % choice.vector_bytes ? incomplete : 0);
}

std::atomic<const Choice *> &chosen()
{
  static std::atomic<const Choice *> choice{widest()};
  return choice;
}

}    // namespace

const Kernels &lammps_mace::kernels() { return chosen().load()->kernels; }

const Kernels &lammps_mace::kernels_for_rows(std::int64_t bytes)
{
  const Choice *const widest = chosen().load();
  const Choice *best = widest;
  for (auto choice = widest; choice != std::end(kChoices); choice++)
    if (cost(*choice, bytes) < cost(*best, bytes)) best = choice;
  return best->kernels;
}

const char *lammps_mace_kernels_isa() { return chosen().load()->name; }

const char *lammps_mace_kernels_name(int index)
{
  return index < static_cast<int>(std::size(kChoices)) ? kChoices[index].name : nullptr;
}

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
