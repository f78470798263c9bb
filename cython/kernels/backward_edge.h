// What the backward pass reads and sums for one edge: where its arrays begin, and its share of the gradient.
#pragma once

#include "edges.h"

namespace {

// Where one path finds its arrays from where those of the edge begin, and its adjoint at the atom in hand.
template <class T> struct PathAt {
  int index;
  std::int64_t weights, matrix, source, stride;
  const T *adjoint;
};

// Where the arrays of one edge begin: radial weights; matrices and their slopes; features of the sender and their adjoint.
template <class T, class Radial> struct EdgeStart {
  Radial weights;
  const T *matrices;
  std::int64_t set;    // from the matrices to their slopes, and to those in the other direction
  const T *h;
  T *dh;

  LM_INLINE EdgeStart(const EdgeTask<T> &task, const Batch<T> &batch, int e)
      : weights(batch, e), matrices(batch.at[e].matrices), set(static_cast<std::int64_t>(task.couplings.rows) * kWidth<T>),
        h(task.sent + batch.at[e].sender), dh(task.sent_adjoint ? task.sent_adjoint + batch.at[e].sender : nullptr)
  {}
};

// An edge's share of the gradient, along it and across it, still to be summed over the lanes.
template <class T> struct Share {
  Vector<T> along = {}, across[2] = {};
};

// The shares of a batch, one array per direction, so that a vector of edges is summed at once.
template <class T> struct Shares {
  Vector<T> *along, *across[2];    // [edge]

  Shares(const Batch<T> &batch, Arena &arena)
  {
    for (auto p : {&along, &across[0], &across[1]}) *p = arena.take<Vector<T>>(batch.capacity);
  }
  static std::size_t bytes(int edges) { return 3 * Arena::bytes<Vector<T>>(edges); }
  void clear(int edges) const
  {
    for (auto p : {along, across[0], across[1]}) std::fill_n(p, edges, Vector<T>{});
  }
  LM_INLINE void add(int e, const Share<T> &share) const
  {
    along[e] += share.along, across[0][e] += share.across[0], across[1][e] += share.across[1];
  }
};

// Entries of the matrix of a path whose adjoints are needed: a scalar does not depend on the direction.
template <class D> constexpr int kEntries = D::scalar ? 0 : (2 * D::source + 1) * (2 * D::target + 1);

// Adds what an entry of a path's matrix gets.
template <class T, class Edge>
LM_INLINE void add_entry(const Edge &edge, std::int64_t entry, Vector<T> adjoint, Share<T> &share)
{
  const T *slopes = edge.matrices + edge.set + entry;
  share.across[0] += slopes[0] * adjoint;
  share.across[1] += slopes[edge.set] * adjoint;
}

// Adds the part of one path to the adjoint of the source, and returns the adjoint of its weights.
template <class T, int N>
LM_INLINE Vector<T> give_back(Vector<T> r, const Vector<T> *source, const Vector<T> *q, Vector<T> *dsource)
{
  Vector<T> dr = {};
  LM_EACH(k, N, dr += q[k] * source[k]; dsource[k] += r * q[k];)
  return dr;
}

}    // namespace
