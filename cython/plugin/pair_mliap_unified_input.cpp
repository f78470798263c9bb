// LAMMPS pair style `mliap unified`: pair_style, pair_coeff and what is checked before a run.
#include "pair_mliap_unified.h"

#include "collective_error.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "modify.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

#include <mpi.h>

#include <algorithm>
#include <cstring>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  bool is_option(const char *word) { return std::strcmp(word, "start_check") == 0 || std::strcmp(word, "exclusions") == 0; }

}    // namespace

void PairMLIAPUnified::settings(int narg, char **arg)
{
  std::string refusal = check_settings(narg, arg);
  if (refusal.empty()) refusal = check_options(narg, arg);
  if (!refusal.empty()) error->all(FLERR, refusal);

  checked_style = checked_layout = -1;
  potential.reset();
  species = {};
  record = {};
  potential = PythonPotential::create(arg[1], MPI_Comm_c2f(world), update->unit_style, failure);
  raise_on_all(lmp, !potential, 0, failure, "");
  std::string devices;
  const bool placed = potential->device_map(devices, failure);
  raise_on_all(lmp, !placed, 0, failure, "");
  if (comm->me == 0 && !devices.empty()) utils::logmesg(lmp, devices + "\n");
  coulomb = {};
  coulomb.settings = potential->charges;
  exchange.plan(potential->row_bytes, potential->charges);
  record = {potential->sha256, potential->path, {arg, arg + narg}, {}};
  species.of_type.assign(atom->ntypes, -1);    // those of another model mean nothing
  if (allocated) set_flags();
  // Charges are shifted so that their sum is right: each energy of a Coulomb sum depends on all atoms.
  centroidstressflag = coulomb.active() ? CENTROID_NOTAVAIL : CENTROID_AVAIL;
}

// What is wrong with a pair_style command, and what to write instead; empty if nothing is.
std::string PairMLIAPUnified::check_settings(int narg, char **arg) const
{
  const std::string form = "write `pair_style mliap unified FILE.model`";
  if (narg < 1 || std::strcmp(arg[0], "unified") != 0)
    return "pair_style mliap: keyword '" + std::string(narg ? arg[0] : "") +
        "' belongs to LAMMPS's own mliap, which "
        "cannot take the place of `mliap unified` or share a hybrid line with it: write `pair_style none` before it";
  if (narg < 2) return "pair_style mliap unified: no model file given: " + form;
  if (narg > 2 && std::strcmp(arg[2], "0") != 0 && !is_option(arg[2]))
    return "pair_style mliap unified: ghostneigh must be 0, got '" + std::string(arg[2]) +
        "': ranks exchange the features of ghost atoms, neighbours of ghosts are not needed: " + form + " 0";
  return "";
}

// What follows the model file and ghostneigh: `start_check yes|no` and `exclusions allow|refuse`, in any order.
std::string PairMLIAPUnified::check_options(int narg, char **arg)
{
  start_check = true;
  exclusions = {};
  const std::string form =
      "write `pair_style mliap unified FILE.model 0 start_check no`, `... 0 exclusions allow`, or nothing "
      "after the 0";
  for (int at = narg > 2 && std::strcmp(arg[2], "0") == 0 ? 3 : 2; at < narg; at += 2) {
    if (!is_option(arg[at])) return "pair_style mliap unified: unknown option '" + std::string(arg[at]) + "': " + form;
    const std::string wrong = check_option(arg[at], at + 1 < narg ? arg[at + 1] : "");
    if (!wrong.empty()) return "pair_style mliap unified: " + wrong + ": " + form;
  }
  return "";
}

std::string PairMLIAPUnified::check_option(const std::string &name, const std::string &value)
{
  const bool check = name == "start_check";
  const std::string on = check ? "yes" : "allow", off = check ? "no" : "refuse";
  if (value != on && value != off) return name + " must be " + on + " or " + off + ", got '" + value + "'";
  (check ? start_check : exclusions.allowed) = value == on;
  return "";
}

void PairMLIAPUnified::coeff(int narg, char **arg)
{
  restore();
  const std::string refusal = check_coeff(narg, arg);
  if (!refusal.empty()) error->all(FLERR, refusal);

  std::vector<const char *> elements(arg + 2, arg + narg);
  for (auto &element : elements)
    if (std::strcmp(element, "NULL") == 0) element = nullptr;
  const bool good = potential->set_elements(elements, species.of_type, failure);
  raise_on_all(lmp, !good, 0, failure, "");
  record.coeff.assign(arg, arg + narg);
  set_flags();
}

std::string PairMLIAPUnified::check_coeff(int narg, char **arg) const
{
  const std::string types = std::to_string(atom->ntypes);
  const std::string form =
      "write `pair_coeff * * El1 El2 ...` with one element, or NULL, for each of the " + types + " atom types";
  if (!potential) return "pair_coeff: pair_style mliap unified has not read a model yet";
  if (narg != 2 + atom->ntypes)
    return "pair_coeff: " + std::to_string(narg - 2) + " elements for " + types + " atom types: " + form;
  const auto nulls = std::count_if(arg + 2, arg + narg, [](const char *a) { return std::strcmp(a, "NULL") == 0; });
  if (nulls == atom->ntypes) return "pair_coeff: every atom type is NULL, the model would compute nothing: " + form;
  if (nulls && !utils::strmatch(force->pair_style, "^hybrid"))
    return "pair_coeff: NULL leaves an atom type to another pair style: write `pair_style hybrid mliap unified FILE.model "
           "...` "
           "with a style for that type";
  return "";
}

void PairMLIAPUnified::allocate()
{
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  allocated = 1;
}

void PairMLIAPUnified::set_flags()
{
  if (!allocated) allocate();
  for (int i = 1; i <= atom->ntypes; i++)
    for (int j = 1; j <= atom->ntypes; j++) setflag[i][j] = species.of_type[i - 1] >= 0 && species.of_type[j - 1] >= 0;
}

void PairMLIAPUnified::init_style()
{
  restore();
  if (!force->newton_pair)
    error->all(FLERR,
               "pair_style mliap unified: needs `newton on`, got `newton off`: add `newton on` before the box is created");
  if (!atom->tag_enable) error->all(FLERR, "pair_style mliap unified: needs atom IDs: remove `atom_modify id no`");
  if (atom->molecular != Atom::ATOMIC)
    for (int k = 1; k <= 3; k++)
      if (force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0)
        error->all(FLERR,
                   "pair_style mliap unified: special_bonds drops pairs of bonded atoms, which the model needs: "
                   "add `special_bonds lj/coul 1.0 1.0 1.0`");
  refuse_heat_flux();
  check_charges();
  exchange.ghosts.clear();
  exclusions.forget();
  warned_of_charge = false;
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

// Whether the energy of an atom depends on more than its own pairs.
bool PairMLIAPUnified::beyond_neighbours() const { return !potential->row_bytes.empty(); }

// LAMMPS does not ask a pair style whether its stress is fit for a heat current, or why it is not.
void PairMLIAPUnified::refuse_heat_flux()
{
  const std::string charges =
      ": the charges of the model are shifted so that their sum is its total charge, the Coulomb energy of an atom "
      "depends on all atoms, and its heat current is not available: use a model without charges";
  for (const std::string style : {"heat/flux", "centroid/stress/atom"})
    if (coulomb.active() && !modify->get_compute_by_style("^" + style + "$").empty())
      error->all(FLERR, "compute " + style + charges);
  if (modify->get_compute_by_style("^heat/flux$").empty()) return;
  if (modify->get_compute_by_style("^centroid/stress/atom$").empty())
    error->all(FLERR,
               "compute heat/flux: compute stress/atom is not the stress of a many-body heat current: give it a "
               "`compute ID group centroid/stress/atom NULL virial`");
}

double PairMLIAPUnified::init_one(int, int) { return std::max(potential->cutoff_angstrom, coulomb.settings.cutoff); }

}    // namespace lammps_mace
