// How far the models of a committee are apart: of each atom, and of a whole step as a line of a file.
#include "deviation.h"

#include "exchange_schedule.h"
#include "member.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

namespace lammps_mace {
namespace {

  // Of `n` numbers, `stride` apart. The first is taken away from all: equal numbers have no deviation, to the last bit.
  double variance(const double *numbers, size_t n, size_t stride)
  {
    double sum = 0.0, squares = 0.0;
    for (size_t k = 0; k < n; k++) sum += numbers[k * stride] - numbers[0];
    const double mean = sum / double(n);
    for (size_t k = 0; k < n; k++) {
      const double apart = numbers[k * stride] - numbers[0] - mean;
      squares += apart * apart;
    }
    return squares / double(n);
  }

}    // namespace

void Deviation::compare(const std::vector<Member> &members, ExchangeSchedule &exchange, double energy_unit, MPI_Comm world)
{
  const size_t width = 3 * members.size();
  forces.assign(exchange.ghosts.atoms.size() * width, 0.0);
  virials.assign(6 * members.size(), 0.0);
  for (size_t m = 0; m < members.size(); m++) add_forces(members[m], m, width);
  exchange.add_to_owners(forces.data(), int(width));
  compare_atoms(members, width, energy_unit);
  summarize(members, energy_unit, world);
}

// As PairMLIAPUnified::add_pair: with r = x_j - x_i and g = +dE/dr, f_i += g, f_j -= g and the virial is -r g. Sums are local:
// the compiler cannot know that no atom is its own neighbour.
void Deviation::add_forces(const Member &member, size_t at, size_t width)
{
  if (member.has_list) return add_forces_of_rows(member, at, width);
  double *const mine = forces.data() + 3 * at;
  double all[6] = {};
  const NeighborPairs &pairs = *member.pairs;
  for (size_t i = 0; i < member.node_energies.size(); i++) {
    double f[3] = {}, v[6] = {};
    for (int64_t p = pairs.offsets[i]; p < pairs.offsets[i + 1]; p++) {
      const double *const g = &member.pair_gradient[3 * p], *const r = &pairs.vectors[3 * p];
      const double g0 = g[0], g1 = g[1], g2 = g[2], r0 = r[0], r1 = r[1], r2 = r[2];
      double *const other = mine + pairs.senders[p] * width;
      other[0] -= g0, other[1] -= g1, other[2] -= g2;
      f[0] += g0, f[1] += g1, f[2] += g2;
      v[0] -= r0 * g0, v[1] -= r1 * g1, v[2] -= r2 * g2;
      v[3] -= r0 * g1, v[4] -= r0 * g2, v[5] -= r1 * g2;
    }
    if (member.coulomb.active() && pairs.species[i] >= 0) {
      for (int c = 0; c < 3; c++) f[c] += member.coulomb.force(i)[c];
      for (int c = 0; c < 6; c++) v[c] += member.coulomb.virial(i)[c];
    }
    for (int c = 0; c < 3; c++) mine[i * width + c] += f[c];
    for (int c = 0; c < 6; c++) all[c] += v[c];
  }
  std::copy(all, all + 6, &virials[6 * at]);
}

// A device has made the sums over pairs.
void Deviation::add_forces_of_rows(const Member &member, size_t at, size_t width)
{
  double *const mine = forces.data() + 3 * at, *const all = &virials[6 * at];
  const Coulomb &coulomb = member.coulomb;
  for (size_t row = 0; 3 * row < member.forces.size(); row++)
    for (int c = 0; c < 3; c++) mine[row * width + c] += member.forces[3 * row + c];
  for (int c = 0; c < 6; c++) all[c] = member.virial[c];
  for (size_t i = 0; coulomb.active() && i < member.node_energies.size(); i++) {
    if (member.pairs->species[i] < 0) continue;
    for (int c = 0; c < 3; c++) mine[i * width + c] += coulomb.force(i)[c];
    for (int c = 0; c < 6; c++) all[c] += coulomb.virial(i)[c];
  }
}

void Deviation::compare_atoms(const std::vector<Member> &members, size_t width, double unit)
{
  const size_t n_local = members[0].node_energies.size(), n = members.size();
  std::vector<double> energies(n);
  force.assign(n_local, 0.0);
  energy.assign(n_local, 0.0);
  for (size_t i = 0; i < n_local; i++) {
    if (members[0].pairs->species[i] < 0) continue;
    double squares = 0.0;
    for (int c = 0; c < 3; c++) squares += variance(&forces[i * width + c], n, 3);
    for (size_t m = 0; m < n; m++) energies[m] = members[m].energy_of(i);
    force[i] = unit * std::sqrt(squares);
    energy[i] = unit * std::sqrt(variance(energies.data(), n, 1));
  }
}

void Deviation::summarize(const std::vector<Member> &members, double unit, MPI_Comm world)
{
  const size_t n = members.size();
  double extremes[2] = {0.0, -std::numeric_limits<double>::infinity()};    // the largest, and minus the smallest
  std::vector<double> sums(2 + n, 0.0);                                    // of force deviations, of atoms, energies
  for (size_t i = 0; i < force.size(); i++) {
    if (members[0].pairs->species[i] < 0) continue;
    extremes[0] = std::max(extremes[0], force[i]);
    extremes[1] = std::max(extremes[1], -force[i]);
    sums[0] += force[i];
    sums[1] += 1.0;
    for (size_t m = 0; m < n; m++) sums[2 + m] += members[m].energy_of(i);
  }
  sums.insert(sums.end(), virials.begin(), virials.end());
  MPI_Allreduce(MPI_IN_PLACE, extremes, 2, MPI_DOUBLE, MPI_MAX, world);
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), int(sums.size()), MPI_DOUBLE, MPI_SUM, world);
  of_force = of_virial = {};
  of_energy = 0.0;
  if (sums[1] == 0.0) return;    // no atoms
  const double scale = unit / sums[1];
  of_force = {extremes[0], -extremes[1], sums[0] / sums[1]};
  of_energy = scale * std::sqrt(variance(&sums[2], n, 1));
  of_virial = spread_of_virials(&sums[2 + n], n, scale);
}

// Nine numbers, of which three are others again.
Deviation::Spread Deviation::spread_of_virials(const double *given, size_t n_members, double scale) const
{
  Spread spread = {0.0, std::numeric_limits<double>::infinity(), 0.0};
  for (int c = 0; c < 6; c++) {
    const double squares = variance(given + c, n_members, 6), one = scale * std::sqrt(squares);
    spread.largest = std::max(spread.largest, one);
    spread.smallest = std::min(spread.smallest, one);
    spread.mean += (c < 3 ? 1.0 : 2.0) * one * one / 9.0;
  }
  spread.mean = std::sqrt(spread.mean);    // DeePMD-kit's mean is that of the squares
  return spread;
}

std::string Deviation::header()
{
  char text[256];
  std::snprintf(text, sizeof text, "#%11s %20s %20s %20s %20s %20s %20s %20s", "step", "max_devi_v", "min_devi_v",
                "avg_devi_v", "max_devi_f", "min_devi_f", "avg_devi_f", "devi_e");
  return text;
}

std::string Deviation::line(int64_t step) const
{
  char text[256];
  std::snprintf(text, sizeof text, "%12lld %20.13e %20.13e %20.13e %20.13e %20.13e %20.13e %20.13e",
                static_cast<long long>(step), of_virial.largest, of_virial.smallest, of_virial.mean, of_force.largest,
                of_force.smallest, of_force.mean, of_energy);
  return text;
}

std::string LineFile::open(const std::string &path, bool append)
{
  file.reset(std::fopen(path.c_str(), append ? "a" : "w"));
  return file ? "" : std::strerror(errno);
}

bool LineFile::write(const std::string &line)
{
  return std::fprintf(file.get(), "%s\n", line.c_str()) > 0 && std::fflush(file.get()) == 0;
}

}    // namespace lammps_mace
