// LAMMPS's neighbour list as flat arrays: rows of pairs (CSR), filtered by the cutoff. Linear in the pairs.
#include "pair_rows.h"

#include "ghost_rows.h"
#include "neighbours.h"

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  template <typename T> double held(const std::vector<T> &values)
  {
    return double(values.capacity()) * sizeof(T);
  }

}    // namespace

struct PairRows::Source {
  const Atom &atom;
  const NeighList &list;
  const GhostRows &ghosts;
  double cutoff;

  template <typename Use> void each_neighbour(int i, Use use) const
  {
    lammps_mace::each_neighbour(atom, list, cutoff, i, use);
  }
};

void PairRows::fill(const Atom &atom, const NeighList &list, const GhostRows &ghosts, const std::vector<int> &species_of_type,
                    double cutoff)
{
  const Source from = {atom, list, ghosts, cutoff};
  fill_atoms(from, species_of_type);
  count_pairs(from);
  fill_pairs(from);
}

// A local atom that is not in the list (hybrid) is no centre of this model, whatever its type.
void PairRows::fill_atoms(const Source &from, const std::vector<int> &species_of_type)
{
  const std::vector<int32_t> &atoms = from.ghosts.atoms;
  const auto species_of = [&](int atom) { return species_of_type[from.atom.type[atom] - 1]; };
  species.assign(atoms.size(), -1);
  tags.resize(atoms.size());
  for (int k = 0; k < from.list.inum; k++) species[from.list.ilist[k]] = species_of(from.list.ilist[k]);
  for (size_t row = from.atom.nlocal; row < atoms.size(); row++) species[row] = species_of(atoms[row]);
  for (size_t row = 0; row < atoms.size(); row++) tags[row] = from.atom.tag[atoms[row]];
}

// Two passes, counting first: the arrays then have exactly the size of the pairs, not of the list with its skin.
void PairRows::count_pairs(const Source &from)
{
  const std::vector<int32_t> &row_of = from.ghosts.row_of;
  offsets.assign(from.atom.nlocal + 1, 0);
  rowless = -1;
  for (int k = 0; k < from.list.inum; k++) {
    const int i = from.list.ilist[k];
    if (species[i] < 0) continue;
    int64_t count = 0;
    from.each_neighbour(i, [&](int j, const double *) {
      if (row_of[j] < 0)
        rowless = j;
      else
        count += species[row_of[j]] >= 0;
    });
    offsets[i + 1] = count;
  }
  for (int i = 0; i < from.atom.nlocal; i++) offsets[i + 1] += offsets[i];
}

void PairRows::fill_pairs(const Source &from)
{
  senders.resize(offsets.back());
  vectors.resize(3 * offsets.back());
  coincident = -1;
  for (int k = 0; k < from.list.inum; k++) {
    const int i = from.list.ilist[k];
    int64_t at = offsets[i];
    if (species[i] < 0) continue;
    from.each_neighbour(i, [&](int j, const double *r) {
      const int32_t row = from.ghosts.row_of[j];
      if (row < 0 || species[row] < 0) return;
      senders[at] = row;
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
