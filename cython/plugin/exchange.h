// Moves rows of numbers between the ranks' own atoms and their ghosts through LAMMPS's Comm, and sums over the ranks.
#ifndef LAMMPS_MACE_EXCHANGE_H
#define LAMMPS_MACE_EXCHANGE_H

#include "../bridge.h"
#include "ghost_rows.h"

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
// reverse order. On one rank there is nobody to exchange rows with: only what charges need remains.
// Rows travel as bytes, rounded up to whole doubles (LAMMPS's unit): two float32 in one. Of the ghosts that LAMMPS would send,
// only those travel that have a row of their own: LAMMPS sends as much as it finds packed.
class GhostExchange {
 public:
  // A reference: `comm_style` puts another Comm in its place.
  GhostExchange(LAMMPS_NS::Comm *&comm, LAMMPS_NS::Pair *pair, MPI_Comm world) : comm(comm), pair(pair), world(world) {}

  void plan(const std::vector<int> &row_bytes, const lammps_mace_charges &charges);
  int widest_in_doubles() const;

  // Collective: after LAMMPS has made new ghosts, decide who has which row. Neighbours up to `reach` have one.
  void assign_rows(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, double reach);
  GhostRows ghosts;

  void begin_step();
  // These return a message when they refuse (nothing was sent), as the calls of lammps_mace_step do.
  const char *exchange(bool reverse, const lammps_mace_rows &rows);
  const char *sum(double *values, int count);
  const char *forward_charges(double *charges);    // [own atoms and ghosts]
  // A rank that failed sends zeros in every exchange it has not reached, so that no other rank waits.
  void join_rest();
  bool complete() const { return done == int(operations.size()); }
  int stage() const { return done; }
  std::exception_ptr lammps_error;    // thrown by Comm; Python could not carry it

  // Outside the steps' protocol, a row for each own atom and ghost. Those of ghosts are overwritten, or added into their
  // owners' rows (doubles).
  void copy_to_ghosts(char *rows, int bytes);
  void add_to_owners(double *rows, int bytes);

  // What LAMMPS's Comm calls: atoms list[0..n) go to another rank, where they are ghosts first..first+n.
  int pack_forward(int n, const int *list, double *buffer) const;
  void unpack_forward(int n, int first, const double *buffer);
  int pack_reverse(int n, int first, double *buffer) const;
  void unpack_reverse(int n, const int *list, const double *buffer);

 private:
  enum class Kind { forward, sum, charge, reverse };
  enum class Carried { atoms, rows, needs };    // by Comm: a row for each ghost, rows of GhostRows, which of these are needed
  struct Operation {
    Kind kind;
    int bytes;    // of a row, or of the sum
  };

  // What is being exchanged. No address: zeros are sent, what arrives is dropped.
  struct Rows {
    char *first;
    int bytes, item_bytes;    // of a row, of a number in it
    const int32_t *places;    // nullptr: row i is at i

    explicit operator bool() const { return first; }
    char *of(int64_t row) const { return first + int64_t(places ? places[row] : row) * bytes; }
    int doubles() const { return (bytes + 7) / 8; }
  };

  const char *refusal(Kind kind, int64_t bytes);
  std::string named(int index) const;
  const char *run(Kind kind, int64_t bytes, const Rows &given);
  void copy_to_ghosts(Carried what, const Rows &given);
  void add_to_owners(Carried what, const Rows &given);
  void clear_ghosts();
  void run_sum(double *values, int count);
  template <typename Use> void each_sent(int n, const int *list, Use use) const;
  template <typename Use> void each_received(int n, int first, Use use) const;
  double *packed(int64_t row, double *at) const;

  LAMMPS_NS::Comm *&comm;
  LAMMPS_NS::Pair *pair;
  MPI_Comm world;
  std::vector<Operation> operations;    // of a step
  int done = 0;                         // of them, in this step
  int64_t n_local = 0;
  Carried carried = Carried::atoms;
  Rows rows = {};
  std::string message;
};

}    // namespace lammps_mace

#endif
