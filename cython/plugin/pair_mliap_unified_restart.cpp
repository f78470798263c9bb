// LAMMPS pair style `mliap unified`: what it writes into restart files, and how it goes on from there.
//
// The model is not read with the restart file but when a run needs it: a script may name another one first.
#include "pair_mliap_unified.h"

#include "collective_error.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "utils.h"

#include <mpi.h>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  // LAMMPS takes words that it may change.
  std::vector<char *> pointers(std::vector<std::string> &words)
  {
    std::vector<char *> found;
    for (auto &word : words) found.push_back(word.data());
    return found;
  }

  std::string joined(const std::vector<std::string> &words)
  {
    std::string text;
    for (const auto &word : words) text += " " + word;
    return text;
  }

  // Rank 0 has the file.
  void write(FILE *file, const RestartRecord &record)
  {
    const std::string bytes = record.bytes();
    const int head[] = {RestartRecord::kind, int(bytes.size())};
    fwrite(head, sizeof(int), 2, file);
    fwrite(bytes.data(), 1, bytes.size(), file);
  }

}    // namespace

void PairMLIAPUnified::write_restart(FILE *file) { write(file, record); }

// For pair hybrid, whose pair_coeff commands have to be written again.
void PairMLIAPUnified::write_restart_settings(FILE *file)
{
  RestartRecord settings = record;
  settings.coeff.clear();
  write(file, settings);
}

void PairMLIAPUnified::read_restart(FILE *file)
{
  read_restart_settings(file);
  set_flags();
}

void PairMLIAPUnified::read_restart_settings(FILE *file)
{
  int head[2] = {};
  if (comm->me == 0) utils::sfread(FLERR, head, sizeof(int), 2, file, nullptr, error);
  MPI_Bcast(head, 2, MPI_INT, 0, world);
  const bool known = head[0] == RestartRecord::kind && head[1] > 0 && head[1] <= RestartRecord::most_bytes;
  std::string bytes(known ? head[1] : 0, '\0');
  if (known && comm->me == 0) utils::sfread(FLERR, bytes.data(), 1, bytes.size(), file, nullptr, error);
  MPI_Bcast(bytes.data(), int(bytes.size()), MPI_CHAR, 0, world);
  if (!record.parse(bytes))
    error->all(FLERR,
               "read_restart: what the restart file holds of pair_style mliap unified is damaged, or of another version of "
               "lammps-mace: use the version that wrote it");
  centroidstressflag = CENTROID_NOTAVAIL;    // until restore
}

// Does what the commands did of which a restart file tells, unless a script has written others since. Collective.
void PairMLIAPUnified::restore()
{
  if (!members.empty() || record.empty()) return;
  RestartRecord saved = record;
  for (size_t k = 0; k < saved.models.size(); k++) {
    const RestartRecord::Model &model = saved.models[k];
    std::string path;
    const bool found = PythonPotential::find(saved.style[1 + k], model.path, model.sha256, path, failure);
    raise_on_all(lmp, !found, 0, failure, "");
    saved.style[1 + k] = path;
  }
  if (comm->me == 0)
    utils::logmesg(lmp,
                   "As in the restart file: pair_style mliap" + joined(record.style) +
                       (saved.coeff.empty() ? "" : ", pair_coeff" + joined(saved.coeff)) + "\n");
  restoring = true;
  settings(int(saved.style.size()), pointers(saved.style).data());
  restoring = false;
  if (!saved.coeff.empty()) coeff(int(saved.coeff.size()), pointers(saved.coeff).data());
}

}    // namespace lammps_mace
