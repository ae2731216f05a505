// Which experts a token goes to, the tokens of each expert side by side, and their outputs back together.
//
// 1. Purpose and formula. p = softmax(logits), the k largest logits chosen (Shazeer et al. 2017, arXiv:1701.06538), the
//    lower index first among equals, weights w = p of those, divided by their sum where asked (Qwen3,
//    arXiv:2505.09388). Backward dlogits = p · (g − Σ p g) with g of a chosen expert dw, or (dw − Σ w dw) / Σ p where
//    divided, and 0 of the others. Group: the slots (token, j) in a stable order of their experts. Combine: y = Σ over
//    j of w_j · x[place_j]; dx[place_j] = w_j · dy, dw_j = dy · x[place_j].
// 2. Shapes. logits, dlogits[t, e] and x, dx[s, d], y, dy[t, d] in activations T, s = t · k; p[t, e], w and dw[t, k]
//    float32; chosen, places[t, k], tokens[s], starts[e + 1] int32. Forward saves p, chosen and w. An expert outside 0
//    .. e has no place (−1) and its row no gradient but NaN; a place outside 0 .. s gives NaN.
// 3. Parallelisation. Routing: a warp a token, for its row is short. A logit and its index are one number of 64 bits
//    that orders as both together, so a choice is a maximum below the last choice: each lane keeps its largest, and
//    only the one that lost it looks again. Group: a block an expert, and every block reads all of `chosen` twice, from
//    L2: once to count what is smaller (where its slots begin) and what is its own, once to place them in order, by
//    ballots and one sum over the warps. That is e · s comparisons, but one launch, no buffer and no atomics, where a
//    sort by counting takes three launches. Combine: a pack of 16 bytes a thread; its gradient a warp a slot, whose
//    neighbours read the same row of dy from L1.
//
//      8 of 128 experts for each token, bf16, H100 at 3.0 TB/s. 8192 tokens of d = 4096 (Llama-3.1-8B): forward 6.8 MB,
//      2.3 µs; backward 6.8 MB, 2.3 µs; group 0.8 MB and 17 M comparisons in 128 blocks, 5 µs; combine 604 MB, 201 µs,
//      its gradient 1.1 GB, 380 µs. 16384 tokens of d = 896 (Qwen2.5-0.5B): 13.6 MB, 4.5 µs; 13.6 MB, 4.5 µs; 34 M, 9
//      µs; 264 MB, 88 µs; 499 MB, 166 µs. 2 FLOP an element of a row: bound by memory, but for the grouping, which is
//      bound by its instructions.
//
// 4. Launch bounds: 256 threads; grouping 1024.
#include "common/memory.cuh"
#include "common/reduce.cuh"

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr int GROUP_THREADS = 1024, GROUP_WARPS = GROUP_THREADS / 32;
/// Slots that a lane of a grouping warp asks for at once: what it waits for is L2.
constexpr int AHEAD = 4;

using Key = unsigned long long;

// The larger the logit, and of equal ones the lower the index, the larger the key; that of a NaN is below all others.
__device__ Key key_of(float logit, int index) {
    // Minus zero is no smaller than zero.
    const unsigned bits = __float_as_uint(logit + 0.0f);
    const unsigned order = logit != logit ? 0u : (bits >> 31) != 0u ? ~bits : bits | 0x80000000u;
    return static_cast<Key>(order) << 32 | ~static_cast<unsigned>(index);
}

__device__ Key warp_largest(Key x) {
#pragma unroll
    for (int by = 16; by > 0; by /= 2) {
        const Key other = __shfl_xor_sync(FULL_WARP, x, by);
        x = other > x ? other : x;
    }
    return x;
}

// The largest key below `limit` among this lane's logits; 0 where there is none.
template <class T>
__device__ Key largest_below(Key limit, const T* logits, int e) {
    Key largest = 0;
    for (int i = lane_id(); i < e; i += 32) {
        const Key key = key_of(to_float(logits[i]), i);
        if (key < limit && key > largest) largest = key;
    }
    return largest;
}

template <class T>
__device__ void forward(int t, int e, int k, int normalize, const T* logits, float* probabilities, int* chosen,
                        float* weights) {
    const int token = static_cast<int>(blockIdx.x) * WARPS + warp_id(), lane = lane_id();
    // Whole warps leave.
    if (token >= t) return;
    logits += static_cast<index_t>(token) * e;
    probabilities += static_cast<index_t>(token) * e;
    chosen += static_cast<index_t>(token) * k;
    weights += static_cast<index_t>(token) * k;
    float most = -INFINITY, sum = 0.0f;
    for (int i = lane; i < e; i += 32) most = fmaxf(most, to_float(logits[i]));
    most = warp_max(most);
    // A lane reads only results that it wrote itself: no barrier.
    for (int i = lane; i < e; i += 32) {
        const float p = expf(to_float(logits[i]) - most);
        probabilities[i] = p;
        sum += p;
    }
    sum = warp_sum(sum);
    for (int i = lane; i < e; i += 32) probabilities[i] /= sum;
    Key best = largest_below(~Key{0}, logits, e);
    float total = 0.0f;
    for (int j = 0; j < k; ++j) {
        const Key largest = warp_largest(best);
        const int expert = static_cast<int>(~static_cast<unsigned>(largest)), owner = expert % 32;
        const float p = __shfl_sync(FULL_WARP, lane == owner ? probabilities[expert] : 0.0f, owner);
        total += p;
        if (lane == j % 32) {
            chosen[j] = expert;
            weights[j] = p;
        }
        if (lane == owner) best = largest_below(largest, logits, e);
    }
    for (int j = lane; normalize != 0 && j < k; j += 32) weights[j] /= total;
}

template <class T>
__device__ void backward(int t, int e, int k, int normalize, const float* probabilities, const int* chosen,
                         const float* dweights, T* dlogits) {
    const int token = static_cast<int>(blockIdx.x) * WARPS + warp_id();
    if (token >= t) return;
    probabilities += static_cast<index_t>(token) * e;
    chosen += static_cast<index_t>(token) * k;
    dweights += static_cast<index_t>(token) * k;
    dlogits += static_cast<index_t>(token) * e;
    // Few numbers, the same for all lanes: each adds them for itself, in order.
    const auto probability = [=](int j) {
        const int expert = chosen[j];
        return expert >= 0 && expert < e ? probabilities[expert] : NAN;
    };
    float total = 1.0f, mean = 0.0f, along = 0.0f;
    if (normalize != 0) {
        total = 0.0f;
        for (int j = 0; j < k; ++j) total += probability(j);
        for (int j = 0; j < k; ++j) mean += dweights[j] * probability(j) / total;
    }
    for (int j = 0; j < k; ++j) along += probability(j) * ((dweights[j] - mean) / total);
    for (int i = lane_id(); i < e; i += 32) {
        float gradient = 0.0f;
        for (int j = 0; j < k; ++j) {
            if (chosen[j] == i) gradient = (dweights[j] - mean) / total;
        }
        from_float(dlogits[i], probabilities[i] * (gradient - along));
    }
}

template <class T>
__device__ void combine(int t, int k, int d, const T* x, const int* places, const float* weights, T* y, int wide) {
    const int packs = (d + PACK<T> - 1) / PACK<T>;
    const index_t id = static_cast<index_t>(blockIdx.x) * THREADS + threadIdx.x, token = id / packs;
    const int i = static_cast<int>(id % packs) * PACK<T>;
    if (token >= t) return;
    Pack<T> sums = {};
#pragma unroll 4
    for (int j = 0; j < k; ++j) {
        const int place = places[token * k + j];
        const bool known = place >= 0 && place < t * k;
        const float weight = known ? weights[token * k + j] : NAN;
        const Pack<T> part = load(x + static_cast<index_t>(known ? place : 0) * d, i, d, wide);
#pragma unroll
        for (int l = 0; l < PACK<T>; ++l) sums.v[l] = fmaf(weight, part.v[l], sums.v[l]);
    }
    store(y + token * d, i, d, wide, sums);
}

template <class T>
__device__ void combine_backward(int s, int k, int d, const T* dy, const T* x, const int* places, const float* weights, T* dx,
                                 float* dweights, int wide) {
    const int slot = static_cast<int>(blockIdx.x) * WARPS + warp_id();
    if (slot >= s) return;
    const int place = places[slot];
    if (place < 0 || place >= s) {
        if (lane_id() == 0) dweights[slot] = NAN;
        return;
    }
    const float weight = weights[slot];
    dy += static_cast<index_t>(slot / k) * d;
    x += static_cast<index_t>(place) * d;
    dx += static_cast<index_t>(place) * d;
    float dot = 0.0f;
    for (int i = lane_id() * PACK<T>; i < d; i += 32 * PACK<T>) {
        Pack<T> gradient = load(dy, i, d, wide);
        const Pack<T> part = load(x, i, d, wide);
#pragma unroll
        for (int l = 0; l < PACK<T>; ++l) {
            dot = fmaf(gradient.v[l], part.v[l], dot);
            gradient.v[l] *= weight;
        }
        store(dx, i, d, wide, gradient);
    }
    dot = warp_sum(dot);
    if (lane_id() == 0) dweights[slot] = dot;
}

}  // namespace

#define KERNEL_FORWARD(name, T)                                                                                \
    KERNEL(name, THREADS)                                                                                      \
    (int t, int e, int k, int normalize, const T* logits, float* probabilities, int* chosen, float* weights) { \
        forward(t, e, k, normalize, logits, probabilities, chosen, weights);                                   \
    }                                                                                                          \
    EXPORT_KERNEL(name, THREADS)
KERNEL_FORWARD(router_forward_f32, float)
KERNEL_FORWARD(router_forward_bf16, bf16)

#define KERNEL_BACKWARD(name, T)                                                                                             \
    KERNEL(name, THREADS)                                                                                                    \
    (int t, int e, int k, int normalize, const float* probabilities, const int* chosen, const float* dweights, T* dlogits) { \
        backward(t, e, k, normalize, probabilities, chosen, dweights, dlogits);                                              \
    }                                                                                                                        \
    EXPORT_KERNEL(name, THREADS)
KERNEL_BACKWARD(router_backward_f32, float)
KERNEL_BACKWARD(router_backward_bf16, bf16)

// Slots of one expert: how many of all slots belong to lower ones, how many are its own, and then where each of them goes.
KERNEL(router_group, GROUP_THREADS)(int s, int e, int k, const int* chosen, int* tokens, int* places, int* starts) {
    DYN_SHARED(shared);
    int* lower = reinterpret_cast<int*>(shared);
    int* own = lower + GROUP_WARPS;
    const unsigned expert = blockIdx.x;
    const int warp = warp_id(), lane = lane_id();
    // Each warp has a run of slots, in whole warps.
    const int share = (s + GROUP_THREADS - 1) / GROUP_THREADS * 32, first = warp * share, last = min(s, first + share);
    // Does `visit(slot, expert)` with all lanes, 32 slots after 32. As unsigned numbers, experts below 0 and those of slots
    // beyond the last one are larger than all others, and so belong to no block.
    const auto each = [=](auto visit) {
        for (int at = first; at < last; at += 32 * AHEAD) {
            unsigned of[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                const int slot = at + 32 * i + lane;
                of[i] = slot < last ? static_cast<unsigned>(chosen[slot]) : ~0u;
            }
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                if (at + 32 * i < last) visit(at + 32 * i + lane, of[i]);
            }
        }
    };
    int below = 0, mine = 0;
    each([&](int, unsigned of) {
        below += __popc(__ballot_sync(FULL_WARP, of < expert));
        mine += __popc(__ballot_sync(FULL_WARP, of == expert));
    });
    if (lane == 0) {
        lower[warp] = below;
        own[warp] = mine;
    }
    __syncthreads();
    int start = 0, place = 0, count = 0;
    for (int other = 0; other < GROUP_WARPS; ++other) {
        start += lower[other];
        place += other < warp ? own[other] : 0;
        count += own[other];
    }
    place += start;
    if (threadIdx.x == 0) {
        starts[expert] = start;
        if (expert + 1 == static_cast<unsigned>(e)) starts[e] = start + count;
    }
    each([&](int slot, unsigned of) {
        const unsigned peers = __ballot_sync(FULL_WARP, of == expert);
        if (of == expert) {
            const int here = place + __popc(peers & ((1u << lane) - 1u));
            tokens[here] = slot / k;
            places[slot] = here;
        }
        if (expert == 0u && slot < last && of >= static_cast<unsigned>(e)) places[slot] = -1;
        place += __popc(peers);
    });
}
EXPORT_KERNEL(router_group, GROUP_THREADS)

#define KERNEL_COMBINE(name, T)                                                                  \
    KERNEL(name, THREADS)                                                                        \
    (int t, int k, int d, const T* x, const int* places, const float* weights, T* y, int wide) { \
        combine(t, k, d, x, places, weights, y, wide);                                           \
    }                                                                                            \
    EXPORT_KERNEL(name, THREADS)
KERNEL_COMBINE(combine_forward_f32, float)
KERNEL_COMBINE(combine_forward_bf16, bf16)

#define KERNEL_COMBINE_BACKWARD(name, T)                                                                            \
    KERNEL(name, THREADS)                                                                                           \
    (int s, int k, int d, const T* dy, const T* x, const int* places, const float* weights, T* dx, float* dweights, \
     int wide) {                                                                                                    \
        combine_backward(s, k, d, dy, x, places, weights, dx, dweights, wide);                                      \
    }                                                                                                               \
    EXPORT_KERNEL(name, THREADS)
KERNEL_COMBINE_BACKWARD(combine_backward_f32, float)
KERNEL_COMBINE_BACKWARD(combine_backward_bf16, bf16)
