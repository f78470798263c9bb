// Real spherical harmonics of unit vectors (polar axis y), and their slopes across those vectors.
//   Y_{l,+m} = N_lm P_lm(y) Re (z + i x)^m,  Y_{l,-m} = N_lm P_lm(y) Im (z + i x)^m,  m >= 0,
// with P_lm = d^m P_l / dy^m, Legendre's polynomial, and N_lm^2 = (2l + 1) (2 - [m = 0]) (l - m)! / (l + m)!:
// the sum over m of Y^2 is 2l + 1. Order: l, then m from -l to l.
#pragma once

#include "tasks.h"
#include "vectors.h"

namespace {

using lammps_mace::kMaxDegree;

template <class T> struct Azimuth {    // real and imaginary part of (z + i x)^m
  Vector<T> re[kMaxDegree + 1], im[kMaxDegree + 1];

  LM_INLINE Azimuth(int degree, Vector<T> x, Vector<T> z)
  {
    re[0] = Vector<T>{} + T(1);
    im[0] = Vector<T>{};
    for (int m = 1; m <= degree; m++) {
      re[m] = re[m - 1] * z - im[m - 1] * x;
      im[m] = re[m - 1] * x + im[m - 1] * z;
    }
  }
};

LM_INLINE int harmonic(int l, int m) { return l * l + l + m; }

// Calls visit(l, m, N_lm, P_lm, dP_lm/dy) for all 0 <= m <= l <= degree.
template <class T, class F> LM_INLINE void legendre(int degree, const double *norms, Vector<T> y, F &&visit)
{
  T diagonal = 1;
  for (int m = 0; m <= degree; m++) {
    Vector<T> before = {}, slope_before = {}, p = Vector<T>{} + diagonal, slope = {};
    for (int l = m; l <= degree; l++) {
      visit(l, m, T(norms[l * (degree + 1) + m]), p, slope);
      const T a = T(2 * l + 1) / T(l + 1 - m), b = T(l + m) / T(l + 1 - m);
      const Vector<T> next = a * y * p - b * before, slope_next = a * (p + y * slope) - b * slope_before;
      before = p, slope_before = slope;
      p = next, slope = slope_next;
    }
    diagonal *= T(2 * m + 1);
  }
}

// out[harmonic] of vectors, one edge per lane.
template <class T>
LM_INLINE void harmonics(int degree, const double *norms, Vector<T> x, Vector<T> y, Vector<T> z, Vector<T> *out)
{
  const Azimuth<T> azimuth(degree, x, z);
  legendre<T>(degree, norms, y, [&](int l, int m, T norm, Vector<T> p, Vector<T>) LM_FLAT {
    out[harmonic(l, m)] = norm * p * azimuth.re[m];
    if (m) out[harmonic(l, -m)] = norm * p * azimuth.im[m];
  });
}

// out[harmonic]: their slopes in a direction, with x, y, z taken as independent.
template <class T>
LM_INLINE void harmonic_slopes(int degree, const double *norms, Vector<T> x, Vector<T> y, Vector<T> z,
                               const Vector<T> *direction, Vector<T> *out)
{
  const Azimuth<T> azimuth(degree, x, z);
  legendre<T>(degree, norms, y, [&](int l, int m, T norm, Vector<T> p, Vector<T> slope) LM_FLAT {
    const Vector<T> along_y = norm * slope * direction[1];
    out[harmonic(l, m)] = along_y * azimuth.re[m];
    if (!m) return;
    const Vector<T> along_x = T(m) * norm * p * direction[0], along_z = T(m) * norm * p * direction[2];
    out[harmonic(l, m)] += along_z * azimuth.re[m - 1] - along_x * azimuth.im[m - 1];
    out[harmonic(l, -m)] = along_y * azimuth.im[m] + along_z * azimuth.im[m - 1] + along_x * azimuth.re[m - 1];
  });
}

// Two unit vectors that are perpendicular to unit vectors and to each other (Duff et al., Building an Orthonormal
// Basis, Revisited, 2017), [direction][x, y, z].
template <class T> struct Across {
  Vector<T> direction[2][3];

  LM_INLINE Across(Vector<T> x, Vector<T> y, Vector<T> z)
  {
    const Vector<T> sign = z < T(0) ? Vector<T>{} - T(1) : Vector<T>{} + T(1);
    const Vector<T> a = T(-1) / (sign + z), b = x * y * a;
    direction[0][0] = T(1) + sign * x * x * a, direction[0][1] = sign * b, direction[0][2] = -sign * x;
    direction[1][0] = b, direction[1][1] = sign + y * y * a, direction[1][2] = -y;
  }
};

}    // namespace
