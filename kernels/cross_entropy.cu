// Cross-entropy of rows of logits: what they say of their labels, and a gradient in their place.
//
// 1. Purpose and formula. Row x[v] with label l: z = factor · x, or cap · tanh(factor · x / cap) with a soft cap
//    (arXiv:2408.00118); lse = log Σ e^z, p = e^(z − lse); log_prob = z_l − lse; entropy H = lse − Σ p z; hit = 1 where
//    z_l is the largest, the lowest index winning a tie; on demand lse, mean log p, log Σ p², mean z. Gradient of c1 ·
//    log_prob + c2 · H + c3 · lse + c4 · mean log p: (c1 · (onehot − p) − c2 · p (log p + H) + c3 · p + c4 · (1 / v −
//    p)) · dz/dx, the coefficients the row's own. Those of nll with label smoothing ε and z-loss ζ, weighted w: c1 = −w
//    (1 − ε), c4 = −w ε, c3 = 2 ζ w lse; of dft: c1 = −w p_l. The sum of exponentials is kept for the largest logit so
//    far (online softmax, Milakov and Gimelshein 2018, arXiv:1805.02867), all in float32.
// 2. Shapes. logits[m, v] bf16 or f32, in place; labels[m] i32; weights, coefficients and values [m] f32, null where
//    absent. Label −100 takes a row out: zeros everywhere. Another one outside 0 .. v: every value but hit NaN. Saves
//    nothing.
// 3. Parallelisation. One block a row: a row is long (49,152 to 151,936) and there are 2048 and more. A thread takes
//    every 1024th piece of 8 elements. What fits of the row stays in shared memory, so that it is read from memory
//    once; the rest is read again, mostly from L2: with a block an SM, 132 rows of 250 KB are in flight. Partial sums
//    are merged lane by lane and warp by warp in a fixed order: the same bits in every run, wherever the row lies. c1
//    and c3 are numbers of the row; what costs something at every logit (Σ e², Σ z, c2, c4) is an entry point of its
//    own, `_full`.
//
//      Bytes and floor (H100 at 3.0 TB/s): 4 bytes a logit in bf16. Llama-8B, 8192 × 128256: 4.20 GB, 1.40 ms;
//      Qwen-0.5B, 16384 × 151936: 9.96 GB, 3.32 ms. About 20 FLOP and two exponentials a logit, 21 and 50 GFLOP: memory
//      bound.
//
// 4. Launch bounds: 1024 threads, at least 1 block an SM, 64 registers.
#include "common/memory.cuh"
#include "common/types.cuh"

namespace {

constexpr int THREADS = 1024;
constexpr float LOG2_E = 1.4426950408889634f;

// Where the values go; all but the first three may be null.
struct Values {
    float *log_prob, *entropy, *hit, *log_sum_exp, *mean_log_prob, *log_sum_squares, *mean_logit;
};

// What takes the place of the logits; the numbers are the launcher's.
enum Asked { NOTHING = 0, COEFFICIENTS = 1, NLL = 2, DFT = 3 };

struct Gradient {
    // Of a local objective.
    const float* weights;
    // Coefficients that are handed in, null for 0.
    const float *log_prob, *entropy, *log_sum_exp, *mean_log_prob;
    float label_smoothing, z_loss;
    int asked;
};

// The coefficients of one row.
struct Coefficients {
    float log_prob, entropy, log_sum_exp, mean_log_prob;
};

// A part of a row: its largest logit z and where, Σ e^(z − max), Σ e^(z − max) · (z − max); of the full kernel also
// Σ e^(2 (z − max)) and Σ z.
struct Part {
    float max = -INFINITY, sum = 0.0f, weighted = 0.0f;
    int place = 0x7fffffff;
    float squares = 0.0f, total = 0.0f;
};

// The sums of `part` for another largest logit.
template <bool FULL>
__device__ void rescale(Part& part, float max) {
    if (part.sum != 0.0f && part.max != max) {
        const float difference = part.max - max, factor = exp2f(difference * LOG2_E);
        part.weighted = (part.weighted + part.sum * difference) * factor;
        part.sum *= factor;
        if constexpr (FULL) {
            part.squares *= factor * factor;
        }
    }
    part.max = max;
}

template <bool FULL>
__device__ Part merged(Part a, Part b) {
    const bool takes_b = b.max > a.max || (b.max == a.max && b.place < a.place);
    const int place = takes_b ? b.place : a.place;
    const float max = takes_b ? b.max : a.max;
    rescale<FULL>(a, max);
    rescale<FULL>(b, max);
    return {max, a.sum + b.sum, a.weighted + b.weighted, place, a.squares + b.squares, a.total + b.total};
}

// What is done to a logit before the softmax.
struct Transform {
    float factor;
    // 0: none.
    float cap;

    // The logit.
    __device__ float operator()(float x) const { return cap == 0.0f ? factor * x : cap * tanhf(factor * x / cap); }
    // dz/dx where the logit is z.
    __device__ float slope(float z) const {
        const float t = cap == 0.0f ? 0.0f : z / cap;
        return factor * (1.0f - t * t);
    }
};

// A masked token's −∞ counts as the most negative number: 0 · (z − max) is 0.
__device__ float counted(float difference) { return fmaxf(difference, -3.402823466e38f); }

// Adds the logits from `first` on, of which those at and beyond `v` do not count.
template <bool FULL, int PIECE>
__device__ void add_piece(Part& part, const float (&z)[PIECE], int first, int v) {
    float max = part.max;
    for (int j = 0; j < PIECE; ++j) {
        if (first + j < v && z[j] > max) {
            max = z[j];
            part.place = first + j;
        }
    }
    rescale<FULL>(part, max);
    const float shift = max == -INFINITY ? 0.0f : max;
    for (int j = 0; j < PIECE; ++j) {
        if (first + j < v) {
            const float difference = z[j] - shift, e = exp2f(difference * LOG2_E);
            part.sum += e;
            part.weighted = fmaf(e, counted(difference), part.weighted);
            if constexpr (FULL) {
                part.squares = fmaf(e, e, part.squares);
                part.total += z[j];
            }
        }
    }
}

template <bool FULL>
__device__ Part merged_in_block(Part part, Part* parts) {
    for (int distance = 16; distance > 0; distance /= 2) {
        Part other;
        other.max = __shfl_xor_sync(FULL_WARP, part.max, distance);
        other.sum = __shfl_xor_sync(FULL_WARP, part.sum, distance);
        other.weighted = __shfl_xor_sync(FULL_WARP, part.weighted, distance);
        other.place = __shfl_xor_sync(FULL_WARP, part.place, distance);
        if constexpr (FULL) {
            other.squares = __shfl_xor_sync(FULL_WARP, part.squares, distance);
            other.total = __shfl_xor_sync(FULL_WARP, part.total, distance);
        }
        part = merged<FULL>(part, other);
    }
    if (threadIdx.x % 32 == 0) {
        parts[threadIdx.x / 32] = part;
    }
    __syncthreads();
    Part whole = parts[0];
    for (int warp = 1; warp < THREADS / 32; ++warp) {
        whole = merged<FULL>(whole, parts[warp]);
    }
    return whole;
}

// Every value of a row but hit, where its label is none.
__device__ void write_all(const Values& values, int row, float value) {
    float* const all[] = {values.log_prob,      values.entropy,         values.log_sum_exp,
                          values.mean_log_prob, values.log_sum_squares, values.mean_logit};
    for (float* to : all) {
        if (to != nullptr) to[row] = value;
    }
    values.hit[row] = 0.0f;
}

template <bool FULL>
__device__ void write_values(const Values& values, int row, const Part& whole, float own, int label, int v) {
    const float log_sum = logf(whole.sum);
    values.log_prob[row] = (own - whole.max) - log_sum;
    values.entropy[row] = log_sum - whole.weighted / whole.sum;
    values.hit[row] = whole.place == label ? 1.0f : 0.0f;
    if (values.log_sum_exp != nullptr) values.log_sum_exp[row] = whole.max + log_sum;
    if constexpr (FULL) {
        const float mean = whole.total / static_cast<float>(v);
        if (values.mean_log_prob != nullptr) values.mean_log_prob[row] = (mean - whole.max) - log_sum;
        if (values.log_sum_squares != nullptr) values.log_sum_squares[row] = logf(whole.squares) - 2.0f * log_sum;
        if (values.mean_logit != nullptr) values.mean_logit[row] = mean;
    }
}

__device__ Coefficients coefficients(const Gradient& g, int row, const Part& whole, float own) {
    const float log_sum = logf(whole.sum);
    if (g.asked == NLL) {
        const float w = g.weights[row], smoothing = g.label_smoothing;
        const float by_lse = g.z_loss == 0.0f ? 0.0f : 2.0f * g.z_loss * w * (whole.max + log_sum);
        return {-w * (1.0f - smoothing), 0.0f, by_lse, smoothing == 0.0f ? 0.0f : -w * smoothing};
    }
    if (g.asked == DFT) {
        return {-g.weights[row] * exp2f(((own - whole.max) - log_sum) * LOG2_E), 0.0f, 0.0f, 0.0f};
    }
    const auto given = [row](const float* from) { return from == nullptr ? 0.0f : from[row]; };
    return {given(g.log_prob), given(g.entropy), given(g.log_sum_exp), given(g.mean_log_prob)};
}

// `kept`: pieces of the row that shared memory holds.
template <class T, bool FULL>
__device__ void cross_entropy_row(T* logits, const int* labels, const Gradient& gradient, const Values& values, int v,
                                  Transform transform, int kept) {
    DYN_SHARED(shared);
    uint4* row_pieces = reinterpret_cast<uint4*>(shared + THREADS / 32 * sizeof(Part));
    constexpr int PIECE = PACK<T>;
    const int row = blockIdx.x, label = labels[row];
    T* x = logits + static_cast<index_t>(row) * v;
    const int pieces = (v + PIECE - 1) / PIECE;
    // The way of loading may differ from row to row; the order of the sums does not.
    const bool wide = (reinterpret_cast<unsigned long long>(x) & 15) == 0;
    if (label < 0 || label >= v) {
        for (int i = threadIdx.x; gradient.asked != NOTHING && i < v; i += THREADS) {
            from_float(x[i], 0.0f);
        }
        // An out-of-range label gives NaN: rejecting it would need a device sync.
        if (threadIdx.x == 0) write_all(values, row, label == -100 ? 0.0f : NAN);
        return;
    }
    // Read before any thread writes the gradient.
    const float own = transform(to_float(x[label]));
    Part part;
    for (int i = threadIdx.x; i < pieces; i += THREADS) {
        const Pack<T> piece = load(x, static_cast<index_t>(i) * PIECE, v, wide);
        if (i < kept) {
            row_pieces[i] = pack(piece);
        }
        float z[PIECE];
        for (int j = 0; j < PIECE; ++j) {
            z[j] = transform(piece.v[j]);
        }
        add_piece<FULL>(part, z, i * PIECE, v);
    }
    const Part whole = merged_in_block<FULL>(part, reinterpret_cast<Part*>(shared));
    if (threadIdx.x == 0) write_values<FULL>(values, row, whole, own, label, v);
    if (gradient.asked == NOTHING) {
        return;
    }
    const Coefficients c = coefficients(gradient, row, whole, own);
    const float factor = (FULL ? c.log_sum_exp - c.log_prob - c.mean_log_prob : c.log_sum_exp - c.log_prob) / whole.sum;
    // −p (log p + H) is p (mean − (z − max)): the logarithm of the sum cancels.
    const float by_entropy = c.entropy / whole.sum, mean = whole.weighted / whole.sum;
    const float shift = c.mean_log_prob / static_cast<float>(v);
    for (int i = threadIdx.x; i < pieces; i += THREADS) {
        Pack<T> piece;
        if (i < kept) {
            unpack(row_pieces[i], piece);
        } else {
            piece = load(x, static_cast<index_t>(i) * PIECE, v, wide);
        }
        for (int j = 0; j < PIECE; ++j) {
            const float z = transform(piece.v[j]), difference = z - whole.max;
            const float e = exp2f(difference * LOG2_E);
            float g = factor * e;
            if constexpr (FULL) {
                g = fmaf(by_entropy, e * (mean - counted(difference)), g) + shift;
            }
            piece.v[j] = (i * PIECE + j == label ? g + c.log_prob : g) * transform.slope(z);
        }
        store(x, static_cast<index_t>(i) * PIECE, v, wide, piece);
    }
}

}  // namespace

#define KERNEL_CROSS_ENTROPY(NAME, T, FULL)                                                                              \
    extern "C" __global__ void __launch_bounds__(1024, 1)                                                                \
        NAME(T* logits, const int* labels, Gradient gradient, Values values, int v, float factor, float cap, int kept) { \
        cross_entropy_row<T, FULL>(logits, labels, gradient, values, v, {factor, cap}, kept);                            \
    }                                                                                                                    \
    EXPORT_KERNEL(NAME, 1024)

KERNEL_CROSS_ENTROPY(cross_entropy_f32, float, false)
KERNEL_CROSS_ENTROPY(cross_entropy_bf16, bf16, false)
KERNEL_CROSS_ENTROPY(cross_entropy_full_f32, float, true)
KERNEL_CROSS_ENTROPY(cross_entropy_full_bf16, bf16, true)
