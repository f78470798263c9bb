// Moves rows of numbers between the ranks' own atoms and their ghosts through LAMMPS's Comm.
#include "exchange.h"

#include "comm.h"
#include "pair.h"

#include <algorithm>
#include <cstring>

namespace lammps_mace {
namespace {

  template <typename T> void add(char *row, const char *packed, int bytes)
  {
    for (int at = 0; at < bytes; at += int(sizeof(T))) {
      T sum, term;
      std::memcpy(&sum, row + at, sizeof(T));
      std::memcpy(&term, packed + at, sizeof(T));
      sum += term;
      std::memcpy(row + at, &sum, sizeof(T));
    }
  }

}    // namespace

int GhostExchange::widest_in_doubles() const
{
  const int widest = row_bytes.empty() ? 0 : *std::max_element(row_bytes.begin(), row_bytes.end());
  return std::max(2, (widest + 7) / 8);    // two at least: the start check; fetch_owners needs one
}

void GhostExchange::begin_step(int64_t n_local_now, int64_t n_total_now)
{
  n_local = n_local_now;
  n_total = n_total_now;
  n_forward = n_reverse = 0;
  lammps_error = nullptr;
}

const char *GhostExchange::call(void *self, int reverse, void *rows, int64_t width, int item_bytes)
{
  return static_cast<GhostExchange *>(self)->exchange(reverse != 0, static_cast<char *>(rows), width * item_bytes,
                                                      item_bytes);
}

// Every check comes before anything is sent, so that the failing rank can still join the same exchange.
const char *GhostExchange::refusal(bool reverse, int64_t given)
{
  const int done = reverse ? n_reverse : n_forward;
  if (done >= count())
    message = "more exchanges in a step than exchange_row_bytes declares (" + std::to_string(count()) + ")";
  else if (reverse && n_forward < count())
    message = "reverse exchange before forward exchange " + std::to_string(n_forward + 1) + " of " + std::to_string(count());
  else if (!reverse && n_reverse > 0)
    message = "forward exchange after a reverse exchange";
  else {
    const int expected = reverse ? row_bytes[count() - 1 - done] : row_bytes[done];
    if (given == expected) return nullptr;
    message = std::string(reverse ? "reverse" : "forward") + " exchange " + std::to_string(done + 1) + " has rows of " +
        std::to_string(given) + " bytes, declared were " + std::to_string(expected);
  }
  return message.c_str();
}

const char *GhostExchange::exchange(bool reverse, char *given_rows, int64_t given_bytes, int given_item_bytes)
{
  if (const char *reason = refusal(reverse, given_bytes)) return reason;
  try {
    if (reverse)
      run_reverse(given_rows, int(given_bytes), given_item_bytes);
    else
      run_forward(given_rows, int(given_bytes));
  } catch (...) {
    lammps_error = std::current_exception();
    return "LAMMPS failed to exchange data between ranks";
  }
  return nullptr;
}

void GhostExchange::run_forward(char *given_rows, int given_bytes)
{
  n_forward++;
  copy_to_ghosts(given_rows, given_bytes);
}

void GhostExchange::copy_to_ghosts(char *given_rows, int given_bytes)
{
  rows = given_rows;
  bytes = given_bytes;
  comm->forward_comm(pair, doubles());
}

void GhostExchange::run_reverse(char *given_rows, int given_bytes, int given_item_bytes)
{
  n_reverse++;
  add_to_owners(given_rows, given_bytes, given_item_bytes);
  if (rows) std::memset(rows + n_local * bytes, 0, (n_total - n_local) * bytes);
}

void GhostExchange::add_to_owners(char *given_rows, int given_bytes, int given_item_bytes)
{
  rows = given_rows;
  bytes = given_bytes;
  item_bytes = given_item_bytes;
  comm->reverse_comm(pair, doubles());
}

void GhostExchange::join_rest()
{
  while (n_forward < count()) run_forward(nullptr, row_bytes[n_forward]);
  while (n_reverse < count()) run_reverse(nullptr, row_bytes[count() - 1 - n_reverse], 0);
}

void GhostExchange::fetch_owners(std::vector<int32_t> &owners, int64_t n_local_now, int64_t n_total_now)
{
  owners.resize(n_total_now);
  for (int64_t i = 0; i < n_local_now; i++) owners[i] = int32_t(i);
  copy_to_ghosts(reinterpret_cast<char *>(owners.data()), sizeof(int32_t));
}

void GhostExchange::transfer(double *buffer, int i, const char *row) const
{
  buffer[(i + 1) * doubles() - 1] = 0.0;    // rows that do not fill their last double
  std::memcpy(buffer + i * doubles(), row, bytes);
}

int GhostExchange::pack_forward(int n, const int *list, double *buffer) const
{
  if (!rows) std::fill(buffer, buffer + n * doubles(), 0.0);
  for (int i = 0; rows && i < n; i++) transfer(buffer, i, rows + int64_t(list[i]) * bytes);
  return n * doubles();
}

void GhostExchange::unpack_forward(int n, int first, const double *buffer)
{
  for (int i = 0; rows && i < n; i++)
    std::memcpy(rows + (int64_t(first) + i) * bytes, buffer + i * doubles(), bytes);
}

int GhostExchange::pack_reverse(int n, int first, double *buffer) const
{
  if (!rows) std::fill(buffer, buffer + n * doubles(), 0.0);
  for (int i = 0; rows && i < n; i++) transfer(buffer, i, rows + (int64_t(first) + i) * bytes);
  return n * doubles();
}

void GhostExchange::unpack_reverse(int n, const int *list, const double *buffer)
{
  const auto add_row = item_bytes == 4 ? add<float> : add<double>;
  for (int i = 0; rows && i < n; i++)
    add_row(rows + int64_t(list[i]) * bytes, reinterpret_cast<const char *>(buffer + i * doubles()), bytes);
}

}    // namespace lammps_mace
