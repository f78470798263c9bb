// LAMMPS pair style `mliap unified`: one time step. Input commands are in pair_mliap_unified_input.cpp, charges in
// pair_mliap_unified_charges.cpp.
#include "pair_mliap_unified.h"

#include "collective_error.h"
#include "exchange_self_test.h"
#include "minimizer.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

#include <cmath>
#include <cstdio>
#include <exception>
#include <limits>

using namespace LAMMPS_NS;

namespace lammps_mace {

PairMLIAPUnified::PairMLIAPUnified(LAMMPS *lmp) : Pair(lmp), exchange(comm, this, world)
{
  one_coeff = manybody_flag = 1;
  single_enable = 0;
  no_virial_fdotr_compute = restartinfo = 1;
  comm_forward = ExchangeSchedule::widest_in_comm;    // pair hybrid reads this early, Comm at the next run
}

PairMLIAPUnified::~PairMLIAPUnified()
{
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

// Whatever happens on this rank, it takes part in every exchange of the step and then in the agreement.
void PairMLIAPUnified::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  warn_of_net_charge();
  assign_rows();
  if (start_check && comm->nprocs > 1) prove_exchange();
  exchange.begin_step(wants_centroid());
  const bool good = run_step();
  const int stage = exchange.stage();
  if (exchange.lammps_error) std::rethrow_exception(exchange.lammps_error);
  join_rest();
  raise_on_all(lmp, !good, stage, failure, "step " + std::to_string(update->ntimestep));
  add_results();
}

// At the first step, and again when the way atoms are divided among ranks is another.
void PairMLIAPUnified::prove_exchange()
{
  if (checked_style == comm->style && checked_layout == comm->layout) return;
  check_exchange(lmp, exchange);
  checked_style = comm->style;
  checked_layout = comm->layout;
}

// Atoms keep their rows and what hides them until LAMMPS makes new ghosts and lists. Monte Carlo fixes make them many times
// in a step. Collective; ends the run where atoms have moved too far without new lists.
bool PairMLIAPUnified::lists_are_new()
{
  const size_t n_total = atom->nlocal + atom->nghost;
  const bool stale = neighbor->ago == 0 || neighbor->ncalls != known_builds || exchange.ghosts.row_of.size() != n_total;
  double state[2] = {double(stale), list_age.farthest(*atom, *neighbor, species)};
  MPI_Allreduce(MPI_IN_PLACE, state, 2, MPI_DOUBLE, MPI_MAX, world);
  if (state[0] > 0.0) return true;
  const std::string reason = list_age.too_old(state[1], *domain, *neighbor, species, init_one(1, 1), world);
  if (!reason.empty()) error->all(FLERR, reason);
  return false;
}

void PairMLIAPUnified::assign_rows()
{
  if (!lists_are_new()) return;
  known_builds = neighbor->ncalls;
  const std::string finder = "the check of ghosts' owners";
  try {
    list_age.remember(*atom, *domain);
    const std::string refusal = exclusions.apply(lmp, *list, species);
    if (!refusal.empty()) error->all(FLERR, refusal);
    const std::vector<Owner> owner_of = exchange.find_owners(*atom);
    const int64_t wrong = exchange.wrong_ghost(owner_of, *atom);
    if (wrong >= 0)
      set_reason(failure,
                 moved_wrongly(finder,
                               "forward: the ghost of atom ID " + std::to_string(atom->tag[wrong]) + " got the row of " +
                                   std::to_string(owner_of[wrong].tag)));
    raise_on_all(lmp, wrong >= 0, 0, failure, "rows of ghosts");
    const bool good = exchange.assign_rows(owner_of, *atom, *list, potential->cutoff_angstrom + neighbor->skin);
    if (!good) set_reason(failure, moved_wrongly(finder, "a rank was asked for atoms that it does not have"));
    raise_on_all(lmp, !good, 0, failure, "rows of ghosts");
  } catch (const std::bad_alloc &) {    // the others wait in an exchange
    error->one(FLERR,
               "pair_style mliap unified: no memory for the rows of " + std::to_string(atom->nlocal + atom->nghost) +
                   " atoms and ghosts: "
                   "use more ranks");
  }
}

void PairMLIAPUnified::join_rest()
{
  try {
    exchange.join_rest();
  } catch (const std::bad_alloc &) {    // the others wait
    error->one(FLERR, failure.reason);
  }
}

bool PairMLIAPUnified::run_step()
{
  try {
    rows.fill(*atom, *list, exchange.ghosts, species, potential->cutoff_angstrom);
    return pairs_are_good() && evaluate() && results_are_finite();
  } catch (const std::exception &error) {    // in practice std::bad_alloc
    set_reason(failure, "no memory for the pairs of " + std::to_string(atom->nlocal) + " atoms: " + error.what());
    return false;
  }
}

bool PairMLIAPUnified::pairs_are_good()
{
  if (rows.rowless >= 0) {
    set_reason(failure,
               "atom ID " + std::to_string(atom->tag[rows.rowless]) +
                   " has come into the cutoff from beyond the skin: "
                   "neighbour lists are made too rarely: write `neigh_modify every 1 delay 0 check yes`");
    return false;
  }
  // Such a pair has no direction: networks take it for one that is not there, and their energy jumps.
  if (rows.coincident < 0) return true;
  set_reason(failure,
             "atom ID " + std::to_string(rows.tags[rows.coincident]) +
                 " and another atom are in the same place: "
                 "remove one, for example with `delete_atoms overlap 0.1 all all`");
  return false;
}

// Results start as NaN, so that one Python forgot to write cannot pass for zero.
bool PairMLIAPUnified::evaluate()
{
  node_energies.assign(atom->nlocal, std::numeric_limits<double>::quiet_NaN());
  pair_gradient.assign(3 * rows.n_pairs(), std::numeric_limits<double>::quiet_NaN());
  centroid_virial.assign(wants_centroid() ? 9 * rows.species.size() : 0, std::numeric_limits<double>::quiet_NaN());
  step = {atom->nlocal,
          int64_t(rows.species.size()),
          rows.n_pairs(),
          comm->nprocs == 1,
          rows.species.data(),
          rows.tags.data(),
          rows.offsets.data(),
          rows.senders.data(),
          rows.vectors.data(),
          node_energies.data(),
          pair_gradient.data(),
          wants_centroid(),
          atom->nlocal ? atom->x[0] : nullptr,
          centroid_virial.data(),
          0.0,
          this,
          &exchange_rows,
          &sum_over_ranks,
          &take_charges,
          &log_line};
  if (!potential->compute(step, failure)) return false;
  if (exchange.complete()) return true;
  set_reason(failure, "the potential returned before it had done every exchange of the step");
  return false;
}

// Perhaps from another thread; this one waits for Python and writes nothing.
void PairMLIAPUnified::log_line(void *self, const char *line) noexcept
{
  const auto *pair = static_cast<PairMLIAPUnified *>(self);
  if (pair->comm->me != 0) return;
  for (FILE *file : {pair->screen, pair->logfile}) {
    if (!file) continue;
    std::fprintf(file, "%s\n", line);
    std::fflush(file);
  }
}

bool PairMLIAPUnified::results_are_finite()
{
  for (size_t k = 0; k < centroid_virial.size(); k++)
    if (!std::isfinite(centroid_virial[k]))
      return set_reason(failure, "non-finite centroid virial of atom ID " + std::to_string(rows.tags[k / 9])), false;
  if (!std::isfinite(step.energy)) return set_reason(failure, "non-finite energy"), false;
  for (int i = 0; i < atom->nlocal; i++) {
    if (rows.species[i] < 0) continue;
    const auto id = [&] { return std::to_string(rows.tags[i]); };
    if (coulomb.active() && !std::isfinite(coulomb.energy(i)))
      return set_reason(failure, "non-finite Coulomb energy of atom ID " + id()), false;
    if (!std::isfinite(node_energies[i])) return set_reason(failure, "non-finite energy of atom ID " + id()), false;
    for (int64_t p = rows.offsets[i]; p < rows.offsets[i + 1]; p++) {
      const double *g = &pair_gradient[3 * p];
      if (std::isfinite(g[0] + g[1] + g[2])) continue;
      const double *r = &rows.vectors[3 * p];
      set_reason(failure,
                 "non-finite force between atom IDs " + id() + " and " + std::to_string(rows.tags[rows.senders[p]]) + ", " +
                     std::to_string(std::hypot(r[0], r[1], r[2])) + " Angstrom apart");
      return false;
    }
  }
  return true;
}

void PairMLIAPUnified::add_results()
{
  const double unit = potential->energy_per_ev;
  if (eflag_global) eng_vdwl += unit * step.energy;
  for (int i = 0; i < atom->nlocal; i++) {
    if (rows.species[i] < 0) continue;
    if (eflag_atom) eatom[i] += unit * node_energies[i];
    for (int64_t p = rows.offsets[i]; p < rows.offsets[i + 1]; p++) {
      double *const g = &pair_gradient[3 * p];
      for (int c = 0; c < 3; c++) g[c] *= unit;
      add_pair(i, exchange.ghosts.atoms[rows.senders[p]], &rows.vectors[3 * p], g);
    }
  }
  if (wants_centroid()) add_centroid_virial();
  if (coulomb.active()) add_coulomb();
  if (coulomb.settings.write) write_charges();
}

// With r = x_j - x_i and g = +dE/dr: f_i += g, f_j -= g, and the pair's virial is (x_i - x_j) f_i = -r g,
// in LAMMPS's order xx, yy, zz, xy, xz, yz, half of it to each atom.
//
// The heat current of site energies U_i is sum_i U_i v_i + sum_j W_j v_j with W_j = -sum_i (x_j - x_i) dU_i/dx_j (Fan et al.,
// Phys. Rev. B 92, 094301, 2015; LAMMPS's compute centroid/stress/atom: yx, zx, zy follow the six). Where U_i depends on
// the pairs of centre i only, g is dU_i/dx_j and all of -r g belongs to j. Else the potential gives W_j itself.
void PairMLIAPUnified::add_pair(int i, int j, const double *r, const double *g)
{
  double *const *const f = atom->f;
  for (int c = 0; c < 3; c++) {
    f[i][c] += g[c];
    f[j][c] -= g[c];
  }
  if (!vflag_either) return;
  const double v[9] = {-r[0] * g[0], -r[1] * g[1], -r[2] * g[2], -r[0] * g[1], -r[0] * g[2],
                       -r[1] * g[2], -r[1] * g[0], -r[2] * g[0], -r[2] * g[1]};
  for (int c = 0; c < 6; c++) {
    if (vflag_global) virial[c] += v[c];
    if (!vflag_atom) continue;
    vatom[i][c] += 0.5 * v[c];
    vatom[j][c] += 0.5 * v[c];
  }
  for (int c = 0; cvflag_atom && !wants_centroid() && c < 9; c++) cvatom[j][c] += v[c];
}

// Rows of other ranks' atoms hold a part too: LAMMPS adds those of ghosts to their owners'.
void PairMLIAPUnified::add_centroid_virial()
{
  static constexpr int order[9] = {0, 4, 8, 1, 2, 5, 3, 6, 7};    // of xx, yy, zz, xy, xz, yz, yx, zx, zy
  for (size_t row = 0; row < rows.species.size(); row++)
    for (int c = 0; c < 9; c++)
      cvatom[exchange.ghosts.atoms[row]][c] += potential->energy_per_ev * centroid_virial[9 * row + order[c]];
}

void PairMLIAPUnified::finish()
{
  if (!potential) return;
  std::string text;
  const bool good = potential->report(minimizer_is_stuck(*update), text, failure);
  raise_on_all(lmp, !good, 0, failure, "report at the end of the run");
  if (comm->me == 0 && !text.empty()) utils::logmesg(lmp, text.back() == '\n' ? text : text + "\n");
}

double PairMLIAPUnified::memory_usage()
{
  const double results = (node_energies.capacity() + pair_gradient.capacity() + centroid_virial.capacity()) * sizeof(double);
  return Pair::memory_usage() + rows.bytes() + list_age.bytes() + exchange.bytes() + coulomb.bytes() + results;
}

}    // namespace lammps_mace
