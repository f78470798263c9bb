// What ranks do together in a step, in which order: rows of features between owners and their copies, charges, sums.
#ifndef LAMMPS_MACE_EXCHANGE_SCHEDULE_H
#define LAMMPS_MACE_EXCHANGE_SCHEDULE_H

#include "../bridge.h"
#include "ghost_index.h"
#include "halo_exchange.h"

#include <mpi.h>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

namespace LAMMPS_NS {
class Comm;
class Pair;
}    // namespace LAMMPS_NS

namespace lammps_mace {

// A step does all forward exchanges in order, then what charges need (sum, charge, sum), then the same widths backwards in
// reverse order: each once, or four times where adjoints have three moments. On one rank there is nobody to exchange rows
// with: only what charges need remains.
class ExchangeSchedule {
 public:
  // A reference: `comm_style` puts another Comm in its place.
  ExchangeSchedule(LAMMPS_NS::Comm *&comm, LAMMPS_NS::Pair *pair, MPI_Comm world)
      : messages(world), comm(comm), pair(pair), world(world)
  {}

  void plan(const std::vector<int> &row_bytes, const lammps_mace_charges &charges);
  int widest_row() const;    // in bytes, whole doubles

  // After LAMMPS has made new ghosts, find the owners of all atoms [n_total], collective; is there a ghost whose owner has
  // another ID (else -1)? Then decide who has which row, collective: neighbours up to `reach` have one.
  std::vector<Owner> find_owners(const LAMMPS_NS::Atom &atom);
  int64_t wrong_ghost(const std::vector<Owner> &owner_of, const LAMMPS_NS::Atom &atom) const;
  bool assign_rows(const std::vector<Owner> &owner_of, const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list,
                   double reach);
  GhostIndex ghosts;
  HaloExchange messages;
  double bytes() const { return ghosts.bytes() + messages.bytes(); }

  void begin_step(bool with_moments);
  // These return a message when they refuse (nothing was sent), as the calls of lammps_mace_step do, and never throw.
  const char *exchange(bool reverse, const lammps_mace_rows &rows);
  const char *sum(double *values, int count);
  const char *forward_charges(double *charges);    // [own atoms and ghosts]
  // A rank that failed sends zeros in every exchange it has not reached, so that no other rank waits.
  void join_rest();
  bool complete() const { return done == int(operations().size()); }
  int stage() const { return done; }
  std::exception_ptr lammps_error;    // thrown by Comm; Python could not carry it

  // What LAMMPS's Comm calls: atoms list[0..n) go to another rank, where they are ghosts first..first+n.
  static constexpr int widest_in_comm = sizeof(Owner) / sizeof(double);
  int pack_forward(int n, const int *list, double *buffer) const;
  void unpack_forward(int n, int first, const double *buffer);

 private:
  enum class Kind { forward, sum, charge, reverse };
  struct Operation {
    Kind kind;
    int bytes;    // of a row, or of the sum
  };

  static std::vector<Operation> list(const std::vector<int> &row_bytes, const lammps_mace_charges &charges, bool alone,
                                     int reverses);
  const std::vector<Operation> &operations() const { return has_moments ? with_moments : without_moments; }
  const char *begin(Kind kind, int64_t bytes);
  std::string refusal(Kind kind, int64_t bytes) const;
  std::string named(int index) const;
  void copy_to_ghosts(void *given, int bytes);

  LAMMPS_NS::Comm *&comm;
  LAMMPS_NS::Pair *pair;
  MPI_Comm world;
  std::vector<Operation> without_moments, with_moments;    // of a step
  bool has_moments = false;                                // this one
  int done = 0;                                            // of its operations
  double *carried = nullptr;                               // by Comm, numbers of own atoms and ghosts; so many each:
  int per_atom = 0;
  std::string message;
};

}    // namespace lammps_mace

#endif
