// What the custom calls of the kernels share: the types of their operands, the rows that a chunk fills, scratch memory.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "custom_call.h"
#include "isa.h"

namespace lammps_mace {

using Integers = xla::ffi::Span<const std::int32_t>;
using Reals = xla::ffi::Span<const double>;
using IntBuffer = xla::ffi::Buffer<xla::ffi::S32>;

struct Free {
  void operator()(void *p) const { std::free(p); }
};

// One growing buffer per thread.
inline void *scratch(std::size_t bytes)
{
  thread_local std::unique_ptr<void, Free> memory;
  thread_local std::size_t size = 0;
#ifdef __SANITIZE_ADDRESS__
  constexpr std::size_t unit = 64;
  size = 0;    // a new one, as long as asked for: what goes past its end, or into the last one, is seen
#else
  constexpr std::size_t unit = 4096;
#endif
  if (bytes > size) {
    memory.reset();
    size = 0;
    const std::size_t rounded = (bytes + unit - 1) / unit * unit;
    void *p = std::aligned_alloc(unit, rounded);
    if (!p) throw std::bad_alloc();
    memory.reset(p);
    size = rounded;
  }
  return memory.get();
}

// Rows of the first dimension from `first` on become zero.
inline void clear_from(std::int64_t first, xla::ffi::AnyBuffer &buffer)
{
  const std::int64_t rows = buffer.dimensions()[0];
  if (first == rows) return;
  const std::size_t row_bytes = buffer.size_bytes() / rows;
  std::memset(static_cast<char *>(buffer.untyped_data()) + first * row_bytes, 0, (rows - first) * row_bytes);
}

// Which rows the atoms of a chunk take: the first ones, of one species.
struct Filled {
  std::int32_t species;
  std::int64_t atoms;

  Filled(const IntBuffer &species, const IntBuffer &atoms) : species(species.typed_data()[0]), atoms(atoms.typed_data()[0])
  {}

  xla::ffi::Error check(std::int64_t rows) const
  {
    if (atoms >= 0 && atoms <= rows) return xla::ffi::Error::Success();
    return invalid(std::to_string(atoms) + " atoms in " + std::to_string(rows) + " rows");
  }
};

}    // namespace lammps_mace
