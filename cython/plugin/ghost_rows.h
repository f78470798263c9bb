// Which row of features each atom has: one row for an atom of another rank, however many images of it LAMMPS has as ghosts.
#ifndef LAMMPS_MACE_GHOST_ROWS_H
#define LAMMPS_MACE_GHOST_ROWS_H

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace LAMMPS_NS {
class Atom;
class NeighList;
}    // namespace LAMMPS_NS

namespace lammps_mace {

// Rows are those of own atoms, in their order, then those of other ranks' atoms that somebody needs: own atoms as neighbours, or
// a rank that gets its ghosts from this one's (LAMMPS passes on in one direction after the other).
//
// The ghost that LAMMPS received first stands for all images of its atom: when a later one is passed on, that row is filled
// already; and on the way back it has not left yet.
class GhostRows {
 public:
  std::vector<int32_t> row_of;    // [n_total], -1: a ghost that nobody needs
  std::vector<int32_t> atoms;     // [n_rows], an atom with this row

  void clear() { row_of.clear(); }

  // Three steps assign rows. First: who are images of one atom? owners[i] tells atom i's rank and index there.
  struct Owner {
    int32_t rank, index;
  };
  void find_images(const std::vector<Owner> &owners, int me, int64_t n_local);
  // Second: who is needed? Neighbours up to `reach`, and what other ranks ask for among atoms list[0..n) that go to them.
  void need_neighbours(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, double reach);
  void need_sent(int n, const int *list, const double *asked);
  bool needed(int64_t atom) const { return is_needed[atom]; }
  // Third: number the rows.
  void number();

  // Rows that go where atoms list[0..n) go; `list` is LAMMPS's own array, the same until it is made anew.
  const std::vector<int32_t> &sent(const int *list) const;

  double bytes() const;

 private:
  void need(int64_t atom) { is_needed[first_image[atom]] = 1; }

  int64_t n_local = 0;
  std::vector<int32_t> first_image;                                 // [n_total], the atom that stands for this one
  std::vector<char> is_needed;                                      // [n_total]
  std::unordered_map<const int *, std::vector<int32_t>> sent_by_list;    // atoms until they are numbered, then rows
};

}    // namespace lammps_mace

#endif
