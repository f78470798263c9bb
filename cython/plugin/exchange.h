// Moves rows of numbers between the ranks' own atoms and their ghosts through LAMMPS's Comm, and sums over the ranks.
#ifndef LAMMPS_MACE_EXCHANGE_H
#define LAMMPS_MACE_EXCHANGE_H

#include "../bridge.h"

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
// Rows travel as bytes, rounded up to whole doubles (LAMMPS's unit): two float32 in one.
class GhostExchange {
 public:
  // A reference: `comm_style` puts another Comm in its place.
  GhostExchange(LAMMPS_NS::Comm *&comm, LAMMPS_NS::Pair *pair, MPI_Comm world) : comm(comm), pair(pair), world(world) {}

  void plan(const std::vector<int> &row_bytes, const lammps_mace_charges &charges);
  int widest_in_doubles() const;

  void begin_step(int64_t n_local, int64_t n_total);
  // These return a message when they refuse (nothing was sent), as the calls of lammps_mace_step do.
  const char *exchange(bool reverse, const lammps_mace_rows &rows);
  const char *sum(double *values, int count);
  const char *forward_charges(double *charges);    // [n_total]
  // A rank that failed sends zeros in every exchange it has not reached, so that no other rank waits.
  void join_rest();
  bool complete() const { return done == int(operations.size()); }
  int stage() const { return done; }
  std::exception_ptr lammps_error;    // thrown by Comm; Python could not carry it

  // Outside the steps' protocol. Rows of ghosts are overwritten, or added into their owners' rows (doubles).
  void copy_to_ghosts(char *rows, int bytes);
  void add_to_owners(double *rows, int bytes);
  // Fills owners[n_local..n_total) with the local row each ghost is an image of; one rank only.
  void fetch_owners(std::vector<int32_t> &owners, int64_t n_local, int64_t n_total);

  int pack_forward(int n, const int *list, double *buffer) const;
  void unpack_forward(int n, int first, const double *buffer);
  int pack_reverse(int n, int first, double *buffer) const;
  void unpack_reverse(int n, const int *list, const double *buffer);

 private:
  enum class Kind { forward, sum, charge, reverse };
  struct Operation {
    Kind kind;
    int bytes;    // of a row, or of the sum
  };

  // What is being exchanged. No address: zeros are sent, what arrives is dropped.
  struct Rows {
    char *first;
    int bytes, item_bytes;    // of a row, of a number in it
    const int32_t *places;    // nullptr: row i is atom i's

    explicit operator bool() const { return first; }
    char *of(int64_t atom) const { return first + int64_t(places ? places[atom] : atom) * bytes; }
    int doubles() const { return (bytes + 7) / 8; }
  };

  const char *refusal(Kind kind, int64_t bytes);
  std::string named(int index) const;
  const char *run(Kind kind, int64_t bytes, const Rows &given);
  void copy_to_ghosts(const Rows &given);
  void add_to_owners(const Rows &given);
  void clear_ghosts();
  void run_sum(double *values, int count);
  void transfer(double *buffer, int i, const char *row) const;

  LAMMPS_NS::Comm *&comm;
  LAMMPS_NS::Pair *pair;
  MPI_Comm world;
  std::vector<Operation> operations;    // of a step
  int done = 0;                         // of them, in this step
  int64_t n_local = 0, n_total = 0;
  Rows rows = {};
  std::string message;
};

}    // namespace lammps_mace

#endif
