// Chooses between our pair style and LAMMPS's own `mliap` (keywords model, descriptor), which we replace in the style table.
#include "pair_mliap_unified.h"
#include "registration.h"

#include "force.h"
#include "input.h"
#include "lammps.h"

#include <cstring>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  Force::PairCreator builtin = nullptr;

  Pair *create(LAMMPS *lmp);

  // True when the pair_style command being executed says `mliap unified`, alone or inside hybrid.
  bool asks_for_unified(const Input *input)
  {
    if (!input->command || std::strcmp(input->command, "pair_style") != 0) return false;
    for (int i = 0; i + 1 < input->narg; i++)
      if (std::strcmp(input->arg[i], "mliap") == 0 && std::strcmp(input->arg[i + 1], "unified") == 0) return true;
    return false;
  }

  Pair *create(LAMMPS *lmp)
  {
    if (builtin && !asks_for_unified(lmp->input)) return builtin(lmp);
    return new PairMLIAPUnified(lmp);
  }

}    // namespace

void *create_pair(void *lmp)
{
  return create(static_cast<LAMMPS *>(lmp));
}

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

}    // namespace lammps_mace
