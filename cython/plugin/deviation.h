// How far the models of a committee are apart: of each atom, and of a whole step as a line of a file.
#ifndef LAMMPS_MACE_DEVIATION_H
#define LAMMPS_MACE_DEVIATION_H

#include <mpi.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace lammps_mace {

class ExchangeSchedule;
struct Member;

// With <> the mean over models, and std the standard deviation over them (of the whole, not of a sample):
//   of the force on an atom     sqrt(<|F - <F>|^2>)
//   of its energy               std(e)
//   of each of nine virials     std(V) / N, N atoms of the model
//   of the energy per atom      std(E) / N
// These are the definitions of DeePMD-kit, doc/test/model-deviation.md. All are in LAMMPS's units.
class Deviation {
 public:
  // Of own atoms; 0 where an atom is not part of the model.
  std::vector<double> force, energy;

  // Collective: every member has evaluated this step.
  void compare(const std::vector<Member> &members, ExchangeSchedule &exchange, double energy_unit, MPI_Comm world);
  double largest_force() const { return of_force.largest; }
  // The line for a step in the order of DeePMD-kit's model_devi.out.
  std::string line(int64_t step) const;
  static std::string header();

 private:
  struct Spread {
    double largest, smallest, mean;
  };

  void add_forces(const Member &member, size_t at, size_t width);
  void add_forces_of_rows(const Member &member, size_t at, size_t width);
  void compare_atoms(const std::vector<Member> &members, size_t width, double unit);
  void summarize(const std::vector<Member> &members, double unit, MPI_Comm world);
  Spread spread_of_virials(const double *virials, size_t n_members, double scale) const;

  std::vector<double> forces;     // [n_rows][member][3], eV/Angstrom
  std::vector<double> virials;    // [member][6], eV, of this rank
  Spread of_force = {}, of_virial = {};
  double of_energy = 0.0;    // per atom
};

// A text file that rank 0 writes line by line.
class LineFile {
 public:
  // Returns why it cannot be written, or nothing.
  std::string open(const std::string &path, bool append);
  // False where it cannot be written any longer.
  bool write(const std::string &line);

 private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file;
};

}    // namespace lammps_mace

#endif
