// LAMMPS's neighbour list as flat arrays: rows of pairs (CSR), filtered by the cutoff. Linear in the pairs.
#ifndef LAMMPS_MACE_NEIGHBOR_PAIRS_H
#define LAMMPS_MACE_NEIGHBOR_PAIRS_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace LAMMPS_NS {
class Atom;
class NeighList;
}    // namespace LAMMPS_NS

namespace lammps_mace {

struct GhostIndex;
struct ModelSpecies;

// Memory that nobody writes before it is used: what is never used takes no pages. Growing, it forgets what it held.
template <typename T> class ScratchArray {
 public:
  T *data() const { return memory.get(); }
  T &operator[](int64_t i) const { return memory[i]; }
  double bytes() const { return double(size) * sizeof(T); }
  void need(size_t n)
  {
    if (n > size) memory.reset(new T[size = n + n / 16]);
  }

 private:
  std::unique_ptr<T[]> memory;
  size_t size = 0;
};

// Rows are those of GhostIndex.
struct NeighborPairs {
  std::vector<int32_t> species;     // [n_rows]
  std::vector<int64_t> tags;        // [n_rows]
  std::vector<int64_t> offsets;     // [n_local + 1]
  ScratchArray<int32_t> senders;    // [n_pairs], row of j
  ScratchArray<double> vectors;     // [n_pairs][3], x_j - x_i
  int64_t number = 0;               // another one for each filling of the process
  int64_t n_close = 0;              // pairs closer than `closest`
  int64_t coincident = -1;          // a centre with a neighbour in the same place, or -1
  int64_t rowless = -1;             // an atom that has come into the cutoff but has no row, or -1

  int64_t n_pairs() const { return offsets.back(); }
  // The species and IDs of rows alone.
  void fill_atoms(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, const GhostIndex &ghosts,
                  const ModelSpecies &species_of);
  void fill(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, const GhostIndex &ghosts,
            const ModelSpecies &species_of, double cutoff, double closest);
  double bytes() const;

 private:
  void fill_pairs(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, const std::vector<int32_t> &row_of,
                  double cutoff, double closest);
};

}    // namespace lammps_mace

#endif
