// Rows of numbers times a packed matrix, see kernels/packing.py: nothing is rearranged in a call, so that products of few
// rows are as fast as those of many.
#pragma once

#include <algorithm>

#include "tasks.h"
#include "vectors.h"

namespace {

using namespace lammps_mace;

// A tile of the result stays in registers: kRows rows of kVectors vectors, with what is multiplied beside them.
constexpr int kRows = kVectorBytes == 64 ? 12 : 6, kVectors = 2;

template <class T> constexpr int kColumns = kVectors * kWidth<T>;

template <class T> struct Tile {
  const T *rows, *panel;
  std::int64_t in, out;
  T *result;
};

// What becomes of the sums of a tile of R rows, [row][vector], before they are stored.
struct Unchanged {
  template <int R, class V> LM_INLINE void apply(V *) const {}
};

// R rows, kColumns columns of which `columns` exist.
template <class T, int R, class Finish> void multiply_tile(const Tile<T> &tile, int columns, const Finish &finish)
{
  constexpr int W = kWidth<T>;
  const std::int64_t in = tile.in;
  // Every third row has a pointer, the others are one or two steps away: that fits the registers.
  constexpr int kPointers = (R + 2) / 3;
  const T *at[kPointers];
  LM_EACH(p, kPointers, at[p] = tile.rows + 3 * p * in;)
  Vector<T> sums[R * kVectors] = {};
  const T *panel = tile.panel;
  for (std::int64_t k = 0; k < in; k++, panel += kPanel) {
    Vector<T> column[kVectors];
    LM_EACH(v, kVectors, column[v] = load(panel + v * W);)
    LM_EACH(r, R, {
      const Vector<T> x = at[r / 3][r % 3 * in + k] - Vector<T>{};    // in every lane, loaded once
      LM_EACH(v, kVectors, sums[r * kVectors + v] += x * column[v];)
    })
  }
  finish.template apply<R>(sums);
  LM_EACH(r, R, {
    T *to = tile.result + r * tile.out;
    LM_EACH(v, kVectors, {
      if (columns >= (v + 1) * W)
        store(to + v * W, sums[r * kVectors + v]);
      else if (columns > v * W)
        store_some<true>(to + v * W, sums[r * kVectors + v], columns - v * W);
    })
  })
}

template <class T, int R, class Finish> void multiply_rest(const Tile<T> &tile, int columns, int rows, const Finish &finish)
{
  if (rows == R) return multiply_tile<T, R>(tile, columns, finish);
  if constexpr (R > 1) multiply_rest<T, R - 1>(tile, columns, rows, finish);
}

template <class T, class Finish = Unchanged> void multiply(const LinearTask<T> &task, const Finish &finish = {})
{
  // Rows that stay in the first cache while all columns are computed.
  constexpr std::int64_t block = 8 * kRows;
  for (std::int64_t first = 0; first < task.n_rows; first += block)
    for (int column = 0; column < task.out; column += kColumns<T>) {
      const int columns = std::min(kColumns<T>, task.out - column);
      const T *panel = task.table + column / kPanel * kPanel * std::int64_t(task.in) + column % kPanel;
      Tile<T> tile{task.rows + first * task.in, panel, task.in, task.out, task.result + first * task.out + column};
      std::int64_t left = std::min(block, task.n_rows - first);
      for (; left >= kRows; left -= kRows) {
        multiply_tile<T, kRows>(tile, columns, finish);
        tile.rows += kRows * tile.in, tile.result += kRows * tile.out;
      }
      if (left) multiply_rest<T, kRows - 1>(tile, columns, static_cast<int>(left), finish);
    }
}

}    // namespace
