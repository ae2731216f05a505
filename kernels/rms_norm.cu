// RMSNorm, forward and backward, alone or after the addition to the residual stream.
//
// 1. Purpose. y = x · rstd · (offset + scale), rstd = 1 / √(mean x² + eps) (Zhang and Sennrich 2019, arXiv:1910.07467);
//    with an addition x is sum + x first, written into sum and normed as it was rounded there. Backward: dx = rstd ·
//    (s·dy − x · rstd² · mean(s·dy·x)), s = offset + scale, written or added to dx, the gradient of the residual
//    stream; dscale += Σ dy · x · rstd.
// 2. Shapes. x, sum, y, dy, dx [m, d] in activations T; scale, dscale [d] and the saved rstd [m] in float32. x is not
//    saved twice: backward reads the layer's own input.
// 3. Parallelisation. Everything is bound by memory, so what counts is how many bytes are on their way: 3.0 TB/s at a
//    latency near 0.8 µs are about 18 KB on each of 132 multiprocessors. A thread has up to four packs of 16 bytes of a
//    row and asks for all it needs of every tensor before it uses any; they stay in registers as they came, so that a
//    row is read once and forward needs 16 registers for its row, backward 48 for three (58 and 102 in all, so that 64
//    KB and more are on their way at d = 4096). A row belongs to eight lanes (32 packs: heads of up to 256 elements of
//    bf16), to a warp (128 packs), both without a barrier, or to a block of just as many warps as it has packs for,
//    with one barrier. Only rows beyond 512 threads · 4 packs (16384 elements of bf16) read their rest again, from L2.
//    Rows that are not whole aligned packs go element by element, through the same code.
//    The gradient of a trained scale is a kernel of its own over the same rows (common/columns.cuh): partial sums of
//    256 rows, added in index order. LoRA does not need it; in full fine-tuning its second read of dy and x is 9 GB
//    over the 65 norms of an 8B model, 3 ms of a step of 8192 tokens that takes 0.5 s at the least.
//
//      m = 8192 tokens, d = 4096 (Llama-3.1-8B), bf16: forward 134 MB, 45 µs at 3.0 TB/s; with the addition 268 MB, 89
//      µs (as two launches 336 MB, 112 µs); backward 201 MB, 67 µs; accumulating into dx 268 MB, 89 µs; a trained scale
//      134 MB, 45 µs more.
//      m = 16384, d = 896 (Qwen2.5-0.5B): forward 59 MB, 20 µs; with the addition 117 MB, 39 µs; backward 88 MB, 29 µs;
//      accumulating 117 MB, 39 µs; a trained scale 59 MB, 20 µs more.
//      About 4 FLOP an element forward, 8 backward: 0.1 and 0.3 GFLOP, bound by memory throughout.
//
// 4. Launch bounds: 128 threads, or up to 512 that a row is large enough for; 4 bytes of shared memory a warp. Forward
//    48 to 58 registers, backward 80 to 102, rows of no whole packs up to 127, none spilled (nvcc 13, sm_90a).
#include "common/columns.cuh"
#include "common/reduce.cuh"

namespace {

/// Threads of a block whose rows belong to lanes or warps, and the most of a block that has one row.
constexpr int THREADS = 128, ROW_THREADS = 512;
/// Packs of a row that one thread keeps.
constexpr int KEPT = 4;
/// Group of a row that has a block to itself.
constexpr int BLOCK = 0;

/// One thread's part of a row: of `GROUP` lanes, or of a block. Every thread goes through the sum, so a group after the
/// last row has an empty one.
template <class T, int GROUP>
struct Row {
    int index, end, first, step;
    index_t start;
    __device__ __forceinline__ Row(int m, int d) {
        const int threads = GROUP == BLOCK ? static_cast<int>(blockDim.x) : GROUP;
        const int thread = static_cast<int>(threadIdx.x);
        index = GROUP == BLOCK ? static_cast<int>(blockIdx.x) : (static_cast<int>(blockIdx.x) * THREADS + thread) / threads;
        end = index < m ? d : 0;
        first = thread % threads * PACK<T>;
        step = threads * PACK<T>;
        start = static_cast<index_t>(index) * d;
    }
    __device__ __forceinline__ float sum(float x, float* scratch) const {
        if constexpr (GROUP == BLOCK) {
            return launched_block_sum(x, scratch);
        } else {
            return lanes_sum<GROUP>(x);
        }
    }
};

/// Elements `i ..` of offset + scale, for an `i` before the end.
template <class T, bool WIDE>
__device__ __forceinline__ Pack<T> factors(const float* scale, float offset, int i, int end) {
    Pack<T> result;
    load_floats(scale, i, WIDE ? i + PACK<T> : end, WIDE, result.v);
#pragma unroll
    for (int j = 0; j < PACK<T>; ++j) result.v[j] += offset;
    return result;
}

/// Adds the two and rounds to `T`.
template <class T>
__device__ __forceinline__ uint4 add(uint4 x, uint4 y) {
    Pack<T> a = unpacked<T>(x);
    const Pack<T> b = unpacked<T>(y);
#pragma unroll
    for (int j = 0; j < PACK<T>; ++j) a.v[j] += b.v[j];
    return pack(a);
}

template <class T>
__device__ __forceinline__ float squares(uint4 x) {
    const Pack<T> a = unpacked<T>(x);
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < PACK<T>; ++j) sum += a.v[j] * a.v[j];
    return sum;
}

/// `sum` is null where nothing is added.
template <class T, int GROUP, bool WIDE>
__device__ __forceinline__ void forward(int m, int d, float eps, float offset, const T* x, T* sum, const float* scale, T* y,
                                        float* rstd) {
    DYN_SHARED(shared);
    const Row<T, GROUP> row(m, d);
    const int first = row.first, step = row.step, end = row.end, rest = first + KEPT * step;
    x += row.start;
    y += row.start;
    if (sum) sum += row.start;

    uint4 kept[KEPT];
#pragma unroll
    for (int p = 0; p < KEPT; ++p) kept[p] = load_raw<T, WIDE>(x, first + p * step, end);
    if (sum) {
        uint4 stream[KEPT];
#pragma unroll
        for (int p = 0; p < KEPT; ++p) stream[p] = load_raw<T, WIDE>(sum, first + p * step, end);
#pragma unroll
        for (int p = 0; p < KEPT; ++p) {
            kept[p] = add<T>(kept[p], stream[p]);
            store_raw<T, WIDE>(sum, first + p * step, end, unpacked<T>(kept[p]));
        }
    }
    float total = 0.0f;
#pragma unroll
    for (int p = 0; p < KEPT; ++p) total += squares<T>(kept[p]);
    for (int i = rest; i < end; i += step) {
        uint4 part = load_raw<T, WIDE>(x, i, end);
        if (sum) {
            part = add<T>(part, load_raw<T, WIDE>(sum, i, end));
            store_raw<T, WIDE>(sum, i, end, unpacked<T>(part));
        }
        total += squares<T>(part);
    }
    total = row.sum(total, reinterpret_cast<float*>(shared));
    const float factor = 1.0f / sqrtf(total / static_cast<float>(d) + eps);
    if (first == 0 && end > 0) rstd[row.index] = factor;

    auto finish = [&](int i, uint4 raw) {
        Pack<T> part = unpacked<T>(raw);
        const Pack<T> s = factors<T, WIDE>(scale, offset, i, end);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) part.v[j] *= factor * s.v[j];
        store_raw<T, WIDE>(y, i, end, part);
    };
#pragma unroll
    for (int p = 0; p < KEPT; ++p) {
        if (first + p * step < end) finish(first + p * step, kept[p]);
    }
    // A thread reads back what it wrote itself.
    const T* normed = sum ? sum : x;
    for (int i = rest; i < end; i += step) finish(i, load_raw<T, WIDE>(normed, i, end));
}

template <class T, int GROUP, bool WIDE>
__device__ __forceinline__ void backward(int m, int d, float offset, const T* dy, const T* x, const float* scale,
                                         const float* rstd, T* dx, int accumulate) {
    DYN_SHARED(shared);
    const Row<T, GROUP> row(m, d);
    const int first = row.first, step = row.step, end = row.end, rest = first + KEPT * step;
    dy += row.start;
    x += row.start;
    dx += row.start;

    uint4 kept_dy[KEPT], kept_x[KEPT], old[KEPT] = {};
#pragma unroll
    for (int p = 0; p < KEPT; ++p) {
        kept_dy[p] = load_raw<T, WIDE>(dy, first + p * step, end);
        kept_x[p] = load_raw<T, WIDE>(x, first + p * step, end);
    }
    if (accumulate) {
#pragma unroll
        for (int p = 0; p < KEPT; ++p) old[p] = load_raw<T, WIDE>(dx, first + p * step, end);
    }
    const float factor = end > 0 ? rstd[row.index] : 0.0f;

    // s · dy, the gradient of the normalised row. The scale comes from L1 both times: kept it would cost as much as dy and x.
    auto gradient = [&](int i, uint4 raw) {
        Pack<T> g = unpacked<T>(raw);
        const Pack<T> s = factors<T, WIDE>(scale, offset, i, end);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) g.v[j] *= s.v[j];
        return g;
    };
    float dot = 0.0f;
    auto multiply = [&](int i, uint4 raw_dy, uint4 raw_x) {
        const Pack<T> g = gradient(i, raw_dy), part = unpacked<T>(raw_x);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) dot += g.v[j] * part.v[j];
    };
#pragma unroll
    for (int p = 0; p < KEPT; ++p) {
        if (first + p * step < end) multiply(first + p * step, kept_dy[p], kept_x[p]);
    }
    for (int i = rest; i < end; i += step) multiply(i, load_raw<T, WIDE>(dy, i, end), load_raw<T, WIDE>(x, i, end));
    dot = row.sum(dot, reinterpret_cast<float*>(shared));
    const float along = factor * factor * factor * (dot / static_cast<float>(d));

    auto finish = [&](int i, uint4 raw_dy, uint4 raw_x, uint4 raw_old) {
        const Pack<T> g = gradient(i, raw_dy), part = unpacked<T>(raw_x);
        Pack<T> result = unpacked<T>(raw_old);
#pragma unroll
        for (int j = 0; j < PACK<T>; ++j) {
            const float value = factor * g.v[j] - along * part.v[j];
            result.v[j] = accumulate ? result.v[j] + value : value;
        }
        store_raw<T, WIDE>(dx, i, end, result);
    };
#pragma unroll
    for (int p = 0; p < KEPT; ++p) {
        if (first + p * step < end) finish(first + p * step, kept_dy[p], kept_x[p], old[p]);
    }
    for (int i = rest; i < end; i += step) {
        const uint4 sofar = accumulate ? load_raw<T, WIDE>(dx, i, end) : make_uint4(0, 0, 0, 0);
        finish(i, load_raw<T, WIDE>(dy, i, end), load_raw<T, WIDE>(x, i, end), sofar);
    }
}

/// The terms of the gradient of a trained scale.
template <class T>
struct Terms {
    const T *dy, *x;
    const float* rstd;
    int d;
    template <bool WIDE>
    __device__ __forceinline__ Pack<T> row(int i, int j) const {
        const index_t start = static_cast<index_t>(i) * d;
        const Pack<T> x_part = unpacked<T>(load_raw<T, WIDE>(x + start, j, d));
        Pack<T> terms = unpacked<T>(load_raw<T, WIDE>(dy + start, j, d));
#pragma unroll
        for (int l = 0; l < PACK<T>; ++l) terms.v[l] *= x_part.v[l] * rstd[i];
        return terms;
    }
};

}  // namespace

#define KERNEL_FORWARD(name, T, GROUP, WIDE, threads)                                                    \
    KERNEL(name, threads)                                                                                \
    (int m, int d, float eps, float offset, const T* x, T* sum, const float* scale, T* y, float* rstd) { \
        forward<T, GROUP, WIDE>(m, d, eps, offset, x, sum, scale, y, rstd);                              \
    }                                                                                                    \
    EXPORT_KERNEL(name, threads)
KERNEL_FORWARD(rms_norm_forward_lanes_f32, float, 8, true, THREADS)
KERNEL_FORWARD(rms_norm_forward_lanes_bf16, bf16, 8, true, THREADS)
KERNEL_FORWARD(rms_norm_forward_warp_f32, float, 32, true, THREADS)
KERNEL_FORWARD(rms_norm_forward_warp_bf16, bf16, 32, true, THREADS)
KERNEL_FORWARD(rms_norm_forward_block_f32, float, BLOCK, true, ROW_THREADS)
KERNEL_FORWARD(rms_norm_forward_block_bf16, bf16, BLOCK, true, ROW_THREADS)
KERNEL_FORWARD(rms_norm_forward_any_f32, float, BLOCK, false, ROW_THREADS)
KERNEL_FORWARD(rms_norm_forward_any_bf16, bf16, BLOCK, false, ROW_THREADS)

#define KERNEL_BACKWARD(name, T, GROUP, WIDE, threads)                                                                    \
    KERNEL(name, threads)                                                                                                 \
    (int m, int d, float offset, const T* dy, const T* x, const float* scale, const float* rstd, T* dx, int accumulate) { \
        backward<T, GROUP, WIDE>(m, d, offset, dy, x, scale, rstd, dx, accumulate);                                       \
    }                                                                                                                     \
    EXPORT_KERNEL(name, threads)
KERNEL_BACKWARD(rms_norm_backward_lanes_f32, float, 8, true, THREADS)
KERNEL_BACKWARD(rms_norm_backward_lanes_bf16, bf16, 8, true, THREADS)
KERNEL_BACKWARD(rms_norm_backward_warp_f32, float, 32, true, THREADS)
KERNEL_BACKWARD(rms_norm_backward_warp_bf16, bf16, 32, true, THREADS)
KERNEL_BACKWARD(rms_norm_backward_block_f32, float, BLOCK, true, ROW_THREADS)
KERNEL_BACKWARD(rms_norm_backward_block_bf16, bf16, BLOCK, true, ROW_THREADS)
KERNEL_BACKWARD(rms_norm_backward_any_f32, float, BLOCK, false, ROW_THREADS)
KERNEL_BACKWARD(rms_norm_backward_any_bf16, bf16, BLOCK, false, ROW_THREADS)

#define KERNEL_SCALE(name, T)                                                               \
    KERNEL(name, SUM_THREADS)                                                               \
    (int m, int d, const T* dy, const T* x, const float* rstd, float* partials, int wide) { \
        column_partials<T>(m, d, partials, wide, Terms<T>{dy, x, rstd, d});                 \
    }                                                                                       \
    EXPORT_KERNEL(name, SUM_THREADS)
KERNEL_SCALE(rms_norm_scale_f32, float)
KERNEL_SCALE(rms_norm_scale_bf16, bf16)
