// Sums down the columns of tall matrices: chunks of 256 rows, the chunks in index order.
#pragma once

#include "common/memory.cuh"

/// Rows of a chunk; `SUM_CHUNK` in crates/cuda/src/elementwise.rs.
constexpr int SUM_CHUNK = 256;
/// Threads of a block: each lane has a pack of columns, each warp every fourth row of the chunk.
constexpr int SUM_THREADS = 128;
constexpr int SUM_WARPS = SUM_THREADS / 32;

template <bool WIDE, class T, class F>
__device__ __forceinline__ void add_rows(int first, int last, int j, F values, float (&sums)[PACK<T>]) {
    // Four rows are on their way at once.
#pragma unroll 4
    for (int i = first + warp_id(); i < last; i += SUM_WARPS) {
        const Pack<T> row = values.template row<WIDE>(i, j);
#pragma unroll
        for (int l = 0; l < PACK<T>; ++l) sums[l] += row.v[l];
    }
}

/// `partials[chunk, j] = Σ values(row, j)` over the rows of a chunk, for block (32 packs of columns, chunk).
/// `values.row<WIDE>(i, j)` gives the pack of row `i` that begins at column `j`, zeros after the end of the row;
/// `wide`: rows are whole aligned packs.
template <class T, class F>
__device__ __forceinline__ void column_partials(int m, int n, float* partials, int wide, F values) {
    DYN_SHARED(shared);
    float* of_warps = reinterpret_cast<float*>(shared);
    constexpr int WIDTH = 32 * PACK<T>;
    const int start = static_cast<int>(blockIdx.x) * WIDTH, j = start + lane_id() * PACK<T>;
    const int first = static_cast<int>(blockIdx.y) * SUM_CHUNK;
    const int last = j < n ? min(m, first + SUM_CHUNK) : first;
    float sums[PACK<T>] = {};
    if (wide) {
        add_rows<true, T>(first, last, j, values, sums);
    } else {
        add_rows<false, T>(first, last, j, values, sums);
    }
#pragma unroll
    for (int l = 0; l < PACK<T>; ++l) of_warps[warp_id() * WIDTH + l * 32 + lane_id()] = sums[l];
    __syncthreads();
    for (int column = static_cast<int>(threadIdx.x); column < WIDTH && start + column < n; column += SUM_THREADS) {
        const int at = column % PACK<T> * 32 + column / PACK<T>;
        float sum = of_warps[at];
#pragma unroll
        for (int w = 1; w < SUM_WARPS; ++w) sum += of_warps[w * WIDTH + at];
        partials[static_cast<index_t>(blockIdx.y) * n + start + column] = sum;
    }
}
