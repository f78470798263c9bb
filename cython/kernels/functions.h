// Powers of two, sine and cosine of vectors: a Taylor polynomial of what is left of the argument without whole steps.
#pragma once

#include "vectors.h"

namespace {

// kRound: numbers of this size have no digits after the point, so that adding it rounds.
template <class T> struct Digits;
template <> struct Digits<float> {
  static constexpr int kTerms = 8, kSineTerms = 7, kBits = 23;
  static constexpr float kHighest = 127, kRound = 12582912;    // 1.5 * 2^23
};
template <> struct Digits<double> {
  static constexpr int kTerms = 14, kSineTerms = 11, kBits = 52;
  static constexpr double kHighest = 1023, kRound = 6755399441055744;    // 1.5 * 2^52
};

constexpr double inverse_factorial(int n) { return n < 2 ? 1. : inverse_factorial(n - 1) / n; }
constexpr double power_of_ln2(int n) { return n ? power_of_ln2(n - 1) * 0.69314718055994530942 : 1.; }

// 2^t, from 2^-kHighest to 2^kHighest: what is out of range stays at the ends of it.
template <class T> LM_INLINE Vector<T> power_of_two(Vector<T> t)
{
  using Range = Digits<T>;
  using Integers = typename Simd<T>::integer;
  t = clamped<T>(t, Range::kHighest);
  const Vector<T> shifted = t + Range::kRound, rest = t - (shifted - Range::kRound);
  constexpr int last = Range::kTerms - 1;
  Vector<T> sum = Vector<T>{} + T(power_of_ln2(last) * inverse_factorial(last));
  LM_EACH(k, last, sum = sum * rest + T(power_of_ln2(last - 1 - k) * inverse_factorial(last - 1 - k));)
  // The last digits of `shifted` are the whole steps: they are added to the exponent.
  return (Vector<T>)((Integers)sum + ((Integers)shifted << Range::kBits));
}

// sum_k (-1)^k y^(2k) / (2k + First)!
template <class T, int First> LM_INLINE Vector<T> alternating(Vector<T> squared)
{
  constexpr int n = Digits<T>::kSineTerms;
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
