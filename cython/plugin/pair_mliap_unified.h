// LAMMPS pair style `mliap unified`: neighbours to Python, energies and forces back, ghost rows exchanged in between.
#ifndef LAMMPS_MACE_PAIR_MLIAP_UNIFIED_H
#define LAMMPS_MACE_PAIR_MLIAP_UNIFIED_H

#include "coulomb.h"
#include "exchange_schedule.h"
#include "exclusions.h"
#include "list_age.h"
#include "neighbor_pairs.h"
#include "python_potential.h"
#include "restart_record.h"

#include "pair.h"

namespace lammps_mace {

class PairMLIAPUnified : public LAMMPS_NS::Pair {
 public:
  explicit PairMLIAPUnified(LAMMPS_NS::LAMMPS *lmp);
  ~PairMLIAPUnified() override;

  void settings(int narg, char **arg) override;
  void coeff(int narg, char **arg) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void compute(int eflag, int vflag) override;
  void write_restart(FILE *file) override;
  void read_restart(FILE *file) override;
  void write_restart_settings(FILE *file) override;
  void read_restart_settings(FILE *file) override;
  void finish() override;
  double memory_usage() override;

  int pack_forward_comm(int n, int *list, double *buf, int, int *) override { return exchange.pack_forward(n, list, buf); }
  void unpack_forward_comm(int n, int first, double *buf) override { exchange.unpack_forward(n, first, buf); }

 private:
  void allocate();
  std::string check_settings(int narg, char **arg) const;
  std::string check_options(int narg, char **arg);
  std::string check_option(const std::string &name, const std::string &value);
  std::string check_coeff(int narg, char **arg) const;
  void set_flags();
  void restore();

  bool beyond_neighbours() const;
  bool wants_centroid() const { return cvflag_atom && beyond_neighbours(); }
  void refuse_heat_flux();
  void prove_exchange();
  void check_charges() const;
  void warn_of_net_charge();

  // The calls of lammps_mace_step; `self` is a PairMLIAPUnified. C calls them.
  static const char *exchange_rows(void *self, int reverse, const lammps_mace_rows *rows) noexcept;
  static const char *sum_over_ranks(void *self, double *values, int count) noexcept;
  static const char *take_charges(void *self, const double *charges, double *potentials) noexcept;
  static void log_line(void *self, const char *line) noexcept;

  void assign_rows();
  bool lists_are_new();
  void join_rest();
  bool run_step();
  bool pairs_are_good();
  bool evaluate();
  bool results_are_finite();
  void add_results();
  void add_pair(int i, int j, const double *r, const double *gradient);
  void add_centroid_virial();
  void add_coulomb();
  void write_charges();

  std::unique_ptr<PythonPotential> potential;
  ModelSpecies species;
  Exclusions exclusions;
  ListAge list_age;
  LAMMPS_NS::bigint known_builds = -1;    // of neighbour lists, when rows were assigned
  RestartRecord record;                   // of the commands that gave all this; without a potential: of a restart file
  bool start_check = true;
  int checked_style = -1, checked_layout = -1;    // of Comm, when the exchange was last checked
  NeighborPairs rows;
  std::vector<double> node_energies, pair_gradient, centroid_virial;
  lammps_mace_step step = {};
  ExchangeSchedule exchange;
  Coulomb coulomb;
  double known_atoms = -1.0;        // in the whole system, at the last step
  bool warned_of_charge = false;    // in this run
  Failure failure = {};
};

}    // namespace lammps_mace

#endif
