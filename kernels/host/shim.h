// The CUDA language for g++: with this header included first, a kernel compiles for the CPU as it stands.
//
// A thread of a block is a fiber (host/device.cpp). Where a fiber must wait for others, it is left and taken up again when
// the others have come. Everything here is for development and tests; no part of it ships.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
    unsigned x, y, z;
};

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};

inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

namespace host {

/// What a fiber knows of itself.
struct Place {
    dim3 thread, block, block_dim, grid_dim;
    unsigned char* shared;
};

extern thread_local Place* place;

/// Bytes of one lane in an exchange.
constexpr std::size_t SLOT = 64;

/// Waits for the whole block.
void barrier(const char* file, int line);
/// Gives this lane's bytes and waits for the warp's; what comes back is `SLOT` bytes per lane, good until the exchange after
/// the next.
const unsigned char* exchange(const void* value, std::size_t bytes, const char* file, int line);
/// Ends the launch with an error. Does not come back.
void fail(const std::string& message);

/// Notes a copy that is made when this fiber waits for it: `valid` bytes from `source`, the rest of `bytes` zero.
void copy_async(void* target, const void* source, std::size_t bytes, std::size_t valid);
/// Closes the group of the copies noted since the last one.
void copy_commit();
/// Makes the copies of all groups but the last `pending`.
void copy_wait(unsigned pending);

/// This lane's value for all, and the value of `source` for this lane.
template <class T>
T from_lane(T value, unsigned source, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    static_assert(sizeof(T) <= SLOT, "an exchange carries 64 bytes a lane");
    const unsigned char* slots = exchange(&value, sizeof value, file, line);
    T result;
    std::memcpy(&result, slots + SLOT * (source & 31), sizeof result);
    return result;
}

inline unsigned lane() { return (place->thread.x) & 31; }

inline void full(unsigned mask) {
    if (mask != 0xffffffffu) fail("a warp operation needs the full mask 0xffffffff");
}

/// A kernel's entry point as `launch` finds it.
struct Kernel {
    const char* name;
    std::string signature;
    unsigned threads;
    void (*call)(void** arguments);
    Kernel* next;
};

extern Kernel* kernels;

template <class T>
std::string tag() {
    if (std::is_pointer_v<T>) return "p";
    if (std::is_same_v<T, int>) return "i";
    if (std::is_same_v<T, unsigned>) return "u";
    if (std::is_same_v<T, long long> || std::is_same_v<T, long>) return "l";
    if (std::is_same_v<T, float>) return "f";
    if (std::is_same_v<T, double>) return "d";
    return "s" + std::to_string(sizeof(T));
}

template <auto kernel, class... A, std::size_t... I>
void call_with(void** arguments, void (*)(A...), std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_const_t<A>*>(arguments[I])...);
}

template <auto kernel>
struct Entry;

template <class... A, void (*kernel)(A...)>
struct Entry<kernel> {
    static void call(void** arguments) { call_with<kernel>(arguments, kernel, std::index_sequence_for<A...>{}); }
    static std::string signature() {
        std::string all;
        ((all += tag<A>() + " "), ...);
        return all;
    }
};

struct Registration {
    Kernel kernel;
    Registration(const char* name, std::string signature, unsigned threads, void (*call)(void**))
        : kernel{name, std::move(signature), threads, call, kernels} {
        kernels = &kernel;
    }
};

}  // namespace host

#define threadIdx (::host::place->thread)
#define blockIdx (::host::place->block)
#define blockDim (::host::place->block_dim)
#define gridDim (::host::place->grid_dim)
#define warpSize 32

#define __syncthreads() ::host::barrier(__FILE__, __LINE__)

inline void __syncwarp(unsigned mask = 0xffffffffu, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    host::full(mask);
    char nothing = 0;
    host::exchange(&nothing, 1, file, line);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    host::full(mask);
    return host::from_lane(value, unsigned(source), file, line);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int = 32, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
    host::full(mask);
    return host::from_lane(value, host::lane() ^ unsigned(bits), file, line);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int = 32, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
    host::full(mask);
    unsigned source = host::lane() + by;
    return host::from_lane(value, source < 32 ? source : host::lane(), file, line);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int = 32, const char* file = __builtin_FILE(),
                 int line = __builtin_LINE()) {
    host::full(mask);
    return host::from_lane(value, host::lane() >= by ? host::lane() - by : host::lane(), file, line);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    host::full(mask);
    unsigned char mine = predicate != 0;
    const unsigned char* slots = host::exchange(&mine, 1, file, line);
    unsigned all = 0;
    for (unsigned i = 0; i < 32; ++i) all |= unsigned(slots[host::SLOT * i]) << i;
    return all;
}

inline int __any_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, file, line) != 0;
}

inline int __all_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, file, line) == 0xffffffffu;
}

template <class T>
T min(T a, T b) {
    return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
    return a < b ? b : a;
}

inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline void sincospif(float x, float* sine, float* cosine) {
    *sine = float(std::sin(3.14159265358979323846 * double(x)));
    *cosine = float(std::cos(3.14159265358979323846 * double(x)));
}
inline float __fdividef(float x, float y) { return x / y; }
// Through memory, so that g++ does not contract them into a fused multiply-add.
inline float __fmul_rn(float x, float y) {
    volatile float product = x * y;
    return product;
}
inline float __fadd_rn(float x, float y) {
    volatile float sum = x + y;
    return sum;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T>
T __ldg(const T* p) {
    return *p;
}
template <class To, class From>
To host_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "bits are bits");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float x) { return host_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return host_bits<unsigned>(x); }
inline float __int_as_float(int x) { return host_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return host_bits<float>(x); }
// Integers only: a float sum by atomics would depend on the order of the blocks.
inline int atomicAdd(int* p, int x) { return __atomic_fetch_add(p, x, __ATOMIC_RELAXED); }
inline unsigned atomicAdd(unsigned* p, unsigned x) { return __atomic_fetch_add(p, x, __ATOMIC_RELAXED); }
inline void __threadfence() {}
