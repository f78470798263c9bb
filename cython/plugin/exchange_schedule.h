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

// What one model exchanges in a step.
struct ModelExchanges {
  std::vector<int> row_bytes;    // of each forward exchange
  lammps_mace_charges charges;
};

// A step does, for one model after the other, all forward exchanges in order, then what charges need (sum, charge, sum), then
// the same widths backwards in reverse order: each once, or four times where adjoints have three moments. On one rank there is
// nobody to exchange rows with: only what charges need remains.
class ExchangeSchedule {
 public:
  // A reference: `comm_style` puts another Comm in its place.
  ExchangeSchedule(LAMMPS_NS::Comm *&comm, LAMMPS_NS::Pair *pair, MPI_Comm world)
      : messages(world), comm(comm), pair(pair), world(world)
  {}

  void plan(const std::vector<ModelExchanges> &of_models);
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

  // Of the first n_models models; the first n_with_moments of them have moments.
  void begin_step(size_t n_models, size_t n_with_moments);
  // These return a message when they refuse (nothing was sent), as the calls of lammps_mace_step do, and never throw.
  const char *exchange(bool reverse, const lammps_mace_rows &rows);
  const char *sum(double *values, int count);
  const char *forward_charges(double *charges);    // [own atoms and ghosts]
  // Outside the order: adds to own atoms' rows what the rows [n_rows][width] of their copies on other ranks hold. Collective.
  void add_to_owners(double *rows, int width);
  // A rank that failed sends zeros in every exchange it has not reached, so that no other rank waits.
  void join_rest();
  bool complete() const { return done == int(operations.size()); }
  // Whether all exchanges of the first n_models models are done.
  bool complete_for(size_t n_models) const { return done == ends[n_models - 1]; }
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

  void append(const ModelExchanges &model, int reverses);
  const char *begin(Kind kind, int64_t bytes);
  std::string refusal(Kind kind, int64_t bytes) const;
  std::string named(int index) const;
  void copy_to_ghosts(void *given, int bytes);

  LAMMPS_NS::Comm *&comm;
  LAMMPS_NS::Pair *pair;
  MPI_Comm world;
  std::vector<ModelExchanges> models;
  std::vector<Operation> operations;                          // of this step
  std::vector<int> ends;                                      // of each model's
  size_t n_models_planned = 0, n_with_moments_planned = 0;    // those that they are of
  int done = 0;                                               // of them
  double *carried = nullptr;                                  // by Comm, numbers of own atoms and ghosts; so many each:
  int per_atom = 0;
  std::string message;
};

}    // namespace lammps_mace

#endif
