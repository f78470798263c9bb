// exp, sine and cosine of vectors: a Taylor polynomial of what is left of the argument without whole steps.
#pragma once

#include "vectors.h"

namespace {

// kRound: numbers of this size have no digits after the point, so that adding it rounds.
template <class T> struct Digits;
template <> struct Digits<float> {
  static constexpr int kTerms = 8, kBits = 23, kBias = 127;
  static constexpr float kLowest = -87, kHighest = 88, kRound = 12582912;    // 1.5 * 2^23
  static constexpr float kLn2 = 0.693359375f, kLn2Rest = -2.12194440e-4f;    // the first one is short
};
template <> struct Digits<double> {
  static constexpr int kTerms = 14, kBits = 52, kBias = 1023;
  static constexpr double kLowest = -708, kHighest = 709, kRound = 6755399441055744;    // 1.5 * 2^52
  static constexpr double kLn2 = 6.93145751953125e-1, kLn2Rest = 1.42860682030941723212e-6;
};

constexpr double inverse_factorial(int n) { return n < 2 ? 1. : inverse_factorial(n - 1) / n; }

// 2^n exp(r) with |r| <= ln 2 / 2; what is out of range stays at the ends of it.
template <class T> LM_INLINE Vector<T> exponential(Vector<T> x)
{
  using Range = Digits<T>;
  using Integers = typename Simd<T>::integer;
  constexpr T kLog2e = T(1.4426950408889634074);
  x = x < Range::kLowest ? Vector<T>{} + Range::kLowest : x;
  x = x > Range::kHighest ? Vector<T>{} + Range::kHighest : x;
  const Vector<T> round = Vector<T>{} + Range::kRound, shifted = x * kLog2e + round, n = shifted - round;
  const Vector<T> r = x - n * Range::kLn2 - n * Range::kLn2Rest;
  Vector<T> sum = Vector<T>{} + T(inverse_factorial(Range::kTerms - 1));
  LM_EACH(k, Range::kTerms - 1, sum = sum * r + T(inverse_factorial(Range::kTerms - 2 - k));)
  const Integers power = ((Integers)shifted - (Integers)round + Range::kBias) << Range::kBits;
  return sum * (Vector<T>)power;
}

// sum_k (-1)^k y^(2k) / (2k + First)!
template <class T, int First> LM_INLINE Vector<T> alternating(Vector<T> squared)
{
  constexpr int n = Digits<T>::kTerms;
  constexpr double last = n % 2 ? 1 : -1;
  Vector<T> sum = Vector<T>{} + T(last * inverse_factorial(2 * n - 2 + First));
  LM_EACH(k, n - 1, sum = sum * squared + T((k % 2 ? last : -last) * inverse_factorial(2 * (n - 2 - k) + First));)
  return sum;
}

// sin(pi t) and cos(pi t).
template <class T> LM_INLINE void sine_and_cosine(Vector<T> t, Vector<T> &sine, Vector<T> &cosine)
{
  const Vector<T> round = Vector<T>{} + Digits<T>::kRound;
  const Vector<T> n = t + round - round, odd = n - 2 * (n * T(.5) + round - round), sign = 1 - 2 * odd * odd;
  const Vector<T> y = (t - n) * T(3.14159265358979323846), squared = y * y;
  sine = sign * y * alternating<T, 1>(squared), cosine = sign * alternating<T, 0>(squared);
}

}    // namespace
