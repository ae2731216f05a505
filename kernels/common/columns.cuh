// Sums down the columns of tall matrices: chunks of 256 rows, the chunks in index order.
#pragma once

#include "common/memory.cuh"

/// Rows of a chunk; `SUM_CHUNK` in crates/cuda/src/elementwise.rs.
constexpr int SUM_CHUNK = 256;
/// Threads of a block, each with one column: neighbouring threads read neighbouring elements.
constexpr int SUM_THREADS = 128;

/// `partials[chunk, j] = Σ value(row, j)` over the rows of a chunk, for block (columns, chunk).
template <class F>
__device__ __forceinline__ void column_partials(int m, int n, float* partials, F value) {
    const int j = static_cast<int>(blockIdx.x) * SUM_THREADS + static_cast<int>(threadIdx.x);
    if (j >= n) return;
    const int first = static_cast<int>(blockIdx.y) * SUM_CHUNK;
    const int last = min(m, first + SUM_CHUNK);
    float sum = 0.0f;
    for (int i = first; i < last; ++i) sum += value(i, j);
    partials[static_cast<index_t>(blockIdx.y) * n + j] = sum;
}
