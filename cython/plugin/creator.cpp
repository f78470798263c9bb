// Chooses between our pair style and LAMMPS's own `mliap` (keywords model, descriptor), which we replace in the style table.
#include "pair_mliap_unified.h"
#include "registration.h"

#include "force.h"
#include "input.h"
#include "lammps.h"

#include <dlfcn.h>

#include <cstring>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  Force::PairCreator builtin = nullptr;

  Pair *create(LAMMPS *lmp);

  // LAMMPS's own `mliap unified` lists the neighbours of ghosts with ghostneigh 1, which we do not need and do not have:
  // who asks for them wants LAMMPS's own, where it was built with Python.
  bool wants_ghosts(const Input *input, int unified)
  {
    if (unified + 2 >= input->narg || !dlsym(RTLD_DEFAULT, "PyInit_mliap_unified_couple")) return false;
    const char *given = input->arg[unified + 2];
    for (const char *word : {"1", "yes", "on", "true"})
      if (std::strcmp(given, word) == 0) return true;
    return false;
  }

  // True when the pair_style command being executed says `mliap unified` and means ours, alone or inside hybrid; also when a
  // restart file does: LAMMPS's own mliap writes nothing there that could be restored.
  bool asks_for_unified(const Input *input)
  {
    if (!input->command) return false;
    if (std::strcmp(input->command, "read_restart") == 0) return true;
    if (std::strcmp(input->command, "pair_style") != 0) return false;
    for (int i = 0; i + 1 < input->narg; i++)
      if (std::strcmp(input->arg[i], "mliap") == 0 && std::strcmp(input->arg[i + 1], "unified") == 0)
        return !wants_ghosts(input, i + 1);
    return false;
  }

  Pair *create(LAMMPS *lmp)
  {
    if (builtin && !asks_for_unified(lmp->input)) return builtin(lmp);
    return new PairMLIAPUnified(lmp);
  }

  void *create_pair(void *lmp) { return create(static_cast<LAMMPS *>(lmp)); }

  // LAMMPS warns about a plugin that overrides a built-in style; ours keeps it available, so we remove the entry first.
  void take_over_builtin(void *lmp)
  {
    auto &styles = *static_cast<LAMMPS *>(lmp)->force->pair_map;
    const auto found = styles.find("mliap");
    if (found == styles.end()) return;
    if (found->second != reinterpret_cast<Force::PairCreator>(&create_pair)) builtin = found->second;
    styles.erase(found);
  }

  // LAMMPS ignores a plugin it has registered before (second LAMMPS object in one process).
  void put_in_place(void *lmp)
  {
    (*static_cast<LAMMPS *>(lmp)->force->pair_map)["mliap"] = reinterpret_cast<Force::PairCreator>(&create_pair);
  }

}    // namespace
}    // namespace lammps_mace

extern "C" __attribute__((visibility("default"))) const lammps_mace::Style lammps_mace_style = {
    lammps_mace::create_pair, lammps_mace::take_over_builtin, lammps_mace::put_in_place};
