// Number types and the few words that differ between nvcc and the CPU (host/shim.h).
#pragma once

#if defined(__CUDACC__)

#include <cuda_bf16.h>

using bf16 = __nv_bfloat16;

__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ void from_float(bf16& to, float x) { to = __float2bfloat16_rn(x); }
__device__ __forceinline__ unsigned bf16_bits(bf16 x) { return __bfloat16_as_ushort(x); }
__device__ __forceinline__ bf16 bits_bf16(unsigned bits) { return __ushort_as_bfloat16(static_cast<unsigned short>(bits)); }

/// An entry point that the launcher finds by its name, for at most `threads` threads a block.
#define KERNEL(name, threads) extern "C" __global__ void __launch_bounds__(threads) name
/// Makes a kernel known to the emulated device. Stands after every entry point.
#define EXPORT_KERNEL(name, threads)
/// The block's dynamic shared memory, as many bytes as the launch asked for.
#define DYN_SHARED(name)                                                     \
    extern __shared__ __align__(1024) unsigned char dynamic_shared_memory[]; \
    unsigned char* name = dynamic_shared_memory

#else

struct bf16 {
    std::uint16_t bits;
};

inline float to_float(bf16 x) { return host_bits<float>(std::uint32_t(x.bits) << 16); }
/// To the nearest, ties to even, as `cvt.rn.bf16.f32`.
inline void from_float(bf16& to, float x) {
    std::uint32_t bits = host_bits<std::uint32_t>(x);
    to.bits = x != x ? 0x7fff : std::uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline unsigned bf16_bits(bf16 x) { return x.bits; }
inline bf16 bits_bf16(unsigned bits) { return {std::uint16_t(bits)}; }

#define KERNEL(name, threads) extern "C" void name
#define EXPORT_KERNEL(name, threads)                                                                     \
    static ::host::Registration registration_##name(#name, ::host::Entry<&name>::signature(), (threads), \
                                                    &::host::Entry<&name>::call);
#define DYN_SHARED(name) unsigned char* name = ::host::place->shared

#endif

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ void from_float(float& to, float x) { to = x; }

/// Two bfloat16 in one word, `low` in the lower half.
__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
    bf16 a, b;
    from_float(a, low);
    from_float(b, high);
    return bf16_bits(a) | bf16_bits(b) << 16;
}

/// Indices of elements: tensors are larger than 2^31.
using index_t = long long;

constexpr unsigned FULL_WARP = 0xffffffffu;

__device__ __forceinline__ int lane_id() { return static_cast<int>(threadIdx.x & 31); }
__device__ __forceinline__ int warp_id() { return static_cast<int>(threadIdx.x >> 5); }
