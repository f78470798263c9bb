// Whether atoms have moved so far since neighbour lists were made that a pair can be missing in them.
#ifndef LAMMPS_MACE_LIST_AGE_H
#define LAMMPS_MACE_LIST_AGE_H

#include "exclusions.h"

#include <mpi.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace LAMMPS_NS {
class Domain;
class Neighbor;
}    // namespace LAMMPS_NS

namespace lammps_mace {

// Lists reach farther than the model, mostly by the skin. A pair that has come into the model's cutoff since is missing only
// if its two atoms (and the box, if one is an image) have moved farther than that, all together.
class ListAge {
 public:
  void remember(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Domain &domain);
  // How far the own atom that went farthest is from where it was, Angstrom; 0 where LAMMPS looks itself in each step.
  double farthest(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Neighbor &neighbor, const ModelSpecies &species);
  // Collective, after `farthest`, whose largest value on any rank is given: if a pair closer than the cutoff can be missing,
  // the reason for all ranks.
  std::string too_old(double farthest_of_all, const LAMMPS_NS::Domain &domain, const LAMMPS_NS::Neighbor &neighbor,
                      const ModelSpecies &species, double cutoff, MPI_Comm world) const;
  double bytes() const { return double(positions.capacity()) * sizeof(double); }

 private:
  double box_change(const LAMMPS_NS::Domain &domain) const;

  std::vector<double> positions;    // [n_local][3]
  std::array<double, 6> box = {};
  double first = 0.0, second = 0.0;    // the two largest distances
  int64_t tag = 0;                     // of the atom that went farthest
};

}    // namespace lammps_mace

#endif
