// One model of the pair style: what it is given in a step, and what it says.
#include "member.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace lammps_mace {

double Member::reach() const { return std::max(potential->cutoff_angstrom, coulomb.settings.cutoff); }

bool Member::sees_the_same_as(const Member &other) const
{
  return potential->cutoff_angstrom == other.potential->cutoff_angstrom && species.of_type == other.species.of_type;
}

// Results start as NaN, so that one Python forgot to write cannot pass for zero.
static constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

void Member::share_atoms(lammps_mace_step &given)
{
  node_energies.assign(given.n_local, nothing);
  given.n_total = int64_t(pairs->species.size());
  given.species = pairs->species.data();
  given.tags = pairs->tags.data();
  given.node_energies = node_energies.data();
}

bool Member::evaluate(lammps_mace_step given, bool wants_centroid, Failure &failure)
{
  has_list = false;
  share_atoms(given);
  pair_gradient.assign(3 * pairs->n_pairs(), nothing);
  centroid_virial.assign(wants_centroid ? 9 * pairs->species.size() : 0, nothing);
  given.n_pairs = pairs->n_pairs();
  given.number = pairs->number;
  given.offsets = pairs->offsets.data();
  given.senders = pairs->senders.data();
  given.vectors = pairs->vectors.data();
  given.pair_gradient = pair_gradient.data();
  given.wants_centroid = wants_centroid;
  given.centroid_virial = centroid_virial.data();
  const bool good = potential->compute(given, failure);
  energy = given.energy;
  return good;
}

bool Member::evaluate_list(lammps_mace_step given, lammps_mace_list list, Failure &failure)
{
  has_list = true;
  share_atoms(given);
  centroid_virial.clear();
  forces.assign(3 * pairs->species.size(), nothing);
  virials.assign(list.wants_virials ? 6 * pairs->species.size() : 0, nothing);
  list.forces = forces.data();
  list.virials = virials.data();
  std::fill(list.virial, list.virial + 6, nothing);
  given.list = &list;
  if (!potential->compute(given, failure)) return false;
  energy = given.energy;
  std::copy(list.virial, list.virial + 6, virial);
  pairs->n_close = list.n_close;
  pairs->coincident = list.coincident;
  pairs->rowless = list.rowless;
  return true;
}

bool Member::results_are_finite(Failure &failure) const
{
  for (size_t k = 0; k < centroid_virial.size(); k++)
    if (!std::isfinite(centroid_virial[k]))
      return set_reason(failure, "non-finite centroid virial of atom ID " + id(k / 9)), false;
  if (!std::isfinite(energy)) return set_reason(failure, "non-finite energy"), false;
  for (size_t i = 0; i < node_energies.size(); i++) {
    if (pairs->species[i] < 0) continue;
    if (coulomb.active() && !std::isfinite(coulomb.energy(i)))
      return set_reason(failure, "non-finite Coulomb energy of atom ID " + id(i)), false;
    if (!std::isfinite(node_energies[i])) return set_reason(failure, "non-finite energy of atom ID " + id(i)), false;
    if (!has_list && !gradients_are_finite(int64_t(i), failure)) return false;
  }
  return !has_list || forces_are_finite(failure);
}

// Of the pairs of an own atom.
bool Member::gradients_are_finite(int64_t i, Failure &failure) const
{
  for (int64_t p = pairs->offsets[i]; p < pairs->offsets[i + 1]; p++) {
    const double *g = &pair_gradient[3 * p];
    if (std::isfinite(g[0] + g[1] + g[2])) continue;
    const double *r = &pairs->vectors[3 * p];
    set_reason(failure,
               "non-finite force between atom IDs " + id(i) + " and " + id(pairs->senders[p]) + ", " +
                   std::to_string(std::hypot(r[0], r[1], r[2])) + " Angstrom apart");
    return false;
  }
  return true;
}

// Sums that the device has made.
bool Member::forces_are_finite(Failure &failure) const
{
  for (size_t k = 0; k < forces.size(); k++)
    if (!std::isfinite(forces[k])) return set_reason(failure, "non-finite force on atom ID " + id(k / 3)), false;
  for (size_t k = 0; k < virials.size(); k++)
    if (!std::isfinite(virials[k])) return set_reason(failure, "non-finite virial of atom ID " + id(k / 6)), false;
  for (const double v : virial)
    if (!std::isfinite(v)) return set_reason(failure, "non-finite virial"), false;
  return true;
}

void Member::sign(Failure &failure) const
{
  if (name.empty()) return;
  const std::string reason = name + ": " + failure.reason;
  std::snprintf(failure.reason, sizeof failure.reason, "%s", reason.c_str());
}

double Member::bytes() const
{
  const size_t results = node_energies.capacity() + pair_gradient.capacity() + centroid_virial.capacity() +
      forces.capacity() + virials.capacity();
  return results * sizeof(double) + coulomb.bytes() + (pairs ? pairs->bytes() / pairs.use_count() : 0.0);
}

}    // namespace lammps_mace
