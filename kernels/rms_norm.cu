// RMSNorm, forward and backward.
//
// 1. Purpose. y = x · rstd · (offset + scale), rstd = 1 / √(mean x² + eps) (Zhang and Sennrich 2019, arXiv:1910.07467). Backward:
//    dx = rstd · (s·dy − x · rstd² · mean(s·dy·x)), s = offset + scale; dscale += Σ dy · x · rstd.
// 2. Shapes. x, y, dy, dx [m, d] in activations T; scale, dscale [d] and the saved rstd [m] in binary32. x is not saved twice:
//    backward reads the layer's own input.
// 3. Parallelisation. A row is one sum, so it belongs to one warp (d up to 1024 elements of bf16: eight rows a block, no barrier)
//    or to one block. Four packs of 16 bytes per thread stay in registers between the sum and the product: one read, one write.
//    Only rows longer than 4 · 256 packs (8192 in bf16) read their rest again, from L2. The gradient of a trained scale is a
//    kernel of its own over the same rows, for with LoRA nobody asks for it: partial sums of 256 rows, added in index order.
//
//      m = 8192 tokens, d = 4096 (Llama-3.1-8B), bf16: forward 134 MB, 45 µs at 3.0 TB/s; backward 201 MB, 67 µs; accumulating
//      into dx 268 MB, 89 µs. m = 16384, d = 896 (Qwen2.5-0.5B): forward 59 MB, 20 µs; backward 88 MB, 29 µs; accumulating
//      117 MB, 39 µs. About 4 FLOP an element forward, 8 backward: bound by memory throughout.
#include "common/columns.cuh"
#include "common/reduce.cuh"

namespace {

constexpr int THREADS = 256;
/// Packs of a row that one thread keeps.
constexpr int KEPT = 4;

/// A row's threads: a warp, or the block.
template <int GROUP>
struct Row {
    static constexpr int PER_BLOCK = THREADS / GROUP;
    static __device__ __forceinline__ int index() {
        return static_cast<int>(blockIdx.x) * PER_BLOCK + static_cast<int>(threadIdx.x) / GROUP;
    }
    static __device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x) % GROUP; }
    static __device__ __forceinline__ float sum(float x, float* scratch) {
        if constexpr (GROUP == 32) {
            return warp_sum(x);
        } else {
            return block_sum<THREADS>(x, scratch);
        }
    }
};

template <class T, int GROUP>
__device__ __forceinline__ void forward(int m, int d, float eps, float offset, const T* x, const float* scale, T* y, float* rstd,
                                        int wide) {
    DYN_SHARED(shared);
    const int row = Row<GROUP>::index();
    // Whole warps leave: GROUP is a warp, or the row is the block's.
    if (row >= m) return;
    x += static_cast<index_t>(row) * d;
    y += static_cast<index_t>(row) * d;
    constexpr int STEP = GROUP * PACK<T>;
    const int first = Row<GROUP>::thread() * PACK<T>;

    Pack<T> kept[KEPT];
    float squares = 0.0f;
#pragma unroll
    for (int p = 0; p < KEPT; ++p) {
        kept[p] = load(x, first + p * STEP, d, wide);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) squares += kept[p].v[j] * kept[p].v[j];
    }
    for (int i = first + KEPT * STEP; i < d; i += STEP) {
        const Pack<T> rest = load(x, i, d, wide);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) squares += rest.v[j] * rest.v[j];
    }
    squares = Row<GROUP>::sum(squares, reinterpret_cast<float*>(shared));
    const float factor = 1.0f / sqrtf(squares / static_cast<float>(d) + eps);
    if (Row<GROUP>::thread() == 0) rstd[row] = factor;

    auto finish = [&](int i, Pack<T> part) {
        float s[PACK<T>];
        load_floats(scale, i, d, wide, s);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) part.v[j] *= factor * (offset + s[j]);
        store(y, i, d, wide, part);
    };
#pragma unroll
    for (int p = 0; p < KEPT; ++p) {
        if (first + p * STEP < d) finish(first + p * STEP, kept[p]);
    }
    for (int i = first + KEPT * STEP; i < d; i += STEP) finish(i, load(x, i, d, wide));
}

template <class T, int GROUP>
__device__ __forceinline__ void backward(int m, int d, float offset, const T* dy, const T* x, const float* scale, const float* rstd,
                                         T* dx, int accumulate, int wide) {
    DYN_SHARED(shared);
    const int row = Row<GROUP>::index();
    if (row >= m) return;
    const index_t start = static_cast<index_t>(row) * d;
    dy += start;
    x += start;
    dx += start;
    constexpr int STEP = GROUP * PACK<T>;
    const int first = Row<GROUP>::thread() * PACK<T>;

    // g = s · dy, the gradient of the normalised row.
    auto gradient = [&](int i) {
        Pack<T> g = load(dy, i, d, wide);
        float s[PACK<T>];
        load_floats(scale, i, d, wide, s);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) g.v[j] *= offset + s[j];
        return g;
    };
    Pack<T> kept_g[KEPT], kept_x[KEPT];
    float dot = 0.0f;
#pragma unroll
    for (int p = 0; p < KEPT; ++p) {
        kept_g[p] = gradient(first + p * STEP);
        kept_x[p] = load(x, first + p * STEP, d, wide);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) dot += kept_g[p].v[j] * kept_x[p].v[j];
    }
    for (int i = first + KEPT * STEP; i < d; i += STEP) {
        const Pack<T> g = gradient(i), rest = load(x, i, d, wide);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) dot += g.v[j] * rest.v[j];
    }
    dot = Row<GROUP>::sum(dot, reinterpret_cast<float*>(shared));
    const float factor = rstd[row];
    const float along = factor * factor * factor * (dot / static_cast<float>(d));

    auto finish = [&](int i, const Pack<T>& g, const Pack<T>& part) {
        Pack<T> result;
        if (accumulate) result = load(dx, i, d, wide);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) {
            const float value = factor * g.v[j] - along * part.v[j];
            result.v[j] = accumulate ? result.v[j] + value : value;
        }
        store(dx, i, d, wide, result);
    };
#pragma unroll
    for (int p = 0; p < KEPT; ++p) {
        if (first + p * STEP < d) finish(first + p * STEP, kept_g[p], kept_x[p]);
    }
    for (int i = first + KEPT * STEP; i < d; i += STEP) finish(i, gradient(i), load(x, i, d, wide));
}

}  // namespace

#define KERNEL_FORWARD(name, T, GROUP)                                                                                     \
    KERNEL(name, THREADS)                                                                                                  \
    (int m, int d, float eps, float offset, const T* x, const float* scale, T* y, float* rstd, int wide) {                 \
        forward<T, GROUP>(m, d, eps, offset, x, scale, y, rstd, wide);                                                     \
    }                                                                                                                      \
    EXPORT_KERNEL(name, THREADS)
KERNEL_FORWARD(rms_norm_forward_warp_f32, float, 32)
KERNEL_FORWARD(rms_norm_forward_warp_bf16, bf16, 32)
KERNEL_FORWARD(rms_norm_forward_block_f32, float, THREADS)
KERNEL_FORWARD(rms_norm_forward_block_bf16, bf16, THREADS)

#define KERNEL_BACKWARD(name, T, GROUP)                                                                                    \
    KERNEL(name, THREADS)                                                                                                  \
    (int m, int d, float offset, const T* dy, const T* x, const float* scale, const float* rstd, T* dx, int accumulate,    \
     int wide) {                                                                                                           \
        backward<T, GROUP>(m, d, offset, dy, x, scale, rstd, dx, accumulate, wide);                                        \
    }                                                                                                                      \
    EXPORT_KERNEL(name, THREADS)
KERNEL_BACKWARD(rms_norm_backward_warp_f32, float, 32)
KERNEL_BACKWARD(rms_norm_backward_warp_bf16, bf16, 32)
KERNEL_BACKWARD(rms_norm_backward_block_f32, float, THREADS)
KERNEL_BACKWARD(rms_norm_backward_block_bf16, bf16, THREADS)

#define KERNEL_SCALE(name, T)                                                                                              \
    KERNEL(name, SUM_THREADS)                                                                                              \
    (int m, int d, const T* dy, const T* x, const float* rstd, float* partials) {                                          \
        column_partials(m, d, partials, [=](int i, int j) {                                                                \
            const index_t at = static_cast<index_t>(i) * d + j;                                                            \
            return to_float(dy[at]) * to_float(x[at]) * rstd[i];                                                           \
        });                                                                                                                \
    }                                                                                                                      \
    EXPORT_KERNEL(name, SUM_THREADS)
KERNEL_SCALE(rms_norm_scale_f32, float)
KERNEL_SCALE(rms_norm_scale_bf16, bf16)
