// Attention row by row in binary32: the exact kernels for binary32 activations, and decoding over a cache of keys.
//
// 1. Purpose and formula. Those of attention.cu and attention_backward.cu, every product and sum in binary32. Decoding is the same forward
//    with few queries and many keys: keys are split into chunks of 256, and what the chunks gave is joined in their order
//    (Flash-Decoding, Dao et al. 2023).
// 2. Shapes. As attention.cu, for f32 and (forward) bf16; a chunk leaves out[h] before division, its largest score and its sum per row in
//    f32 scratch.
// 3. Parallelisation. A block of 4 warps holds 16 rows of one key head; a row is a query of one of the head's query heads, so that
//    GQA reads each key once for all of them. Keys and values pass through shared memory 32 at a time: a lane owns a key for the score, then
//    elements of the head for the sum. Backward: a warp owns a row (a query, or a key), 32 of the others pass by. No atomic additions.
// 5. Launch bounds: 128 threads (forward), 256 (backward); up to 86 KB of shared memory at h = 256.
// 6. Bytes and floor (H100 at 3.0 TB/s), decoding: the cache once. Llama-8B, 32 sequences of 8192 keys, one layer: 1.07 GB, 0.36 ms; Qwen-0.5B the
//    same: 0.13 GB, 45 µs. Two operations a row and element: memory bound up to 16 rows.
#include "common/attention.cuh"

namespace {

constexpr int kOthers = 32, kMostElements = 256 / 32;
constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

// Rows first .. first + 32 of a matrix as [32][h + 1]; rows from `count` on are zero.
template <typename T>
__device__ void load_others(float* tile, const T* matrix, long long stride, int first, int count, int h) {
  for (int i = threadIdx.x; i < kOthers * h; i += blockDim.x) {
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

__device__ float warp_max(float x) {
  for (int distance = 16; distance > 0; distance /= 2) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, distance));
  }
  return x;
}

__device__ float warp_sum(float x) {
  for (int distance = 16; distance > 0; distance /= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, distance);
  }
  return x;
}

// sums[e] += Σ factors[i] · tile[i][lane + 32 e] over the 32 rows of a tile.
__device__ void add_rows(float (&sums)[kMostElements], const float* factors, const float* tile, int h) {
  const int lane = threadIdx.x % 32;
  for (int i = 0; i < kOthers; ++i) {
#pragma unroll
    for (int e = 0; e < kMostElements; ++e) {
      if (lane + 32 * e < h) {
        sums[e] = fmaf(factors[i], tile[i * (h + 1) + lane + 32 * e], sums[e]);
      }
    }
  }
}

// Where the result of a row goes: finished, or as part of a row whose keys are split.
template <typename T>
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
template <typename T>
struct RowForward {
  static constexpr int kWarps = 4, kThreads = 32 * kWarps, kRows = 4, kBlock = kWarps * kRows;

  struct State {
    float out[kMostElements] = {};
    float largest = -INFINITY, sum = 0.0f;
  };

  // The keys key .. key + 32 are added to a row.
  __device__ static void add(const AttentionArguments& p, State& state, int position, int key, const float* q,
                             const float* k, const float* v, float* factors) {
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
    for (int i = 0; i < kMostElements; ++i) {
      state.out[i] *= factor;
    }
    // The row before has been read by all lanes: a warp's maximum and sum lie between.
    factors[lane] = e;
    __syncwarp();
    add_rows(state.out, factors, v, h);
  }

  __device__ static void finish(const AttentionArguments& p, const RowResult<T>& r, const State& state, long long row, int head, int query) {
    const int lane = threadIdx.x % 32, h = p.head_dim;
    if (r.parts == nullptr) {
      T* out = r.out + (row * p.heads + head) * h;
      for (int e = 0; e < kMostElements; ++e) {
        if (lane + 32 * e < h) {
          out[lane + 32 * e] = from_float<T>(state.out[e] / state.sum);
        }
      }
      if (r.lse != nullptr && lane == 0) {
        r.lse[row * p.heads + head] = (state.largest + log2f(state.sum)) * kLn2;
      }
      return;
    }
    float* part = r.parts + ((static_cast<long long>(blockIdx.x) * p.heads + head) * r.most_queries + query) * (h + 2);
    for (int e = 0; e < kMostElements; ++e) {
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
    DYN_SHARED(float, shared);
    const int h = p.head_dim, warp = threadIdx.x / 32, kv_head = blockIdx.y, group = p.heads / p.kv_heads;
    float* k = shared;
    float* v = k + kOthers * (h + 1);
    float* q = v + kOthers * (h + 1);
    float* factors = q + kBlock * h + warp * kOthers;
    const Work work = p.work[blockIdx.x];
    const Span s = p.spans[work.sequence];
    const bool split = r.parts != nullptr;
    const int first_query = split ? 0 : work.first, queries = split ? s.queries : min(s.queries - work.first, r.chunk);
    const int first_row = blockIdx.z * kBlock, rows = queries * group;
    if (first_row >= rows) {
      return;
    }
    for (int i = threadIdx.x; i < kBlock * h; i += kThreads) {
      const int row = min(first_row + i / h, rows - 1), head = kv_head * group + row % group;
      const long long place = (static_cast<long long>(s.query) + first_query + row / group) * p.heads + head;
      q[i] = to_float(static_cast<const T*>(p.q)[place * h + i % h]);
    }
    const int last_row = min(first_row + kBlock, rows) - 1;
    const int begin = first_key(p, position_of(s, first_query + first_row / group));
    const int end = position_of(s, first_query + last_row / group) + 1;
    const int from = max(begin / kOthers * kOthers, split ? work.first : 0), to = split ? min(end, work.first + r.chunk) : end;
    const long long stride = static_cast<long long>(p.kv_heads) * h, place = s.key * stride + kv_head * h;
    State states[kRows];
    for (int key = from; key < to; key += kOthers) {
      // The keys before are no longer read.
      __syncthreads();
      load_others(k, static_cast<const T*>(p.k) + place, stride, key, s.keys, h);
      load_others(v, static_cast<const T*>(p.v) + place, stride, key, s.keys, h);
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const int row = first_row + warp + kWarps * i;
        if (row < rows) {
          const int position = position_of(s, first_query + row / group);
          if (key <= position && position - key - (kOthers - 1) < p.window) {
            add(p, states[i], position, key, q + (warp + kWarps * i) * h, k, v, factors);
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int row = first_row + warp + kWarps * i;
      if (row < rows) {
        const int query = first_query + row / group;
        finish(p, r, states[i], static_cast<long long>(s.query) + query, kv_head * group + row % group, query);
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
template <typename T>
__device__ void join_parts(const SplitSequence* sequences, const Span* spans, const float* parts, T* out, int heads, int h,
                           int most_queries) {
  const SplitSequence split = sequences[blockIdx.x];
  const Span s = spans[split.sequence];
  const int head = blockIdx.y, query = blockIdx.z, lane = threadIdx.x;
  if (query >= s.queries) {
    return;
  }
  const long long step = static_cast<long long>(heads) * most_queries * (h + 2);
  const float* part = parts + split.first * step + (static_cast<long long>(head) * most_queries + query) * (h + 2);
  float largest = -INFINITY, sum = 0.0f, sums[kMostElements] = {};
  for (int i = 0; i < split.count; ++i) {
    largest = fmaxf(largest, part[i * step + h]);
  }
  for (int i = 0; i < split.count; ++i) {
    const float factor = exp2f(part[i * step + h] - largest);
    sum = fmaf(part[i * step + h + 1], factor, sum);
    for (int e = 0; e < kMostElements; ++e) {
      if (lane + 32 * e < h) {
        sums[e] = fmaf(part[i * step + lane + 32 * e], factor, sums[e]);
      }
    }
  }
  for (int e = 0; e < kMostElements; ++e) {
    if (lane + 32 * e < h) {
      out[((static_cast<long long>(s.query) + query) * heads + head) * h + lane + 32 * e] = from_float<T>(sums[e] / sum);
    }
  }
}

// Backward of eight rows: queries (dq) or keys (dk, dv) against the tiles of the other side.
struct RowBackward {
  static constexpr int kWarps = 8, kThreads = 32 * kWarps;

  // p and ds of this lane's pair.
  __device__ static void gradient(const AttentionArguments& a, bool seen, const float* q, const float* k, const float* dout,
                                  const float* v, float lse, float delta, float& p, float& ds) {
    p = ds = 0.0f;
    if (seen) {
      float slope;
      p = exp2f(logit_of(a, dot(q, k, a.head_dim), slope) - lse * kLog2E);
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

  __device__ static void store(float* out, const float (&sums)[kMostElements], int h) {
    for (int e = 0; e < kMostElements; ++e) {
      if (static_cast<int>(threadIdx.x) % 32 + 32 * e < h) {
        out[threadIdx.x % 32 + 32 * e] = sums[e];
      }
    }
  }

  __device__ static void queries(const AttentionArguments& p, float* dq) {
    DYN_SHARED(float, shared);
    const int h = p.head_dim, warp = threadIdx.x / 32, lane = threadIdx.x % 32, head = blockIdx.y;
    float *k = shared, *v = k + kOthers * (h + 1), *own = v + kOthers * (h + 1) + warp * (2 * h + kOthers), *factors = own + 2 * h;
    const Work work = p.work[blockIdx.x];
    const Span s = p.spans[work.sequence];
    const int first = work.first + blockIdx.z * kWarps, query = first + warp;
    if (first >= s.queries) {
      return;
    }
    const long long row = (static_cast<long long>(s.query) + min(query, s.queries - 1)) * p.heads + head;
    load_own(own, static_cast<const float*>(p.q) + row * h, static_cast<const float*>(p.dout) + row * h, h);
    const float lse = p.lse[row], delta = p.delta[row];
    const long long stride = static_cast<long long>(p.kv_heads) * h, place = s.key * stride + head / (p.heads / p.kv_heads) * h;
    const int begin = first_key(p, position_of(s, first)) / kOthers * kOthers;
    const int end = position_of(s, min(first + kWarps, s.queries) - 1) + 1;
    float sums[kMostElements] = {};
    for (int key = begin; key < end; key += kOthers) {
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
    DYN_SHARED(float, shared);
    const int h = p.head_dim, warp = threadIdx.x / 32, lane = threadIdx.x % 32, kv_head = blockIdx.y, group = p.heads / p.kv_heads;
    float *q = shared, *dout = q + kOthers * (h + 1), *own = dout + kOthers * (h + 1) + warp * (2 * h + 2 * kOthers), *factors = own + 2 * h;
    const Work work = p.work[blockIdx.x];
    const Span s = p.spans[work.sequence];
    const int first = work.first + blockIdx.z * kWarps, key = first + warp;
    if (first >= s.keys) {
      return;
    }
    const long long row = (static_cast<long long>(s.key) + min(key, s.keys - 1)) * p.kv_heads + kv_head;
    load_own(own, static_cast<const float*>(p.k) + row * h, static_cast<const float*>(p.v) + row * h, h);
    const int last = min(first + kWarps, s.keys) - 1;
    const int begin = first / kOthers * kOthers, end = p.window < s.queries - last ? last + p.window : s.queries;
    const long long stride = static_cast<long long>(p.heads) * h;
    float dk_sums[kMostElements] = {}, dv_sums[kMostElements] = {};
    for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const long long place = s.query * stride + head * h;
      for (int query = begin; query < end; query += kOthers) {
        // The queries and factors before are no longer read.
        __syncthreads();
        load_others(q, static_cast<const float*>(p.q) + place, stride, query, s.queries, h);
        load_others(dout, static_cast<const float*>(p.dout) + place, stride, query, s.queries, h);
        __syncthreads();
        const int mine = query + lane;
        const bool seen = mine < s.queries && key < s.keys && sees(p, mine, key);
        const long long number = (static_cast<long long>(s.query) + min(mine, s.queries - 1)) * p.heads + head;
        gradient(p, seen, q + lane * (h + 1), own, dout + lane * (h + 1), own + h, p.lse[number], p.delta[number], factors[lane],
                 factors[kOthers + lane]);
        __syncwarp();
        add_rows(dv_sums, factors, dout, h);
        add_rows(dk_sums, factors + kOthers, q, h);
      }
    }
    if (key < s.keys) {
      store(dk + row * h, dk_sums, h);
      store(dv + row * h, dv_sums, h);
    }
  }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(128) attention_rows_f32(AttentionArguments p, RowResult<float> r) {
  RowForward<float>::run(p, r);
}
EXPORT_KERNEL(attention_rows_f32)
extern "C" __global__ void __launch_bounds__(128) attention_rows_bf16(AttentionArguments p, RowResult<__nv_bfloat16> r) {
  RowForward<__nv_bfloat16>::run(p, r);
}
EXPORT_KERNEL(attention_rows_bf16)
extern "C" __global__ void __launch_bounds__(32) attention_join_f32(const SplitSequence* sequences, const Span* spans, const float* parts,
                                                                   float* out, int heads, int h, int most_queries) {
  join_parts(sequences, spans, parts, out, heads, h, most_queries);
}
EXPORT_KERNEL(attention_join_f32)
extern "C" __global__ void __launch_bounds__(32) attention_join_bf16(const SplitSequence* sequences, const Span* spans, const float* parts,
                                                                    __nv_bfloat16* out, int heads, int h, int most_queries) {
  join_parts(sequences, spans, parts, out, heads, h, most_queries);
}
EXPORT_KERNEL(attention_join_bf16)
extern "C" __global__ void __launch_bounds__(256) attention_exact_queries(AttentionArguments p, float* dq) {
  RowBackward::queries(p, dq);
}
EXPORT_KERNEL(attention_exact_queries)
extern "C" __global__ void __launch_bounds__(256) attention_exact_keys(AttentionArguments p, float* dk, float* dv) {
  RowBackward::keys(p, dk, dv);
}
EXPORT_KERNEL(attention_exact_keys)
