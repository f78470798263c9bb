// Moves rows of numbers between the ranks' own atoms and their ghosts through LAMMPS's Comm, and sums over the ranks.
#include "exchange.h"

#include "comm.h"
#include "pair.h"

#include <algorithm>
#include <cstring>

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
  int widest = 16;    // two doubles at least: the start check; fetch_owners needs one
  for (const auto &operation : operations)
    if (operation.kind != Kind::sum) widest = std::max(widest, operation.bytes);
  return (widest + 7) / 8;
}

void GhostExchange::begin_step(int64_t n_local_now, int64_t n_total_now)
{
  n_local = n_local_now;
  n_total = n_total_now;
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
    if (kind == Kind::sum) {
      run_sum(reinterpret_cast<double *>(given.first), int(bytes / sizeof(double)));
    } else if (kind == Kind::reverse) {
      add_to_owners(given);
      clear_ghosts();
    } else {
      copy_to_ghosts(given);
    }
  } catch (...) {
    lammps_error = std::current_exception();
    return "LAMMPS failed to exchange data between ranks";
  }
  return nullptr;
}

void GhostExchange::copy_to_ghosts(const Rows &given)
{
  rows = given;
  comm->forward_comm(pair, rows.doubles());
}

void GhostExchange::add_to_owners(const Rows &given)
{
  rows = given;
  comm->reverse_comm(pair, rows.doubles());
}

void GhostExchange::clear_ghosts()
{
  for (int64_t i = n_local; rows && i < n_total; i++) std::memset(rows.of(i), 0, rows.bytes);
}

void GhostExchange::copy_to_ghosts(char *given, int bytes)
{
  copy_to_ghosts(Rows{given, bytes, 0, nullptr});
}

void GhostExchange::add_to_owners(double *given, int bytes)
{
  add_to_owners(Rows{reinterpret_cast<char *>(given), bytes, sizeof(double), nullptr});
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

void GhostExchange::fetch_owners(std::vector<int32_t> &owners, int64_t n_local_now, int64_t n_total_now)
{
  owners.resize(n_total_now);
  for (int64_t i = 0; i < n_local_now; i++) owners[i] = int32_t(i);
  copy_to_ghosts(reinterpret_cast<char *>(owners.data()), sizeof(int32_t));
}

void GhostExchange::transfer(double *buffer, int i, const char *row) const
{
  buffer[(i + 1) * rows.doubles() - 1] = 0.0;    // rows that do not fill their last double
  std::memcpy(buffer + i * rows.doubles(), row, rows.bytes);
}

int GhostExchange::pack_forward(int n, const int *list, double *buffer) const
{
  if (!rows) std::fill(buffer, buffer + n * rows.doubles(), 0.0);
  for (int i = 0; rows && i < n; i++) transfer(buffer, i, rows.of(list[i]));
  return n * rows.doubles();
}

void GhostExchange::unpack_forward(int n, int first, const double *buffer)
{
  for (int i = 0; rows && i < n; i++)
    std::memcpy(rows.of(int64_t(first) + i), buffer + i * rows.doubles(), rows.bytes);
}

int GhostExchange::pack_reverse(int n, int first, double *buffer) const
{
  if (!rows) std::fill(buffer, buffer + n * rows.doubles(), 0.0);
  for (int i = 0; rows && i < n; i++) transfer(buffer, i, rows.of(int64_t(first) + i));
  return n * rows.doubles();
}

void GhostExchange::unpack_reverse(int n, const int *list, const double *buffer)
{
  const auto add_row = rows.item_bytes == 4 ? add<float> : add<double>;
  for (int i = 0; rows && i < n; i++)
    add_row(rows.of(list[i]), reinterpret_cast<const char *>(buffer + i * rows.doubles()), rows.bytes);
}

}    // namespace lammps_mace
