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

void PairMLIAPUnified::settings(int narg, char **arg)
{
  const std::string refusal = options.read({arg, arg + narg});
  if (!refusal.empty()) error->all(FLERR, refusal);
  start_members();
  exclusions = {};
  exclusions.allowed = options.exclusions_allowed;
  std::vector<ModelExchanges> exchanges;
  for (const Member &member : members) exchanges.push_back({member.potential->row_bytes, member.potential->charges});
  exchange.plan(exchanges);
  record.style.assign(arg, arg + narg);
  if (allocated) set_flags();
  // Charges are shifted so that their sum is right: each energy of a Coulomb sum depends on all atoms.
  centroidstressflag = any_coulomb() ? CENTROID_NOTAVAIL : CENTROID_AVAIL;
  open_deviation_file();
}

// Reads the models: all ranks end where one of them cannot.
void PairMLIAPUnified::start_members()
{
  checked_style = checked_layout = -1;
  members.clear();
  record = {};
  for (const std::string &file : options.files) {
    start_member(file, 0);
    const PythonPotential &first = *members.back().potential;
    record.models.push_back({first.sha256, first.path});
    for (int number = 1; number < first.n_members; number++) start_member(file, number);
  }
  if (members.size() == 1) members[0].name = "";    // there is no other to tell it from
  check_committee();
}

void PairMLIAPUnified::start_member(const std::string &file, int number)
{
  Member member;
  member.potential = PythonPotential::create(file, number, MPI_Comm_c2f(world), update->unit_style, failure);
  const bool good = member.potential != nullptr;
  raise_on_all(lmp, !good, 0, failure, "");
  std::string devices;
  const bool placed = member.potential->device_map(devices, failure);
  raise_on_all(lmp, !placed, 0, failure, "");
  if (comm->me == 0 && !devices.empty() && members.empty()) utils::logmesg(lmp, devices + "\n");
  member.coulomb.settings = member.potential->charges;
  member.species.of_type.assign(atom->ntypes, -1);    // those of another model mean nothing
  member.name = file + (member.potential->n_members > 1 ? ", model " + std::to_string(number) : "");
  members.push_back(std::move(member));
}

void PairMLIAPUnified::coeff(int narg, char **arg)
{
  restore();
  const std::string refusal = check_coeff(narg, arg);
  if (!refusal.empty()) error->all(FLERR, refusal);

  std::vector<const char *> elements(arg + 2, arg + narg);
  for (auto &element : elements)
    if (std::strcmp(element, "NULL") == 0) element = nullptr;
  for (Member &member : members) {
    const bool good = member.potential->set_elements(elements, member.species.of_type, failure);
    if (!good) member.sign(failure);
    raise_on_all(lmp, !good, 0, failure, "");
  }
  share_pairs();
  this->elements.clear();
  for (int k = 2; k < narg; k++) this->elements.push_back(std::strcmp(arg[k], "NULL") == 0 ? "X" : arg[k]);
  record.coeff.assign(arg, arg + narg);
  set_flags();
}

std::string PairMLIAPUnified::check_coeff(int narg, char **arg) const
{
  const std::string types = std::to_string(atom->ntypes);
  const std::string form =
      "write `pair_coeff * * El1 El2 ...` with one element, or NULL, for each of the " + types + " atom types";
  if (members.empty()) return "pair_coeff: pair_style mliap unified has not read a model yet";
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
  // Until a restart's models are read, all types are theirs.
  const std::vector<int> of_type = members.empty() ? std::vector<int>(atom->ntypes, 0) : members[0].species.of_type;
  for (int i = 1; i <= atom->ntypes; i++)
    for (int j = 1; j <= atom->ntypes; j++) setflag[i][j] = of_type[i - 1] >= 0 && of_type[j - 1] >= 0;
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
  warn_of_overlay();
  exchange.ghosts.clear();
  exclusions.forget();
  warned_of_charge = false;
  last_line = -1;
  close_pairs = 0;
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

bool PairMLIAPUnified::any_coulomb() const
{
  return std::any_of(members.begin(), members.begin() + n_driving(), [](const Member &one) { return one.coulomb.active(); });
}

double PairMLIAPUnified::widest_cutoff() const
{
  double widest = 0.0;
  for (const Member &member : members) widest = std::max(widest, member.potential->cutoff_angstrom);
  return widest;
}

// LAMMPS does not ask a pair style whether its stress is fit for a heat current, or why it is not.
void PairMLIAPUnified::refuse_heat_flux()
{
  const std::string charges =
      ": the charges of the model are shifted so that their sum is its total charge, the Coulomb energy of an atom "
      "depends on all atoms, and its heat current is not available: use a model without charges";
  for (const std::string style : {"heat/flux", "centroid/stress/atom"})
    if (any_coulomb() && !modify->get_compute_by_style("^" + style + "$").empty())
      error->all(FLERR, "compute " + style + charges);
  if (modify->get_compute_by_style("^heat/flux$").empty()) return;
  if (modify->get_compute_by_style("^centroid/stress/atom$").empty())
    error->all(FLERR,
               "compute heat/flux: compute stress/atom is not the stress of a many-body heat current: give it a "
               "`compute ID group centroid/stress/atom NULL virial`");
}

double PairMLIAPUnified::init_one(int, int)
{
  double reach = 0.0;
  for (const Member &member : members) reach = std::max(reach, member.reach());
  return reach;
}

}    // namespace lammps_mace
