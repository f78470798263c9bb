// Rows of features between the ranks: from their owners to the copies on other ranks, and back.
#include "halo_exchange.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>

namespace lammps_mace {
namespace {

  enum Tag { asked_for = 7101, forward = 7102, reverse = 7103, offer = 7104, answer = 7105, written = 7106 };

  // The same number for all processes that run on one kernel; 0 where nobody can tell, and where memory is not to be shared.
  uint64_t this_machine()
  {
    const char *const wish = std::getenv("LAMMPS_MACE_SHARED_MEMORY");
    if (wish && std::strcmp(wish, "0") == 0) return 0;
    std::string boot;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
    return boot.empty() ? 0 : std::hash<std::string>()(boot);
  }

  template <typename T> void add(char *row, const char *terms, int bytes)
  {
    T *const __restrict sums = reinterpret_cast<T *>(row);
    const T *const __restrict given = reinterpret_cast<const T *>(terms);
    for (int k = 0; k < bytes / int(sizeof(T)); k++) sums[k] += given[k];
  }

}    // namespace

std::vector<HaloExchange::Peer> HaloExchange::peers(const std::vector<int> &counts)
{
  std::vector<Peer> found;
  int64_t first = 0;
  for (int rank = 0; rank < int(counts.size()); first += counts[rank++])
    if (counts[rank]) found.push_back({rank, counts[rank], first});
  return found;
}

bool HaloExchange::plan(const std::vector<Owner> &owners_of_copies, int64_t n_own, int widest_row)
{
  int ranks;
  MPI_Comm_size(world, &ranks);
  std::vector<int> needed(ranks, 0), asked(ranks, 0);
  for (const Owner &owner : owners_of_copies) needed[owner.rank]++;
  MPI_Alltoall(needed.data(), 1, MPI_INT, asked.data(), 1, MPI_INT, world);
  n_local = n_own;
  owners = peers(needed);
  readers = peers(asked);

  std::vector<int32_t> wanted;
  for (const Owner &owner : owners_of_copies) wanted.push_back(owner.index);
  sent.resize(readers.empty() ? 0 : readers.back().first + readers.back().count);
  post(readers, sent.data(), owners, wanted.data(), sizeof(int32_t), Tag::asked_for);
  wait();
  share_windows(int64_t(std::max(sent.size(), wanted.size())) * widest_row);
  requests.reserve(owners.size() + readers.size() + 2 * sharers.size());    // in a step nothing may throw: C has called us
  const auto shares = [](const Peer &peer) { return peer.window != nullptr; };
  packed.clear();
  packed.resize(std::all_of(readers.begin(), readers.end(), shares) ? 0 : sent.size() * size_t(widest_row));
  return std::all_of(sent.begin(), sent.end(), [&](int32_t row) { return 0 <= row && row < n_local; });
}

// An item goes to each peer and one comes from it.
template <typename T>
std::vector<T> HaloExchange::swapped(const std::vector<Peer> &with, const std::vector<T> &given, int tag)
{
  std::vector<T> taken(given.size());
  post(with, taken.data(), with, given.data(), sizeof(T), tag);
  wait();
  return taken;
}

// Two ranks share their windows if each can read that of the other.
void HaloExchange::share_windows(int64_t bytes)
{
  if (machines.empty()) find_machines();
  std::map<int, Offer> offers;    // to ranks on this machine
  for (const Peer &owner : owners)
    if (is_near(owner.rank)) offers[owner.rank].first_copy = owner.first;
  for (const Peer &reader : readers)
    if (is_near(reader.rank)) offers[reader.rank].first_sent = reader.first;
  constexpr int64_t line = 64;    // halves begin at a cache line
  if (!offers.empty() && window.address().bytes < 2 * bytes)
    window = SharedMemory::made(2 * line * (bytes * 9 / 8 / line + 1));

  std::vector<Peer> near;
  std::vector<Offer> given;
  for (auto &[rank, offer] : offers) {
    near.push_back({rank, 1, int64_t(near.size())});
    offer.window = window.address();
    given.push_back(offer);
  }
  const std::vector<Offer> taken = swapped(near, given, Tag::offer);
  std::vector<int> seen;
  for (const Peer &peer : near) {
    SharedMemory &theirs = windows[peer.rank];
    const SharedMemory::Address &address = taken[peer.first].window;
    if (!(theirs.address() == address)) theirs = SharedMemory::found(address);
    seen.push_back(window.data() && theirs.data());
  }
  const std::vector<int> seen_there = swapped(near, seen, Tag::answer);

  half = 0;
  sharers.clear();
  std::map<int, SharedMemory> kept;
  for (const Peer &peer : near) {
    if (!seen[peer.first] || !seen_there[peer.first]) continue;
    sharers.push_back({peer.rank, 0, 0});
    const SharedMemory &theirs = kept[peer.rank] = std::move(windows[peer.rank]);
    for (Peer &owner : owners)
      if (owner.rank == peer.rank) owner.window = &theirs, owner.first_there = taken[peer.first].first_sent;
    for (Peer &reader : readers)
      if (reader.rank == peer.rank) reader.window = &theirs, reader.first_there = taken[peer.first].first_copy;
  }
  windows.swap(kept);
}

void HaloExchange::find_machines()
{
  int ranks;
  MPI_Comm_size(world, &ranks);
  MPI_Comm_rank(world, &me);
  const uint64_t machine = this_machine();
  machines.resize(ranks);
  MPI_Allgather(&machine, 1, MPI_UINT64_T, machines.data(), 1, MPI_UINT64_T, world);
}

// Messages to and from peers that share no window. A row is one item, so that counts fit MPI's int.
void HaloExchange::post(const std::vector<Peer> &from, void *in, const std::vector<Peer> &to, const void *out, int bytes,
                        int tag)
{
  MPI_Datatype row;
  MPI_Type_contiguous(bytes, MPI_BYTE, &row);
  MPI_Type_commit(&row);
  for (const Peer &peer : from)
    if (!peer.window)
      MPI_Irecv(static_cast<char *>(in) + peer.first * bytes, peer.count, row, peer.rank, tag, world,
                &requests.emplace_back());
  for (const Peer &peer : to)
    if (!peer.window)
      MPI_Isend(static_cast<const char *>(out) + peer.first * bytes, peer.count, row, peer.rank, tag, world,
                &requests.emplace_back());
  MPI_Type_free(&row);
}

void HaloExchange::wait()
{
  MPI_Waitall(int(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  requests.clear();
}

// Until all that share windows with this rank have written theirs.
void HaloExchange::wait_for_windows()
{
  std::atomic_thread_fence(std::memory_order_seq_cst);
  post(sharers, nullptr, sharers, nullptr, 1, Tag::written);
  wait();
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

char *HaloExchange::copies(const Rows &rows) const { return owners.empty() ? nullptr : rows.of(n_local); }

void HaloExchange::to_copies(const Rows &rows)
{
  for (const Peer &reader : readers) {
    char *next = (reader.window ? half_of(window) : packed.data()) + reader.first * rows.bytes;
    for (int k = 0; k < reader.count; k++, next += rows.bytes)
      std::memcpy(next, rows.of(sent[reader.first + k]), size_t(rows.bytes));
  }
  post(owners, copies(rows), readers, packed.data(), rows.bytes, Tag::forward);
  wait_for_windows();
  for (const Peer &owner : owners) {
    if (!owner.window) continue;
    std::memcpy(copies(rows) + owner.first * rows.bytes, rows_there(owner, rows.bytes), size_t(owner.count) * rows.bytes);
  }
  half = 1 - half;
}

void HaloExchange::to_owners(const Rows &rows)
{
  for (const Peer &owner : owners) {
    if (!owner.window) continue;
    const int64_t first = owner.first * rows.bytes;
    std::memcpy(half_of(window) + first, copies(rows) + first, size_t(owner.count) * rows.bytes);
  }
  post(readers, packed.data(), owners, copies(rows), rows.bytes, Tag::reverse);
  wait_for_windows();
  const auto add_row = rows.item_bytes == 4 ? add<float> : add<double>;
  for (const Peer &reader : readers) {
    const char *terms = reader.window ? rows_there(reader, rows.bytes) : packed.data() + reader.first * rows.bytes;
    for (int k = 0; k < reader.count; k++, terms += rows.bytes) add_row(rows.of(sent[reader.first + k]), terms, rows.bytes);
  }
  half = 1 - half;
}

}    // namespace lammps_mace
