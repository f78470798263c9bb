// Before the first step on several ranks: do rows of atoms reach their copies, and rows of copies their owners?
#include "exchange_self_test.h"

#include "exchange_schedule.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "lammps.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <exception>
#include <limits>
#include <string>
#include <vector>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  constexpr int slot_bits = 10, slots = 1 << slot_bits;

  uint64_t hashed(uint64_t x)    // splitmix64: any two IDs give unrelated values
  {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  // 32 bits: a sum over a million copies is exact in a double.
  double known(int64_t tag, int column) { return double(uint32_t(hashed(hashed(uint64_t(tag)) + uint64_t(column)))); }

  class ExchangeSelfTest {
   public:
    ExchangeSelfTest(LAMMPS *lmp, ExchangeSchedule &exchange)
        : lmp(lmp), exchange(exchange), width(exchange.widest_row() / 8), n_local(lmp->atom->nlocal),
          n_total(exchange.ghosts.atoms.size())
    {}

    void run()
    {
      try {
        rows.resize(n_total * width);
      } catch (const std::exception &) {
        lmp->error->one(FLERR,
                        "no memory for the start check: " + std::to_string(n_total) + " rows of " +
                            std::to_string(8 * width) + " bytes: use more ranks");
      }
      check_forward();
      check_reverse();
    }

   private:
    int64_t tag(int64_t i) const { return lmp->atom->tag[exchange.ghosts.atoms[i]]; }
    double *row(int64_t i) { return &rows[i * width]; }
    Rows all_rows() { return {reinterpret_cast<char *>(rows.data()), int(8 * width), 8, nullptr}; }

    // Column 0 is the ID itself, for the message; the others cannot be right by accident.
    void check_forward()
    {
      std::fill(rows.begin(), rows.end(), std::numeric_limits<double>::quiet_NaN());
      for (int64_t i = 0; i < n_local; i++) {
        row(i)[0] = double(tag(i));
        for (int c = 1; c < width; c++) row(i)[c] = known(tag(i), c);
      }
      exchange.messages.to_copies(all_rows());
      int64_t bad = n_local;
      while (bad < n_total && forward_is_right(bad)) bad++;
      report_forward(bad < n_total ? bad : -1);
    }

    bool forward_is_right(int64_t i)
    {
      if (row(i)[0] != double(tag(i))) return false;
      for (int c = 1; c < width; c++)
        if (row(i)[c] != known(tag(i), c)) return false;
      return true;
    }

    void report_forward(int64_t bad)
    {
      const int speaker = lowest_rank(bad >= 0);
      if (speaker < 0) return;
      int64_t wanted = bad >= 0 ? tag(bad) : 0;
      double found = bad >= 0 ? row(bad)[0] : 0.0;
      MPI_Bcast(&wanted, 1, MPI_INT64_T, speaker, lmp->world);
      MPI_Bcast(&found, 1, MPI_DOUBLE, speaker, lmp->world);
      const std::string got = std::isnan(found) ? "nothing" : "the row of " + std::to_string(int64_t(found));
      fail("forward: the ghost of atom ID " + std::to_string(wanted) + " on rank " + std::to_string(speaker) + " got " +
           (found == double(wanted) ? "a damaged row" : got) + " from its owner, " + owner_of(wanted));
    }

    // Every ghost sends 1 and its values; an owner then knows how many of its ghosts were heard, and that no other's were.
    void check_reverse()
    {
      std::fill(rows.begin(), rows.end(), 0.0);
      for (int64_t i = n_local; i < n_total; i++) {
        row(i)[0] = 1.0;
        for (int c = 1; c < width; c++) row(i)[c] = known(tag(i), c);
      }
      exchange.messages.to_owners(all_rows());
      int64_t bad = 0;
      while (bad < n_local && sum_is_right(bad)) bad++;
      report_sum(bad < n_local ? bad : -1);
      compare_counts();
    }

    bool sum_is_right(int64_t i)
    {
      const double copies = row(i)[0];
      if (!(copies >= 0.0 && copies < 1e6)) return false;
      for (int c = 1; c < width; c++)
        if (row(i)[c] != copies * known(tag(i), c)) return false;
      return true;
    }

    void report_sum(int64_t bad)
    {
      const int speaker = lowest_rank(bad >= 0);
      if (speaker < 0) return;
      int64_t wanted = bad >= 0 ? tag(bad) : 0;
      MPI_Bcast(&wanted, 1, MPI_INT64_T, speaker, lmp->world);
      fail("reverse: atom ID " + std::to_string(wanted) + " on rank " + std::to_string(speaker) +
           " received a sum that is not that of its ghosts; " + copies_of(wanted));
    }

    // Are contributions at owners as many as there are ghosts, for every ID? The IDs are told apart by ten bits at a time,
    // so that an Allreduce of fixed size finds one that differs.
    void compare_counts()
    {
      int64_t largest = 0, of_all = 0, found = 0;
      for (int64_t i = 0; i < n_total; i++) largest = std::max(largest, tag(i));
      MPI_Allreduce(&largest, &of_all, 1, MPI_INT64_T, MPI_MAX, lmp->world);
      for (int shift = 0; shift == 0 || (of_all >> shift) > 0; shift += slot_bits) {
        const int slot = first_different_slot(found, shift);
        if (slot < 0) return;
        found |= int64_t(slot) << shift;
      }
      report_count(found);
    }

    // Among IDs whose bits below `shift` are those of `prefix`; -1 if none differs.
    int first_different_slot(int64_t prefix, int shift)
    {
      std::array<uint64_t, slots> mine = {}, all = {};
      for (int64_t i = 0; i < n_total; i++) {
        if ((tag(i) & ((int64_t(1) << shift) - 1)) != prefix) continue;
        const uint64_t weight = hashed(uint64_t(tag(i)));    // or one too many would hide one too few
        mine[(tag(i) >> shift) % slots] += i < n_local ? uint64_t(row(i)[0]) * weight : -weight;
      }
      MPI_Allreduce(mine.data(), all.data(), slots, MPI_UINT64_T, MPI_SUM, lmp->world);
      const auto found = std::find_if(all.begin(), all.end(), [](uint64_t difference) { return difference != 0; });
      return found == all.end() ? -1 : int(found - all.begin());
    }

    void report_count(int64_t wanted)
    {
      int64_t mine = 0, arrived = 0;
      for (int64_t i = 0; i < n_local; i++)
        if (tag(i) == wanted) mine += int64_t(row(i)[0]);
      MPI_Allreduce(&mine, &arrived, 1, MPI_INT64_T, MPI_SUM, lmp->world);
      fail("reverse: atom ID " + std::to_string(wanted) + " received the rows of " + std::to_string(arrived) + " ghosts; " +
           copies_of(wanted) + "; its owner is " + owner_of(wanted));
    }

    // -1 where no rank says yes.
    int lowest_rank(bool here) const
    {
      const int nobody = lmp->comm->nprocs;
      int mine = here ? lmp->comm->me : nobody, lowest = 0;
      MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, lmp->world);
      return lowest == nobody ? -1 : lowest;
    }

    std::string owner_of(int64_t wanted) const
    {
      bool here = false;
      for (int64_t i = 0; i < n_local; i++) here = here || tag(i) == wanted;
      const int owner = lowest_rank(here);
      return owner < 0 ? "whom no rank knows" : "rank " + std::to_string(owner);
    }

    std::string copies_of(int64_t wanted) const
    {
      int64_t mine = 0, all = 0;
      for (int64_t i = n_local; i < n_total; i++) mine += tag(i) == wanted;
      MPI_Allreduce(&mine, &all, 1, MPI_INT64_T, MPI_SUM, lmp->world);
      const int first = lowest_rank(mine > 0);
      return "it has " + std::to_string(all) + " ghosts" + (first < 0 ? "" : ", the first on rank " + std::to_string(first));
    }

    [[noreturn]] void fail(const std::string &what) { lmp->error->all(FLERR, moved_wrongly("the start check", what)); }

    LAMMPS *lmp;
    ExchangeSchedule &exchange;
    const int64_t width, n_local, n_total;
    std::vector<double> rows;    // [n_total][width]
  };

}    // namespace

std::string moved_wrongly(const std::string &finder, const std::string &what)
{
  return "pair_style mliap unified: " + finder + " found that this LAMMPS or its MPI library moves data wrongly, " + what +
      ": use the mpirun and MPI library that LAMMPS was built for";
}

void check_exchange(LAMMPS *lmp, ExchangeSchedule &exchange) { ExchangeSelfTest(lmp, exchange).run(); }

}    // namespace lammps_mace
