// LAMMPS's neighbour list as flat arrays: rows of pairs (CSR), filtered by the cutoff. Linear in the pairs.
#include "pair_rows.h"

#include "atom.h"
#include "neigh_list.h"

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  template <typename T> double held(const std::vector<T> &values)
  {
    return double(values.capacity()) * sizeof(T);
  }

  // Calls use(j, x_j - x_i) for the neighbours of i inside the cutoff that have a species.
  template <typename Use>
  void each_neighbour(const Atom &atom, const NeighList &list, const std::vector<int32_t> &species, double cutoff, int i,
                      Use use)
  {
    double *const *const x = atom.x;
    for (int k = 0; k < list.numneigh[i]; k++) {
      const int j = list.firstneigh[i][k] & NEIGHMASK;    // the upper bits mark bonded pairs
      const double r[3] = {x[j][0] - x[i][0], x[j][1] - x[i][1], x[j][2] - x[i][2]};
      if (species[j] >= 0 && r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < cutoff * cutoff) use(j, r);
    }
  }

}    // namespace

void PairRows::fill(const Atom &atom, const NeighList &list, const std::vector<int> &species_of_type, double cutoff)
{
  fill_atoms(atom, list, species_of_type);
  count_pairs(atom, list, cutoff);
  fill_pairs(atom, list, cutoff);
}

// A local atom that is not in the list (hybrid) is no centre of this model, whatever its type.
void PairRows::fill_atoms(const Atom &atom, const NeighList &list, const std::vector<int> &species_of_type)
{
  const int n_total = atom.nlocal + atom.nghost;
  species.assign(n_total, -1);
  tags.assign(atom.tag, atom.tag + n_total);
  for (int k = 0; k < list.inum; k++) species[list.ilist[k]] = species_of_type[atom.type[list.ilist[k]] - 1];
  for (int i = atom.nlocal; i < n_total; i++) species[i] = species_of_type[atom.type[i] - 1];
}

// Two passes, counting first: the arrays then have exactly the size of the pairs, not of the list with its skin.
void PairRows::count_pairs(const Atom &atom, const NeighList &list, double cutoff)
{
  offsets.assign(atom.nlocal + 1, 0);
  for (int k = 0; k < list.inum; k++) {
    const int i = list.ilist[k];
    int64_t count = 0;
    if (species[i] >= 0) each_neighbour(atom, list, species, cutoff, i, [&](int, const double *) { count++; });
    offsets[i + 1] = count;
  }
  for (int i = 0; i < atom.nlocal; i++) offsets[i + 1] += offsets[i];
}

void PairRows::fill_pairs(const Atom &atom, const NeighList &list, double cutoff)
{
  senders.resize(offsets.back());
  vectors.resize(3 * offsets.back());
  coincident = -1;
  for (int k = 0; k < list.inum; k++) {
    const int i = list.ilist[k];
    int64_t at = offsets[i];
    if (species[i] < 0) continue;
    each_neighbour(atom, list, species, cutoff, i, [&](int j, const double *r) {
      senders[at] = j;
      for (int c = 0; c < 3; c++) vectors[3 * at + c] = r[c];
      if (r[0] == 0.0 && r[1] == 0.0 && r[2] == 0.0) coincident = i;
      at++;
    });
  }
}

double PairRows::bytes() const
{
  return held(species) + held(tags) + held(offsets) + held(senders) + held(vectors);
}

}    // namespace lammps_mace
