// Which row of features each atom has: one row for an atom of another rank, however many images of it LAMMPS has as ghosts.
#ifndef LAMMPS_MACE_GHOST_INDEX_H
#define LAMMPS_MACE_GHOST_INDEX_H

#include <cstdint>
#include <vector>

namespace LAMMPS_NS {
class Atom;
class NeighList;
}    // namespace LAMMPS_NS

namespace lammps_mace {

// The rank that owns an atom, and where it is there. 64 bits more tell its ID, by which LAMMPS's Comm is checked.
struct Owner {
  int32_t rank, index;
  int64_t tag;
};

// Rows are those of own atoms, in their order, then those of other ranks' atoms that own atoms have as neighbours, sorted by
// owner: what one rank sends stands together, in that rank's order.
struct GhostIndex {
  std::vector<int32_t> row_of;    // [n_total], -1: a ghost that nobody needs
  std::vector<int32_t> atoms;     // [n_rows], an atom with this row
  std::vector<Owner> owners;      // [n_rows - n_local], of the rows of other ranks' atoms

  // Neighbours up to `reach` have a row. owner_of: [n_total], of own atoms and ghosts.
  void assign(const std::vector<Owner> &owner_of, int me, const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list,
              double reach);
  void clear() { row_of.clear(); }
  double bytes() const;
};

}    // namespace lammps_mace

#endif
