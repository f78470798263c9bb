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

template <class T> struct Simd;
template <> struct Simd<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef float loose __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef std::int32_t integer __attribute__((vector_size(kVectorBytes)));
  typedef std::uint32_t natural __attribute__((vector_size(kVectorBytes)));
};
template <> struct Simd<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef double loose __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef std::int64_t integer __attribute__((vector_size(kVectorBytes)));
  typedef std::uint64_t natural __attribute__((vector_size(kVectorBytes)));
};

template <class T> using Vector = typename Simd<T>::type;
template <class T> constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(T));

template <class T> LM_INLINE Vector<T> load(const T *p) { return *reinterpret_cast<const typename Simd<T>::loose *>(p); }

template <class T> LM_INLINE void store(T *p, Vector<T> v) { *reinterpret_cast<typename Simd<T>::loose *>(p) = v; }

// The first n lanes only, zeros behind them; n is the vector width unless Tail.
template <bool Tail, class T> LM_INLINE Vector<T> load_some(const T *p, int n)
{
  if constexpr (!Tail) return load(p);
  Vector<T> v = {};
  std::memcpy(&v, p, sizeof(T) * n);
  return v;
}

template <bool Tail, class T> LM_INLINE void store_some(T *p, Vector<T> v, int n)
{
  if constexpr (Tail)
    std::memcpy(p, &v, sizeof(T) * n);
  else
    store(p, v);
}

// Holds a vector in a register. Where one is used twice, the compiler would rather read it twice, as an operand of each
// instruction, but the kernels have more to read than to compute.
template <class V> LM_INLINE void hold(V &v)
{
#if defined(__x86_64__)
  asm volatile("" : "+v"(v));
#elif defined(__aarch64__)
  asm volatile("" : "+w"(v));
#else
  static_cast<void>(v);
#endif
}

template <class T> LM_INLINE Vector<T> shuffle(Vector<T> u, Vector<T> v, typename Simd<T>::integer lanes)
{
#if defined(__clang__)
  Vector<T> out;
  for (int i = 0; i < kWidth<T>; i++) out[i] = lanes[i] < kWidth<T> ? u[lanes[i]] : v[lanes[i] - kWidth<T>];
  return out;
#else
  return __builtin_shuffle(u, v, lanes);
#endif
}

LM_INLINE float root(float x) { return __builtin_sqrtf(x); }
LM_INLINE double root(double x) { return __builtin_sqrt(x); }

template <class T> LM_INLINE Vector<T> roots(Vector<T> v)
{
  T lanes[kWidth<T>];
  store(lanes, v);
  for (T &x : lanes) x = root(x);
  return load(lanes);
}

// 1 / x to rounding.
template <class T> LM_INLINE Vector<T> reciprocal(Vector<T> x)
{
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {    // 14 bits, then twice as many: a quarter of the time of a division
    const Vector<T> near = __builtin_ia32_rcp14ps512_mask(x, Vector<T>{}, static_cast<std::uint16_t>(-1));
    return near + near * (1 - x * near);
  }
#endif
  return 1 / x;
}

// The numbers from -limit to limit; what is outside becomes the nearer end. Of one sign, numbers are in the order of
// their bits: whole numbers have a minimum in one instruction whatever is said about not-a-number.
template <class T> LM_INLINE Vector<T> clamped(Vector<T> x, T limit)
{
  using Integers = typename Simd<T>::integer;
  using Naturals = typename Simd<T>::natural;
  const auto highest = (Integers)(Vector<T>{} + limit), bits = (Integers)x < highest ? (Integers)x : highest;
  const auto lowest = (Naturals)(Vector<T>{} - limit);
  return (Vector<T>)((Naturals)bits < lowest ? (Naturals)bits : lowest);
}

// For u and v that hold n values each, spread over groups of W / n lanes: the same values, u's before v's, each summed
// to half as many lanes.
template <class T, int n> LM_INLINE Vector<T> fold(Vector<T> u, Vector<T> v)
{
  constexpr int W = kWidth<T>, half = W / n / 2;
  typename Simd<T>::integer low = {}, high = {};
  for (int i = 0; i < W; i++) {
    const int group = i / half, lane = group % n * 2 * half + i % half + (group < n ? 0 : W);
    low[i] = lane, high[i] = lane + half;
  }
  return shuffle<T>(u, v, low) + shuffle<T>(u, v, high);
}

// The sums over the lanes of n vectors, n a power of two up to W, each in a group of W / n lanes.
template <class T, int n> LM_INLINE Vector<T> sums(const Vector<T> *v)
{
  if constexpr (n == 1)
    return v[0];
  else
    return fold<T, n / 2>(sums<T, n / 2>(v), sums<T, n / 2>(v + n / 2));
}

// unrolled<N>([&](auto i) { ... }): i is a compile-time constant, so that arrays of vectors stay in registers.
template <class F, int... I> LM_INLINE void unrolled_over(F &&f, std::integer_sequence<int, I...>)
{
  (f(std::integral_constant<int, I>{}), ...);
}

template <int N, class F> LM_INLINE void unrolled(F &&f) { unrolled_over(f, std::make_integer_sequence<int, N>{}); }

}    // namespace

#define LM_EACH(i, n, ...) \
  unrolled<n>([&](auto i##_) LM_FLAT { \
    constexpr int i = decltype(i##_)::value; \
    __VA_ARGS__ \
  });
