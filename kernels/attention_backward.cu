// Causal attention, backward, on tensor cores.
//
// 1. Purpose and formula. With p = softmax of the logits and delta = Σ out · dout per query and head: ds = p · (dout vᵀ
//    − delta) · slope; dq = ds k, dk = dsᵀ q, dv = pᵀ dout (Dao 2023, arXiv:2307.08691, algorithm 2). slope = scale,
//    times 1 − tanh² with a soft cap. Probabilities are computed again from the saved logarithms.
// 2. Shapes. As forward, with dout[tq, heads, h], dq[tq, heads, h], dk, dv[tk, kv_heads, h] bf16; delta[tq, heads] f32
//    is scratch. Keys and queries are the same rows.
// 3. Parallelisation. Three launches, none with an atomic addition: delta; dk and dv, a block of threads per block of
//    keys and key head, which goes over the queries of all its query heads in order; dq, a block per block of queries
//    and head. The scores are computed twice (7 products instead of 5), the price of a fixed order of additions. In the
//    first pass a warp owns 16 keys: scores are computed turned, so that they are at once the left operand of the next
//    product, and never leave the registers. Head size 256: dk and dv are made in two halves of columns by two blocks.
//
//      FLOPs and floor (H100 at 798 TFLOP/s): 14 · h · heads · pairs, of which 10 are the useful ones. Llama-8B, one
//      sequence of 8192: 1374 G useful, 1.72 ms, 2.41 ms with the scores computed twice; Qwen-0.5B, 8 × 2048: 150 G,
//      0.19 ms and 0.26 ms. Bytes, each tensor once: 0.34 GB and 0.13 GB, 112 and 45 µs at 3.0 TB/s: compute bound.
//
// 4. Launch bounds: 256 threads (h ≤ 128), 128 (h ≤ 256), one block an SM asked for, up to 255 registers; at most 98 KB
//    of shared memory.
#include "common/attention.cuh"
#include "common/reduce.cuh"

namespace {

// p and ds of one raw score and dp.
struct ScoreGradient {
    float p;
    float ds;
};

__device__ inline ScoreGradient score_gradient(const AttentionArguments& a, bool seen, float score, float dp, float lse,
                                               float delta) {
    if (!seen) {
        return {0.0f, 0.0f};
    }
    float slope;
    const float logit = logit_of(a, score, slope), p = exp2f(logit - lse * 1.4426950408889634f);
    return {p, p * (dp - delta) * slope};
}

// dk and dv of a block of keys. HALVES: blocks that share the columns of dk and dv.
template <int HD, int SD, int WARPS, int QUERIES, int STAGES, int HALVES>
struct KeyGradient {
    static constexpr int THREADS = 32 * WARPS, KEYS = 16 * WARPS, PIECES = SD / 8, COLUMNS = HD / HALVES;
    static constexpr int STAGE = 2 * QUERIES * SD;
    static constexpr int SHARED = (2 * KEYS * SD + STAGES * STAGE) * 2 + STAGES * 2 * QUERIES * 4;
    static_assert(SHARED <= 99 * 1024, "what a block may have on every card since sm_86");

    // The queries and output gradients from `query` on, and their lse and delta.
    __device__ static void load_queries(const AttentionArguments& p, const Span& s, int head, int query, bf16* stage,
                                        float* numbers) {
        const index_t stride = static_cast<index_t>(p.heads) * p.head_dim;
        const index_t place = s.query * stride + head * p.head_dim;
        const auto* q = static_cast<const bf16*>(p.q) + place;
        const auto* dout = static_cast<const bf16*>(p.dout) + place;
        load_tile<QUERIES, PIECES, THREADS>(stage, q, stride, query, s.queries, 0, p.head_dim, p.aligned);
        load_tile<QUERIES, PIECES, THREADS>(stage + QUERIES * SD, dout, stride, query, s.queries, 0, p.head_dim, p.aligned);
        for (int i = threadIdx.x; i < 2 * QUERIES; i += THREADS) {
            const index_t row = s.query + min(query + i % QUERIES, s.queries - 1);
            numbers[i] = (i < QUERIES ? p.lse : p.delta)[row * p.heads + head];
        }
    }

    // What the queries of one stage add to the 16 keys of this warp.
    __device__ static void add(const AttentionArguments& p, const Span& s, int key, int row, int query, const bf16* tiles,
                               const bf16* stage, const float* numbers, int column, float (&dk)[COLUMNS / 8][4],
                               float (&dv)[COLUMNS / 8][4]) {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        float scores[QUERIES / 8][4], dp[QUERIES / 8][4];
        scores_of<HD, PIECES>(scores, tiles, row, stage);
        scores_of<HD, PIECES>(dp, tiles + KEYS * SD, row, stage + QUERIES * SD);
#pragma unroll
        for (int j = 0; j < QUERIES / 8; ++j) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int i = 8 * j + 2 * t + e % 2, mine = key + g + e / 2 * 8;
                const bool seen = query + i < s.queries && sees(p, query + i, mine);
                const ScoreGradient both = score_gradient(p, seen, scores[j][e], dp[j][e], numbers[i], numbers[QUERIES + i]);
                scores[j][e] = both.p;
                dp[j][e] = both.ds;
            }
        }
        add_product<PIECES>(dv, scores, stage + QUERIES * SD, column);
        add_product<PIECES>(dk, dp, stage, column);
    }

    __device__ static void run(const AttentionArguments& p, bf16* dk_result, bf16* dv_result) {
        DYN_SHARED(shared);
        bf16* tiles = reinterpret_cast<bf16*>(shared);
        bf16* stages = tiles + 2 * KEYS * SD;
        float* numbers = reinterpret_cast<float*>(stages + STAGES * STAGE);
        const Work work = p.work[blockIdx.x];
        const Span s = p.spans[work.sequence];
        const int kv_head = blockIdx.y, group = p.heads / p.kv_heads, column = blockIdx.z * COLUMNS;
        const index_t stride = static_cast<index_t>(p.kv_heads) * p.head_dim;
        const index_t place = s.key * stride + kv_head * p.head_dim;
        const int row = threadIdx.x / 32 * 16, key = work.first + row;
        const auto* k = static_cast<const bf16*>(p.k) + place;
        const auto* v = static_cast<const bf16*>(p.v) + place;
        load_tile<KEYS, PIECES, THREADS>(tiles, k, stride, work.first, s.keys, 0, p.head_dim, p.aligned);
        load_tile<KEYS, PIECES, THREADS>(tiles + KEYS * SD, v, stride, work.first, s.keys, 0, p.head_dim, p.aligned);

        // The queries that see any of these keys, block by block, for one head after another.
        const int begin = work.first / QUERIES * QUERIES;
        // Beyond the last key the end is that of the queries all the same.
        const int last_key = work.first + KEYS - 1;
        const int end = p.window < s.queries - last_key ? last_key + p.window : s.queries;
        const int blocks = (end - begin + QUERIES - 1) / QUERIES, steps = blocks * group;
        float dk[COLUMNS / 8][4] = {}, dv[COLUMNS / 8][4] = {};
        const auto load = [&](int step) {
            const int stage = step % STAGES;
            load_queries(p, s, kv_head * group + step / blocks, begin + step % blocks * QUERIES, stages + stage * STAGE,
                         numbers + stage * 2 * QUERIES);
            copy_async_commit();
        };
        load(0);
        for (int step = 0; step < steps; ++step) {
            copy_async_wait<0>();
            // This stage has been brought by all threads, and none reads the one that is filled next.
            __syncthreads();
            if (STAGES == 2 && step + 1 < steps) {
                load(step + 1);
            }
            const int query = begin + step % blocks * QUERIES, stage = step % STAGES;
            // The last key of the warp's is seen from `key` on, and its last from key + 15 + window no more.
            if (key < s.keys && query + QUERIES > key && query - key - 15 < p.window) {
                add(p, s, key, row, query, tiles, stages + stage * STAGE, numbers + stage * 2 * QUERIES, column, dk, dv);
            }
            if (STAGES == 1 && step + 1 < steps) {
                __syncthreads();
                load(step + 1);
            }
        }
        if (key < s.keys) {
            const index_t target = place + key * stride + column;
            const int columns = p.head_dim - column;
            store_rows(dk_result + target, stride, s.keys - key, columns, dk, 1.0f, 1.0f, p.aligned);
            store_rows(dv_result + target, stride, s.keys - key, columns, dv, 1.0f, 1.0f, p.aligned);
        }
    }
};

// dq of a block of queries.
template <int HD, int SD, int WARPS, int KEYS, int STAGES>
struct QueryGradient {
    static constexpr int THREADS = 32 * WARPS, QUERIES = 16 * WARPS, PIECES = SD / 8;
    static constexpr int STAGE = 2 * KEYS * SD;
    static constexpr int SHARED = (2 * QUERIES * SD + STAGES * STAGE) * 2;
    static_assert(SHARED <= 99 * 1024, "what a block may have on every card since sm_86");

    __device__ static void load_keys(const AttentionArguments& p, const Span& s, int kv_head, int key, bf16* stage) {
        const index_t stride = static_cast<index_t>(p.kv_heads) * p.head_dim;
        const index_t place = s.key * stride + kv_head * p.head_dim;
        const auto* k = static_cast<const bf16*>(p.k) + place;
        const auto* v = static_cast<const bf16*>(p.v) + place;
        load_tile<KEYS, PIECES, THREADS>(stage, k, stride, key, s.keys, 0, p.head_dim, p.aligned);
        load_tile<KEYS, PIECES, THREADS>(stage + KEYS * SD, v, stride, key, s.keys, 0, p.head_dim, p.aligned);
        copy_async_commit();
    }

    __device__ static void add(const AttentionArguments& p, const Span& s, int query, int row, int key, const bf16* tiles,
                               const bf16* stage, const float (&lse)[2], const float (&delta)[2], float (&dq)[HD / 8][4]) {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        float scores[KEYS / 8][4], dp[KEYS / 8][4];
        scores_of<HD, PIECES>(scores, tiles, row, stage);
        scores_of<HD, PIECES>(dp, tiles + QUERIES * SD, row, stage + KEYS * SD);
#pragma unroll
        for (int j = 0; j < KEYS / 8; ++j) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int position = position_of(s, query + g + e / 2 * 8);
                const bool seen = sees(p, position, key + 8 * j + 2 * t + e % 2);
                dp[j][e] = score_gradient(p, seen, scores[j][e], dp[j][e], lse[e / 2], delta[e / 2]).ds;
            }
        }
        add_product<PIECES>(dq, dp, stage, 0);
    }

    __device__ static void run(const AttentionArguments& p, bf16* result) {
        DYN_SHARED(shared);
        bf16* tiles = reinterpret_cast<bf16*>(shared);
        bf16* stages = tiles + 2 * QUERIES * SD;
        const Work work = p.work[blockIdx.x];
        const Span s = p.spans[work.sequence];
        const int head = blockIdx.y, kv_head = head / (p.heads / p.kv_heads);
        const index_t stride = static_cast<index_t>(p.heads) * p.head_dim;
        const index_t place = s.query * stride + head * p.head_dim;
        const int row = threadIdx.x / 32 * 16, query = work.first + row, last = min(work.first + QUERIES, s.queries) - 1;
        const int begin = first_key(p, position_of(s, work.first)) / KEYS * KEYS, end = position_of(s, last) + 1;
        const int warp_begin = first_key(p, position_of(s, query)), warp_end = position_of(s, query + 15) + 1;
        const auto* q = static_cast<const bf16*>(p.q) + place;
        const auto* dout = static_cast<const bf16*>(p.dout) + place;
        load_tile<QUERIES, PIECES, THREADS>(tiles, q, stride, work.first, s.queries, 0, p.head_dim, p.aligned);
        load_tile<QUERIES, PIECES, THREADS>(tiles + QUERIES * SD, dout, stride, work.first, s.queries, 0, p.head_dim,
                                            p.aligned);
        load_keys(p, s, kv_head, begin, stages);

        float lse[2], delta[2], dq[HD / 8][4] = {};
        for (int half = 0; half < 2; ++half) {
            const index_t mine = s.query + min(query + static_cast<int>(threadIdx.x) % 32 / 4 + 8 * half, s.queries - 1);
            lse[half] = p.lse[mine * p.heads + head];
            delta[half] = p.delta[mine * p.heads + head];
        }
        int stage = 0;
        for (int key = begin; key < end; key += KEYS) {
            copy_async_wait<0>();
            // This stage has been brought by all threads, and none reads the one that is filled next.
            __syncthreads();
            if (STAGES == 2 && key + KEYS < end) {
                load_keys(p, s, kv_head, key + KEYS, stages + (stage ^ 1) * STAGE);
            }
            if (query < s.queries && key < warp_end && key + KEYS > warp_begin) {
                add(p, s, query, row, key, tiles, stages + stage * STAGE, lse, delta, dq);
            }
            if (STAGES == 1 && key + KEYS < end) {
                __syncthreads();
                load_keys(p, s, kv_head, key + KEYS, stages);
            }
            stage = STAGES == 2 ? stage ^ 1 : 0;
        }
        if (query < s.queries) {
            store_rows(result + place + query * stride, stride, s.queries - query, p.head_dim, dq, 1.0f, 1.0f, p.aligned);
        }
    }
};

// delta[row] = Σ out · dout over the head, a warp each of the rows · heads.
template <class T>
__device__ void delta_of_rows(const T* out, const T* dout, float* delta, index_t rows, int head_dim) {
    const index_t row = static_cast<index_t>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= rows) {
        return;
    }
    float sum = 0.0f;
    for (int i = threadIdx.x % 32; i < head_dim; i += 32) {
        sum = fmaf(to_float(out[row * head_dim + i]), to_float(dout[row * head_dim + i]), sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) {
        delta[row] = sum;
    }
}

}  // namespace

#define KERNEL_KEYS(NAME, HD, SD, WARPS, QUERIES, STAGES, HALVES)                                                  \
    extern "C" __global__ void __launch_bounds__(32 * (WARPS), 1) NAME(AttentionArguments p, bf16* dk, bf16* dv) { \
        KeyGradient<HD, SD, WARPS, QUERIES, STAGES, HALVES>::run(p, dk, dv);                                       \
    }                                                                                                              \
    EXPORT_KERNEL(NAME, 32 * (WARPS))
#define KERNEL_QUERIES(NAME, HD, SD, WARPS, KEYS, STAGES)                                                \
    extern "C" __global__ void __launch_bounds__(32 * (WARPS), 1) NAME(AttentionArguments p, bf16* dq) { \
        QueryGradient<HD, SD, WARPS, KEYS, STAGES>::run(p, dq);                                          \
    }                                                                                                    \
    EXPORT_KERNEL(NAME, 32 * (WARPS))

KERNEL_KEYS(attention_backward_keys_32_bf16, 32, 32, 8, 64, 2, 1)
KERNEL_KEYS(attention_backward_keys_64_bf16, 64, 64, 8, 64, 2, 1)
KERNEL_KEYS(attention_backward_keys_96_bf16, 96, 128, 8, 32, 2, 1)
KERNEL_KEYS(attention_backward_keys_128_bf16, 128, 128, 8, 32, 2, 1)
KERNEL_KEYS(attention_backward_keys_256_bf16, 256, 256, 4, 32, 1, 2)
KERNEL_QUERIES(attention_backward_queries_32_bf16, 32, 32, 8, 64, 2)
KERNEL_QUERIES(attention_backward_queries_64_bf16, 64, 64, 8, 64, 2)
KERNEL_QUERIES(attention_backward_queries_96_bf16, 96, 128, 8, 32, 2)
KERNEL_QUERIES(attention_backward_queries_128_bf16, 128, 128, 8, 32, 2)
KERNEL_QUERIES(attention_backward_queries_256_bf16, 256, 256, 4, 32, 1)

KERNEL(attention_delta_bf16, 256)(const bf16* out, const bf16* dout, float* delta, index_t rows, int head_dim) {
    delta_of_rows(out, dout, delta, rows, head_dim);
}
EXPORT_KERNEL(attention_delta_bf16, 256)
KERNEL(attention_delta_f32, 256)(const float* out, const float* dout, float* delta, index_t rows, int head_dim) {
    delta_of_rows(out, dout, delta, rows, head_dim);
}
EXPORT_KERNEL(attention_delta_f32, 256)
