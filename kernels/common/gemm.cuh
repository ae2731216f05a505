// The tiled product of `matmul`, `lora_matmul` and `grouped_matmul`: c = alpha · (a · b + a1 · b1) (+ bias) (+ c), where
// a1 · b1 is a second, short product whose steps continue the chains of the first (an adapter by K-concatenation).
#pragma once

#include "common/mma.cuh"
#include "common/types.cuh"

// One product of the sum. The reduced axis of `a` is its columns, or its rows when the kernel reads `a` turned; likewise `b`.
struct Factors {
    const void* a;
    const void* b;
    index_t a_stride;
    index_t b_stride;
    int reduced;
    // Bit 0: `a` can be copied 16 bytes at a time, bit 1: `b` can.
    int aligned;
};

// Arguments of a product; the launcher's twin is `crates/cuda/src/product/tiled.rs`.
struct Gemm {
    Factors main;
    Factors tail;
    void* c;
    index_t c_stride;
    const float* bias;
    int m;
    int n;
    float alpha;
    int accumulate;
    // Steps of the reduced axis per block of grid.z; each writes its own `c` of m · n, to be added in order afterwards.
    int steps_per_part;
    // Whether two neighbours of a row of `c` can be moved at once.
    int paired;
};

// The product that a step belongs to, field by field: a reference chosen at run time would put the arguments into local memory.
__device__ inline Factors factors_of(const Gemm& p, bool main) {
    return {main ? p.main.a : p.tail.a,
            main ? p.main.b : p.tail.b,
            main ? p.main.a_stride : p.tail.a_stride,
            main ? p.main.b_stride : p.tail.b_stride,
            main ? p.main.reduced : p.tail.reduced,
            main ? p.main.aligned : p.tail.aligned};
}

// Tile `index` in the order in which blocks of eight rows of tiles share what they read.
__device__ inline void place_of_tile(int index, int tiles_m, int tiles_n, int& tile_m, int& tile_n) {
    const int rows = 8, group = index / (rows * tiles_n);
    const int height = min(tiles_m - group * rows, rows), inside = index - group * rows * tiles_n;
    tile_m = group * rows + inside % height;
    tile_n = inside / height;
}

// Two neighbours of a row.
__device__ inline float2 load_pair(const float* place) { return *reinterpret_cast<const float2*>(place); }
__device__ inline float2 load_pair(const bf16* place) { return unpack_bf16(*reinterpret_cast<const unsigned*>(place)); }
__device__ inline void store_pair(float* place, float2 x) { *reinterpret_cast<float2*>(place) = x; }
__device__ inline void store_pair(bf16* place, float2 x) { *reinterpret_cast<unsigned*>(place) = pack_bf16(x.x, x.y); }

// Writes the sums of (row, column) and of its right neighbour; column is even.
template <class C>
__device__ inline void store_result(const Gemm& p, C* c, int row, int column, float left, float right) {
    if (row >= p.m || column >= p.n) return;
    const bool both = column + 1 < p.n;
    C* place = c + row * p.c_stride + column;
    float2 value = make_float2(p.alpha * left, p.alpha * right);
    if (p.bias != nullptr) {
        value.x += p.bias[column];
        if (both) value.y += p.bias[column + 1];
    }
    if (p.paired != 0 && both) {
        if (p.accumulate != 0) {
            const float2 old = load_pair(place);
            value.x += old.x;
            value.y += old.y;
        }
        store_pair(place, value);
        return;
    }
    if (p.accumulate != 0) {
        value.x += to_float(place[0]);
        if (both) value.y += to_float(place[1]);
    }
    from_float(place[0], value.x);
    if (both) from_float(place[1], value.y);
}

// Tensor-core product of bf16 operands in tiles [BM, BN], 32 of the reduced axis a step, WM × WN a warp, four steps in
// flight. `TA`: `a` lies [reduced, m]; `TB`: `b` lies [reduced, n]; otherwise [m, reduced] and [n, reduced].
template <int BM, int BN, int WM, int WN, bool TA, bool TB, class C>
struct TensorCoreProduct {
    using Left = bf16;
    using Right = bf16;
    using Result = C;
    static constexpr int ROWS = BM, COLUMNS = BN;
    static constexpr int THREADS = BM / WM * (BN / WN) * 32;
    static constexpr int STEP = 32, STAGES = 4;
    static constexpr int PIECES_A = TA ? BM / 8 : STEP / 8, PIECES_B = TB ? BN / 8 : STEP / 8;
    static constexpr int STAGE = (BM + BN) * STEP;
    static constexpr int SHARED = STAGES * STAGE * 2;

    __device__ static void load(const Gemm& p, int step, int main_steps, int row, int column, bf16* stage) {
        const Factors f = factors_of(p, step < main_steps);
        const int at = (step < main_steps ? step : step - main_steps) * STEP;
        const auto* a = static_cast<const bf16*>(f.a);
        const auto* b = static_cast<const bf16*>(f.b);
        const bool whole_a = f.aligned & 1, whole_b = f.aligned & 2;
        if (TA) {
            load_tile<STEP, PIECES_A, THREADS>(stage, a, f.a_stride, at, f.reduced, row, p.m, whole_a);
        } else {
            load_tile<BM, PIECES_A, THREADS>(stage, a, f.a_stride, row, p.m, at, f.reduced, whole_a);
        }
        if (TB) {
            load_tile<STEP, PIECES_B, THREADS>(stage + BM * STEP, b, f.b_stride, at, f.reduced, column, p.n, whole_b);
        } else {
            load_tile<BN, PIECES_B, THREADS>(stage + BM * STEP, b, f.b_stride, column, p.n, at, f.reduced, whole_b);
        }
    }

    __device__ static void multiply(const bf16* stage, int row, int column, float (&sums)[WM / 16][WN / 8][4]) {
#pragma unroll
        for (int step = 0; step < STEP / 16; ++step) {
            unsigned a[WM / 16][4], b[WN / 16][4];
#pragma unroll
            for (int i = 0; i < WM / 16; ++i) {
                TA ? load_a_turned<PIECES_A>(a[i], stage, row + 16 * i, step)
                   : load_a<PIECES_A>(a[i], stage, row + 16 * i, step);
            }
#pragma unroll
            for (int j = 0; j < WN / 16; ++j) {
                TB ? load_b_turned<PIECES_B>(b[j], stage + BM * STEP, column + 16 * j, step)
                   : load_b<PIECES_B>(b[j], stage + BM * STEP, column + 16 * j, step);
            }
#pragma unroll
            for (int i = 0; i < WM / 16; ++i) {
#pragma unroll
                for (int j = 0; j < WN / 16; ++j) {
                    mma_pair(sums[i][2 * j], sums[i][2 * j + 1], a[i], b[j]);
                }
            }
        }
    }

    // Tile `index` of the result, from those of the steps begin .. begin + count that there are.
    __device__ static void tile(const Gemm& p, int index, int begin, int count, C* c) {
        DYN_SHARED(shared);
        bf16* stages = reinterpret_cast<bf16*>(shared);
        int tile_m, tile_n;
        place_of_tile(index, (p.m + BM - 1) / BM, (p.n + BN - 1) / BN, tile_m, tile_n);
        const int row = tile_m * BM, column = tile_n * BN;
        const int main_steps = (p.main.reduced + STEP - 1) / STEP, tail_steps = (p.tail.reduced + STEP - 1) / STEP;
        const int end = min(begin + count, main_steps + tail_steps);
        const int warp = threadIdx.x / 32, warp_row = warp / (BN / WN) * WM, warp_column = warp % (BN / WN) * WN;
        float sums[WM / 16][WN / 8][4] = {};
#pragma unroll
        for (int ahead = 0; ahead < STAGES - 1; ++ahead) {
            if (begin + ahead < end) {
                load(p, begin + ahead, main_steps, row, column, stages + ahead * STAGE);
            }
            copy_async_commit();
        }
        for (int step = begin; step < end; ++step) {
            copy_async_wait<STAGES - 2>();
            // All threads have brought their part of this step, and none still reads the stage that is filled next.
            __syncthreads();
            const int next = step + STAGES - 1;
            if (next < end) {
                load(p, next, main_steps, row, column, stages + (next - begin) % STAGES * STAGE);
            }
            copy_async_commit();
            multiply(stages + (step - begin) % STAGES * STAGE, warp_row, warp_column, sums);
        }
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < WM / 16; ++i) {
#pragma unroll
            for (int j = 0; j < WN / 8; ++j) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const int r = row + warp_row + 16 * i + lane / 4 + 8 * half;
                    store_result(p, c, r, column + warp_column + 8 * j + lane % 4 * 2, sums[i][j][2 * half],
                                 sums[i][j][2 * half + 1]);
                }
            }
        }
    }
};

// The tile and the part of the steps that belong to a block.
template <class Product>
__device__ void run_product(const Gemm& p) {
    auto* c = static_cast<typename Product::Result*>(p.c) + static_cast<index_t>(blockIdx.z) * p.m * p.n;
    Product::tile(p, blockIdx.x, blockIdx.z * p.steps_per_part, p.steps_per_part, c);
}

// The exact product in float32 for float32 activations: tiles of 64 × 64, 16 of the reduced axis a step, 4 × 4 outputs a
// thread. Chains of 256 fused multiply-adds are added in order, so that a long sum keeps its small terms. `B` is the type
// of the first product's `b`; that of the second is float32.
template <bool TA, bool TB, class B>
struct ExactProduct {
    using Left = float;
    using Right = B;
    using Result = float;
    static constexpr int TILE = 64, STEP = 16, THREADS = 256, CHAIN = 256 / STEP;
    static constexpr int ROWS = TILE, COLUMNS = TILE;

    using Operand = float[STEP][TILE + 4];
    static constexpr int SHARED = 2 * sizeof(Operand);

    // Rows row .. row + 64 of an operand, 16 of its reduced axis, as [reduced][row].
    template <bool TURNED, class T>
    __device__ static void load(Operand& tile, const T* x, index_t stride, int row, int rows, int at, int reduced) {
        for (int i = threadIdx.x; i < STEP * TILE; i += THREADS) {
            const int r = TURNED ? i % TILE : i / STEP, l = TURNED ? i / TILE : i % STEP;
            const index_t place = TURNED ? (at + l) * stride + row + r : (row + r) * stride + at + l;
            tile[l][r] = row + r < rows && at + l < reduced ? to_float(x[place]) : 0.0f;
        }
    }

    // As above.
    __device__ static void tile(const Gemm& p, int index, int begin, int count, float* out) {
        DYN_SHARED(shared);
        Operand& a = *reinterpret_cast<Operand*>(shared);
        Operand& b = *reinterpret_cast<Operand*>(shared + sizeof(Operand));
        int tile_m, tile_n;
        place_of_tile(index, (p.m + TILE - 1) / TILE, (p.n + TILE - 1) / TILE, tile_m, tile_n);
        const int row = tile_m * TILE, column = tile_n * TILE, r = threadIdx.x / 16 * 4, c = threadIdx.x % 16 * 4;
        const int main_steps = (p.main.reduced + STEP - 1) / STEP, tail_steps = (p.tail.reduced + STEP - 1) / STEP;
        const int end = min(begin + count, main_steps + tail_steps);
        float total[4][4] = {}, chain[4][4] = {};
        for (int step = begin; step < end; ++step) {
            const bool first = step < main_steps;
            const Factors f = factors_of(p, first);
            const int at = (first ? step : step - main_steps) * STEP;
            load<TA>(a, static_cast<const float*>(f.a), f.a_stride, row, p.m, at, f.reduced);
            if (first) {
                load<TB>(b, static_cast<const B*>(f.b), f.b_stride, column, p.n, at, f.reduced);
            } else {
                load<TB>(b, static_cast<const float*>(f.b), f.b_stride, column, p.n, at, f.reduced);
            }
            __syncthreads();
#pragma unroll
            for (int l = 0; l < STEP; ++l) {
#pragma unroll
                for (int e = 0; e < 16; ++e) {
                    chain[e / 4][e % 4] = fmaf(a[l][r + e / 4], b[l][c + e % 4], chain[e / 4][e % 4]);
                }
            }
            __syncthreads();
            if ((step - begin) % CHAIN == CHAIN - 1 || step + 1 == end) {
#pragma unroll
                for (int e = 0; e < 16; ++e) {
                    total[e / 4][e % 4] += chain[e / 4][e % 4];
                    chain[e / 4][e % 4] = 0.0f;
                }
            }
        }
#pragma unroll
        for (int e = 0; e < 16; e += 2) {
            store_result(p, out, row + r + e / 4, column + c + e % 4, total[e / 4][e % 4], total[e / 4][e % 4 + 1]);
        }
    }
};
