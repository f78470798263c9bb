// LAMMPS's neighbour list as flat arrays: rows of pairs (CSR), filtered by the cutoff. Linear in the pairs.
#include "neighbor_pairs.h"

#include "exclusions.h"
#include "ghost_index.h"

#include "atom.h"
#include "neigh_list.h"

using namespace LAMMPS_NS;

namespace lammps_mace {

void NeighborPairs::fill(const Atom &atom, const NeighList &list, const GhostIndex &ghosts, const ModelSpecies &species_of,
                         double cutoff, double closest)
{
  static int64_t fillings = 0;
  number = ++fillings;
  fill_atoms(atom, list, ghosts, species_of);
  size_t listed = 1;    // every neighbour is written, and the next over it if it was none
  for (int k = 0; k < list.inum; k++) listed += list.numneigh[list.ilist[k]];
  senders.need(listed);
  vectors.need(3 * listed);
  fill_pairs(atom, list, ghosts.row_of, cutoff, closest);
}

// A local atom that is not in the list (hybrid) is no centre of this model, whatever its type.
void NeighborPairs::fill_atoms(const Atom &atom, const NeighList &list, const GhostIndex &ghosts,
                               const ModelSpecies &species_of)
{
  const std::vector<int32_t> &atoms = ghosts.atoms;
  species.assign(atoms.size(), -1);
  tags.resize(atoms.size());
  for (int k = 0; k < list.inum; k++) species[list.ilist[k]] = species_of(atom, list.ilist[k]);
  for (size_t row = atom.nlocal; row < atoms.size(); row++) species[row] = species_of(atom, atoms[row]);
  for (size_t row = 0; row < atoms.size(); row++) tags[row] = atom.tag[atoms[row]];
}

// Which neighbours in the list's skin are inside the cutoff cannot be foreseen: no branch asks.
void NeighborPairs::fill_pairs(const Atom &atom, const NeighList &list, const std::vector<int32_t> &row_of, double cutoff,
                               double closest)
{
  const double *const x = atom.nlocal ? atom.x[0] : nullptr;
  const double square = cutoff * cutoff, close = closest * closest;
  int64_t at = 0, n_close_now = 0;
  coincident = rowless = -1;
  offsets.resize(atom.nlocal + 1);
  for (int i = 0; i < atom.nlocal; i++) {
    offsets[i] = at;
    if (species[i] < 0) continue;
    const int *const neighbours = list.firstneigh[i];
    const int n = list.numneigh[i];
    const double *const centre = x + 3 * int64_t(i);
    for (int k = 0; k < n; k++) {
      const int64_t j = neighbours[k] & NEIGHMASK;    // the upper bits mark bonded pairs
      const int32_t row = row_of[j];
      const double r[3] = {x[3 * j] - centre[0], x[3 * j + 1] - centre[1], x[3 * j + 2] - centre[2]};
      const double distance2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      const bool near = distance2 < square;
      if (row < 0) {    // out of reach when rows were given
        if (near) rowless = j;
        continue;
      }
      const bool taken = near & (species[row] >= 0);
      senders[at] = row;
      for (int c = 0; c < 3; c++) vectors[3 * at + c] = r[c];
      at += taken;
      n_close_now += taken & (distance2 < close);
      if (distance2 == 0.0 && taken) coincident = i;
    }
  }
  offsets[atom.nlocal] = at;
  n_close = n_close_now;
}

double NeighborPairs::bytes() const
{
  return double(species.capacity()) * sizeof(int32_t) + double(tags.capacity() + offsets.capacity()) * sizeof(int64_t) +
      senders.bytes() + vectors.bytes();
}

}    // namespace lammps_mace
