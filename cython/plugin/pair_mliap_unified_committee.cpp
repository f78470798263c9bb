// LAMMPS pair style `mliap unified`: several models of one committee, and what is done with how far they are apart.
#include "pair_mliap_unified.h"

#include "collective_error.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "fix.h"
#include "input.h"
#include "modify.h"
#include "timer.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <cstring>
#include <new>

using namespace LAMMPS_NS;

namespace lammps_mace {

// Models are there; their files may hold several each.
void PairMLIAPUnified::check_committee() const
{
  if (members.size() == 1 && options.for_several())
    error->all(FLERR,
               "pair_style mliap unified: committee and deviation compare models, and there is one: write "
               "`pair_style mliap unified A.model B.model 0 ...`");
  const bool write = members[0].coulomb.settings.write;
  for (size_t m = 0; m < n_driving(); m++)
    if (members[m].coulomb.settings.write != write)
      error->all(FLERR,
                 "pair_style mliap unified: of " + members[0].name + " and " + members[m].name +
                     ", whose mean drives, one was converted with --write-charges: convert both with it, or none");
}

// Once the species are known.
void PairMLIAPUnified::share_pairs()
{
  for (auto member = members.begin(); member != members.end(); member++) {
    const auto same =
        std::find_if(members.begin(), member, [&](const Member &other) { return other.sees_the_same_as(*member); });
    member->pairs = same == member ? std::make_shared<NeighborPairs>() : same->pairs;
  }
}

// A run that goes on from a restart file goes on in the file.
void PairMLIAPUnified::open_deviation_file()
{
  deviation_file = {};
  compared_at = last_line = stopped_at = -1;
  if (options.deviation_file.empty()) return;
  std::string reason;
  if (comm->me == 0) {
    reason = deviation_file.open(options.deviation_file, restoring);
    if (reason.empty() && !restoring && !deviation_file.write(Deviation::header())) reason = "the disk is full";
    if (!reason.empty())
      set_reason(failure,
                 "pair_style mliap unified: the deviation file '" + options.deviation_file + "' cannot be written (" +
                     reason + "): name a file in a folder that exists and has room for it");
  }
  raise_on_all(lmp, !reason.empty(), 0, failure, "");
}

// Whether all models evaluate this step: for the file, or for fix pair.
bool PairMLIAPUnified::wants_deviation() const
{
  if (members.size() == 1) return false;
  if (wanted_by_fix || (options.every && update->ntimestep % options.every == 0)) return true;
  const auto is_now = [this](const Fix *fix) { return update->ntimestep % fix->nevery == 0; };
  const auto fixes = modify->get_fix_by_style("^pair$");
  return known_to_fix && std::any_of(fixes.begin(), fixes.end(), is_now);
}

void PairMLIAPUnified::compare_members()
{
  try {
    deviation.compare(members, exchange, members[0].potential->energy_per_ev, world);
  } catch (const std::bad_alloc &) {    // the others wait
    error->one(FLERR, "pair_style mliap unified: no memory for the forces of all models of the committee: use more ranks");
  }
  const bigint step = compared_at = update->ntimestep;
  // Minimizers and Monte Carlo evaluate a step many times.
  if (!options.every || step % options.every || step == last_line) return;
  last_line = step;
  const bool bad = comm->me == 0 && !deviation_file.write(deviation.line(step));
  if (bad)
    set_reason(failure, "pair_style mliap unified: the deviation file '" + options.deviation_file + "' cannot be written");
  raise_on_all(lmp, bad, 0, failure, "");
  if (options.stop < 0.0 || deviation.largest_force() <= options.stop || stopped_at >= 0) return;
  stopped_at = step;
  if (comm->me == 0)
    utils::logmesg(lmp,
                   "lammps-mace: the run stops at step " + std::to_string(step) +
                       ": the models' forces on an atom deviate by " + std::to_string(deviation.largest_force()) +
                       ", more than " + std::to_string(options.stop) + "\n");
  lmp->timer->force_timeout();
}

// At the end of the run that was stopped; no atom has moved since.
void PairMLIAPUnified::write_stopped_frame()
{
  if (stopped_at < 0) return;
  const std::string path = options.deviation_file + "." + std::to_string(stopped_at) + ".lammpstrj";
  stopped_at = -1;
  std::string command =
      "write_dump all custom \"" + path + "\" id type element x y z modify sort id format float %.12g element";
  for (const std::string &element : elements) command += " " + element;
  lmp->input->one(command);
  if (comm->me == 0) utils::logmesg(lmp, "lammps-mace: the atoms of that step are in " + path + "\n");
}

// fix pair writes 1 there before a step of which it wants the values.
void *PairMLIAPUnified::extract(const char *name, int &dimension)
{
  dimension = 0;
  for (const char *known : {"force_deviation_flag", "energy_deviation_flag"})
    if (members.size() > 1 && std::strcmp(name, known) == 0) return &wanted_by_fix;
  return nullptr;
}

// Of own atoms, once a step has been compared: nothing that is older.
void *PairMLIAPUnified::extract_peratom(const char *name, int &columns)
{
  const bool force = std::strcmp(name, "force_deviation") == 0;
  if (members.size() == 1 || (!force && std::strcmp(name, "energy_deviation") != 0)) return nullptr;
  columns = 0;
  known_to_fix = true;
  if (compared_at != update->ntimestep) return nullptr;
  return (force ? deviation.force : deviation.energy).data();
}

}    // namespace lammps_mace
