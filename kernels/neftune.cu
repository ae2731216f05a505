// Uniform noise on embeddings, with counted random numbers.
//
// 1. Purpose and formula. y[i, j] += magnitude[i] · u, u in (−1, 1) of word j mod 4 of philox(key, [⌊j / 4⌋, position, row
//    id, 0]) (NEFTune, Jain et al. 2023, arXiv:2310.05914; Philox4x32-10, Salmon et al. 2011). The noise belongs to the row
//    of data; the gradient passes as it is.
// 2. Shapes. y[m, n] bf16 or f32; row_ids, positions[m] i32; magnitudes[m] f32. Saves nothing.
// 3. Parallelisation. A thread a group of four columns: one draw serves all four. Once a pass, so nothing is fused with it.
//
//      Bytes and floor (H100 at 3.0 TB/s): 4 bytes an element in bf16. Llama-8B, 8192 × 4096: 134 MB, 45 µs; Qwen-0.5B,
//      16384 × 896: 59 MB, 20 µs. Two FLOP an element, and ten rounds of two wide products per four: memory bound.
//
// 4. Launch bounds: 256 threads.
#include "common/philox.cuh"
#include "common/types.cuh"

namespace {

template <class T>
__device__ void add_noise(T* y, const int* row_ids, const int* positions, const float* magnitudes, index_t groups, int n,
                          unsigned key_low, unsigned key_high) {
    const index_t group = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (group >= groups) {
        return;
    }
    const int per_row = (n + 3) / 4, column = static_cast<int>(group % per_row) * 4;
    const index_t row = group / per_row;
    const Words words = philox(key_low, key_high, column / 4, positions[row], row_ids[row]);
    const float magnitude = magnitudes[row];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        if (column + j < n) {
            const index_t place = row * n + column + j;
            // An odd multiple of 2^-24, exact: never 0 or ±1.
            const int odd = 2 * static_cast<int>(words.at[j] >> 8) + 1 - (1 << 24);
            const float unit = static_cast<float>(odd) * 5.9604644775390625e-8f;
            from_float(y[place], to_float(y[place]) + magnitude * unit);
        }
    }
}

}  // namespace

#define KERNEL_NEFTUNE(NAME, T)                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                            \
        NAME(T* y, const int* row_ids, const int* positions, const float* magnitudes, index_t groups, int n,     \
             unsigned key_low, unsigned key_high) {                                                              \
        add_noise(y, row_ids, positions, magnitudes, groups, n, key_low, key_high);                              \
    }                                                                                                            \
    EXPORT_KERNEL(NAME, 256)

KERNEL_NEFTUNE(neftune_f32, float)
KERNEL_NEFTUNE(neftune_bf16, bf16)
