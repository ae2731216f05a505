// The adapter's operands in products with an adapted weight.
//
// 1. Purpose and formula (Hu et al. 2021, arXiv:2106.09685). y = x wᵀ + xa (s B)ᵀ with xa = x Aᵀ; dx = dy w + dyb A
//    with dyb = dy (s B); dB += s · dyᵀ xa; dA += dybᵀ x. The adapter's product is r more of the reduced axis of the
//    frozen one: its steps follow in the same kernel (matmul.cu), and y is written once. This file makes the operands A
//    and s B of those products.
// 2. Shapes. A[r, k], B[n, r] f32, the trained values; operands bf16, or f32 where activations are. Saves xa[m, r].
// 3. Parallelisation. One launch for both matrices, a thread an element.
//
//      Bytes and floor (H100 at 3.0 TB/s), r 16: 6 bytes an element. Llama-8B gate: 296 k elements, 1.8 MB, 1 µs;
//      Qwen-0.5B gate: 92 k, 0.6 MB, below a launch; at most one FLOP an element. The adapter's steps: K + 16 instead
//      of K, 0.4 % of the work; xa reads x once more, 67 MB, 22 µs to the product's 1.21 ms.
//
// 4. Launch bounds: 256 threads.
#include "common/types.cuh"

template <class T>
__device__ void operands(const float* a, const float* b, T* a_operand, T* b_operand, index_t count_a, index_t count_b,
                         float scale) {
    const index_t i = static_cast<index_t>(blockIdx.x) * 256 + threadIdx.x;
    if (i < count_a) {
        from_float(a_operand[i], a[i]);
    } else if (i - count_a < count_b) {
        from_float(b_operand[i - count_a], scale * b[i - count_a]);
    }
}

KERNEL(lora_operands_bf16, 256)(const float* a, const float* b, bf16* a_operand, bf16* b_operand, index_t count_a,
                                index_t count_b, float scale) {
    operands(a, b, a_operand, b_operand, count_a, count_b, scale);
}
EXPORT_KERNEL(lora_operands_bf16, 256)
KERNEL(lora_operands_f32, 256)(const float* a, const float* b, float* a_operand, float* b_operand, index_t count_a,
                               index_t count_b, float scale) {
    operands(a, b, a_operand, b_operand, count_a, count_b, scale);
}
EXPORT_KERNEL(lora_operands_f32, 256)
