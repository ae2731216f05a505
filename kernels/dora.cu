// Weight-decomposed adapters: the norms of the adapted rows, and scaling by columns of the activations.
//
// 1. Purpose and formula (Liu et al. 2024, arXiv:2402.09353). norms[j] = ‖w[j] + s · (B A)[j]‖₂; y = (magnitude /
//    norms) ∘ u (+ bias); backward du = (magnitude / norms) ∘ dy, dmagnitude[j] += Σ dy u / norms[j]. A norm of 0
//    scales by 0.
// 2. Shapes. w[n, k] bf16 or f32 (of an NF4 matrix, dequantised rows first .. first + n), A[r, k], B[n, r], magnitude,
//    norms, bias[n] f32; u, y, dy, du[m, n] bf16 or f32.
// 3. Parallelisation. Norms: a block of 256 threads takes 16 rows, so that A is read n / 16 times, from L2; a thread
//    keeps the 16 adapted values of one column in registers. Scaling: a thread an element. dmagnitude: a warp's lanes
//    take 32 columns side by side, the block's warps every eighth row of a chunk of 256; chunks are added in order in a
//    second launch. No atomic additions.
//
//      Bytes, FLOPs and floor (H100 at 3.0 TB/s). Norms of Llama-8B gate [14336, 4096], r 16: 117 MB, 39 µs, 2.0 GFLOP
//      in float32, 30 µs of 67 TFLOP/s; Qwen-0.5B gate [4864, 896]: 8.7 MB, 3 µs, 0.15 GFLOP. Scaling, and dmagnitude
//      likewise, of 8192 × 14336: 470 MB, 157 µs; of 16384 × 4864: 319 MB, 106 µs; at most three FLOP an element.
//
// 4. Launch bounds: 256 threads.
#include "common/reduce.cuh"

namespace {

constexpr int THREADS = 256, ROWS = 16, CHUNK = 256;

__device__ float ratio(float x, float norm) { return norm == 0.0f ? 0.0f : x / norm; }

// Squares of rows blockIdx.x · 16 .. of w + scale · B A.
template <class W>
__device__ void row_norms(const W* w, const float* a, const float* b, float* norms, int n, int k, int r, float scale) {
    DYN_SHARED(shared);
    float* parts = reinterpret_cast<float*>(shared);  // [warps][16]
    float* b_rows = parts + THREADS / 32 * ROWS;      // [r][16], times the scale
    const int first = blockIdx.x * ROWS;
    for (int i = threadIdx.x; i < ROWS * r; i += THREADS) {
        const int row = i % ROWS, c = i / ROWS;
        b_rows[i] = first + row < n ? scale * b[static_cast<index_t>(first + row) * r + c] : 0.0f;
    }
    __syncthreads();
    float sums[ROWS] = {};
    for (int l = threadIdx.x; l < k; l += THREADS) {
        float v[ROWS];
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
            v[row] = first + row < n ? to_float(w[static_cast<index_t>(first + row) * k + l]) : 0.0f;
        }
        for (int c = 0; c < r; ++c) {
            const float x = a[static_cast<index_t>(c) * k + l];
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                v[row] = fmaf(b_rows[c * ROWS + row], x, v[row]);
            }
        }
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
            sums[row] = fmaf(v[row], v[row], sums[row]);
        }
    }
#pragma unroll
    for (int row = 0; row < ROWS; ++row) {
        sums[row] = warp_sum(sums[row]);
        if (threadIdx.x % 32 == 0) {
            parts[threadIdx.x / 32 * ROWS + row] = sums[row];
        }
    }
    __syncthreads();
    if (threadIdx.x < ROWS && first + static_cast<int>(threadIdx.x) < n) {
        float sum = 0.0f;
        for (int warp = 0; warp < THREADS / 32; ++warp) {
            sum += parts[warp * ROWS + threadIdx.x];
        }
        norms[first + threadIdx.x] = sqrtf(sum);
    }
}

template <class T>
__device__ void scale_columns(const T* u, const float* magnitude, const float* norms, const float* bias, T* y, index_t count,
                              int n, int accumulate) {
    const index_t i = static_cast<index_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count) {
        return;
    }
    const int j = static_cast<int>(i % n);
    float value = ratio(magnitude[j], norms[j]) * to_float(u[i]);
    if (bias != nullptr) {
        value += bias[j];
    }
    if (accumulate != 0) {
        value += to_float(y[i]);
    }
    from_float(y[i], value);
}

// parts[chunk][j] = Σ dy · u over the chunk's 256 rows.
template <class T>
__device__ void magnitude_parts(const T* dy, const T* u, float* parts, int m, int n) {
    DYN_SHARED(shared);
    float* sums = reinterpret_cast<float*>(shared);  // [warps][32]
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, j = blockIdx.x * 32 + lane;
    const int begin = blockIdx.y * CHUNK, end = min(begin + CHUNK, m);
    float sum = 0.0f;
    for (int i = begin + warp; i < end && j < n; i += THREADS / 32) {
        const index_t place = static_cast<index_t>(i) * n + j;
        sum = fmaf(to_float(dy[place]), to_float(u[place]), sum);
    }
    sums[warp * 32 + lane] = sum;
    __syncthreads();
    if (warp == 0 && j < n) {
        sum = 0.0f;
        for (int other = 0; other < THREADS / 32; ++other) {
            sum += sums[other * 32 + lane];
        }
        parts[static_cast<index_t>(blockIdx.y) * n + j] = sum;
    }
}

}  // namespace

#define KERNEL_NORMS(NAME, W)                                                                                       \
    KERNEL(NAME, 256)(const W* w, const float* a, const float* b, float* norms, int n, int k, int r, float scale) { \
        row_norms(w, a, b, norms, n, k, r, scale);                                                                  \
    }                                                                                                               \
    EXPORT_KERNEL(NAME, 256)
#define KERNEL_SCALE(NAME, T)                                                                                                \
    KERNEL(NAME, 256)(const T* u, const float* magnitude, const float* norms, const float* bias, T* y, index_t count, int n, \
                      int accumulate) {                                                                                      \
        scale_columns(u, magnitude, norms, bias, y, count, n, accumulate);                                                   \
    }                                                                                                                        \
    EXPORT_KERNEL(NAME, 256)
#define KERNEL_MAGNITUDE(NAME, T)                                                                                   \
    KERNEL(NAME, 256)(const T* dy, const T* u, float* parts, int m, int n) { magnitude_parts(dy, u, parts, m, n); } \
    EXPORT_KERNEL(NAME, 256)

KERNEL_NORMS(dora_norms_f32, float)
KERNEL_NORMS(dora_norms_bf16, bf16)
KERNEL_SCALE(dora_scale_f32, float)
KERNEL_SCALE(dora_scale_bf16, bf16)
KERNEL_MAGNITUDE(dora_magnitude_f32, float)
KERNEL_MAGNITUDE(dora_magnitude_bf16, bf16)

// dmagnitude[j] += Σ over chunks, in order, of parts[chunk][j] / norms[j].
KERNEL(dora_add_parts_f32, 256)(const float* parts, const float* norms, float* dmagnitude, int chunks, int n) {
    const int j = blockIdx.x * THREADS + threadIdx.x;
    if (j >= n) {
        return;
    }
    float sum = 0.0f;
    for (int chunk = 0; chunk < chunks; ++chunk) {
        sum += parts[static_cast<index_t>(chunk) * n + j];
    }
    dmagnitude[j] += ratio(sum, norms[j]);
}
EXPORT_KERNEL(dora_add_parts_f32, 256)
