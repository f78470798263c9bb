// LAMMPS pair style `mliap unified`: what is allowed and rarely meant, said once.
#include "pair_mliap_unified.h"

#include "comm.h"
#include "error.h"
#include "force.h"
#include "utils.h"

#include <mpi.h>

#include <cstdio>
#include <cstring>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  std::string shortly(double number)
  {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", number);
    return text;
  }

}    // namespace

bool PairMLIAPUnified::sees_an_atom_of(const PairMLIAPUnified &other) const
{
  if (other.members.empty()) return false;    // of a restart file
  const std::vector<int> &mine = members[0].species.of_type, &theirs = other.members[0].species.of_type;
  for (size_t type = 0; type < mine.size(); type++)
    if (mine[type] >= 0 && theirs[type] >= 0) return true;
  return false;
}

// The first of two that see the same atoms says it.
void PairMLIAPUnified::warn_of_overlay()
{
  if (warned_of_overlay || !force->pair_style || std::strncmp(force->pair_style, "hybrid/overlay", 14) != 0) return;
  bool is_after = false;
  const Pair *last = nullptr;
  // LAMMPS gives the only one whatever its number.
  for (int number = 1; Pair *pair = force->pair_match("mliap", 1, number); number++) {
    if (pair == last) break;
    last = pair;
    const auto *const other = dynamic_cast<PairMLIAPUnified *>(pair);
    if (is_after && other && sees_an_atom_of(*other)) warned_of_overlay = true;
    is_after = is_after || other == this;
  }
  if (warned_of_overlay && comm->me == 0)
    error->warning(FLERR,
                   "pair_style mliap unified: two models of a hybrid/overlay see the same atoms, and their energies add up: "
                   "for a committee write `pair_style mliap unified A.model B.model 0 committee drive mean`");
}

// After the pairs of a step are known. A network knows nothing of such pairs, and its forces are finite all the same.
void PairMLIAPUnified::count_close_pairs() { close_pairs += members[0].pairs->n_close; }

// In the step after the first that had any; every rank calls this together.
void PairMLIAPUnified::warn_of_close_pairs()
{
  if (warned_of_close_pairs) return;
  warned_of_close_pairs = true;
  if (comm->me == 0)
    error->warning(FLERR,
                   "pair_style mliap unified: atoms are closer than " + shortly(members[0].potential->closest_angstrom) +
                       " Angstrom, half of the mean nearest distance that the model was trained on: its forces there are "
                       "finite and mean nothing");
}

void PairMLIAPUnified::report_close_pairs()
{
  bigint all = 0;
  MPI_Allreduce(&close_pairs, &all, 1, MPI_LMP_BIGINT, MPI_SUM, world);
  if (all == 0) return;
  warn_of_close_pairs();
  if (comm->me == 0)
    utils::logmesg(lmp,
                   "lammps-mace: " + std::to_string(all / 2) + " times in this run two atoms were closer than " +
                       shortly(members[0].potential->closest_angstrom) + " Angstrom\n");
}

}    // namespace lammps_mace
