// Kernels that are wrong on purpose, for the tests of the emulated device: each breaks one rule, and the device must notice.
#include "common/memory.cuh"

namespace {
constexpr int THREADS = 64;
}

// A barrier is missing: what a thread reads depends on the order of the threads.
KERNEL(fault_missing_barrier, THREADS)(int* out) {
    DYN_SHARED(shared);
    int* values = reinterpret_cast<int*>(shared);
    values[threadIdx.x] = static_cast<int>(threadIdx.x);
    out[threadIdx.x] = values[(threadIdx.x + 1) % THREADS];
}
EXPORT_KERNEL(fault_missing_barrier, THREADS)

// A barrier is missing, long after every thread has read: only a warp that is far ahead of another one shows it.
KERNEL(fault_hasty_warp, THREADS)(int* out) {
    DYN_SHARED(shared);
    int* values = reinterpret_cast<int*>(shared);
    values[threadIdx.x] = static_cast<int>(threadIdx.x);
    __syncthreads();
    int value = values[(threadIdx.x + 32) % THREADS];
    for (int by = 1; by < 32; ++by) value = __shfl_xor_sync(FULL_WARP, value, by);
    values[threadIdx.x] = -1;
    out[threadIdx.x] = value;
}
EXPORT_KERNEL(fault_hasty_warp, THREADS)

// Half of the block comes to the barrier.
KERNEL(fault_lonely_barrier, THREADS)(int* out) {
    if (threadIdx.x < 32) __syncthreads();
    out[threadIdx.x] = 0;
}
EXPORT_KERNEL(fault_lonely_barrier, THREADS)

// Half of a warp comes to the exchange.
KERNEL(fault_lonely_shuffle, THREADS)(int* out) {
    int value = 0;
    if (threadIdx.x % 32 < 16) value = __shfl_xor_sync(FULL_WARP, value, 1);
    out[threadIdx.x] = value;
}
EXPORT_KERNEL(fault_lonely_shuffle, THREADS)

// A warp operation without the full mask.
KERNEL(fault_partial_mask, THREADS)(int* out) { out[threadIdx.x] = __shfl_xor_sync(0xffffu, 1, 1); }
EXPORT_KERNEL(fault_partial_mask, THREADS)

// The copy is not waited for.
KERNEL(fault_unwaited_copy, THREADS)(const float* x, float* out) {
    DYN_SHARED(shared);
    float* values = reinterpret_cast<float*>(shared);
    if (threadIdx.x < THREADS / 4) copy_async16(values + 4 * threadIdx.x, x + 4 * threadIdx.x);
    copy_async_commit();
    __syncthreads();
    out[threadIdx.x] = values[threadIdx.x];
}
EXPORT_KERNEL(fault_unwaited_copy, THREADS)

// 16 bytes from a place that is aligned to 4.
KERNEL(fault_misaligned, THREADS)(const float* x, float* out) { out[threadIdx.x] = __uint_as_float(load16(x + 1).x); }
EXPORT_KERNEL(fault_misaligned, THREADS)

// Shared memory that was never written.
KERNEL(fault_unwritten, THREADS)(float* out) {
    DYN_SHARED(shared);
    out[threadIdx.x] = reinterpret_cast<float*>(shared)[threadIdx.x];
}
EXPORT_KERNEL(fault_unwritten, THREADS)

// One element beyond a buffer, read and written.
KERNEL(fault_read_beyond, THREADS)(const float* x, float* out) { out[threadIdx.x] = x[threadIdx.x + 1]; }
EXPORT_KERNEL(fault_read_beyond, THREADS)
KERNEL(fault_write_beyond, THREADS)(const float* x, float* out) { out[threadIdx.x + 1] = x[threadIdx.x]; }
EXPORT_KERNEL(fault_write_beyond, THREADS)

// One element beyond the shared memory that the launch asked for.
KERNEL(fault_shared_beyond, THREADS)(const float* x, float* out) {
    DYN_SHARED(shared);
    float* values = reinterpret_cast<float*>(shared);
    values[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = values[threadIdx.x + 1];
}
EXPORT_KERNEL(fault_shared_beyond, THREADS)

// An asynchronous copy of what lies beyond a buffer.
KERNEL(fault_copy_beyond, THREADS)(const float* x, float* out) {
    DYN_SHARED(shared);
    if (threadIdx.x == 0) copy_async16(shared, x + THREADS);
    copy_async_commit();
    copy_async_wait<0>();
    out[threadIdx.x] = x[threadIdx.x];
}
EXPORT_KERNEL(fault_copy_beyond, THREADS)
