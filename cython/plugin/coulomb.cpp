// The Coulomb sum of predicted charges: one loop over LAMMPS's full neighbour list, without copies of its pairs.
#include "coulomb.h"

#include "atom.h"
#include "neigh_list.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;

// The fastest the machine has, chosen when the plugin is loaded; the build is for any x86-64.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define FOR_THIS_MACHINE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_THIS_MACHINE
#endif

namespace lammps_mace {
namespace {

  // Sums over the neighbours of one atom: q_j g, and q_j g'/r times the vector and its outer product.
  struct Sums {
    double potential, force[3], virial[6];
  };

  // Branches would keep the compiler from doing several neighbours at once: beyond the damping x = 1, where phi = phi' = 0.
  FOR_THIS_MACHINE
  Sums sum(int n, const double *r2, const double *dx, const double *dy, const double *dz, const double *q, double damping)
  {
    const double inverse_damping = 1.0 / damping;
    double p = 0.0, x = 0.0, y = 0.0, z = 0.0, xx = 0.0, yy = 0.0, zz = 0.0, xy = 0.0, xz = 0.0, yz = 0.0;
#pragma omp simd reduction(+ : p, x, y, z, xx, yy, zz, xy, xz, yz)
    for (int k = 0; k < n; k++) {
      const double r = std::sqrt(r2[k]), far = 1.0 / r, near = 1.0 / std::sqrt(r2[k] + 1.0);
      const double t = std::min(r * inverse_damping, 1.0), t2 = t * t;
      const double phi = 1.0 - t2 * t * (10.0 - t * (15.0 - 6.0 * t));
      const double slope = -30.0 * t2 * (1.0 - t) * (1.0 - t) * inverse_damping;    // dphi/dr
      const double g = phi * near + (1.0 - phi) * far;
      const double dg = slope * (near - far) - phi * r * near * near * near - (1.0 - phi) * far * far;
      const double f = q[k] * dg * far;
      p += q[k] * g;
      x += f * dx[k];
      y += f * dy[k];
      z += f * dz[k];
      xx += f * dx[k] * dx[k];
      yy += f * dy[k] * dy[k];
      zz += f * dz[k] * dz[k];
      xy += f * dx[k] * dy[k];
      xz += f * dx[k] * dz[k];
      yz += f * dy[k] * dz[k];
    }
    return {p, {x, y, z}, {xx, yy, zz, xy, xz, yz}};
  }

}    // namespace

void Coulomb::start(int64_t n_local, int64_t n_total, const double *charges_of_own)
{
  charges.resize(n_total);
  std::copy(charges_of_own, charges_of_own + n_local, charges.begin());
}

// With d = x_j - x_i: f_i = -dE/dx_i = sum_j k q_i q_j g'(r) d / r, and half of the pairs' virial (x_i - x_j) f_i is
// -1/2 d f_i.
void Coulomb::compute(const Atom &atom, const NeighList &list, bool with_virials)
{
  potentials.assign(atom.nlocal, 0.0);
  forces.assign(3 * size_t(atom.nlocal), 0.0);
  virials.assign(with_virials ? 6 * size_t(atom.nlocal) : 0, 0.0);
  for (int k = 0; k < list.inum; k++) {
    const int64_t i = list.ilist[k];
    const int n = gather(atom, list, int(i));
    const double *block = near.data();
    const Sums sums =
        sum(n, block, block + stride, block + 2 * stride, block + 3 * stride, block + 4 * stride, settings.damping);
    potentials[i] = settings.constant * sums.potential;
    const double scale = settings.constant * charges[i];
    for (int c = 0; c < 3; c++) forces[3 * i + c] = scale * sums.force[c];
    for (int c = 0; with_virials && c < 6; c++) virials[6 * i + c] = -0.5 * scale * sums.virial[c];
  }
}

// Packs the neighbours of i inside the cutoff and returns how many there are. Every candidate is written, only those inside
// are counted: no branch to mispredict.
int Coulomb::gather(const Atom &atom, const NeighList &list, int i)
{
  const int count = list.numneigh[i], *neighbours = list.firstneigh[i];
  reserve(int64_t(count) + 1);
  double *const block = near.data();
  double *const *const x = atom.x;
  const double *own = x[i], squared = settings.cutoff * settings.cutoff;
  int n = 0;
  for (int k = 0; k < count; k++) {
    const int j = neighbours[k] & NEIGHMASK;    // the upper bits mark bonded pairs
    const double *other = x[j];
    const double d[3] = {other[0] - own[0], other[1] - own[1], other[2] - own[2]};
    const double r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    block[n] = r2;
    for (int c = 0; c < 3; c++) block[(c + 1) * stride + n] = d[c];
    block[4 * stride + n] = charges[j];
    n += r2 < squared;
  }
  return n;
}

void Coulomb::reserve(int64_t n)
{
  if (n <= stride) return;
  stride = n + n / 4;
  near.resize(5 * stride);
}

double Coulomb::bytes() const
{
  return double(charges.capacity() + potentials.capacity() + forces.capacity() + virials.capacity() + near.capacity()) *
      sizeof(double);
}

}    // namespace lammps_mace
