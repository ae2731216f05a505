// Products with a weight matrix, on tensor cores in bf16 and exactly in float32.
//
// 1. Purpose and formula. Forward y[m, n] = x[m, k] wᵀ (+ bias); gradient of the input dx[m, k] (+)= dy[m, n] w;
//    gradient of the weight dw[n, k] += dyᵀ x, in float32. Each may be followed by the steps of a short second product
//    (K-concatenation, see lora_matmul.cu).
// 2. Shapes. x, y, dy, dx bf16 with w bf16, or f32 with w f32 or bf16; w[n, k] row-major in all cases; bias[n], dw[n,
//    k] f32. Any m, n, k; rows of any alignment.
// 3. Parallelisation. A block of threads per tile of the result, blocks of eight rows of tiles after one another, so
//    that what they share lies in L2. Tiles of 128 × 128 with 8 warps of 64 × 32, or 64 × 64 with 4 warps of 32 × 32
//    where the large ones would leave multiprocessors idle; both take 32 of the reduced axis a step in the same order,
//    so that the bits of a row do not depend on the choice. Four steps are in flight (cp.async), read by ldmatrix from
//    rows swizzled against bank conflicts; sums stay in registers. Gradients of weights with few tiles split the tokens
//    into parts, which are added in order: no atomic additions.
//
//      Bytes, FLOPs and floor (H100 at 3.0 TB/s, 798 TFLOP/s). Llama-8B gate, 8192 × 14336 × 4096: 0.42 GB, 962 G, 1.21
//      ms; Qwen-0.5B gate, 16384 × 4864 × 896: 197 MB, 143 G, 0.18 ms. Compute bound; mma.sync reaches about half of
//      the wgmma rate on sm_90, so large frozen products go to cuBLASLt where it is there.
//
// 4. Launch bounds: 256 threads and 2 blocks an SM (64 KB of shared memory each), 128 threads and 4 blocks (32 KB);
//    exact: 256 threads, 2 blocks.
#include "common/gemm.cuh"

#define KERNEL_TENSOR_CORE(NAME, BM, BN, WM, WN, BLOCKS, TA, TB, C)                               \
    extern "C" __global__ void __launch_bounds__(BM / WM * (BN / WN) * 32, BLOCKS) NAME(Gemm p) { \
        run_product<TensorCoreProduct<BM, BN, WM, WN, TA, TB, C>>(p);                             \
    }                                                                                             \
    EXPORT_KERNEL(NAME, BM / WM * (BN / WN) * 32)
#define KERNEL_EXACT(NAME, TA, TB, B)                                                                              \
    extern "C" __global__ void __launch_bounds__(256, 2) NAME(Gemm p) { run_product<ExactProduct<TA, TB, B>>(p); } \
    EXPORT_KERNEL(NAME, 256)

KERNEL_TENSOR_CORE(matmul_forward_large_bf16, 128, 128, 64, 32, 2, false, false, bf16)
KERNEL_TENSOR_CORE(matmul_forward_small_bf16, 64, 64, 32, 32, 4, false, false, bf16)
KERNEL_TENSOR_CORE(matmul_input_large_bf16, 128, 128, 64, 32, 2, false, true, bf16)
KERNEL_TENSOR_CORE(matmul_input_small_bf16, 64, 64, 32, 32, 4, false, true, bf16)
KERNEL_TENSOR_CORE(matmul_weight_large_bf16, 128, 128, 64, 32, 2, true, true, float)
KERNEL_TENSOR_CORE(matmul_weight_small_bf16, 64, 64, 32, 32, 4, true, true, float)
KERNEL_EXACT(matmul_forward_f32, false, false, float)
KERNEL_EXACT(matmul_forward_by_bf16_f32, false, false, bf16)
KERNEL_EXACT(matmul_input_f32, false, true, float)
KERNEL_EXACT(matmul_input_by_bf16_f32, false, true, bf16)
KERNEL_EXACT(matmul_weight_f32, true, true, float)

// y = x rounded: a weight that is trained, and so held in float32, as operand of a tensor-core product.
KERNEL(matmul_round_bf16, 256)(const float* x, bf16* y, index_t count) {
    const index_t i = static_cast<index_t>(blockIdx.x) * 256 + threadIdx.x;
    if (i < count) {
        from_float(y[i], x[i]);
    }
}
EXPORT_KERNEL(matmul_round_bf16, 256)

// c[i] += alpha · Σ over parts, in order, of parts[part][i].
KERNEL(matmul_add_parts_f32, 256)(const float* parts, float* c, index_t count, int number, float alpha) {
    const index_t i = static_cast<index_t>(blockIdx.x) * 256 + threadIdx.x;
    if (i < count) {
        float sum = 0.0f;
        for (int part = 0; part < number; ++part) {
            sum += parts[part * count + i];
        }
        c[i] += alpha * sum;
    }
}
EXPORT_KERNEL(matmul_add_parts_f32, 256)
