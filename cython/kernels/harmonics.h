// Real spherical harmonics of unit vectors (polar axis y) and the gradient of a weighted sum of them.
//   Y_{l,+m} = N_lm P_lm(y) Re (z + i x)^m,  Y_{l,-m} = N_lm P_lm(y) Im (z + i x)^m,  m >= 0,
// with P_lm = d^m P_l / dy^m, Legendre's polynomial, and N_lm^2 = (2l + 1) (2 - [m = 0]) (l - m)! / (l + m)!:
// the sum over m of Y^2 is 2l + 1. Order: l, then m from -l to l.
#pragma once

#include "tasks.h"
#include "vectors.h"

namespace {

using lammps_mace::kMaxDegree;

template <class T>
struct Azimuth {  // real and imaginary part of (z + i x)^m
  Vector<T> re[kMaxDegree + 1], im[kMaxDegree + 1];

  LM_INLINE Azimuth(int degree, Vector<T> x, Vector<T> z) {
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
template <class T, class F>
LM_INLINE void legendre(int degree, const double *norms, Vector<T> y, F &&visit) {
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
LM_INLINE void harmonics(int degree, const double *norms, Vector<T> x, Vector<T> y, Vector<T> z, Vector<T> *out) {
  const Azimuth<T> azimuth(degree, x, z);
  legendre<T>(degree, norms, y, [&](int l, int m, T norm, Vector<T> p, Vector<T>) LM_FLAT {
    out[harmonic(l, m)] = norm * p * azimuth.re[m];
    if (m) out[harmonic(l, -m)] = norm * p * azimuth.im[m];
  });
}

// gradient[3] of sum_k adjoints[k] Y_k, with x, y, z taken as independent.
template <class T>
LM_INLINE void harmonics_gradient(int degree, const double *norms, Vector<T> x, Vector<T> y, Vector<T> z,
                                  const Vector<T> *adjoints, Vector<T> *gradient) {
  const Azimuth<T> azimuth(degree, x, z);
  Vector<T> gx = {}, gy = {}, gz = {};
  legendre<T>(degree, norms, y, [&](int l, int m, T norm, Vector<T> p, Vector<T> slope) LM_FLAT {
    const Vector<T> up = norm * adjoints[harmonic(l, m)];
    if (!m) {
      gy += up * slope;
      return;
    }
    const Vector<T> down = norm * adjoints[harmonic(l, -m)];
    gy += (up * azimuth.re[m] + down * azimuth.im[m]) * slope;
    gx += T(m) * p * (down * azimuth.re[m - 1] - up * azimuth.im[m - 1]);
    gz += T(m) * p * (up * azimuth.re[m - 1] + down * azimuth.im[m - 1]);
  });
  gradient[0] = gx, gradient[1] = gy, gradient[2] = gz;
}

}  // namespace
