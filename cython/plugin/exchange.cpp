// Moves rows of numbers between the ranks' own atoms and their ghosts through LAMMPS's Comm, and sums over the ranks.
#include "exchange.h"

#include "atom.h"
#include "comm.h"
#include "pair.h"

#include <algorithm>
#include <cstring>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  // The numbers that arrive are copied first: LAMMPS's buffer holds doubles, whatever they are.
  template <typename T> void add(char *row, const char *packed, int bytes)
  {
    constexpr int at_once = 64;
    T terms[at_once];
    T *sums = reinterpret_cast<T *>(row);
    const int count = bytes / int(sizeof(T));
    for (int start = 0; start < count; start += at_once) {
      const int n = std::min(at_once, count - start);
      std::memcpy(terms, packed + start * sizeof(T), n * sizeof(T));
      for (int k = 0; k < n; k++) sums[start + k] += terms[k];
    }
  }

}    // namespace

void GhostExchange::plan(const std::vector<int> &row_bytes, const lammps_mace_charges &charges)
{
  constexpr int number = sizeof(double);
  const bool alone = comm->nprocs == 1;
  operations.clear();
  for (auto bytes = row_bytes.begin(); !alone && bytes != row_bytes.end(); bytes++)
    operations.push_back({Kind::forward, *bytes});
  if (charges.predicted) operations.insert(operations.end(), {{Kind::sum, 2 * number}, {Kind::charge, number}});
  if (charges.predicted && charges.cutoff > 0.0) operations.push_back({Kind::sum, number});
  for (auto bytes = row_bytes.rbegin(); !alone && bytes != row_bytes.rend(); bytes++)
    operations.push_back({Kind::reverse, *bytes});
}

int GhostExchange::widest_in_doubles() const
{
  int widest = 16;    // two doubles at least: the start check; assign_rows needs one
  for (const auto &operation : operations)
    if (operation.kind != Kind::sum) widest = std::max(widest, operation.bytes);
  return (widest + 7) / 8;
}

void GhostExchange::assign_rows(const Atom &atom, const NeighList &list, double reach)
{
  n_local = atom.nlocal;
  std::vector<GhostRows::Owner> owners(n_local + atom.nghost);
  for (int64_t i = 0; i < n_local; i++) owners[i] = {comm->me, int32_t(i)};
  copy_to_ghosts(reinterpret_cast<char *>(owners.data()), sizeof(GhostRows::Owner));
  ghosts.find_images(owners, comm->me, n_local);
  ghosts.need_neighbours(atom, list, reach);
  add_to_owners(Carried::needs, {nullptr, sizeof(double), sizeof(double), nullptr});
  ghosts.number();
}

void GhostExchange::begin_step()
{
  done = 0;
  lammps_error = nullptr;
}

const char *GhostExchange::exchange(bool reverse, const lammps_mace_rows &given)
{
  const int64_t bytes = given.width * given.item_bytes;
  return run(reverse ? Kind::reverse : Kind::forward, bytes,
             {static_cast<char *>(given.first), int(bytes), given.item_bytes, given.places});
}

const char *GhostExchange::sum(double *values, int count)
{
  constexpr int item = sizeof(double);
  return run(Kind::sum, count * int64_t(item), {reinterpret_cast<char *>(values), count * item, item, nullptr});
}

const char *GhostExchange::forward_charges(double *charges)
{
  constexpr int item = sizeof(double);
  return run(Kind::charge, item, {reinterpret_cast<char *>(charges), item, item, nullptr});
}

// Operation `index` for messages, such as "forward exchange 2".
std::string GhostExchange::named(int index) const
{
  static const char *names[] = {"forward exchange", "sum", "exchange of charges", "reverse exchange"};
  const Kind kind = operations[index].kind;
  const auto same = [kind](const Operation &other) { return other.kind == kind; };
  return std::string(names[int(kind)]) + " " +
      std::to_string(std::count_if(operations.begin(), operations.begin() + index + 1, same));
}

// Every check comes before anything is sent, so that the failing rank can still join the same operation.
const char *GhostExchange::refusal(Kind kind, int64_t given)
{
  const std::string declared = std::to_string(operations.size());
  if (complete())
    message = "more exchanges in a step than the potential has declared (" + declared + ")";
  else if (operations[done].kind != kind)
    message = "exchange " + std::to_string(done + 1) + " of a step is " + named(done) + ", not what was asked for";
  else if (operations[done].bytes != given)
    message = named(done) + " has rows of " + std::to_string(given) + " bytes, declared were " +
        std::to_string(operations[done].bytes);
  else
    return nullptr;
  return message.c_str();
}

const char *GhostExchange::run(Kind kind, int64_t bytes, const Rows &given)
{
  if (const char *reason = refusal(kind, bytes)) return reason;
  done++;
  try {
    switch (kind) {
      case Kind::sum: run_sum(reinterpret_cast<double *>(given.first), int(bytes / sizeof(double))); break;
      case Kind::charge: copy_to_ghosts(Carried::atoms, given); break;
      case Kind::forward: copy_to_ghosts(Carried::rows, given); break;
      case Kind::reverse:
        add_to_owners(Carried::rows, given);
        clear_ghosts();
        break;
    }
  } catch (...) {
    lammps_error = std::current_exception();
    return "LAMMPS failed to exchange data between ranks";
  }
  return nullptr;
}

void GhostExchange::copy_to_ghosts(Carried what, const Rows &given)
{
  carried = what;
  rows = given;
  comm->forward_comm(pair, rows.doubles());
}

void GhostExchange::add_to_owners(Carried what, const Rows &given)
{
  carried = what;
  rows = given;
  comm->reverse_comm(pair, rows.doubles());
}

void GhostExchange::clear_ghosts()
{
  for (int64_t row = n_local; rows && row < int64_t(ghosts.atoms.size()); row++) std::memset(rows.of(row), 0, rows.bytes);
}

void GhostExchange::copy_to_ghosts(char *given, int bytes)
{
  copy_to_ghosts(Carried::atoms, {given, bytes, 0, nullptr});
}

void GhostExchange::add_to_owners(double *given, int bytes)
{
  add_to_owners(Carried::atoms, {reinterpret_cast<char *>(given), bytes, sizeof(double), nullptr});
}

void GhostExchange::run_sum(double *values, int count)
{
  std::vector<double> mine(count, 0.0), all(count);
  if (values) mine.assign(values, values + count);
  MPI_Allreduce(mine.data(), all.data(), count, MPI_DOUBLE, MPI_SUM, world);
  if (values) std::copy(all.begin(), all.end(), values);
}

void GhostExchange::join_rest()
{
  while (!complete()) run(operations[done].kind, operations[done].bytes, {nullptr, operations[done].bytes, 0, nullptr});
}

// Calls use(row) for what travels with these atoms.
template <typename Use> void GhostExchange::each_sent(int n, const int *list, Use use) const
{
  if (carried == Carried::rows)
    for (const int32_t row : ghosts.sent(list)) use(row);
  else
    for (int i = 0; i < n; i++) use(list[i]);
}

template <typename Use> void GhostExchange::each_received(int n, int first, Use use) const
{
  for (int64_t ghost = first; ghost < int64_t(first) + n; ghost++) {
    if (carried == Carried::atoms)
      use(ghost);
    else if (ghosts.needed(ghost))
      use(ghosts.row_of[ghost]);
  }
}

double *GhostExchange::packed(int64_t row, double *at) const
{
  double *const end = at + rows.doubles();
  end[-1] = 0.0;    // rows that do not fill their last double
  if (rows)
    std::memcpy(at, rows.of(row), rows.bytes);
  else
    std::fill(at, end, 0.0);
  return end;
}

int GhostExchange::pack_forward(int n, const int *list, double *buffer) const
{
  double *end = buffer;
  each_sent(n, list, [&](int64_t row) { end = packed(row, end); });
  return int(end - buffer);
}

void GhostExchange::unpack_forward(int n, int first, const double *buffer)
{
  if (!rows) return;
  each_received(n, first, [&](int64_t row) {
    std::memcpy(rows.of(row), buffer, rows.bytes);
    buffer += rows.doubles();
  });
}

int GhostExchange::pack_reverse(int n, int first, double *buffer) const
{
  double *end = buffer;
  if (carried == Carried::needs)
    for (int i = 0; i < n; i++) *end++ = ghosts.needed(first + i);
  else
    each_received(n, first, [&](int64_t row) { end = packed(row, end); });
  return int(end - buffer);
}

void GhostExchange::unpack_reverse(int n, const int *list, const double *buffer)
{
  if (carried == Carried::needs) return ghosts.need_sent(n, list, buffer);
  if (!rows) return;
  const auto add_row = rows.item_bytes == 4 ? add<float> : add<double>;
  each_sent(n, list, [&](int64_t row) {
    add_row(rows.of(row), reinterpret_cast<const char *>(buffer), rows.bytes);
    buffer += rows.doubles();
  });
}

}    // namespace lammps_mace
