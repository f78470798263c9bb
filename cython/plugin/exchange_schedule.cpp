// What ranks do together in a step, in which order: rows of features between owners and their copies, charges, sums.
#include "exchange_schedule.h"

#include "atom.h"
#include "comm.h"
#include "pair.h"

#include <algorithm>
#include <new>

using namespace LAMMPS_NS;

namespace lammps_mace {

void ExchangeSchedule::plan(const std::vector<ModelExchanges> &of_models)
{
  models = of_models;
  n_models_planned = n_with_moments_planned = 0;
  operations.clear();
  ends.clear();
}

void ExchangeSchedule::append(const ModelExchanges &model, int reverses)
{
  constexpr int number = sizeof(double);
  const bool alone = comm->nprocs == 1;
  const auto &rows = model.row_bytes;
  for (auto bytes = rows.begin(); !alone && bytes != rows.end(); bytes++) operations.push_back({Kind::forward, *bytes});
  if (model.charges.predicted) operations.insert(operations.end(), {{Kind::sum, 2 * number}, {Kind::charge, number}});
  if (model.charges.predicted && model.charges.cutoff > 0.0) operations.push_back({Kind::sum, number});
  for (auto bytes = rows.rbegin(); !alone && bytes != rows.rend(); bytes++)
    operations.insert(operations.end(), reverses, {Kind::reverse, *bytes});
  ends.push_back(int(operations.size()));
}

int ExchangeSchedule::widest_row() const
{
  int widest = 2 * sizeof(double);    // the start check's at least
  for (const auto &model : models)
    for (const int bytes : model.row_bytes) widest = std::max(widest, bytes);
  if (models.size() > 1) widest = std::max(widest, int(3 * models.size() * sizeof(double)));    // the forces of all
  return (widest + 7) / 8 * 8;
}

std::vector<Owner> ExchangeSchedule::find_owners(const Atom &atom)
{
  std::vector<Owner> owner_of(atom.nlocal + atom.nghost, {-1, -1, 0});
  for (int i = 0; i < atom.nlocal; i++) owner_of[i] = {comm->me, i, atom.tag[i]};
  copy_to_ghosts(owner_of.data(), sizeof(Owner));
  return owner_of;
}

int64_t ExchangeSchedule::wrong_ghost(const std::vector<Owner> &owner_of, const Atom &atom) const
{
  const int64_t n_local = atom.nlocal, n_total = owner_of.size();
  for (int64_t i = n_local; i < n_total; i++) {
    const Owner owner = owner_of[i];
    const bool known = 0 <= owner.rank && owner.rank < comm->nprocs && 0 <= owner.index;
    if (owner.tag != atom.tag[i] || !known || (owner.rank == comm->me && owner.index >= n_local)) return i;
  }
  return -1;
}

bool ExchangeSchedule::assign_rows(const std::vector<Owner> &owner_of, const Atom &atom, const NeighList &list, double reach)
{
  ghosts.assign(owner_of, comm->me, atom, list, reach);
  return messages.plan(ghosts.owners, atom.nlocal, widest_row());
}

void ExchangeSchedule::begin_step(size_t n_models, size_t n_with_moments)
{
  done = 0;
  lammps_error = nullptr;
  if (n_models == n_models_planned && n_with_moments == n_with_moments_planned) return;
  n_models_planned = n_models;
  n_with_moments_planned = n_with_moments;
  operations.clear();
  ends.clear();
  for (size_t m = 0; m < n_models; m++) append(models[m], m < n_with_moments ? 4 : 1);
}

void ExchangeSchedule::add_to_owners(double *rows, int width)
{
  messages.to_owners({reinterpret_cast<char *>(rows), width * int(sizeof(double)), sizeof(double), nullptr});
}

const char *ExchangeSchedule::exchange(bool reverse, const lammps_mace_rows &given)
{
  const int64_t bytes = given.width * given.item_bytes;
  if (const char *reason = begin(reverse ? Kind::reverse : Kind::forward, bytes)) return reason;
  const Rows rows = {static_cast<char *>(given.first), int(bytes), given.item_bytes, given.row_index};
  if (reverse)
    messages.to_owners(rows);
  else
    messages.to_copies(rows);
  return nullptr;
}

const char *ExchangeSchedule::sum(double *values, int count)
{
  if (const char *reason = begin(Kind::sum, count * int64_t(sizeof(double)))) return reason;
  MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, world);
  return nullptr;
}

const char *ExchangeSchedule::forward_charges(double *charges)
{
  if (const char *reason = begin(Kind::charge, sizeof(double))) return reason;
  try {
    copy_to_ghosts(charges, sizeof(double));
  } catch (...) {
    lammps_error = std::current_exception();
    return "LAMMPS failed to exchange data between ranks";
  }
  return nullptr;
}

// Operation `index` for messages, such as "forward exchange 2".
std::string ExchangeSchedule::named(int index) const
{
  static const char *names[] = {"forward exchange", "sum", "exchange of charges", "reverse exchange"};
  const Kind kind = operations[index].kind;
  const auto same = [kind](const Operation &other) { return other.kind == kind; };
  return std::string(names[int(kind)]) + " " +
      std::to_string(std::count_if(operations.begin(), operations.begin() + index + 1, same));
}

// Every check comes before anything is sent, so that the failing rank can still join the same operation.
const char *ExchangeSchedule::begin(Kind kind, int64_t given)
{
  if (!complete() && operations[done].kind == kind && operations[done].bytes == given) return done++, nullptr;
  try {
    message = refusal(kind, given);
  } catch (const std::bad_alloc &) {    // C has called us
    return "an exchange that the potential has not declared";
  }
  return message.c_str();
}

std::string ExchangeSchedule::refusal(Kind kind, int64_t given) const
{
  if (complete())
    return "more exchanges in a step than the potential has declared (" + std::to_string(operations.size()) + ")";
  if (operations[done].kind != kind)
    return "exchange " + std::to_string(done + 1) + " of a step is " + named(done) + ", not what was asked for";
  return named(done) + " has rows of " + std::to_string(given) + " bytes, declared were " +
      std::to_string(operations[done].bytes);
}

void ExchangeSchedule::join_rest()
{
  // One row stands for all own atoms: a rank that fails for want of memory finds this much.
  const size_t n_copies = ghosts.owners.size(), n_rows = 1 + n_copies;
  std::vector<int32_t> row_index(ghosts.atoms.size(), 0);
  for (size_t k = 0; k < n_copies; k++) row_index[row_index.size() - n_copies + k] = int32_t(1 + k);
  while (!complete()) {
    const auto [kind, bytes] = operations[done];
    const size_t items = kind == Kind::sum ? 1 : kind == Kind::charge ? ghosts.row_of.size() : n_rows;
    std::vector<double> zeros((items * bytes + 7) / 8, 0.0);
    switch (kind) {
      case Kind::sum: sum(zeros.data(), bytes / int(sizeof(double))); break;
      case Kind::charge: forward_charges(zeros.data()); break;
      case Kind::forward:
      case Kind::reverse: exchange(kind == Kind::reverse, {zeros.data(), bytes / 4, 4, row_index.data()}); break;
    }
  }
}

void ExchangeSchedule::copy_to_ghosts(void *given, int bytes)
{
  carried = static_cast<double *>(given);
  per_atom = bytes / int(sizeof(double));
  comm->forward_comm(pair, per_atom);
}

int ExchangeSchedule::pack_forward(int n, const int *list, double *buffer) const
{
  double *end = buffer;
  for (int i = 0; i < n; i++) end = std::copy_n(carried + int64_t(list[i]) * per_atom, per_atom, end);
  return int(end - buffer);
}

void ExchangeSchedule::unpack_forward(int n, int first, const double *buffer)
{
  std::copy_n(buffer, int64_t(n) * per_atom, carried + int64_t(first) * per_atom);
}

}    // namespace lammps_mace
