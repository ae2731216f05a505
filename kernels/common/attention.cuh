// What the attention kernels share: their arguments, which keys a query sees, and scores turned into probabilities.
#pragma once

#include "common/mma.cuh"
#include "common/types.cuh"

// One sequence: its query rows, its key rows.
struct Span {
    int query;
    int queries;
    int key;
    int keys;
};

// A block of rows of a sequence, the work of one block of threads.
struct Work {
    int sequence;
    int first;
};

// Arguments of all attention kernels; the launcher's twin is `crates/cuda/src/attention.rs`.
struct AttentionArguments {
    const void* q;
    const void* k;
    const void* v;
    const void* out;
    const void* dout;
    const float* lse;
    const float* delta;
    const Span* spans;
    const Work* work;
    int heads;
    int kv_heads;
    int head_dim;
    float scale;
    // 0: none.
    float soft_cap;
    // Keys a query sees at most, itself included.
    int window;
    // Whether all matrices can be copied 16 bytes at a time.
    int aligned;
};

// A raw score (q · k) as logit in units of log 2; `slope` becomes d(logit in nats) / d(raw score).
__device__ inline float logit_of(const AttentionArguments& p, float score, float& slope) {
    const float LOG2_E = 1.4426950408889634f;
    if (p.soft_cap == 0.0f) {
        slope = p.scale;
        return score * (p.scale * LOG2_E);
    }
    const float t = tanhf(score * p.scale / p.soft_cap);
    slope = p.scale * (1.0f - t * t);
    return p.soft_cap * t * LOG2_E;
}

// Whether the query at `position` sees key `key`.
__device__ inline bool sees(const AttentionArguments& p, int position, int key) {
    return key <= position && position - key < p.window;
}

// Position of query `q` of a sequence among its keys.
__device__ inline int position_of(const Span& s, int q) { return s.keys - s.queries + q; }

// The first of the keys that the query at `position` sees.
__device__ inline int first_key(const AttentionArguments& p, int position) {
    return position < p.window ? 0 : position - p.window + 1;
}

// The largest of a row's values, and their sum: the four lanes of a row exchange theirs.
__device__ inline float row_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(FULL_WARP, x, 1));
    return fmaxf(x, __shfl_xor_sync(FULL_WARP, x, 2));
}

__device__ inline float row_sum(float x) {
    x += __shfl_xor_sync(FULL_WARP, x, 1);
    return x + __shfl_xor_sync(FULL_WARP, x, 2);
}

// sums[16, 8 · N] = rows row .. of tile `a` · columns of tile `b`, both [.., HD] in shared memory.
template <int HD, int PIECES, int N>
__device__ inline void scores_of(float (&sums)[N][4], const bf16* a, int row, const bf16* b) {
#pragma unroll
    for (int j = 0; j < N; ++j) {
        sums[j][0] = sums[j][1] = sums[j][2] = sums[j][3] = 0.0f;
    }
#pragma unroll
    for (int step = 0; step < HD / 16; ++step) {
        unsigned left[4], right[4];
        load_a<PIECES>(left, a, row, step);
#pragma unroll
        for (int j = 0; j < N / 2; ++j) {
            load_b<PIECES>(right, b, 16 * j, step);
            mma_pair(sums[2 * j], sums[2 * j + 1], left, right);
        }
    }
}

// sums[16, 8 · M] += p[16, 8 · N] · columns column .. of tile `b` [8 · N, HD]; p is rounded to bf16.
template <int PIECES, int N, int M>
__device__ inline void add_product(float (&sums)[M][4], const float (&p)[N][4], const bf16* b, int column) {
#pragma unroll
    for (int step = 0; step < N / 2; ++step) {
        const float (&near)[4] = p[2 * step];
        const float (&far)[4] = p[2 * step + 1];
        const unsigned left[4] = {pack_bf16(near[0], near[1]), pack_bf16(near[2], near[3]), pack_bf16(far[0], far[1]),
                                  pack_bf16(far[2], far[3])};
#pragma unroll
        for (int j = 0; j < M / 2; ++j) {
            unsigned right[4];
            load_b_turned<PIECES>(right, b, column + 16 * j, step);
            mma_pair(sums[2 * j], sums[2 * j + 1], left, right);
        }
    }
}

// Writes sums[16, 8 · M] · factor (one for row g, one for row g + 8) as rows of a matrix with `stride`, of which `rows` rows
// and `columns` columns exist from `matrix` on.
template <int M>
__device__ inline void store_rows(bf16* matrix, index_t stride, int rows, int columns, const float (&sums)[M][4], float upper,
                                  float lower, bool aligned) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = g + 8 * half;
        const float factor = half == 0 ? upper : lower;
#pragma unroll
        for (int j = 0; j < M; ++j) {
            const int column = 8 * j + 2 * t;
            if (row >= rows || column >= columns) {
                continue;
            }
            bf16* place = matrix + row * stride + column;
            const float x = sums[j][2 * half] * factor, y = sums[j][2 * half + 1] * factor;
            if (aligned) {
                *reinterpret_cast<unsigned*>(place) = pack_bf16(x, y);
            } else {
                from_float(place[0], x);
                if (column + 1 < columns) {
                    from_float(place[1], y);
                }
            }
        }
    }
}
