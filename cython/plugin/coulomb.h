// The Coulomb sum of predicted charges: one loop over LAMMPS's full neighbour list, without copies of its pairs.
#ifndef LAMMPS_MACE_COULOMB_H
#define LAMMPS_MACE_COULOMB_H

#include "../bridge.h"

#include <vector>

namespace LAMMPS_NS {
class Atom;
class NeighList;
}    // namespace LAMMPS_NS

namespace lammps_mace {

// E = 1/2 sum_i sum_j k q_i q_j g(r_ij), j over all neighbours of i closer than the cutoff, k in eV Angstrom, q in e and
// g the damped inverse of Unke and Meuwly, J. Chem. Theory Comput. 15, 3678 (2019), eq. (13):
//   g(r) = phi(r/c) / sqrt(r^2 + 1) + (1 - phi(r/c)) / r,  phi(x) = 1 - 10 x^3 + 15 x^4 - 6 x^5 below 1, else 0.
// Every atom sees all its neighbours, so its half of the energy and of the virial, its force and dE/dq are complete on its
// owner: nothing has to return from ghosts.
class Coulomb {
 public:
  lammps_mace_charges settings = {};
  std::vector<double> charges;       // [n_total], 0 for atoms that are not part of the model
  std::vector<double> potentials;    // [n_local], dE/dq at fixed positions, V

  bool active() const { return settings.cutoff > 0.0; }
  void start(int64_t n_local, int64_t n_total, const double *charges_of_own);
  // Needs the charges of ghosts too.
  void compute(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, bool virials);

  double energy(int64_t i) const { return 0.5 * charges[i] * potentials[i]; }
  const double *force(int64_t i) const { return &forces[3 * i]; }
  // xx, yy, zz, xy, xz, yz; only after compute with virials.
  const double *virial(int64_t i) const { return &virials[6 * i]; }
  double bytes() const;

 private:
  int gather(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, int i);
  void reserve(int64_t n);

  std::vector<double> forces, virials;
  std::vector<double>
      near;              // of one atom: squared distance, three components and charge of its neighbours, one block each
  int64_t stride = 0;    // of each block
};

}    // namespace lammps_mace

#endif
