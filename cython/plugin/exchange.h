// Moves rows of numbers between the ranks' own atoms and their ghosts through LAMMPS's Comm.
#ifndef LAMMPS_MACE_EXCHANGE_H
#define LAMMPS_MACE_EXCHANGE_H

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

namespace LAMMPS_NS {
class Comm;
class Pair;
}    // namespace LAMMPS_NS

namespace lammps_mace {

// A step does all forward exchanges in order, then the same widths backwards in reverse order. Rows travel as bytes,
// rounded up to whole doubles (LAMMPS's unit): two float32 in one.
class GhostExchange {
 public:
  // A reference: `comm_style` puts another Comm in its place.
  GhostExchange(LAMMPS_NS::Comm *&comm, LAMMPS_NS::Pair *pair) : comm(comm), pair(pair) {}

  void set_widths(const std::vector<int> &row_bytes_of_each) { row_bytes = row_bytes_of_each; }
  int widest_in_doubles() const;

  void begin_step(int64_t n_local, int64_t n_total);
  // Message of lammps_mace_step.exchange; `self` is a GhostExchange.
  static const char *call(void *self, int reverse, void *rows, int64_t width, int item_bytes);
  // A rank that failed sends zeros in every exchange it has not reached, so that no other rank waits.
  void join_rest();
  bool complete() const { return n_forward == count() && n_reverse == count(); }
  int stage() const { return n_forward + n_reverse; }
  std::exception_ptr lammps_error;    // thrown by Comm; Python could not carry it

  // Outside the steps' protocol. Rows of ghosts are overwritten, or added into their owners' rows (doubles).
  void copy_to_ghosts(char *rows, int bytes);
  void add_to_owners(char *rows, int bytes, int item_bytes = sizeof(double));
  // Fills owners[n_local..n_total) with the local row each ghost is an image of; one rank only.
  void fetch_owners(std::vector<int32_t> &owners, int64_t n_local, int64_t n_total);

  int pack_forward(int n, const int *list, double *buffer) const;
  void unpack_forward(int n, int first, const double *buffer);
  int pack_reverse(int n, int first, double *buffer) const;
  void unpack_reverse(int n, const int *list, const double *buffer);

 private:
  const char *exchange(bool reverse, char *rows, int64_t bytes, int item_bytes);
  const char *refusal(bool reverse, int64_t bytes);
  void run_forward(char *rows, int bytes);
  void run_reverse(char *rows, int bytes, int item_bytes);
  void transfer(double *buffer, int i, const char *row) const;
  int count() const { return int(row_bytes.size()); }
  int doubles() const { return (bytes + 7) / 8; }

  LAMMPS_NS::Comm *&comm;
  LAMMPS_NS::Pair *pair;
  std::vector<int> row_bytes;
  int n_forward = 0, n_reverse = 0;    // exchanges done in this step
  int64_t n_local = 0, n_total = 0;
  char *rows = nullptr;    // being exchanged; nullptr: send zeros, drop what arrives
  int bytes = 0, item_bytes = 0;
  std::string message;
};

}    // namespace lammps_mace

#endif
