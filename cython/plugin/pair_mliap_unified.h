// LAMMPS pair style `mliap unified`: neighbours to Python, energies and forces back, ghost rows exchanged in between.
#ifndef LAMMPS_MACE_PAIR_MLIAP_UNIFIED_H
#define LAMMPS_MACE_PAIR_MLIAP_UNIFIED_H

#include "deviation.h"
#include "exchange_schedule.h"
#include "exclusions.h"
#include "flat_list.h"
#include "list_age.h"
#include "member.h"
#include "restart_record.h"
#include "style_options.h"

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
  void *extract(const char *name, int &dimension) override;
  void *extract_peratom(const char *name, int &columns) override;
  double memory_usage() override;

  int pack_forward_comm(int n, int *list, double *buf, int, int *) override { return exchange.pack_forward(n, list, buf); }
  void unpack_forward_comm(int n, int first, double *buf) override { exchange.unpack_forward(n, first, buf); }

 private:
  void allocate();
  std::string check_coeff(int narg, char **arg) const;
  void set_flags();
  void restore();
  void start_members();
  void start_member(const std::string &file, int number);
  void check_committee() const;
  void share_pairs();
  void open_deviation_file();

  // Members whose mean are the forces: the first, or all.
  size_t n_driving() const { return options.mean ? members.size() : 1; }
  bool wants_centroid(size_t member) const
  {
    return cvflag_atom && member < n_driving() && members[member].beyond_neighbours();
  }
  // Whether a member's device evaluates the list that it keeps. The centroid virial needs pairs here.
  bool uses_list(const Member &member) const { return member.potential->keeps_list && !cvflag_atom; }
  bool any_coulomb() const;
  double widest_cutoff() const;    // of the layers
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
  bool wants_deviation() const;
  bool run_step(size_t n_members);
  void fill_pairs(size_t n_members);
  bool pairs_are_good(const NeighborPairs &pairs);
  bool evaluate(Member &member, bool centroid);
  lammps_mace_step given_to_all();
  void add_results(Member &member, double weight, bool centroid);
  void add_pairs(Member &member, double scale, bool centroid);
  void add_rows(const Member &member, double scale);
  void add_pair(int i, int j, const double *r, const double *gradient, bool with_centroid);
  void add_centroid_virial(const Member &member, double scale);
  void add_coulomb(const Member &member, double scale);
  void write_charges();
  void compare_members();
  void write_stopped_frame();
  bool sees_an_atom_of(const PairMLIAPUnified &other) const;
  void warn_of_overlay();
  void count_close_pairs();
  void warn_of_close_pairs();
  void report_close_pairs();

  StyleOptions options;
  std::vector<Member> members;    // one; of a committee all
  Member *running = nullptr;      // whose Python half is computing
  Exclusions exclusions;
  ListAge list_age;
  FlatList flat_list;                     // for members whose device keeps it
  LAMMPS_NS::bigint known_builds = -1;    // of neighbour lists, when rows were assigned
  RestartRecord record;                   // of the commands that gave all this; without members: of a restart file
  bool restoring = false;
  int checked_style = -1, checked_layout = -1;    // of Comm, when the exchange was last checked
  ExchangeSchedule exchange;
  double known_atoms = -1.0;        // in the whole system, at the last step
  bool warned_of_charge = false;    // in this run
  bool warned_of_overlay = false, warned_of_close_pairs = false;
  LAMMPS_NS::bigint close_pairs = 0;    // of this rank, in this run, each from both atoms
  Failure failure = {};

  Deviation deviation;
  LAMMPS_NS::bigint compared_at = -1;    // step of the deviations
  LineFile deviation_file;
  LAMMPS_NS::bigint last_line = -1;     // step of the last line of this run
  int wanted_by_fix = 0;                // fix pair asks for deviations of the next step
  bool known_to_fix = false;            // it has ever asked
  LAMMPS_NS::bigint stopped_at = -1;    // step at which the deviation ended the run
  std::vector<std::string> elements;    // of the atom types
};

}    // namespace lammps_mace

#endif
