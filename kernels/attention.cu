// Causal attention over sequences of unequal length, forward, on tensor cores.
//
// 1. Purpose and formula. out = softmax(scale · q kᵀ) v per sequence and head, with the mask 0 ≤ position − key <
//    window and, where there is a soft cap, scores cap · tanh(s / cap). FlashAttention-2 (Dao 2023, arXiv:2307.08691):
//    the softmax is kept for the largest score so far and rescaled, so that scores never leave the registers. GQA:
//    query head i reads key head i / (heads / kv_heads).
// 2. Shapes. q, out[tq, heads, h], k, v[tk, kv_heads, h] bf16; saves lse[tq, heads] f32, the logarithm of the sum of
//    exponentials. Head sizes up to 256 are filled up with zeros in shared memory to 32, 64, 96, 128 or 256.
// 3. Parallelisation. A list of (sequence, block of queries), made once per batch, the longest first; grid: list ×
//    heads. A warp owns 16 queries, their sums and their softmax; keys and values pass through two stages of shared
//    memory, 64 (or 32) keys each. A warp leaves out blocks of keys that none of its queries sees. Each row's sums run
//    in the order of the keys from a multiple of the block on, so a sequence has the same bits alone and packed.
//
//      FLOPs and floor (H100 at 798 TFLOP/s): 4 · h · heads · pairs. Llama-8B, one sequence of 8192, causal: 550 G,
//      0.69 ms; Qwen-0.5B, 8 × 2048: 60 G, 75 µs. Bytes 0.17 GB and 67 MB, 56 and 22 µs at 3.0 TB/s: compute bound.
//
// 4. Launch bounds: 256 threads (h ≤ 128), 128 (h ≤ 256), one block an SM asked for, up to 255 registers; 48 to 96 KB
//    of shared memory, which sm_86 and sm_89 have too.
#include "common/attention.cuh"

namespace {

// HD: head size after filling up; SD: elements of a row in shared memory.
template <int HD, int SD, int WARPS, int KEYS>
struct AttentionForward {
    static constexpr int THREADS = 32 * WARPS, QUERIES = 16 * WARPS, PIECES = SD / 8;
    static constexpr int STAGE = 2 * KEYS * SD;
    static constexpr int SHARED = (QUERIES * SD + 2 * STAGE) * 2;
    static_assert(SHARED <= 99 * 1024, "what a block may have on every card since sm_86");

    __device__ static void load_keys(const AttentionArguments& p, const Span& s, int kv_head, int key, bf16* stage) {
        const index_t stride = static_cast<index_t>(p.kv_heads) * p.head_dim;
        const index_t place = s.key * stride + kv_head * p.head_dim;
        const auto* k = static_cast<const bf16*>(p.k) + place;
        const auto* v = static_cast<const bf16*>(p.v) + place;
        load_tile<KEYS, PIECES, THREADS>(stage, k, stride, key, s.keys, 0, p.head_dim, p.aligned);
        load_tile<KEYS, PIECES, THREADS>(stage + KEYS * SD, v, stride, key, s.keys, 0, p.head_dim, p.aligned);
    }

    // Scores of 16 queries become unnormalised probabilities; `out` and `sum` are rescaled to the new largest score.
    __device__ static void soften(const AttentionArguments& p, const Span& s, int query, int key, float (&scores)[KEYS / 8][4],
                                  float (&out)[HD / 8][4], float (&largest)[2], float (&sum)[2]) {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int position = position_of(s, query + g + 8 * half);
            float best = largest[half];
#pragma unroll
            for (int j = 0; j < KEYS / 8; ++j) {
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    float slope, &score = scores[j][2 * half + e];
                    score = sees(p, position, key + 8 * j + 2 * t + e) ? logit_of(p, score, slope) : -INFINITY;
                    best = fmaxf(best, score);
                }
            }
            best = row_max(best);
            const float shift = best == -INFINITY ? 0.0f : best;
            const float factor = exp2f(largest[half] - shift);
            largest[half] = best;
            float block_sum = 0.0f;
#pragma unroll
            for (int j = 0; j < KEYS / 8; ++j) {
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    float& score = scores[j][2 * half + e];
                    score = exp2f(score - shift);
                    block_sum += score;
                }
            }
            sum[half] = sum[half] * factor + row_sum(block_sum);
#pragma unroll
            for (int j = 0; j < HD / 8; ++j) {
                out[j][2 * half] *= factor;
                out[j][2 * half + 1] *= factor;
            }
        }
    }

    __device__ static void run(const AttentionArguments& p, bf16* result, float* lse) {
        DYN_SHARED(shared);
        bf16* tiles = reinterpret_cast<bf16*>(shared);
        bf16* stages = tiles + QUERIES * SD;
        const Work work = p.work[blockIdx.x];
        const Span s = p.spans[work.sequence];
        const int head = blockIdx.y, kv_head = head / (p.heads / p.kv_heads);
        const index_t stride = static_cast<index_t>(p.heads) * p.head_dim;
        const auto* q = static_cast<const bf16*>(p.q) + s.query * stride + head * p.head_dim;
        const int query = work.first + threadIdx.x / 32 * 16, last = min(work.first + QUERIES, s.queries) - 1;
        const int begin = first_key(p, position_of(s, work.first)) / KEYS * KEYS, end = position_of(s, last) + 1;
        const int warp_begin = first_key(p, position_of(s, query)), warp_end = position_of(s, query + 15) + 1;

        load_tile<QUERIES, PIECES, THREADS>(tiles, q, stride, work.first, s.queries, 0, p.head_dim, p.aligned);
        load_keys(p, s, kv_head, begin, stages);
        copy_async_commit();
        float out[HD / 8][4] = {}, largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
        int stage = 0;
        for (int key = begin; key < end; key += KEYS, stage ^= 1) {
            copy_async_wait<0>();
            // This stage has been brought by all threads, and none reads the other one any more.
            __syncthreads();
            if (key + KEYS < end) {
                load_keys(p, s, kv_head, key + KEYS, stages + (stage ^ 1) * STAGE);
            }
            copy_async_commit();
            if (query >= s.queries || key >= warp_end || key + KEYS <= warp_begin) {
                continue;
            }
            const bf16* keys = stages + stage * STAGE;
            float scores[KEYS / 8][4];
            scores_of<HD, PIECES>(scores, tiles, query - work.first, keys);
            soften(p, s, query, key, scores, out, largest, sum);
            add_product<PIECES>(out, scores, keys + KEYS * SD, 0);
        }
        if (query >= s.queries) {
            return;
        }
        const index_t row = s.query + query;
        store_rows(result + row * stride + head * p.head_dim, stride, s.queries - query, p.head_dim, out, 1.0f / sum[0],
                   1.0f / sum[1], p.aligned);
        const int g = threadIdx.x % 32 / 4;
        for (int half = 0; half < 2; ++half) {
            if (lse != nullptr && threadIdx.x % 4 == 0 && query + g + 8 * half < s.queries) {
                lse[(row + g + 8 * half) * p.heads + head] = (largest[half] + log2f(sum[half])) * 0.6931471805599453f;
            }
        }
    }
};

}  // namespace

#define KERNEL_FORWARD(NAME, HD, SD, WARPS, KEYS)                                                                     \
    extern "C" __global__ void __launch_bounds__(32 * (WARPS), 1) NAME(AttentionArguments p, bf16* out, float* lse) { \
        AttentionForward<HD, SD, WARPS, KEYS>::run(p, out, lse);                                                      \
    }                                                                                                                 \
    EXPORT_KERNEL(NAME, 32 * (WARPS))

KERNEL_FORWARD(attention_forward_32_bf16, 32, 32, 8, 64)
KERNEL_FORWARD(attention_forward_64_bf16, 64, 64, 8, 64)
KERNEL_FORWARD(attention_forward_96_bf16, 96, 128, 8, 64)
KERNEL_FORWARD(attention_forward_128_bf16, 128, 128, 8, 64)
KERNEL_FORWARD(attention_forward_256_bf16, 256, 256, 4, 32)
