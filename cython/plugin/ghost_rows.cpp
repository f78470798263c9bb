// Which row of features each atom has: one row for an atom of another rank, however many images of it LAMMPS has as ghosts.
#include "ghost_rows.h"

#include "neighbours.h"

using namespace LAMMPS_NS;

namespace lammps_mace {

void GhostRows::find_images(const std::vector<Owner> &owners, int me, int64_t n_own)
{
  n_local = n_own;
  const int64_t n_total = owners.size();
  first_image.resize(n_total);
  is_needed.assign(n_total, 0);
  sent_by_list.clear();
  std::unordered_map<int64_t, int32_t> seen;
  seen.reserve(n_total - n_local);
  for (int64_t i = 0; i < n_total; i++) {
    const Owner owner = owners[i];
    const bool own = i < n_local || (owner.rank == me && owner.index >= 0 && owner.index < n_local);
    const int64_t key = int64_t(owner.rank) << 32 | uint32_t(owner.index);
    first_image[i] = own ? owner.index : seen.try_emplace(key, int32_t(i)).first->second;
  }
}

void GhostRows::need_neighbours(const Atom &atom, const NeighList &list, double reach)
{
  for (int k = 0; k < list.inum; k++)
    each_neighbour(atom, list, reach, list.ilist[k], [&](int j, const double *) { need(j); });
}

void GhostRows::need_sent(int n, const int *list, const double *asked)
{
  for (int i = 0; i < n; i++) {
    if (asked[i] == 0.0) continue;
    need(list[i]);
    sent_by_list[list].push_back(first_image[list[i]]);
  }
}

void GhostRows::number()
{
  const int64_t n_total = first_image.size();
  row_of.assign(n_total, -1);
  atoms.clear();
  for (int64_t i = 0; i < n_total; i++) {
    const int64_t first = first_image[i];
    if (first == i && (i < n_local || is_needed[i])) {
      row_of[i] = int32_t(atoms.size());
      atoms.push_back(int32_t(i));
    } else if (first != i) {
      row_of[i] = row_of[first];
    }
  }
  for (auto &[list, sent] : sent_by_list)
    for (auto &entry : sent) entry = row_of[entry];
}

const std::vector<int32_t> &GhostRows::sent(const int *list) const
{
  static const std::vector<int32_t> none;
  const auto found = sent_by_list.find(list);
  return found == sent_by_list.end() ? none : found->second;
}

double GhostRows::bytes() const
{
  double total = is_needed.capacity() + (row_of.capacity() + atoms.capacity() + first_image.capacity()) * sizeof(int32_t);
  for (const auto &[list, sent] : sent_by_list) total += sent.capacity() * sizeof(int32_t);
  return total;
}

}    // namespace lammps_mace
