// SIMD vectors as wide as the instruction set this file is compiled for, and loops unrolled at compile time.
// Everything here is inline and internal: code for one instruction set must never be shared with another.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define LM_FLAT __attribute__((always_inline))
#define LM_INLINE LM_FLAT inline

namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct Simd;
template <>
struct Simd<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef float loose __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef std::int32_t integer __attribute__((vector_size(kVectorBytes)));
};
template <>
struct Simd<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef double loose __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef std::int64_t integer __attribute__((vector_size(kVectorBytes)));
};

template <class T>
using Vector = typename Simd<T>::type;
template <class T>
constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
LM_INLINE Vector<T> load(const T *p) {
  return *reinterpret_cast<const typename Simd<T>::loose *>(p);
}

template <class T>
LM_INLINE void store(T *p, Vector<T> v) {
  *reinterpret_cast<typename Simd<T>::loose *>(p) = v;
}

// The first n lanes only, zeros behind them; n is the vector width unless Tail.
template <bool Tail, class T>
LM_INLINE Vector<T> load_some(const T *p, int n) {
  if constexpr (!Tail) return load(p);
  Vector<T> v = {};
  std::memcpy(&v, p, sizeof(T) * n);
  return v;
}

template <bool Tail, class T>
LM_INLINE void store_some(T *p, Vector<T> v, int n) {
  if constexpr (Tail)
    std::memcpy(p, &v, sizeof(T) * n);
  else
    store(p, v);
}

LM_INLINE float root(float x) { return __builtin_sqrtf(x); }
LM_INLINE double root(double x) { return __builtin_sqrt(x); }

template <class T>
LM_INLINE T sum(Vector<T> v) {
  alignas(kVectorBytes) T lanes[kWidth<T>];
  store(lanes, v);
  for (int half = kWidth<T> / 2; half >= 1; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}

// unrolled<N>([&](auto i) { ... }): i is a compile-time constant, so that arrays of vectors stay in registers.
template <class F, int... I>
LM_INLINE void unrolled_over(F &&f, std::integer_sequence<int, I...>) {
  (f(std::integral_constant<int, I>{}), ...);
}

template <int N, class F>
LM_INLINE void unrolled(F &&f) {
  unrolled_over(f, std::make_integer_sequence<int, N>{});
}

}  // namespace

#define LM_EACH(i, n, ...) \
  unrolled<n>([&](auto i##_) LM_FLAT { constexpr int i = decltype(i##_)::value; __VA_ARGS__ });
