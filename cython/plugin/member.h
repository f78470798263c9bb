// One model of the pair style: what it is given in a step, and what it says.
#ifndef LAMMPS_MACE_MEMBER_H
#define LAMMPS_MACE_MEMBER_H

#include "coulomb.h"
#include "exclusions.h"
#include "neighbor_pairs.h"
#include "python_potential.h"

#include <memory>
#include <string>
#include <vector>

namespace lammps_mace {

struct Member {
  std::string name;    // of its file, where there are several; else empty
  std::unique_ptr<PythonPotential> potential;
  ModelSpecies species;
  std::shared_ptr<NeighborPairs> pairs;    // the same for members that see the same
  Coulomb coulomb;

  // Of the last step that it took part in, in eV and Angstrom.
  std::vector<double> node_energies, pair_gradient, centroid_virial;
  double energy = 0.0;
  // The same with the list on the device; then there is no gradient of pairs.
  bool has_list = false;
  std::vector<double> forces, virials;    // [n_rows][3], [n_rows][6]
  double virial[6] = {};

  // Of own atom i, with its part of the Coulomb sum, eV.
  double energy_of(size_t i) const { return node_energies[i] + (coulomb.active() ? coulomb.energy(i) : 0.0); }
  // The farthest neighbour that its energy depends on, Angstrom.
  double reach() const;
  // Whether the energy of an atom depends on more than its own pairs.
  bool beyond_neighbours() const { return !potential->row_bytes.empty(); }
  // Whether both have the same pairs and species.
  bool sees_the_same_as(const Member &other) const;
  // Evaluates its pairs into its results. given: what all members share; false on failure.
  bool evaluate(lammps_mace_step given, bool wants_centroid, Failure &failure);
  // Evaluates the list, which says what is wanted, and tells its pairs what was found about them.
  bool evaluate_list(lammps_mace_step given, lammps_mace_list list, Failure &failure);
  // Of own atoms; else it fills the failure.
  bool results_are_finite(Failure &failure) const;
  // Puts its name before the reason.
  void sign(Failure &failure) const;
  double bytes() const;

 private:
  void share_atoms(lammps_mace_step &given);
  bool gradients_are_finite(int64_t row, Failure &failure) const;
  bool forces_are_finite(Failure &failure) const;
  std::string id(size_t row) const { return std::to_string(pairs->tags[row]); }
};

}    // namespace lammps_mace

#endif
