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

#include <algorithm>
#include <cstdio>
#include <exception>

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
  if (options.start_check && comm->nprocs > 1) prove_exchange();
  const bool compare = wants_deviation();
  const size_t n_members = compare ? members.size() : n_driving();
  exchange.begin_step(n_members, cvflag_atom ? n_driving() : 0);
  const bool good = run_step(n_members);
  const int stage = exchange.stage();
  if (exchange.lammps_error) std::rethrow_exception(exchange.lammps_error);
  join_rest();
  raise_on_all(lmp, !good, stage, failure, "step " + std::to_string(update->ntimestep));
  if (compare) compare_members();
  for (size_t m = 0; m < n_driving(); m++) add_results(members[m], 1.0 / double(n_driving()), wants_centroid(m));
  if (members[0].coulomb.settings.write) write_charges();
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
  double state[3] = {double(stale), list_age.farthest(*atom, *neighbor, members[0].species), double(close_pairs)};
  MPI_Allreduce(MPI_IN_PLACE, state, 3, MPI_DOUBLE, MPI_MAX, world);
  if (state[2] > 0.0) warn_of_close_pairs();
  if (state[0] > 0.0) return true;
  const std::string reason = list_age.too_old(state[1], *domain, *neighbor, members[0].species, init_one(1, 1), world);
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
    const std::string refusal = exclusions.apply(lmp, *list, members[0].species);
    if (!refusal.empty()) error->all(FLERR, refusal);
    for (Member &member : members) member.species.hidden = members[0].species.hidden;
    const std::vector<Owner> owner_of = exchange.find_owners(*atom);
    const int64_t wrong = exchange.wrong_ghost(owner_of, *atom);
    if (wrong >= 0)
      set_reason(failure,
                 moved_wrongly(finder,
                               "forward: the ghost of atom ID " + std::to_string(atom->tag[wrong]) + " got the row of " +
                                   std::to_string(owner_of[wrong].tag)));
    raise_on_all(lmp, wrong >= 0, 0, failure, "rows of ghosts");
    const bool good = exchange.assign_rows(owner_of, *atom, *list, widest_cutoff() + neighbor->skin);
    if (!good) set_reason(failure, moved_wrongly(finder, "a rank was asked for atoms that it does not have"));
    raise_on_all(lmp, !good, 0, failure, "rows of ghosts");
    const auto keeps_list = [](const Member &member) { return member.potential->keeps_list; };
    if (std::any_of(members.begin(), members.end(), keeps_list)) flat_list.fill(*atom, *list);
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

bool PairMLIAPUnified::run_step(size_t n_members)
{
  try {
    fill_pairs(n_members);
    for (size_t m = 0; m < n_members; m++) {
      Member &member = members[m];
      // A device that has the list finds out what is wrong with its pairs as it evaluates them.
      const bool good = uses_list(member) ? evaluate(member, false) && pairs_are_good(*member.pairs)
                                          : pairs_are_good(*member.pairs) && evaluate(member, wants_centroid(m));
      if (m == 0) count_close_pairs();    // before another member that has the same pairs counts anew
      if (good && member.results_are_finite(failure)) continue;
      member.sign(failure);
      return false;
    }
    return true;
  } catch (const std::exception &error) {    // in practice std::bad_alloc
    set_reason(failure, "no memory for the pairs of " + std::to_string(atom->nlocal) + " atoms: " + error.what());
    return false;
  }
}

// Members that see the same have the same pairs: filled once.
void PairMLIAPUnified::fill_pairs(size_t n_members)
{
  for (size_t m = 0; m < n_members; m++) {
    const Member &member = members[m];
    const auto has_them = [&](const Member &other) { return other.pairs == member.pairs; };
    if (std::any_of(members.begin(), members.begin() + m, has_them)) continue;
    const PythonPotential &model = *member.potential;
    if (uses_list(member))
      member.pairs->fill_atoms(*atom, *list, exchange.ghosts, member.species);
    else
      member.pairs->fill(*atom, *list, exchange.ghosts, member.species, model.cutoff_angstrom, model.closest_angstrom);
  }
}

bool PairMLIAPUnified::pairs_are_good(const NeighborPairs &pairs)
{
  if (pairs.rowless >= 0) {
    set_reason(failure,
               "atom ID " + std::to_string(atom->tag[pairs.rowless]) +
                   " has come into the cutoff from beyond the skin: "
                   "neighbour lists are made too rarely: write `neigh_modify every 1 delay 0 check yes`");
    return false;
  }
  // Such a pair has no direction: networks take it for one that is not there, and their energy jumps.
  if (pairs.coincident < 0) return true;
  set_reason(failure,
             "atom ID " + std::to_string(pairs.tags[pairs.coincident]) +
                 " and another atom are in the same place: "
                 "remove one, for example with `delete_atoms overlap 0.1 all all`");
  return false;
}

lammps_mace_step PairMLIAPUnified::given_to_all()
{
  lammps_mace_step step = {};
  step.n_local = atom->nlocal;
  step.one_domain = comm->nprocs == 1;
  step.positions = atom->nlocal ? atom->x[0] : nullptr;
  step.exchanger = this;
  step.exchange = &exchange_rows;
  step.sum = &sum_over_ranks;
  step.charge = &take_charges;
  step.log = &log_line;
  return step;
}

bool PairMLIAPUnified::evaluate(Member &member, bool centroid)
{
  running = &member;
  if (uses_list(member)) {
    lammps_mace_list given = flat_list.view(*atom, exchange.ghosts, exchange.messages.sent_rows());
    given.wants_virials = vflag_atom != 0;
    if (!member.evaluate_list(given_to_all(), given, failure)) return false;
  } else if (!member.evaluate(given_to_all(), centroid, failure)) {
    return false;
  }
  if (exchange.complete_for(&member - members.data() + 1)) return true;
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

void PairMLIAPUnified::add_results(Member &member, double weight, bool centroid)
{
  const double scale = weight * member.potential->energy_per_ev;
  if (eflag_global) eng_vdwl += scale * member.energy;
  for (int i = 0; eflag_atom && i < atom->nlocal; i++)
    if (member.pairs->species[i] >= 0) eatom[i] += scale * member.node_energies[i];
  if (member.has_list)
    add_rows(member, scale);
  else
    add_pairs(member, scale, centroid);
  if (centroid) add_centroid_virial(member, scale);
  if (member.coulomb.active()) add_coulomb(member, scale);
}

void PairMLIAPUnified::add_pairs(Member &member, double scale, bool centroid)
{
  const NeighborPairs &pairs = *member.pairs;
  for (int i = 0; i < atom->nlocal; i++)
    for (int64_t p = pairs.offsets[i]; p < pairs.offsets[i + 1]; p++) {
      double *const g = &member.pair_gradient[3 * p];
      for (int c = 0; c < 3; c++) g[c] *= scale;
      add_pair(i, exchange.ghosts.atoms[pairs.senders[p]], &pairs.vectors[3 * p], g, !centroid);
    }
}

// Sums over pairs that a device has made.
void PairMLIAPUnified::add_rows(const Member &member, double scale)
{
  for (int c = 0; vflag_global && c < 6; c++) virial[c] += scale * member.virial[c];
  for (size_t row = 0; row < member.pairs->species.size(); row++) {
    const int32_t i = exchange.ghosts.atoms[row];
    for (int c = 0; c < 3; c++) atom->f[i][c] += scale * member.forces[3 * row + c];
    for (int c = 0; vflag_atom && c < 6; c++) vatom[i][c] += scale * member.virials[6 * row + c];
  }
}

// With r = x_j - x_i and g = +dE/dr: f_i += g, f_j -= g, and the pair's virial is (x_i - x_j) f_i = -r g,
// in LAMMPS's order xx, yy, zz, xy, xz, yz, half of it to each atom.
//
// The heat current of site energies U_i is sum_i U_i v_i + sum_j W_j v_j with W_j = -sum_i (x_j - x_i) dU_i/dx_j (Fan et al.,
// Phys. Rev. B 92, 094301, 2015; LAMMPS's compute centroid/stress/atom: yx, zx, zy follow the six). Where U_i depends on
// the pairs of centre i only, g is dU_i/dx_j and all of -r g belongs to j. Else the potential gives W_j itself.
void PairMLIAPUnified::add_pair(int i, int j, const double *r, const double *g, bool with_centroid)
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
  for (int c = 0; cvflag_atom && with_centroid && c < 9; c++) cvatom[j][c] += v[c];
}

// Rows of other ranks' atoms hold a part too: LAMMPS adds those of ghosts to their owners'.
void PairMLIAPUnified::add_centroid_virial(const Member &member, double scale)
{
  static constexpr int order[9] = {0, 4, 8, 1, 2, 5, 3, 6, 7};    // of xx, yy, zz, xy, xz, yz, yx, zx, zy
  for (size_t row = 0; row < member.pairs->species.size(); row++)
    for (int c = 0; c < 9; c++) cvatom[exchange.ghosts.atoms[row]][c] += scale * member.centroid_virial[9 * row + order[c]];
}

void PairMLIAPUnified::finish()
{
  for (const Member &member : members) {
    std::string text;
    const bool good = member.potential->report(minimizer_is_stuck(*update), text, failure);
    raise_on_all(lmp, !good, 0, failure, "report at the end of the run");
    if (comm->me != 0 || text.empty()) continue;
    if (!member.name.empty()) text = "lammps-mace: of " + member.name + ":\n" + text;
    utils::logmesg(lmp, text.back() == '\n' ? text : text + "\n");
  }
  report_close_pairs();
  write_stopped_frame();
}

double PairMLIAPUnified::memory_usage()
{
  double bytes = Pair::memory_usage() + list_age.bytes() + exchange.bytes() + flat_list.bytes();
  for (const Member &member : members) bytes += member.bytes();
  return bytes;
}

}    // namespace lammps_mace
