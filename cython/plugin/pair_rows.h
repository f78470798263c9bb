// LAMMPS's neighbour list as flat arrays: rows of pairs (CSR), filtered by the cutoff. Linear in the pairs.
#ifndef LAMMPS_MACE_PAIR_ROWS_H
#define LAMMPS_MACE_PAIR_ROWS_H

#include <cstdint>
#include <vector>

namespace LAMMPS_NS {
class Atom;
class NeighList;
}    // namespace LAMMPS_NS

namespace lammps_mace {

class GhostRows;

// Rows are those of GhostRows.
struct PairRows {
  std::vector<int32_t> species;    // [n_rows]
  std::vector<int64_t> tags;       // [n_rows]
  std::vector<int64_t> offsets;    // [n_local + 1]
  std::vector<int32_t> senders;    // [n_pairs], row of j
  std::vector<double> vectors;     // [n_pairs][3], x_j - x_i
  int64_t coincident = -1;         // a centre with a neighbour in the same place, or -1
  int64_t rowless = -1;            // an atom that has come into the cutoff but has no row, or -1

  // species_of_type[t - 1] of atom type t.
  void fill(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, const GhostRows &ghosts,
            const std::vector<int> &species_of_type, double cutoff);
  double bytes() const;

 private:
  struct Source;    // what rows are made from
  void fill_atoms(const Source &from, const std::vector<int> &species_of_type);
  void count_pairs(const Source &from);
  void fill_pairs(const Source &from);
};

}    // namespace lammps_mace

#endif
