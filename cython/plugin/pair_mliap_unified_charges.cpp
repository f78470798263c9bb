// LAMMPS pair style `mliap unified`: predicted charges in a step, and what is checked because of them.
#include "pair_mliap_unified.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"

#include <algorithm>
#include <exception>

using namespace LAMMPS_NS;

namespace lammps_mace {

// Charges in atom->q and the model's energy, which holds the Coulomb interaction already, must not meet a KSpace style.
void PairMLIAPUnified::check_charges() const
{
  const bool write = members[0].coulomb.settings.write;
  if (write && !atom->q_flag)
    error->all(FLERR,
               "pair_style mliap unified: the model was converted with --write-charges, but the atoms have no charges "
               "in this atom style: write `atom_style charge`, or convert the model without --write-charges");
  if (!force->kspace) return;
  if (write)
    error->all(FLERR,
               "pair_style mliap unified: the model writes its charges into the atoms (--write-charges), and kspace_style "
               "would count their Coulomb energy a second time: remove kspace_style, or convert the model without "
               "--write-charges");
  if (any_coulomb() && comm->me == 0)
    error->warning(FLERR,
                   "pair_style mliap unified: the model's energy holds the Coulomb energy of its atoms: kspace_style must "
                   "find no charges on them, or it is counted twice");
}

// The model was told one total charge for the whole system; only for 0 is it plain what more or fewer atoms mean.
void PairMLIAPUnified::warn_of_net_charge()
{
  const double now = double(atom->natoms), before = known_atoms;
  known_atoms = now;
  const lammps_mace_charges &charges = members[0].coulomb.settings;
  if (!charges.predicted || charges.total == 0 || before < 0.0 || now == before || warned_of_charge) return;
  warned_of_charge = true;
  if (comm->me == 0)
    error->warning(FLERR,
                   "pair_style mliap unified: the number of atoms changed, the total charge of the model's atoms remains " +
                       std::to_string(charges.total) +
                       " e: convert the model with another --total-charge "
                       "if that is not meant");
}

const char *PairMLIAPUnified::exchange_rows(void *self, int reverse, const lammps_mace_rows *rows) noexcept
{
  return static_cast<PairMLIAPUnified *>(self)->exchange.exchange(reverse != 0, *rows);
}

const char *PairMLIAPUnified::sum_over_ranks(void *self, double *values, int count) noexcept
{
  return static_cast<PairMLIAPUnified *>(self)->exchange.sum(values, count);
}

const char *PairMLIAPUnified::take_charges(void *self, const double *charges, double *potentials) noexcept
{
  auto &pair = *static_cast<PairMLIAPUnified *>(self);
  Coulomb &coulomb = pair.running->coulomb;
  try {
    coulomb.start(pair.atom->nlocal, pair.atom->nlocal + pair.atom->nghost, charges);
    if (const char *reason = pair.exchange.forward_charges(coulomb.charges.data())) return reason;
    if (!coulomb.active()) return nullptr;
    coulomb.compute(*pair.atom, *pair.list, pair.vflag_either || pair.members.size() > 1);
  } catch (const std::exception &) {
    return "no memory for the charges";
  }
  std::copy(coulomb.potentials.begin(), coulomb.potentials.end(), potentials);
  return nullptr;
}

void PairMLIAPUnified::add_coulomb(const Member &member, double scale)
{
  const Coulomb &coulomb = member.coulomb;
  for (int i = 0; i < atom->nlocal; i++) {
    if (member.pairs->species[i] < 0) continue;
    if (eflag_global) eng_coul += scale * coulomb.energy(i);
    if (eflag_atom) eatom[i] += scale * coulomb.energy(i);
    for (int c = 0; c < 3; c++) atom->f[i][c] += scale * coulomb.force(i)[c];
    for (int c = 0; vflag_either && c < 6; c++) {
      if (vflag_global) virial[c] += scale * coulomb.virial(i)[c];
      if (vflag_atom) vatom[i][c] += scale * coulomb.virial(i)[c];
    }
  }
}

// The mean of the models that drive. Hidden atoms have the charge 0, so that charges in LAMMPS add up to the total charge.
void PairMLIAPUnified::write_charges()
{
  const std::vector<int> &of_type = members[0].species.of_type;
  for (int i = 0; i < atom->nlocal + atom->nghost; i++) {
    if (of_type[atom->type[i] - 1] < 0) continue;
    double sum = 0.0;
    for (size_t m = 0; m < n_driving(); m++) sum += members[m].coulomb.charges[i];
    atom->q[i] = sum / double(n_driving());
  }
}

}    // namespace lammps_mace
