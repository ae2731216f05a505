// Sums and maxima over warps and blocks, in an order that nothing but the sizes decides.
#pragma once

#include "common/types.cuh"

/// The sum over a warp, the same bits in every lane (each step adds the same pairs).
template <class T>
__device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
    for (int by = 16; by > 0; by /= 2) x += __shfl_xor_sync(FULL_WARP, x, by);
    return x;
}

/// The sum over each `LANES` neighbouring lanes, a power of two, the same bits in all of them.
template <int LANES>
__device__ __forceinline__ float lanes_sum(float x) {
#pragma unroll
    for (int by = LANES / 2; by > 0; by /= 2) x += __shfl_xor_sync(FULL_WARP, x, by);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int by = 16; by > 0; by /= 2) x = fmaxf(x, __shfl_xor_sync(FULL_WARP, x, by));
    return x;
}

/// The sum over a block of `THREADS`, the same in every thread; `scratch` is shared memory of `THREADS / 32` elements,
/// used once.
template <int THREADS, class T>
__device__ __forceinline__ T block_sum(T x, T* scratch) {
    x = warp_sum(x);
    if (lane_id() == 0) scratch[warp_id()] = x;
    __syncthreads();
    T total = scratch[0];
#pragma unroll
    for (int i = 1; i < THREADS / 32; ++i) total += scratch[i];
    return total;
}

/// The sum over a block of as many warps as it was launched with, the same in every thread; `scratch` is shared memory of one
/// number a warp, used once.
__device__ __forceinline__ float launched_block_sum(float x, float* scratch) {
    x = warp_sum(x);
    const int warps = static_cast<int>(blockDim.x) / 32;
    if (warps == 1) return x;
    if (lane_id() == 0) scratch[warp_id()] = x;
    __syncthreads();
    float total = scratch[0];
    for (int i = 1; i < warps; ++i) total += scratch[i];
    return total;
}
