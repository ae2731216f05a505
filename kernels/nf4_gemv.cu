// NormalFloat 4: products with few rows, as a step of decoding has them.
//
// 1. Purpose and formula. y = x wᵀ (+ xa (s B)ᵀ) (+ bias) for at most 16 rows of x, with the weight of nf4.cu, rounded
//    to the activations' type as there. Four bits are read once for four rows and never written out: what nf4.cu writes
//    and a product reads again is eight times as much.
// 2. Shapes. x[m, k], xa[m, r] and s B[n, r] as lora_matmul.cu makes them, y[m, n]; bias[n] f32.
// 3. Parallelisation. A warp makes two features of a row, or of four: its lanes take pieces of 8 steps side by side,
//    128 bytes of codes of each feature and 512 bytes of x at a time, which the L1 cache gives to all warps. Each lane
//    has a chain of fused multiply-adds for each sum, the adapter's steps last; the lanes are added as a tree. A
//    row's bits depend on its own numbers alone. Where k is no multiple of 8, or x not aligned, single steps are read.
//
//      Bytes and floor (H100 at 3.0 TB/s), one row: 0.516 bytes a weight. Llama-8B gate [14336, 4096]: 30 MB, 10 µs;
//      Qwen-0.5B gate [4864, 896]: 2.2 MB, 0.7 µs, below a launch. Two FLOPs and about seven other operations a weight:
//      132 multiprocessors make some 4 T weights a second, 14 µs.
//
// 4. Launch bounds: 128 threads, 1.1 KB of shared memory.
#include "common/memory.cuh"
#include "common/nf4.cuh"
#include "common/reduce.cuh"

namespace {

// The launcher's twin is `crates/cuda/src/product/nf4_gemv.rs`.
template <class T>
struct Nf4Gemv {
    Nf4Matrix w;
    const T* x;
    // The adapter's operands; r is 0 without one.
    const T* xa;
    const T* b;
    // Or null.
    const float* bias;
    T* y;
    int m;
    int n;
    int k;
    int r;
    // x is aligned to 16 bytes and k a multiple of 8.
    int wide;
};

constexpr int WARPS = 4, FEATURES = 2;

// To the type of activations and back.
template <class T>
__device__ __forceinline__ float rounded(float x) {
    T to;
    from_float(to, x);
    return to_float(to);
}

// Rows and features beyond the last are computed as the last and not written.
template <class T, int ROWS>
__device__ void gemv(const Nf4Gemv<T>& g) {
    DYN_SHARED(shared);
    const Nf4Tables tables = nf4_tables<WARPS * 32>(g.w, shared);
    const int row = static_cast<int>(blockIdx.y) * ROWS;
    const int feature = (static_cast<int>(blockIdx.x) * WARPS + warp_id()) * FEATURES;
    if (feature >= g.n) return;
    const T* x[ROWS];
    index_t w[FEATURES];
#pragma unroll
    for (int i = 0; i < ROWS; ++i) x[i] = g.x + static_cast<index_t>(min(row + i, g.m - 1)) * g.k;
#pragma unroll
    for (int f = 0; f < FEATURES; ++f) w[f] = static_cast<index_t>(min(feature + f, g.n - 1)) * g.k;
    float sums[FEATURES][ROWS] = {};
    if (g.wide) {
        // Two pieces of each feature are on their way at once.
#pragma unroll 2
        for (int column = lane_id() * NF4_PIECE; column < g.k; column += 32 * NF4_PIECE) {
            float steps[ROWS][NF4_PIECE];
#pragma unroll
            for (int i = 0; i < ROWS; ++i) {
#pragma unroll
                for (int first = 0; first < NF4_PIECE; first += PACK<T>) {
                    const Pack<T> part = load(x[i], column + first, g.k, true);
#pragma unroll
                    for (int j = 0; j < PACK<T>; ++j) steps[i][first + j] = part.v[j];
                }
            }
#pragma unroll
            for (int f = 0; f < FEATURES; ++f) {
                const unsigned codes = nf4_codes(g.w, w[f] + column);
                const float scale = nf4_scale(g.w, tables, w[f] + column);
#pragma unroll
                for (int j = 0; j < NF4_PIECE; ++j) {
                    const float value = rounded<T>(nf4_value(tables, codes, j, scale));
#pragma unroll
                    for (int i = 0; i < ROWS; ++i) sums[f][i] = fmaf(steps[i][j], value, sums[f][i]);
                }
            }
        }
    } else {
        for (int column = lane_id(); column < g.k; column += 32) {
#pragma unroll
            for (int f = 0; f < FEATURES; ++f) {
                const float value = rounded<T>(nf4_element(g.w, tables, w[f] + column));
#pragma unroll
                for (int i = 0; i < ROWS; ++i) sums[f][i] = fmaf(to_float(x[i][column]), value, sums[f][i]);
            }
        }
    }
#pragma unroll
    for (int f = 0; f < FEATURES; ++f) {
        const index_t to = min(feature + f, g.n - 1);
        const float bias = g.bias == nullptr ? 0.0f : g.bias[to];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            const index_t from = min(row + i, g.m - 1);
            for (int j = lane_id(); j < g.r; j += 32) {
                sums[f][i] = fmaf(to_float(g.xa[from * g.r + j]), to_float(g.b[to * g.r + j]), sums[f][i]);
            }
            const float sum = warp_sum(sums[f][i]) + bias;
            if (lane_id() == 0 && row + i < g.m && feature + f < g.n) from_float(g.y[from * g.n + to], sum);
        }
    }
}

}  // namespace

#define KERNEL_GEMV(name, T, ROWS)                        \
    KERNEL(name, 128)(Nf4Gemv<T> g) { gemv<T, ROWS>(g); } \
    EXPORT_KERNEL(name, 128)
KERNEL_GEMV(nf4_gemv_one_bf16, bf16, 1)
KERNEL_GEMV(nf4_gemv_few_bf16, bf16, 4)
KERNEL_GEMV(nf4_gemv_one_f32, float, 1)
KERNEL_GEMV(nf4_gemv_few_f32, float, 4)
