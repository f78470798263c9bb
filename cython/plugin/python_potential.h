// The Python half of the pair style, reached through the C interface in bridge.h.
#ifndef LAMMPS_MACE_PYTHON_POTENTIAL_H
#define LAMMPS_MACE_PYTHON_POTENTIAL_H

#include "../bridge.h"

#include <memory>
#include <string>
#include <vector>

namespace lammps_mace {

using Failure = lammps_mace_failure;

void set_reason(Failure &failure, const std::string &text);

// One Python Potential. Functions return false (and fill the failure) where Python raised; none of them throws.
class PythonPotential {
 public:
  // Model number `member` of a file; nullptr on failure.
  static std::unique_ptr<PythonPotential> create(const std::string &path, int member, int comm, const std::string &units,
                                                 Failure &failure);
  ~PythonPotential();
  // The path of the model that a restart file means: see bridge.h.
  static bool find(const std::string &named, const std::string &was, const std::string &sha256, std::string &path,
                   Failure &failure);

  bool set_elements(const std::vector<const char *> &elements, std::vector<int> &species, Failure &failure) const;
  bool compute(lammps_mace_step &step, Failure &failure) const;
  bool report(bool stuck, std::string &text, Failure &failure) const;
  bool device_map(std::string &text, Failure &failure) const;

  int n_members = 1;    // models in its file
  double cutoff_angstrom = 0.0;
  double closest_angstrom = 0.0;    // closer atoms are far from all training data; 0: not known
  bool keeps_list = false;          // its device keeps the neighbour list
  double energy_per_ev = 1.0;       // in LAMMPS's units
  std::vector<int> row_bytes;       // of each forward exchange
  std::string sha256, path;         // of the model's sidecar; absolute, of the model file
  lammps_mace_charges charges = {};

 private:
  PythonPotential(const lammps_mace_bridge *bridge, void *handle) : bridge(bridge), handle(handle) {}
  bool describe(Failure &failure);
  bool identify(Failure &failure);

  const lammps_mace_bridge *bridge;
  void *handle;
};

}    // namespace lammps_mace

#endif
