// How all ranks learn of a failure on one of them, and end together.
#include "collective_error.h"

#include "comm.h"
#include "error.h"
#include "lammps.h"
#include "universe.h"

#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <thread>

using namespace LAMMPS_NS;

namespace lammps_mace {

void raise_on_all(LAMMPS *lmp, bool failed, int stage, Failure &failure, const std::string &where)
{
  const int ranks = lmp->comm->nprocs, me = lmp->comm->me;
  int64_t mine = failed ? int64_t(stage) * ranks + me : std::numeric_limits<int64_t>::max(), first = mine;
  MPI_Allreduce(&mine, &first, 1, MPI_INT64_T, MPI_MIN, lmp->world);
  if (first == std::numeric_limits<int64_t>::max()) return;

  const int speaker = int(first % ranks);
  if (me == speaker) {
    std::fputs(failure.traceback, stderr);
    std::fflush(stderr);
  }
  MPI_Bcast(failure.reason, sizeof failure.reason, MPI_CHAR, speaker, lmp->world);
  std::string reason = failure.reason;
  if (!where.empty()) reason += " (rank " + std::to_string(speaker) + " of " + std::to_string(ranks) + ", " + where + ")";
  try {
    lmp->error->all(FLERR, reason);
  } catch (...) {
    // Of several worlds, the first rank that leaves ends all processes: rank 0 of this one still writes the reason to its log.
    if (lmp->universe->nworlds > 1 && me != 0) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    throw;
  }
}

}    // namespace lammps_mace
