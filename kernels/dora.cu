// Weight-decomposed adapters: the norms of the adapted rows, and scaling by columns of the activations.
//
// 1. Purpose and formula (Liu et al. 2024, arXiv:2402.09353). norms[j] = ‖w[j] + s · (B A)[j]‖₂; y = (magnitude / norms) ∘ u (+ bias);
//    backward du = (magnitude / norms) ∘ dy, dmagnitude[j] += Σ dy u / norms[j]. A norm of 0 scales by 0.
// 2. Shapes. w[n, k] bf16 or f32 (of an NF4 matrix, dequantised rows first .. first + n), A[r, k], B[n, r], magnitude, norms, bias[n] f32; u, y, dy,
//    du[m, n] bf16 or f32.
// 3. Parallelisation. Norms: a block of 256 threads takes 16 rows, so that A is read n / 16 times, from L2; a thread keeps the 16 adapted values of
//    one column in registers. Scaling: a thread an element. dmagnitude: a warp's lanes take 32 columns side by side, the block's warps
//    every eighth row of a chunk of 256; chunks are added in order in a second launch. No atomic additions.
// 5. Launch bounds: 256 threads.
// 6. Bytes and floor (H100 at 3.0 TB/s). Norms of Llama-8B gate [14336, 4096], r 16: 117 MB, 39 µs, 1.9 G multiply-adds in binary32, 60 µs of 67
//    TFLOP/s; Qwen-0.5B gate [4864, 896]: 8.7 MB, 3 µs. Scaling of 8192 × 14336: 470 MB, 157 µs.
#include "common/types.cuh"

namespace {

constexpr int kThreads = 256, kRows = 16, kChunk = 256;

__device__ float ratio(float x, float norm) { return norm == 0.0f ? 0.0f : x / norm; }

// Squares of rows blockIdx.x · 16 .. of w + scale · B A.
template <typename W>
__device__ void row_norms(const W* w, const float* a, const float* b, float* norms, int n, int k, int r, float scale) {
  DYN_SHARED(float, b_rows);  // [r][16], times the scale
  __shared__ float parts[kThreads / 32][kRows];
  const int first = blockIdx.x * kRows;
  for (int i = threadIdx.x; i < kRows * r; i += kThreads) {
    const int row = i % kRows, c = i / kRows;
    b_rows[i] = first + row < n ? scale * b[static_cast<long long>(first + row) * r + c] : 0.0f;
  }
  __syncthreads();
  float sums[kRows] = {};
  for (int l = threadIdx.x; l < k; l += kThreads) {
    float v[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      v[row] = first + row < n ? to_float(w[static_cast<long long>(first + row) * k + l]) : 0.0f;
    }
    for (int c = 0; c < r; ++c) {
      const float x = a[static_cast<long long>(c) * k + l];
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        v[row] = fmaf(b_rows[c * kRows + row], x, v[row]);
      }
    }
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      sums[row] = fmaf(v[row], v[row], sums[row]);
    }
  }
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    for (int distance = 16; distance > 0; distance /= 2) {
      sums[row] += __shfl_xor_sync(0xffffffffu, sums[row], distance);
    }
    if (threadIdx.x % 32 == 0) {
      parts[threadIdx.x / 32][row] = sums[row];
    }
  }
  __syncthreads();
  if (threadIdx.x < kRows && first + static_cast<int>(threadIdx.x) < n) {
    float sum = 0.0f;
    for (int warp = 0; warp < kThreads / 32; ++warp) {
      sum += parts[warp][threadIdx.x];
    }
    norms[first + threadIdx.x] = sqrtf(sum);
  }
}

template <typename T>
__device__ void scale_columns(const T* u, const float* magnitude, const float* norms, const float* bias, T* y, long long count, int n,
                              int accumulate) {
  const long long i = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) {
    return;
  }
  const int j = static_cast<int>(i % n);
  float value = ratio(magnitude[j], norms[j]) * to_float(u[i]);
  if (bias != nullptr) {
    value += bias[j];
  }
  if (accumulate != 0) {
    value += to_float(y[i]);
  }
  y[i] = from_float<T>(value);
}

// parts[chunk][j] = Σ dy · u over the chunk's 256 rows.
template <typename T>
__device__ void magnitude_parts(const T* dy, const T* u, float* parts, int m, int n) {
  __shared__ float sums[kThreads / 32][32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, j = blockIdx.x * 32 + lane;
  const int begin = blockIdx.y * kChunk, end = min(begin + kChunk, m);
  float sum = 0.0f;
  for (int i = begin + warp; i < end && j < n; i += kThreads / 32) {
    const long long place = static_cast<long long>(i) * n + j;
    sum = fmaf(to_float(dy[place]), to_float(u[place]), sum);
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && j < n) {
    sum = 0.0f;
    for (int other = 0; other < kThreads / 32; ++other) {
      sum += sums[other][lane];
    }
    parts[static_cast<long long>(blockIdx.y) * n + j] = sum;
  }
}

}  // namespace

#define DORA_KERNELS(SUFFIX, T)                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256)                                                                                \
      dora_norms_##SUFFIX(const T* w, const float* a, const float* b, float* norms, int n, int k, int r, float scale) {           \
    row_norms(w, a, b, norms, n, k, r, scale);                                                                                     \
  }                                                                                                                                \
  EXPORT_KERNEL(dora_norms_##SUFFIX)                                                                                               \
  extern "C" __global__ void __launch_bounds__(256)                                                                                \
      dora_scale_##SUFFIX(const T* u, const float* magnitude, const float* norms, const float* bias, T* y, long long count, int n, \
                          int accumulate) {                                                                                        \
    scale_columns(u, magnitude, norms, bias, y, count, n, accumulate);                                                             \
  }                                                                                                                                \
  EXPORT_KERNEL(dora_scale_##SUFFIX)                                                                                               \
  extern "C" __global__ void __launch_bounds__(256)                                                                                \
      dora_magnitude_##SUFFIX(const T* dy, const T* u, float* parts, int m, int n) {                                               \
    magnitude_parts(dy, u, parts, m, n);                                                                                           \
  }                                                                                                                                \
  EXPORT_KERNEL(dora_magnitude_##SUFFIX)

DORA_KERNELS(f32, float)
DORA_KERNELS(bf16, __nv_bfloat16)

// dmagnitude[j] += Σ over chunks, in order, of parts[chunk][j] / norms[j].
extern "C" __global__ void __launch_bounds__(256)
    dora_add_parts(const float* parts, const float* norms, float* dmagnitude, int chunks, int n) {
  const int j = blockIdx.x * kThreads + threadIdx.x;
  if (j >= n) {
    return;
  }
  float sum = 0.0f;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    sum += parts[static_cast<long long>(chunk) * n + j];
  }
  dmagnitude[j] += ratio(sum, norms[j]);
}
EXPORT_KERNEL(dora_add_parts)
