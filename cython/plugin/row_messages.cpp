// Messages between the ranks: rows of features from their owners to the copies on other ranks, and back.
#include "row_messages.h"

#include <algorithm>
#include <cstring>

namespace lammps_mace {
namespace {

  enum Tag { asked_for = 7101, forward = 7102, reverse = 7103 };

  template <typename T> void add(char *row, const char *terms, int bytes)
  {
    T *const __restrict sums = reinterpret_cast<T *>(row);
    const T *const __restrict given = reinterpret_cast<const T *>(terms);
    for (int k = 0; k < bytes / int(sizeof(T)); k++) sums[k] += given[k];
  }

}    // namespace

std::vector<RowMessages::Peer> RowMessages::peers(const std::vector<int> &counts)
{
  std::vector<Peer> found;
  int64_t first = 0;
  for (int rank = 0; rank < int(counts.size()); first += counts[rank++])
    if (counts[rank]) found.push_back({rank, counts[rank], first});
  return found;
}

bool RowMessages::plan(const std::vector<Owner> &owners_of_copies, int64_t n_own, int widest_row)
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
  packed.clear();
  packed.resize(sent.size() * size_t(widest_row));
  transfer(readers, sent.data(), owners, wanted.data(), sizeof(int32_t), Tag::asked_for);
  return std::all_of(sent.begin(), sent.end(), [&](int32_t row) { return 0 <= row && row < n_local; });
}

// A row is one item, so that counts fit MPI's int.
void RowMessages::transfer(const std::vector<Peer> &from, void *in, const std::vector<Peer> &to, const void *out, int bytes,
                           int tag)
{
  MPI_Datatype row;
  MPI_Type_contiguous(bytes, MPI_BYTE, &row);
  MPI_Type_commit(&row);
  std::vector<MPI_Request> requests(from.size() + to.size());
  MPI_Request *request = requests.data();
  for (const Peer &peer : from)
    MPI_Irecv(static_cast<char *>(in) + peer.first * bytes, peer.count, row, peer.rank, tag, world, request++);
  for (const Peer &peer : to)
    MPI_Isend(static_cast<const char *>(out) + peer.first * bytes, peer.count, row, peer.rank, tag, world, request++);
  MPI_Waitall(int(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  MPI_Type_free(&row);
}

char *RowMessages::copies(const Rows &rows) const
{
  return owners.empty() ? nullptr : rows.of(n_local);
}

void RowMessages::to_copies(const Rows &rows)
{
  for (size_t k = 0; k < sent.size(); k++) std::memcpy(&packed[k * rows.bytes], rows.of(sent[k]), rows.bytes);
  transfer(owners, copies(rows), readers, packed.data(), rows.bytes, Tag::forward);
}

void RowMessages::to_owners(const Rows &rows)
{
  transfer(readers, packed.data(), owners, copies(rows), rows.bytes, Tag::reverse);
  const auto add_row = rows.item_bytes == 4 ? add<float> : add<double>;
  for (size_t k = 0; k < sent.size(); k++) add_row(rows.of(sent[k]), &packed[k * rows.bytes], rows.bytes);
}

}    // namespace lammps_mace
