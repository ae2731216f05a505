// Sums, factors and copies that have no shape of their own.
//
// 1. Purpose. add: y += x. scale: y *= factor. copy_columns: a block of columns from one matrix into another. sum_rows:
//    y[n] += Σ of the rows of x[m, n], the gradient of a bias.
// 2. Shapes. Activations T; the sums of sum_rows are float32. Nothing is saved.
// 3. Parallelisation. One pack of 16 bytes per thread; a copy of columns gives each row to one row of blocks. sum_rows
//    gives a lane a pack of columns and a warp every fourth row of a chunk of 256 (common/columns.cuh), and adds the
//    chunks in index order in a second launch, so the result does not depend on the grid.
//
//      Bytes for 8192 × 4096 (Llama-3.1-8B) in bf16: add 201 MB, 67 µs at 3.0 TB/s; scale 134 MB, 45 µs; sum_rows 67
//      MB, 22 µs. 16384 × 896 (Qwen2.5-0.5B): 88 MB, 29 µs; 59 MB, 20 µs; 29 MB, 10 µs. At most one FLOP an element.
//
// 4. Launch bounds: 256 threads; sums of rows 128, 2 KB of shared memory.
#include "common/columns.cuh"

namespace {

constexpr int THREADS = 256;

template <class T>
__device__ __forceinline__ index_t first_of_thread() {
    return (static_cast<index_t>(blockIdx.x) * THREADS + threadIdx.x) * PACK<T>;
}

template <class T>
__device__ __forceinline__ void add(index_t n, const T* x, T* y, int wide) {
    const index_t i = first_of_thread<T>();
    if (i >= n) return;
    const Pack<T> a = load(x, i, n, wide);
    Pack<T> b = load(y, i, n, wide);
#pragma unroll
    for (int j = 0; j < PACK<T>; ++j) b.v[j] += a.v[j];
    store(y, i, n, wide, b);
}

template <class T>
__device__ __forceinline__ void scale(index_t n, float factor, T* y, int wide) {
    const index_t i = first_of_thread<T>();
    if (i >= n) return;
    Pack<T> b = load(y, i, n, wide);
#pragma unroll
    for (int j = 0; j < PACK<T>; ++j) b.v[j] *= factor;
    store(y, i, n, wide, b);
}

template <class T>
__device__ __forceinline__ void copy_columns(int width, const T* x, int from_stride, int from_start, T* y, int to_stride,
                                             int to_start, int wide) {
    const int i = (static_cast<int>(blockIdx.y) * THREADS + static_cast<int>(threadIdx.x)) * PACK<T>;
    if (i >= width) return;
    x += static_cast<index_t>(blockIdx.x) * from_stride + from_start;
    y += static_cast<index_t>(blockIdx.x) * to_stride + to_start;
    store(y, i, width, wide, load(x, i, width, wide));
}

/// The rows of a matrix, to be summed.
template <class T>
struct Rows {
    const T* x;
    int n;
    template <bool WIDE>
    __device__ __forceinline__ Pack<T> row(int i, int j) const {
        return unpacked<T>(load_raw<T, WIDE>(x + static_cast<index_t>(i) * n, j, n));
    }
};

}  // namespace

#define KERNEL_ADD(name, T)                                                                 \
    KERNEL(name, THREADS)(index_t n, const T* x, T* y, int wide) { add<T>(n, x, y, wide); } \
    EXPORT_KERNEL(name, THREADS)
KERNEL_ADD(add_f32, float)
KERNEL_ADD(add_bf16, bf16)

#define KERNEL_FACTOR(name, T)                                                                       \
    KERNEL(name, THREADS)(index_t n, float factor, T* y, int wide) { scale<T>(n, factor, y, wide); } \
    EXPORT_KERNEL(name, THREADS)
KERNEL_FACTOR(scale_f32, float)
KERNEL_FACTOR(scale_bf16, bf16)

#define KERNEL_COPY(name, T)                                                                                \
    KERNEL(name, THREADS)                                                                                   \
    (int width, const T* x, int from_stride, int from_start, T* y, int to_stride, int to_start, int wide) { \
        copy_columns<T>(width, x, from_stride, from_start, y, to_stride, to_start, wide);                   \
    }                                                                                                       \
    EXPORT_KERNEL(name, THREADS)
KERNEL_COPY(copy_columns_f32, float)
KERNEL_COPY(copy_columns_bf16, bf16)

#define KERNEL_SUM(name, T)                                                          \
    KERNEL(name, SUM_THREADS)(int m, int n, const T* x, float* partials, int wide) { \
        column_partials<T>(m, n, partials, wide, Rows<T>{x, n});                     \
    }                                                                                \
    EXPORT_KERNEL(name, SUM_THREADS)
KERNEL_SUM(sum_rows_f32, float)
KERNEL_SUM(sum_rows_bf16, bf16)

// y[j] += the chunks of column j, in order: the end of every sum down columns.
KERNEL(add_partials, SUM_THREADS)(int chunks, int n, const float* partials, float* y) {
    const int j = static_cast<int>(blockIdx.x) * SUM_THREADS + static_cast<int>(threadIdx.x);
    if (j >= n) return;
    float sum = y[j];
    for (int chunk = 0; chunk < chunks; ++chunk) sum += partials[static_cast<index_t>(chunk) * n + j];
    y[j] = sum;
}
EXPORT_KERNEL(add_partials, SUM_THREADS)
