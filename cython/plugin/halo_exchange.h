// Rows of features between the ranks: from their owners to the copies on other ranks, and back.
#ifndef LAMMPS_MACE_HALO_EXCHANGE_H
#define LAMMPS_MACE_HALO_EXCHANGE_H

#include "ghost_index.h"
#include "shared_memory.h"

#include <mpi.h>

#include <cstdint>
#include <map>
#include <vector>

namespace lammps_mace {

// Rows of one rank in memory. Those of own atoms may be anywhere, the copies of other ranks' atoms follow each other.
struct Rows {
  char *first;
  int bytes, item_bytes;       // of a row, of a number in it
  const int32_t *row_index;    // nullptr: row i is at i

  char *of(int64_t row) const { return first + int64_t(row_index ? row_index[row] : row) * bytes; }
};

// Every rank gets each row that it needs straight from its owner, into place: out of memory that both share if they can, in a
// message if not. LAMMPS's own communication passes ghosts on from rank to rank in one direction after the other, which costs
// fewer messages and more bytes: for small rows.
class HaloExchange {
 public:
  explicit HaloExchange(MPI_Comm world) : world(world) {}

  // Collective. owners: of the copies, sorted; n_local: own atoms; widest_row: bytes of any row to come. Returns false where a
  // rank asked for rows that are not here.
  bool plan(const std::vector<Owner> &owners, int64_t n_local, int widest_row);
  // Collective. The copies become what their owners have.
  void to_copies(const Rows &rows);
  // Collective. Copies (float32 or float64) are added to their owners' rows, in the order of ranks; they keep their values.
  void to_owners(const Rows &rows);
  // Own rows that other ranks have copies of, those of one rank after those of another.
  const std::vector<int32_t> &sent_rows() const { return sent; }
  double bytes() const { return sent.capacity() * sizeof(int32_t) + packed.capacity() + window.address().bytes; }

 private:
  // `count` rows go to or come from a rank; they are first..first+count of all that do so here.
  struct Peer {
    int rank, count;
    int64_t first;
    const SharedMemory *window = nullptr;    // of that rank, if it shares one with this rank
    int64_t first_there = 0;                 // where it begins with them
  };
  struct Offer {
    SharedMemory::Address window;
    int64_t first_sent, first_copy;    // of the rows of the rank that this is for
  };

  static std::vector<Peer> peers(const std::vector<int> &counts);
  void find_machines();
  bool is_near(int rank) const { return machines[me] && machines[rank] == machines[me]; }
  void share_windows(int64_t bytes);
  char *half_of(const SharedMemory &window) const { return window.data() + half * (window.address().bytes / 2); }
  const char *rows_there(const Peer &peer, int bytes) const { return half_of(*peer.window) + peer.first_there * bytes; }
  char *copies(const Rows &rows) const;
  void post(const std::vector<Peer> &from, void *in, const std::vector<Peer> &to, const void *out, int bytes, int tag);
  void wait();
  template <typename T> std::vector<T> swapped(const std::vector<Peer> &with, const std::vector<T> &given, int tag);
  void wait_for_windows();

  MPI_Comm world;
  int64_t n_local = 0;
  std::vector<Peer> owners, readers;    // of the copies here; of own rows elsewhere
  std::vector<int32_t> sent;            // own rows, those of one reader after those of another
  std::vector<char> packed;             // [sent.size()] of the widest rows, for messages
  std::vector<MPI_Request> requests;

  // What this rank writes for ranks that share memory with it. Exchanges use its halves in turn: who has come to an exchange has
  // read what was written for the one before.
  SharedMemory window;
  std::map<int, SharedMemory> windows;    // of other ranks
  std::vector<Peer> sharers;              // the ranks that have one, with no rows
  int half = 0;
  int me = 0;
  std::vector<uint64_t> machines;    // of ranks; 0: shares nothing
};

}    // namespace lammps_mace

#endif
