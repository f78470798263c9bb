// The backward pass of one path, or of a group of paths from one source, for the edges of one atom.
// Sums over the channels of a panel stay in registers: the adjoint of the path's matrix.
#pragma once

#include "backward_edge.h"

namespace {

// Whole blocks of channels: [begin, end).
struct Panel {
  int begin, end;
};

// What fits the registers: accumulators of a matrix beside the other vectors, and of a tile.
constexpr int kAtOnce = kVectorBytes == 64 ? 21 : 7, kTileSize = kVectorBytes == 64 ? 25 : 10;

// One path of a group, one block of channels: the adjoints of its source and of its matrix.
template <class T, class Member, class Edge>
LM_INLINE void backward_member(const Edge &edge, const PathAt<T> &path, int channel, const Vector<T> *source, Vector<T> r,
                               Vector<T> slope, Vector<T> *dsource, Vector<T> *dmatrix, Vector<T> &along)
{
  constexpr int N = 2 * Member::source + 1, M = 2 * Member::target + 1, W = kWidth<T>;
  const T *matrix = edge.matrices + path.matrix;
  Vector<T> s[N], q[N] = {};
  LM_EACH(k, N, s[k] = r * source[k];)
  LM_EACH(m, M, {
    const Vector<T> adjoint = load(path.adjoint + m * path.stride + channel);
    if constexpr (Member::scalar)
      q[m] = matrix[0] * adjoint;
    else
      LM_EACH(k, N, q[k] += matrix[(m * N + k) * W] * adjoint; dmatrix[m * N + k] += adjoint * s[k];)
  })
  along += slope * give_back<T, N>(r, source, q, dsource);
}

// The same for all paths of a group; the adjoints of their matrices follow each other from First on.
template <class T, int First, class Member, class... Rest, class Edge>
LM_INLINE void backward_members(const Edge &edge, const PathAt<T> *paths, int channel, const Vector<T> *source,
                                const Vector<T> *r, const Vector<T> *slope, Vector<T> *dsource, Vector<T> *dmatrix,
                                Vector<T> &along)
{
  backward_member<T, Member>(edge, *paths, channel, source, *r, *slope, dsource, dmatrix + First, along);
  if constexpr (sizeof...(Rest) > 0)
    backward_members<T, First + kEntries<Member>, Rest...>(edge, paths + 1, channel, source, r + 1, slope + 1, dsource,
                                                           dmatrix, along);
}

template <class T, int First, class Member, class... Rest, class Edge>
LM_INLINE void add_members(const Edge &edge, const PathAt<T> *paths, const Vector<T> *dmatrix, Share<T> &share)
{
  LM_EACH(k, kEntries<Member>, add_entry(edge, paths->matrix + k * kWidth<T>, dmatrix[First + k], share);)
  if constexpr (sizeof...(Rest) > 0) add_members<T, First + kEntries<Member>, Rest...>(edge, paths + 1, dmatrix, share);
}

// Paths from one source, the edges of a segment, a panel of channels. For matrices that fit the registers together.
template <class T, class Radial, class Member, class... Rest>
void backward_group(const EdgeTask<T> &task, const Batch<T> &batch, const Segment &segment, const PathAt<T> *at, Panel panel,
                    const Shares<T> &shares)
{
  constexpr int N = 2 * Member::source + 1, W = kWidth<T>, kPaths = 1 + sizeof...(Rest);
  const int channels = task.channels;
  // Copies: for all that the compiler knows, a store below might change the originals.
  PathAt<T> paths[kPaths];
  std::int64_t weights[kPaths];
  std::copy_n(at, kPaths, paths);
  LM_EACH(i, kPaths, weights[i] = paths[i].weights;)
  for (int e = segment.begin; e < segment.end; e++) {
    EdgeStart<T, Radial> edge(task, batch, e);
    const T *h = edge.h + paths->source;
    T *dh = edge.dh ? edge.dh + paths->source : nullptr;
    Vector<T> dmatrix[(kEntries<Rest> + ... + (kEntries<Member> + 1))] = {};
    Share<T> share;
    for (int channel = panel.begin; channel < panel.end; channel += W) {
      Vector<T> source[N], dsource[N] = {}, r[kPaths], slope[kPaths];
      LM_EACH(k, N, source[k] = load(h + k * channels + channel);)
      if (dh) LM_EACH(k, N, dsource[k] = load(dh + k * channels + channel);)
      // Opaque: the pieces are read where they are needed and leave their registers to the sums.
      if constexpr (Radial::kSplined) asm("" : "+r"(edge.weights.pieces));
      edge.weights.template both<false, kPaths>(weights, channel, W, r, slope);
      backward_members<T, 0, Member, Rest...>(edge, paths, channel, source, r, slope, dsource, dmatrix, share.along);
      if (dh) LM_EACH(k, N, store(dh + k * channels + channel, dsource[k]);)
    }
    add_members<T, 0, Member, Rest...>(edge, paths, dmatrix, share);
    shares.add(e, share);
  }
}

// Adds what the entries get of N columns and M rows of a matrix, the first at `entry`, over some blocks of channels.
template <class T, int N, int M, class Edge>
LM_INLINE void outer_products(const Edge &edge, std::int64_t entry, const T *adjoint, std::int64_t stride, int blocks,
                              const Vector<T> *s, Share<T> &share)
{
  Vector<T> sums[M * N] = {};
  for (int i = 0; i < blocks; i++, s += N)
    LM_EACH(m, M, {
      const Vector<T> a = load(adjoint + m * stride + i * kWidth<T>);
      LM_EACH(k, N, sums[m * N + k] += a * s[k];)
    })
  LM_EACH(k, M * N, add_entry(edge, entry + k * kWidth<T>, sums[k], share);)
}

// The same for larger matrices: first all but the matrix, for some channels; then the matrix tile by tile.
template <class T, class Radial, int L1, int LO>
LM_INLINE void backward_tiles(int channels, const PathAt<T> &path, const EdgeStart<T, Radial> &edge, Panel panel,
                              Share<T> &share)
{
  constexpr int N = 2 * L1 + 1, M = 2 * LO + 1, W = kWidth<T>, kBlocks = 16;
  constexpr int kTile = kTileSize / N < M ? kTileSize / N : M, kRest = M % kTile;
  const T *h = edge.h + path.source, *matrix = edge.matrices + path.matrix;
  T *dh = edge.dh ? edge.dh + path.source : nullptr;
  Vector<T> s[kBlocks * N];
  for (int start = panel.begin; start < panel.end; start += kBlocks * W) {
    const int blocks = std::min(kBlocks, (panel.end - start) / W);
    for (int i = 0; i < blocks; i++) {
      const int channel = start + i * W;
      Vector<T> r, slope, source[N], dsource[N] = {}, q[N] = {};
      edge.weights.template both<false, 1>(&path.weights, channel, W, &r, &slope);
      LM_EACH(m, M, {
        const Vector<T> adjoint = load(path.adjoint + m * path.stride + channel);
        LM_EACH(k, N, q[k] += matrix[(m * N + k) * W] * adjoint;)
      })
      LM_EACH(k, N, source[k] = load(h + k * channels + channel); s[i * N + k] = r * source[k];)
      if (dh) LM_EACH(k, N, dsource[k] = load(dh + k * channels + channel);)
      share.along += slope * give_back<T, N>(r, source, q, dsource);
      if (dh) LM_EACH(k, N, store(dh + k * channels + channel, dsource[k]);)
    }
    const T *a = path.adjoint + start;
    LM_EACH(t, M / kTile, {
      outer_products<T, N, kTile>(edge, path.matrix + t * kTile * N * W, a + t * kTile * path.stride, path.stride, blocks, s,
                                  share);
    })
    if constexpr (kRest > 0)
      outer_products<T, N, kRest>(edge, path.matrix + (M - kRest) * N * W, a + (M - kRest) * path.stride, path.stride,
                                  blocks, s, share);
  }
}

template <class T, class Radial, int L1, int LO>
void backward_in_tiles(const EdgeTask<T> &task, const Batch<T> &batch, const Segment &segment, const PathAt<T> *paths,
                       Panel panel, const Shares<T> &shares)
{
  const PathAt<T> path = *paths;
  for (int e = segment.begin; e < segment.end; e++) {
    Share<T> share;
    backward_tiles<T, Radial, L1, LO>(task.channels, path, EdgeStart<T, Radial>(task, batch, e), panel, share);
    shares.add(e, share);
  }
}

template <class T, class Radial, class D>
void backward_path(const EdgeTask<T> &task, const Batch<T> &batch, const Segment &segment, const PathAt<T> *path,
                   Panel panel, const Shares<T> &shares)
{
  if constexpr (kEntries<D> <= kAtOnce)
    backward_group<T, Radial, D>(task, batch, segment, path, panel, shares);
  else
    backward_in_tiles<T, Radial, D::source, D::target>(task, batch, segment, path, panel, shares);
}

// The same for the last, incomplete block of channels, whatever the degrees.
template <class T, class Radial>
void backward_tail(int channels, const Path &degrees, const PathAt<T> &path, const EdgeStart<T, Radial> &edge,
                   Share<T> &share)
{
  constexpr int W = kWidth<T>;
  const int N = 2 * degrees.source + 1, M = 2 * degrees.target + 1, n = channels % W, channel = channels - n;
  const bool scalar = degrees.scalar;
  Vector<T> r, slope, dr = {};
  edge.weights.template both<true, 1>(&path.weights, channel, n, &r, &slope);
  for (int k = 0; k < N; k++) {
    const std::int64_t row = path.source + k * channels + channel;
    const Vector<T> source = load_some<true>(edge.h + row, n), s = r * source;
    Vector<T> q = {};
    for (int m = scalar ? k : 0; m < (scalar ? k + 1 : M); m++) {
      const Vector<T> adjoint = load_some<true>(path.adjoint + m * path.stride + channel, n);
      const std::int64_t entry = path.matrix + (scalar ? 0 : (m * N + k) * W);
      q += edge.matrices[entry] * adjoint;
      if (!scalar) add_entry(edge, entry, adjoint * s, share);
    }
    dr += q * source;
    if (edge.dh) store_some<true>(edge.dh + row, load_some<true>(edge.dh + row, n) + r * q, n);
  }
  share.along += slope * dr;
}

}    // namespace
