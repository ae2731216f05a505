// One step along an orthogonalised momentum, for one matrix.
//
// 1. Purpose and formula. Muon (Jordan et al. 2024) as crates/ops/src/muon.rs has it, but for its products, which are those of
//    matmul.cu: momentum and direction, the direction over its norm, sums p X + q Y, and p = p (1 - decay) - rate X. The
//    gradient is first multiplied with the factor that grad_norm left; where the norm is not finite nothing is changed.
// 2. Shapes. Parameter, gradient and momentum float32 [n, k]; X in activations T [s, l], turned where n > k, so that s is no
//    larger than l; Y float32. X is rounded to bfloat16 whatever T is.
// 3. Parallelisation. An element a thread, pieces of 4096 elements a block where squares are added; what is turned is read in
//    rows and written in columns. The products are all of the time:
//
//      20 (s l + s^2) s FLOP a matrix, and 44 bytes an element for the passes. An adapter of rank 16 (Llama-3.1-8B): 1.8 GB,
//      0.6 ms at 3.0 TB/s, but 448 times thirty launches. 358M in matrices (Qwen2.5-0.5B in full): 15.8 GB, 5.3 ms, and 8.1
//      TFLOP, 10 ms at 798 TFLOP/s.
//
// 4. Launch bounds: 256 threads, 64 bytes of shared memory.
#include "common/memory.cuh"
#include "common/reduce.cuh"
#include "common/tensors.cuh"

namespace {

constexpr int THREADS = 256;
constexpr int PIECE = 4096;

// The nearest bfloat16.
__device__ __forceinline__ float rounded(float x) {
    bf16 narrow;
    from_float(narrow, x);
    return to_float(narrow);
}

// start + weight (end - start), from the nearer end as torch does it; `rest` is one less the weight.
__device__ __forceinline__ float lerp(float start, float end, float weight, float rest) {
    return weight < 0.5f ? start + weight * (end - start) : end - (end - start) * rest;
}

// Where the element `i` of the matrix [rows, columns] is in X.
__device__ __forceinline__ index_t place(index_t i, int rows, int columns) {
    if (rows <= columns) return i;
    const index_t row = i / columns;
    return (i - row * columns) * rows + row;
}

__device__ __forceinline__ index_t of_thread() { return static_cast<index_t>(blockIdx.x) * THREADS + threadIdx.x; }

template <class T>
__device__ __forceinline__ void momentum(index_t len, int rows, int columns, const float* gradient, float* momentum, T* x,
                                         double* partials, const Norm* norm, float kept, float taken, int nesterov) {
    DYN_SHARED(shared);
    if (!norm->finite) return;
    const index_t first = static_cast<index_t>(blockIdx.x) * PIECE;
    double squares = 0.0;
    for (int at = static_cast<int>(threadIdx.x); at < PIECE && first + at < len; at += THREADS) {
        const index_t i = first + at;
        const float g = gradient[i] * norm->factor, m = lerp(momentum[i], g, taken, kept);
        momentum[i] = m;
        const float direction = rounded(nesterov ? lerp(g, m, kept, taken) : m);
        from_float(x[place(i, rows, columns)], direction);
        squares += static_cast<double>(direction) * direction;
    }
    squares = block_sum<THREADS>(squares, reinterpret_cast<double*>(shared));
    if (threadIdx.x == 0) partials[blockIdx.x] = squares;
}

template <class T>
__device__ __forceinline__ void divide(index_t len, T* x, const float* norm) {
    const index_t i = of_thread();
    if (i < len) from_float(x[i], rounded(to_float(x[i]) / *norm));
}

template <class T>
__device__ __forceinline__ void combine(index_t len, float p, T* x, float q, const float* y) {
    const index_t i = of_thread();
    if (i >= len) return;
    const float before = to_float(x[i]);
    from_float(x[i], rounded(y ? p * before + q * y[i] : before));
}

template <class T>
__device__ __forceinline__ void move(index_t len, int rows, int columns, float* parameter, const T* x, const Norm* norm,
                                     float kept, float rate) {
    const index_t i = of_thread();
    if (!norm->finite || i >= len) return;
    parameter[i] = parameter[i] * kept - rate * to_float(x[place(i, rows, columns)]);
}

}  // namespace

#define KERNEL_MOMENTUM(name, T)                                                                                   \
    KERNEL(name, THREADS)                                                                                          \
    (index_t len, int rows, int columns, const float* gradient, float* buffer, T* x, double* partials, const Norm* norm, \
     float kept, float taken, int nesterov) {                                                                      \
        momentum<T>(len, rows, columns, gradient, buffer, x, partials, norm, kept, taken, nesterov);               \
    }                                                                                                              \
    EXPORT_KERNEL(name, THREADS)
KERNEL_MOMENTUM(muon_momentum_f32, float)
KERNEL_MOMENTUM(muon_momentum_bf16, bf16)

/// The norm of a direction from the sums of its squares, rounded, and no less than `least`.
KERNEL(muon_norm, THREADS)(int pieces, const double* partials, float least, float* norm) {
    DYN_SHARED(shared);
    double squares = 0.0;
    for (int i = static_cast<int>(threadIdx.x); i < pieces; i += THREADS) squares += partials[i];
    squares = block_sum<THREADS>(squares, reinterpret_cast<double*>(shared));
    if (threadIdx.x == 0) *norm = fmaxf(rounded(static_cast<float>(sqrt(squares))), least);
}
EXPORT_KERNEL(muon_norm, THREADS)

#define KERNEL_DIVIDE(name, T)                                                                \
    KERNEL(name, THREADS)(index_t len, T* x, const float* norm) { divide<T>(len, x, norm); } \
    EXPORT_KERNEL(name, THREADS)
KERNEL_DIVIDE(muon_divide_f32, float)
KERNEL_DIVIDE(muon_divide_bf16, bf16)

/// x = p x + q y, rounded; without y only rounded.
#define KERNEL_COMBINE(name, T)                                                                                        \
    KERNEL(name, THREADS)(index_t len, float p, T* x, float q, const float* y) { combine<T>(len, p, x, q, y); } \
    EXPORT_KERNEL(name, THREADS)
KERNEL_COMBINE(muon_combine_f32, float)
KERNEL_COMBINE(muon_combine_bf16, bf16)

#define KERNEL_MOVE(name, T)                                                                                      \
    KERNEL(name, THREADS)                                                                                         \
    (index_t len, int rows, int columns, float* parameter, const T* x, const Norm* norm, float kept, float rate) { \
        move<T>(len, rows, columns, parameter, x, norm, kept, rate);                                              \
    }                                                                                                             \
    EXPORT_KERNEL(name, THREADS)
KERNEL_MOVE(muon_move_f32, float)
KERNEL_MOVE(muon_move_bf16, bf16)
