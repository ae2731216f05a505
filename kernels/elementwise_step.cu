// One step of an optimizer that changes each element by itself, over all trained tensors in one launch.
//
// 1. Purpose and formula. The rules of crates/ops/src/elementwise_step.rs: Lion (arXiv:2302.06675), schedule-free AdamW
//    (arXiv:2405.15682), RMSprop, Adagrad, AdEMAMix (arXiv:2409.03137). The gradient is first multiplied with the factor that
//    grad_norm left; where the norm is not finite nothing is changed.
// 2. Shapes. Parameter, gradient and states float32, tensors by a table; a state that a rule does not use is null. Learning
//    rate, decay and average are a tensor's own.
// 3. Parallelisation. A block per piece of 4096 elements, whatever tensor it belongs to: 448 adapter matrices are one
//    launch. Four packs of 16 bytes a thread; five streams with one state, nine with three.
//
//      41.9M adapter parameters (Llama-3.1-8B, r 16): Lion 838 MB, 280 µs at 3.0 TB/s. 494M (Qwen2.5-0.5B in full): 9.88
//      GB, 3.3 ms; AdEMAMix 1.51 GB and 17.8 GB, 503 µs and 5.9 ms. About 20 FLOP an element.
//
// 4. Launch bounds: 256 threads.
#include "common/memory.cuh"
#include "common/tensors.cuh"

namespace {

constexpr int THREADS = 256;
constexpr int PIECE = 4096;

// The numbers of `ElementwiseRule`, in the order of crates/cuda/src/elementwise_step.rs.
enum Rule { LION, SCHEDULE_FREE, RMS_PROP, ADAGRAD, ADEMAMIX };

// The words of `RuleConstants`.
struct Constants {
    float kept[3], taken[3];
    float mix, inverse_root, epsilon, inverse_first;
    int rule, is_first, has_buffer, is_centered;
};

__device__ __forceinline__ float sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f; }

// kept · state + taken · x
__device__ __forceinline__ float average(const Constants& c, int state, float& value, float x) {
    value = fmaf(x, c.taken[state], value * c.kept[state]);
    return value;
}

__device__ __forceinline__ float root(const Constants& c, float v) { return fmaf(sqrtf(v), c.inverse_root, c.epsilon); }

__device__ __forceinline__ void step(const Tensor& t, const Constants& c, float g, float& p, float& a, float& b, float& d) {
    switch (c.rule) {
        case LION: {
            const float along = sign(fmaf(g, c.taken[1], a * c.kept[1]));
            average(c, 0, a, g);
            p = p * t.decay - t.rate * along;
            return;
        }
        case SCHEDULE_FREE: {
            const float z = c.is_first ? p : a;
            const float along = fmaf(t.decay, p, g / root(c, average(c, 1, b, g * g)));
            p = fmaf(t.step, along, fmaf(t.average, z - p, p));
            a = z - t.rate * along;
            return;
        }
        case RMS_PROP: {
            g = fmaf(t.decay, p, g);
            float square = average(c, 0, a, g * g);
            if (c.is_centered) {
                const float mean = average(c, 2, d, g);
                square = fmaxf(square - mean * mean, 0.0f);
            }
            float along = g / root(c, square);
            if (c.has_buffer) {
                b = fmaf(c.kept[1], b, along);
                along = b;
            }
            p -= t.rate * along;
            return;
        }
        case ADAGRAD: {
            g = fmaf(t.decay, p, g);
            a = fmaf(g, g, a);
            p -= t.rate * (g / root(c, a));
            return;
        }
        default: {
            average(c, 0, a, g);
            average(c, 1, b, g);
            average(c, 2, d, g * g);
            p = p * t.decay - t.rate * (fmaf(a, c.inverse_first, c.mix * b) / root(c, d));
        }
    }
}

}  // namespace

KERNEL(elementwise_step, THREADS)
(const Tensor* tensors, const Piece* pieces, const Norm* norm, const Constants* constants) {
    if (!norm->finite) return;
    const float factor = norm->factor;
    const Constants c = *constants;
    const Piece piece = pieces[blockIdx.x];
    const Tensor t = tensors[piece.index];
    const index_t first = static_cast<index_t>(piece.piece) * PIECE;
#pragma unroll
    for (int part = 0; part < PIECE / (THREADS * 4); ++part) {
        const index_t i = first + (part * THREADS + threadIdx.x) * 4;
        if (i >= t.len) return;
        const Pack<float> g = load(t.gradient, i, t.len, t.wide);
        Pack<float> p = load(t.parameter, i, t.len, t.wide), a = {}, b = {}, d = {};
        if (t.first) a = load(t.first, i, t.len, t.wide);
        if (t.second) b = load(t.second, i, t.len, t.wide);
        if (t.third) d = load(t.third, i, t.len, t.wide);
#pragma unroll
        for (int j = 0; j < 4; ++j) step(t, c, g.v[j] * factor, p.v[j], a.v[j], b.v[j], d.v[j]);
        store(t.parameter, i, t.len, t.wide, p);
        if (t.first) store(t.first, i, t.len, t.wide, a);
        if (t.second) store(t.second, i, t.len, t.wide, b);
        if (t.third) store(t.third, i, t.len, t.wide, d);
    }
}
EXPORT_KERNEL(elementwise_step, THREADS)
