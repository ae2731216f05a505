// Cross-entropy of rows of logits, and the gradient in their place.
//
// 1. Purpose and formula. Row x[v] with label l: z = factor · x, or cap · tanh(factor · x / cap) with a soft cap
//    (arXiv:2408.00118); lse = log Σ e^z; nll = lse − z_l; entropy = lse − Σ p z; correct = 1 where z_l is the largest, the
//    lowest index winning a tie. Gradient: w · (p − onehot) · dz/dx, w the row's weight. The sum of exponentials is kept for
//    the largest logit so far (online softmax, Milakov and Gimelshein 2018, arXiv:1805.02867), all in binary32.
// 2. Shapes. logits[m, v] bf16 or f32, in place; labels[m] i32; weights[m], nll[m], entropy[m], correct[m] f32. Label −100
//    takes a row out: zeros everywhere. Another one outside 0 .. v: nll and entropy NaN. Saves nothing.
// 3. Parallelisation. One block a row: a row is long (49,152 to 151,936) and there are 2048 and more. A thread takes every
//    1024th piece of 8 elements. What fits of the row stays in shared memory, so that it is read from memory once; the rest
//    is read again, mostly from L2: with a block an SM, 132 rows of 250 KB are in flight. Partial sums are merged lane by
//    lane and warp by warp in a fixed order: the same bits in every run, wherever the row lies.
//
//      Bytes and floor (H100 at 3.0 TB/s): 4 bytes a logit in bf16. Llama-8B, 8192 × 128256: 4.20 GB, 1.40 ms; Qwen-0.5B,
//      16384 × 151936: 9.96 GB, 3.32 ms. About 20 FLOP and two exponentials a logit, 21 and 50 GFLOP: memory bound.
//
// 5. Launch bounds: 1024 threads, at least 1 block an SM, 64 registers.
#include "common/memory.cuh"
#include "common/types.cuh"

namespace {

constexpr int THREADS = 1024;
constexpr float LOG2_E = 1.4426950408889634f;

// A part of a row: its largest logit z and where, Σ e^(z − max), Σ e^(z − max) · (z − max).
struct Part {
    float max = -INFINITY, sum = 0.0f, weighted = 0.0f;
    int place = 0x7fffffff;
};

// The sums of `part` for another largest logit.
__device__ void rescale(Part& part, float max) {
    if (part.sum != 0.0f && part.max != max) {
        const float difference = part.max - max, factor = exp2f(difference * LOG2_E);
        part.weighted = (part.weighted + part.sum * difference) * factor;
        part.sum *= factor;
    }
    part.max = max;
}

__device__ Part merged(Part a, Part b) {
    const bool takes_b = b.max > a.max || (b.max == a.max && b.place < a.place);
    const int place = takes_b ? b.place : a.place;
    const float max = takes_b ? b.max : a.max;
    rescale(a, max);
    rescale(b, max);
    return {max, a.sum + b.sum, a.weighted + b.weighted, place};
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

// Adds the logits from `first` on, of which those at and beyond `v` do not count.
template <int PIECE>
__device__ void add_piece(Part& part, const float (&z)[PIECE], int first, int v) {
    float max = part.max;
    for (int j = 0; j < PIECE; ++j) {
        if (first + j < v && z[j] > max) {
            max = z[j];
            part.place = first + j;
        }
    }
    rescale(part, max);
    const float shift = max == -INFINITY ? 0.0f : max;
    for (int j = 0; j < PIECE; ++j) {
        if (first + j < v) {
            const float difference = z[j] - shift, e = exp2f(difference * LOG2_E);
            part.sum += e;
            // A masked token's −∞ counts as the most negative number: 0 · z is 0.
            part.weighted = fmaf(e, fmaxf(difference, -3.402823466e38f), part.weighted);
        }
    }
}

__device__ Part merged_in_block(Part part, Part* parts) {
    for (int distance = 16; distance > 0; distance /= 2) {
        Part other;
        other.max = __shfl_xor_sync(FULL_WARP, part.max, distance);
        other.sum = __shfl_xor_sync(FULL_WARP, part.sum, distance);
        other.weighted = __shfl_xor_sync(FULL_WARP, part.weighted, distance);
        other.place = __shfl_xor_sync(FULL_WARP, part.place, distance);
        part = merged(part, other);
    }
    if (threadIdx.x % 32 == 0) {
        parts[threadIdx.x / 32] = part;
    }
    __syncthreads();
    Part whole = parts[0];
    for (int warp = 1; warp < THREADS / 32; ++warp) {
        whole = merged(whole, parts[warp]);
    }
    return whole;
}

// `kept`: pieces of the row that shared memory holds.
template <class T>
__device__ void cross_entropy_row(T* logits, const int* labels, const float* weights, float* nll, float* entropy,
                                  float* correct, int v, Transform transform, int kept) {
    DYN_SHARED(shared);
    uint4* row_pieces = reinterpret_cast<uint4*>(shared + THREADS / 32 * sizeof(Part));
    constexpr int PIECE = PACK<T>;
    const int row = blockIdx.x, label = labels[row];
    T* x = logits + static_cast<index_t>(row) * v;
    const int pieces = (v + PIECE - 1) / PIECE;
    // The way of loading may differ from row to row; the order of the sums does not.
    const bool wide = (reinterpret_cast<unsigned long long>(x) & 15) == 0;
    if (label < 0 || label >= v) {
        for (int i = threadIdx.x; weights != nullptr && i < v; i += THREADS) {
            from_float(x[i], 0.0f);
        }
        if (threadIdx.x == 0) {
            // A label that is none is answered with NaN: nobody waits for the device to refuse it.
            nll[row] = entropy[row] = label == -100 ? 0.0f : NAN;
            correct[row] = 0.0f;
        }
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
        add_piece(part, z, i * PIECE, v);
    }
    const Part whole = merged_in_block(part, reinterpret_cast<Part*>(shared));
    if (threadIdx.x == 0) {
        const float log_sum = logf(whole.sum);
        nll[row] = log_sum + (whole.max - own);
        entropy[row] = log_sum - whole.weighted / whole.sum;
        correct[row] = whole.place == label ? 1.0f : 0.0f;
    }
    if (weights == nullptr) {
        return;
    }
    const float weight = weights[row], factor = weight / whole.sum;
    for (int i = threadIdx.x; i < pieces; i += THREADS) {
        Pack<T> piece;
        if (i < kept) {
            unpack(row_pieces[i], piece);
        } else {
            piece = load(x, static_cast<index_t>(i) * PIECE, v, wide);
        }
        for (int j = 0; j < PIECE; ++j) {
            const float z = transform(piece.v[j]);
            const float p = factor * exp2f((z - whole.max) * LOG2_E);
            piece.v[j] = (i * PIECE + j == label ? p - weight : p) * transform.slope(z);
        }
        store(x, static_cast<index_t>(i) * PIECE, v, wide, piece);
    }
}

}  // namespace

#define KERNEL_CROSS_ENTROPY(NAME, T)                                                                               \
    extern "C" __global__ void __launch_bounds__(1024, 1)                                                           \
        NAME(T* logits, const int* labels, const float* weights, float* nll, float* entropy, float* correct, int v, \
             float factor, float cap, int kept) {                                                                   \
        cross_entropy_row(logits, labels, weights, nll, entropy, correct, v, {factor, cap}, kept);                  \
    }                                                                                                               \
    EXPORT_KERNEL(NAME, 1024)

KERNEL_CROSS_ENTROPY(cross_entropy_f32, float)
KERNEL_CROSS_ENTROPY(cross_entropy_bf16, bf16)
