// Dropout with counted random numbers.
//
// 1. Purpose and formula. y[i, j] = factor · x[i, j] where word j mod 4 of philox(key, [⌊j / 4⌋, position, row id, 0])
//    is at least the threshold, else 0 (Srivastava et al. 2014; Philox4x32-10, Salmon et al. 2011). The mask belongs to
//    the row of data and is drawn again in backward.
// 2. Shapes. x, y[m, n] bf16 or f32; row_ids, positions[m] i32. Saves nothing.
// 3. Parallelisation. A thread a group of four columns: one draw serves all four.
//
//      Bytes and floor (H100 at 3.0 TB/s): 4 bytes an element in bf16. Llama-8B, 8192 × 4096: 134 MB, 45 µs; Qwen-0.5B,
//      16384 × 896: 59 MB, 20 µs. One FLOP an element, and ten rounds of two wide products per four: about 15
//      operations of integers an element, memory bound.
//
// 4. Launch bounds: 256 threads.
#include "common/philox.cuh"
#include "common/types.cuh"

namespace {

template <class T>
__device__ void drop(const T* x, T* y, const int* row_ids, const int* positions, index_t groups, int n, unsigned key_low,
                     unsigned key_high, unsigned threshold, float factor, int accumulate) {
    const index_t group = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (group >= groups) {
        return;
    }
    const int per_row = (n + 3) / 4, column = static_cast<int>(group % per_row) * 4;
    const index_t row = group / per_row;
    const Words words = philox(key_low, key_high, column / 4, positions[row], row_ids[row]);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        if (column + j < n) {
            const index_t place = row * n + column + j;
            float value = words.at[j] >= threshold ? factor * to_float(x[place]) : 0.0f;
            if (accumulate != 0) {
                value += to_float(y[place]);
            }
            from_float(y[place], value);
        }
    }
}

}  // namespace

#define KERNEL_DROPOUT(NAME, T)                                                                                   \
    extern "C" __global__ void __launch_bounds__(256)                                                             \
        NAME(const T* x, T* y, const int* row_ids, const int* positions, index_t groups, int n, unsigned key_low, \
             unsigned key_high, unsigned threshold, float factor, int accumulate) {                               \
        drop(x, y, row_ids, positions, groups, n, key_low, key_high, threshold, factor, accumulate);              \
    }                                                                                                             \
    EXPORT_KERNEL(NAME, 256)

KERNEL_DROPOUT(dropout_f32, float)
KERNEL_DROPOUT(dropout_bf16, bf16)
