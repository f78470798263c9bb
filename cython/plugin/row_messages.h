// Messages between the ranks: rows of features from their owners to the copies on other ranks, and back.
#ifndef LAMMPS_MACE_ROW_MESSAGES_H
#define LAMMPS_MACE_ROW_MESSAGES_H

#include "ghost_rows.h"

#include <mpi.h>

#include <cstdint>
#include <vector>

namespace lammps_mace {

// Rows of one rank in memory. Those of own atoms may be anywhere, the copies of other ranks' atoms follow each other.
struct Rows {
  char *first;
  int bytes, item_bytes;    // of a row, of a number in it
  const int32_t *places;    // nullptr: row i is at i

  char *of(int64_t row) const { return first + int64_t(places ? places[row] : row) * bytes; }
};

// Every rank gets each row that it needs straight from its owner, into place. LAMMPS's own communication passes ghosts on from
// rank to rank in one direction after the other, which costs fewer messages and more bytes: for small rows.
class RowMessages {
 public:
  explicit RowMessages(MPI_Comm world) : world(world) {}

  // Collective. owners: of the copies, sorted; n_local: own atoms; widest_row: bytes of any row to come. Returns false where a
  // rank asked for rows that are not here.
  bool plan(const std::vector<Owner> &owners, int64_t n_local, int widest_row);
  // Collective. The copies become what their owners have.
  void to_copies(const Rows &rows);
  // Collective. Copies (float32 or float64) are added to their owners' rows, in the order of ranks; they keep their values.
  void to_owners(const Rows &rows);
  double bytes() const { return sent.capacity() * sizeof(int32_t) + packed.capacity(); }

 private:
  struct Peer {
    int rank, count;
    int64_t first;
  };

  static std::vector<Peer> peers(const std::vector<int> &counts);
  void transfer(const std::vector<Peer> &from, void *in, const std::vector<Peer> &to, const void *out, int bytes, int tag);
  char *copies(const Rows &rows) const;

  MPI_Comm world;
  int64_t n_local = 0;
  std::vector<Peer> owners, readers;    // of the copies here; of own rows elsewhere
  std::vector<int32_t> sent;            // own rows, those of one reader after those of another
  std::vector<char> packed;             // [sent.size()] of the widest rows
};

}    // namespace lammps_mace

#endif
