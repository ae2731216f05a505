// Attention row by row in float32: the exact kernels for float32 activations, and decoding over a cache of keys.
//
// 1. Purpose and formula. Those of attention.cu and attention_backward.cu, every product and sum in float32. Decoding
//    is the same forward with few queries and many keys: keys are split into chunks of 256, and what the chunks gave is
//    joined in their order (Flash-Decoding, Dao et al. 2023).
// 2. Shapes. As attention.cu, for f32 and (forward) bf16; a chunk leaves out[h] before division, its largest score and
//    its sum per row in f32 scratch.
// 3. Parallelisation. A block of 4 warps holds 16 rows of one key head; a row is a query of one of the head's query
//    heads, so that GQA reads each key once for all of them. Keys and values pass through shared memory 32 at a time: a
//    lane owns a key for the score, then elements of the head for the sum. Backward: a warp owns a row (a query, or a
//    key), 32 of the others pass by. No atomic additions.
//
//      Bytes and floor (H100 at 3.0 TB/s), decoding: the cache once. Llama-8B, 32 sequences of 8192 keys, one layer:
//      1.07 GB, 0.36 ms; Qwen-0.5B the same: 0.13 GB, 45 µs. 4.3 and 0.9 GFLOP, two a row and element: memory bound up
//      to 16 rows. Whole sequences in float32 are bound by arithmetic: of 67 TFLOP/s Llama's 550 G take 8.2 ms, Qwen's
//      60 G 0.9 ms.
//
// 4. Launch bounds: 128 threads (forward), 256 (backward); up to 86 KB of shared memory at h = 256.
#include "common/attention.cuh"
#include "common/reduce.cuh"

namespace {

constexpr int OTHERS = 32, MOST_ELEMENTS = 256 / 32;
constexpr float LOG2_E = 1.4426950408889634f, LN2 = 0.6931471805599453f;

// Rows first .. first + 32 of a matrix as [32][h + 1]; rows from `count` on are zero.
template <class T>
__device__ void load_others(float* tile, const T* matrix, index_t stride, int first, int count, int h) {
    for (int i = threadIdx.x; i < OTHERS * h; i += blockDim.x) {
        const int row = i / h, column = i % h;
        tile[row * (h + 1) + column] = first + row < count ? to_float(matrix[(first + row) * stride + column]) : 0.0f;
    }
}

__device__ float dot(const float* a, const float* b, int h) {
    float sum = 0.0f;
    for (int i = 0; i < h; ++i) {
        sum = fmaf(a[i], b[i], sum);
    }
    return sum;
}

// sums[e] += Σ factors[i] · tile[i][lane + 32 e] over the 32 rows of a tile.
__device__ void add_rows(float (&sums)[MOST_ELEMENTS], const float* factors, const float* tile, int h) {
    const int lane = threadIdx.x % 32;
    for (int i = 0; i < OTHERS; ++i) {
#pragma unroll
        for (int e = 0; e < MOST_ELEMENTS; ++e) {
            if (lane + 32 * e < h) {
                sums[e] = fmaf(factors[i], tile[i * (h + 1) + lane + 32 * e], sums[e]);
            }
        }
    }
}

// Where the result of a row goes: finished, or as part of a row whose keys are split.
template <class T>
struct RowResult {
    T* out;
    float* lse;
    // [items, heads, most_queries, h + 2]; null: finished rows.
    float* parts;
    int most_queries;
    // Keys of an item.
    int chunk;
};

// Forward of 16 rows of a key head. A work item's `first` is its first query, or its first key where keys are split.
template <class T>
struct RowForward {
    static constexpr int WARPS = 4, THREADS = 32 * WARPS, ROWS = 4, BLOCK = WARPS * ROWS;

    struct State {
        float out[MOST_ELEMENTS] = {};
        float largest = -INFINITY, sum = 0.0f;
    };

    // The keys key .. key + 32 are added to a row.
    __device__ static void add(const AttentionArguments& p, State& state, int position, int key, const float* q, const float* k,
                               const float* v, float* factors) {
        const int lane = threadIdx.x % 32, h = p.head_dim;
        float slope, score = -INFINITY;
        if (sees(p, position, key + lane)) {
            score = logit_of(p, dot(q, k + lane * (h + 1), h), slope);
        }
        const float best = fmaxf(state.largest, warp_max(score));
        const float shift = best == -INFINITY ? 0.0f : best;
        const float factor = exp2f(state.largest - shift), e = exp2f(score - shift);
        state.largest = best;
        state.sum = state.sum * factor + warp_sum(e);
        for (int i = 0; i < MOST_ELEMENTS; ++i) {
            state.out[i] *= factor;
        }
        __syncwarp();  // All lanes have read the row before; the exchanges above do not order memory.
        factors[lane] = e;
        __syncwarp();
        add_rows(state.out, factors, v, h);
    }

    __device__ static void finish(const AttentionArguments& p, const RowResult<T>& r, const State& state, index_t row, int head,
                                  int query) {
        const int lane = threadIdx.x % 32, h = p.head_dim;
        if (r.parts == nullptr) {
            T* out = r.out + (row * p.heads + head) * h;
            for (int e = 0; e < MOST_ELEMENTS; ++e) {
                if (lane + 32 * e < h) {
                    from_float(out[lane + 32 * e], state.out[e] / state.sum);
                }
            }
            if (r.lse != nullptr && lane == 0) {
                r.lse[row * p.heads + head] = (state.largest + log2f(state.sum)) * LN2;
            }
            return;
        }
        float* part = r.parts + ((static_cast<index_t>(blockIdx.x) * p.heads + head) * r.most_queries + query) * (h + 2);
        for (int e = 0; e < MOST_ELEMENTS; ++e) {
            if (lane + 32 * e < h) {
                part[lane + 32 * e] = state.out[e];
            }
        }
        if (lane == 0) {
            part[h] = state.largest;
            part[h + 1] = state.sum;
        }
    }

    __device__ static void run(const AttentionArguments& p, const RowResult<T>& r) {
        DYN_SHARED(memory);
        float* shared = reinterpret_cast<float*>(memory);
        const int h = p.head_dim, warp = threadIdx.x / 32, kv_head = blockIdx.y, group = p.heads / p.kv_heads;
        float* k = shared;
        float* v = k + OTHERS * (h + 1);
        float* q = v + OTHERS * (h + 1);
        float* factors = q + BLOCK * h + warp * OTHERS;
        const Work work = p.work[blockIdx.x];
        const Span s = p.spans[work.sequence];
        const bool split = r.parts != nullptr;
        // The grid has just as many blocks of rows as an item has queries at most.
        const int first_query = split ? 0 : work.first, rows = (s.queries - first_query) * group;
        const int first_row = blockIdx.z * BLOCK;
        if (first_row >= rows) {
            return;
        }
        for (int i = threadIdx.x; i < BLOCK * h; i += THREADS) {
            const int row = min(first_row + i / h, rows - 1), head = kv_head * group + row % group;
            const index_t place = (static_cast<index_t>(s.query) + first_query + row / group) * p.heads + head;
            q[i] = to_float(static_cast<const T*>(p.q)[place * h + i % h]);
        }
        const int last_row = min(first_row + BLOCK, rows) - 1;
        const int begin = first_key(p, position_of(s, first_query + first_row / group));
        const int end = position_of(s, first_query + last_row / group) + 1;
        const int from = max(begin / OTHERS * OTHERS, split ? work.first : 0),
                  to = split ? min(end, work.first + r.chunk) : end;
        const index_t stride = static_cast<index_t>(p.kv_heads) * h, place = s.key * stride + kv_head * h;
        State states[ROWS];
        for (int key = from; key < to; key += OTHERS) {
            // The keys before are no longer read.
            __syncthreads();
            load_others(k, static_cast<const T*>(p.k) + place, stride, key, s.keys, h);
            load_others(v, static_cast<const T*>(p.v) + place, stride, key, s.keys, h);
            __syncthreads();
#pragma unroll
            for (int i = 0; i < ROWS; ++i) {
                const int row = first_row + warp + WARPS * i;
                if (row < rows) {
                    const int position = position_of(s, first_query + row / group);
                    if (key <= position && position - key - (OTHERS - 1) < p.window) {
                        add(p, states[i], position, key, q + (warp + WARPS * i) * h, k, v, factors);
                    }
                }
            }
        }
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            const int row = first_row + warp + WARPS * i;
            if (row < rows) {
                const int query = first_query + row / group;
                finish(p, r, states[i], static_cast<index_t>(s.query) + query, kv_head * group + row % group, query);
            }
        }
    }
};

// A sequence whose keys are split into items first .. first + count.
struct SplitSequence {
    int sequence;
    int first;
    int count;
    int unused;
};

// Joins the parts of a row, one warp a row and head, in the order of the chunks.
template <class T>
__device__ void join_parts(const SplitSequence* sequences, const Span* spans, const float* parts, T* out, float* lse, int heads,
                           int h, int most_queries) {
    const SplitSequence split = sequences[blockIdx.x];
    const Span s = spans[split.sequence];
    const int head = blockIdx.y, query = blockIdx.z, lane = threadIdx.x;
    if (query >= s.queries) {
        return;
    }
    const index_t step = static_cast<index_t>(heads) * most_queries * (h + 2);
    const float* part = parts + split.first * step + (static_cast<index_t>(head) * most_queries + query) * (h + 2);
    float largest = -INFINITY, sum = 0.0f, sums[MOST_ELEMENTS] = {};
    for (int i = 0; i < split.count; ++i) {
        largest = fmaxf(largest, part[i * step + h]);
    }
    for (int i = 0; i < split.count; ++i) {
        const float factor = exp2f(part[i * step + h] - largest);
        sum = fmaf(part[i * step + h + 1], factor, sum);
        for (int e = 0; e < MOST_ELEMENTS; ++e) {
            if (lane + 32 * e < h) {
                sums[e] = fmaf(part[i * step + lane + 32 * e], factor, sums[e]);
            }
        }
    }
    if (lse != nullptr && lane == 0) {
        lse[(static_cast<index_t>(s.query) + query) * heads + head] = (largest + log2f(sum)) * LN2;
    }
    for (int e = 0; e < MOST_ELEMENTS; ++e) {
        if (lane + 32 * e < h) {
            from_float(out[((static_cast<index_t>(s.query) + query) * heads + head) * h + lane + 32 * e], sums[e] / sum);
        }
    }
}

// Backward of eight rows: queries (dq) or keys (dk, dv) against the tiles of the other side.
struct RowBackward {
    static constexpr int WARPS = 8;

    // p and ds of this lane's pair.
    __device__ static void gradient(const AttentionArguments& a, bool seen, const float* q, const float* k, const float* dout,
                                    const float* v, float lse, float delta, float& p, float& ds) {
        p = ds = 0.0f;
        if (seen) {
            float slope;
            p = exp2f(logit_of(a, dot(q, k, a.head_dim), slope) - lse * LOG2_E);
            ds = p * (dot(dout, v, a.head_dim) - delta) * slope;
        }
    }

    // This warp's own two rows of [.., h] into shared memory.
    __device__ static void load_own(float* own, const float* a, const float* b, int h) {
        for (int i = threadIdx.x % 32; i < h; i += 32) {
            own[i] = a[i];
            own[h + i] = b[i];
        }
    }

    __device__ static void store(float* out, const float (&sums)[MOST_ELEMENTS], int h) {
        for (int e = 0; e < MOST_ELEMENTS; ++e) {
            if (static_cast<int>(threadIdx.x) % 32 + 32 * e < h) {
                out[threadIdx.x % 32 + 32 * e] = sums[e];
            }
        }
    }

    __device__ static void queries(const AttentionArguments& p, float* dq) {
        DYN_SHARED(memory);
        float* shared = reinterpret_cast<float*>(memory);
        const int h = p.head_dim, warp = threadIdx.x / 32, lane = threadIdx.x % 32, head = blockIdx.y;
        float *k = shared, *v = k + OTHERS * (h + 1), *own = v + OTHERS * (h + 1) + warp * (2 * h + OTHERS),
              *factors = own + 2 * h;
        const Work work = p.work[blockIdx.x];
        const Span s = p.spans[work.sequence];
        const int first = work.first + blockIdx.z * WARPS, query = first + warp;
        if (first >= s.queries) {
            return;
        }
        const index_t row = (static_cast<index_t>(s.query) + min(query, s.queries - 1)) * p.heads + head;
        load_own(own, static_cast<const float*>(p.q) + row * h, static_cast<const float*>(p.dout) + row * h, h);
        const float lse = p.lse[row], delta = p.delta[row];
        const index_t stride = static_cast<index_t>(p.kv_heads) * h, place = s.key * stride + head / (p.heads / p.kv_heads) * h;
        const int begin = first_key(p, position_of(s, first)) / OTHERS * OTHERS;
        const int end = position_of(s, min(first + WARPS, s.queries) - 1) + 1;
        float sums[MOST_ELEMENTS] = {};
        for (int key = begin; key < end; key += OTHERS) {
            // The keys and factors before are no longer read.
            __syncthreads();
            load_others(k, static_cast<const float*>(p.k) + place, stride, key, s.keys, h);
            load_others(v, static_cast<const float*>(p.v) + place, stride, key, s.keys, h);
            __syncthreads();
            float probability, ds;
            const bool seen = query < s.queries && sees(p, position_of(s, query), key + lane);
            gradient(p, seen, own, k + lane * (h + 1), own + h, v + lane * (h + 1), lse, delta, probability, ds);
            factors[lane] = ds;
            __syncwarp();
            add_rows(sums, factors, k, h);
        }
        if (query < s.queries) {
            store(dq + row * h, sums, h);
        }
    }

    __device__ static void keys(const AttentionArguments& p, float* dk, float* dv) {
        DYN_SHARED(memory);
        float* shared = reinterpret_cast<float*>(memory);
        const int h = p.head_dim, warp = threadIdx.x / 32, lane = threadIdx.x % 32, kv_head = blockIdx.y,
                  group = p.heads / p.kv_heads;
        float *q = shared, *dout = q + OTHERS * (h + 1), *own = dout + OTHERS * (h + 1) + warp * (2 * h + 2 * OTHERS),
              *factors = own + 2 * h;
        const Work work = p.work[blockIdx.x];
        const Span s = p.spans[work.sequence];
        const int first = work.first + blockIdx.z * WARPS, key = first + warp;
        if (first >= s.keys) {
            return;
        }
        const index_t row = (static_cast<index_t>(s.key) + min(key, s.keys - 1)) * p.kv_heads + kv_head;
        load_own(own, static_cast<const float*>(p.k) + row * h, static_cast<const float*>(p.v) + row * h, h);
        // Beyond the last key the end is that of the queries all the same.
        const int last = first + WARPS - 1;
        const int begin = first / OTHERS * OTHERS, end = p.window < s.queries - last ? last + p.window : s.queries;
        const index_t stride = static_cast<index_t>(p.heads) * h;
        float dk_sums[MOST_ELEMENTS] = {}, dv_sums[MOST_ELEMENTS] = {};
        for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
            const index_t place = s.query * stride + head * h;
            for (int query = begin; query < end; query += OTHERS) {
                // The queries and factors before are no longer read.
                __syncthreads();
                load_others(q, static_cast<const float*>(p.q) + place, stride, query, s.queries, h);
                load_others(dout, static_cast<const float*>(p.dout) + place, stride, query, s.queries, h);
                __syncthreads();
                const int mine = query + lane;
                const bool seen = mine < s.queries && key < s.keys && sees(p, mine, key);
                const index_t number = (static_cast<index_t>(s.query) + min(mine, s.queries - 1)) * p.heads + head;
                gradient(p, seen, q + lane * (h + 1), own, dout + lane * (h + 1), own + h, p.lse[number], p.delta[number],
                         factors[lane], factors[OTHERS + lane]);
                __syncwarp();
                add_rows(dv_sums, factors, dout, h);
                add_rows(dk_sums, factors + OTHERS, q, h);
            }
        }
        if (key < s.keys) {
            store(dk + row * h, dk_sums, h);
            store(dv + row * h, dv_sums, h);
        }
    }
};

}  // namespace

KERNEL(attention_rows_f32, 128)(AttentionArguments p, RowResult<float> r) { RowForward<float>::run(p, r); }
EXPORT_KERNEL(attention_rows_f32, 128)
KERNEL(attention_rows_bf16, 128)(AttentionArguments p, RowResult<bf16> r) { RowForward<bf16>::run(p, r); }
EXPORT_KERNEL(attention_rows_bf16, 128)
KERNEL(attention_join_f32, 32)(const SplitSequence* sequences, const Span* spans, const float* parts, float* out, float* lse,
                               int heads, int h, int most_queries) {
    join_parts(sequences, spans, parts, out, lse, heads, h, most_queries);
}
EXPORT_KERNEL(attention_join_f32, 32)
KERNEL(attention_join_bf16, 32)(const SplitSequence* sequences, const Span* spans, const float* parts, bf16* out, float* lse,
                                int heads, int h, int most_queries) {
    join_parts(sequences, spans, parts, out, lse, heads, h, most_queries);
}
EXPORT_KERNEL(attention_join_bf16, 32)
KERNEL(attention_backward_queries_f32, 256)(AttentionArguments p, float* dq) { RowBackward::queries(p, dq); }
EXPORT_KERNEL(attention_backward_queries_f32, 256)
KERNEL(attention_backward_keys_f32, 256)(AttentionArguments p, float* dk, float* dv) { RowBackward::keys(p, dk, dv); }
EXPORT_KERNEL(attention_backward_keys_f32, 256)
