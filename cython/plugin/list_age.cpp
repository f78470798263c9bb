// Whether atoms have moved so far since neighbour lists were made that a pair can be missing in them.
#include "list_age.h"

#include "domain.h"
#include "neighbor.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

using namespace LAMMPS_NS;

namespace lammps_mace {

namespace {

  // How far all pairs of the model's atoms are in the lists.
  double reach(const Neighbor &neighbor, const ModelSpecies &species)
  {
    double square = std::numeric_limits<double>::infinity();
    const auto in_model = [&](size_t type) { return species.of_type[type - 1] >= 0; };
    for (size_t i = 1; i <= species.of_type.size(); i++)
      for (size_t j = 1; in_model(i) && j <= i; j++)
        if (in_model(j)) square = std::min(square, neighbor.cutneighsq[i][j]);
    return std::sqrt(square);
  }

  // LAMMPS compares positions in each step, unless the user told it to look rarely. A box that changes makes it do with less
  // motion, but it makes no lists where no atom moves at all.
  bool looks_itself(const Neighbor &neighbor)
  {
    return !neighbor.build_once && neighbor.dist_check && neighbor.every == 1 && neighbor.delay == 0;
  }

}    // namespace

void ListAge::remember(const Atom &atom, const Domain &domain)
{
  positions.clear();
  if (atom.nlocal) positions.assign(atom.x[0], atom.x[0] + 3 * int64_t(atom.nlocal));
  std::copy_n(domain.h, box.size(), box.begin());
}

double ListAge::farthest(const Atom &atom, const Neighbor &neighbor, const ModelSpecies &species)
{
  double largest = 0.0, next = 0.0;
  int64_t at = -1;
  const bool compare = !looks_itself(neighbor) && positions.size() == 3 * size_t(atom.nlocal);
  const int64_t n = compare ? atom.nlocal : 0;
  for (int64_t i = 0; i < n; i++) {
    const double *const x = atom.x[i], *const old = &positions[3 * i];
    const double d[3] = {x[0] - old[0], x[1] - old[1], x[2] - old[2]};
    const double square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    if (square <= next || species(atom, i) < 0) continue;
    next = std::min(square, largest);
    if (square > largest) largest = square, at = i;
  }
  first = std::sqrt(largest);
  second = std::sqrt(next);
  tag = at < 0 ? 0 : atom.tag[at];
  return first;
}

std::string ListAge::too_old(double farthest_of_all, const Domain &domain, const Neighbor &neighbor,
                             const ModelSpecies &species, double cutoff, MPI_Comm world) const
{
  const double change = box_change(domain), margin = reach(neighbor, species) - cutoff;
  if (2.0 * farthest_of_all + change <= margin) return "";
  struct {
    double distance;
    int rank;
  } mine = {first, 0}, most;
  MPI_Comm_rank(world, &mine.rank);
  MPI_Allreduce(&mine, &most, 1, MPI_DOUBLE_INT, MPI_MAXLOC, world);
  double other = mine.rank == most.rank ? second : first;
  MPI_Allreduce(MPI_IN_PLACE, &other, 1, MPI_DOUBLE, MPI_MAX, world);
  if (most.distance + other + change <= margin) return "";
  int64_t id = tag;
  MPI_Bcast(&id, 1, MPI_INT64_T, most.rank, world);
  char text[512];
  std::snprintf(text, sizeof text,
                "pair_style mliap unified: since neighbour lists were made, atom ID %lld has moved %.3g, another %.3g "
                "and the box %.3g Angstrom, together more than the %.3g that lists reach beyond the model: pairs may be "
                "missing: write "
                "`neigh_modify every 1 delay 0 check %s once no`",
                (long long)id, most.distance, other, change, margin, looks_itself(neighbor) ? "no" : "yes");
  return text;
}

// How much a vector between images of an atom has changed at most, for images up to one box length away in each direction.
double ListAge::box_change(const Domain &domain) const
{
  std::array<double, 6> d;    // of the edges (0, 0, 0), (5, 1, 0), (4, 3, 2): their components in h
  for (size_t k = 0; k < d.size(); k++) d[k] = domain.h[k] - box[k];
  double largest = 0.0;
  for (int a = -domain.xperiodic; a <= domain.xperiodic; a++)
    for (int b = -domain.yperiodic; b <= domain.yperiodic; b++)
      for (int c = -domain.zperiodic; c <= domain.zperiodic; c++)
        largest = std::max(largest, std::hypot(a * d[0] + b * d[5] + c * d[4], b * d[1] + c * d[3], c * d[2]));
  return largest;
}

}    // namespace lammps_mace
