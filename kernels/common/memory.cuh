// Moving 16 bytes at a time, and copies that overlap with arithmetic.
#pragma once

#include "common/types.cuh"

/// Elements of `T` in 16 bytes: what a thread moves at once.
template <class T>
constexpr int PACK = 16 / static_cast<int>(sizeof(T));

/// A pack as float32.
template <class T>
struct Pack {
    float v[PACK<T>];
};

__device__ __forceinline__ void check_aligned(const void* p) {
#if !defined(__CUDACC__)
    if (reinterpret_cast<std::uintptr_t>(p) % 16 != 0) host::fail("an access of 16 bytes that is not aligned to them");
#else
    (void)p;
#endif
}

/// 16 aligned bytes.
__device__ __forceinline__ uint4 load16(const void* p) {
    check_aligned(p);
    return *reinterpret_cast<const uint4*>(p);
}
__device__ __forceinline__ void store16(void* p, uint4 x) {
    check_aligned(p);
    *reinterpret_cast<uint4*>(p) = x;
}

__device__ __forceinline__ float2 unpack_bf16(unsigned word) {
    return make_float2(to_float(bits_bf16(word & 0xffffu)), to_float(bits_bf16(word >> 16)));
}

__device__ __forceinline__ void unpack(uint4 word, Pack<bf16>& to) {
    const unsigned words[4] = {word.x, word.y, word.z, word.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const float2 pair = unpack_bf16(words[i]);
        to.v[2 * i] = pair.x;
        to.v[2 * i + 1] = pair.y;
    }
}
__device__ __forceinline__ void unpack(uint4 word, Pack<float>& to) {
    to.v[0] = __uint_as_float(word.x);
    to.v[1] = __uint_as_float(word.y);
    to.v[2] = __uint_as_float(word.z);
    to.v[3] = __uint_as_float(word.w);
}
__device__ __forceinline__ uint4 pack(const Pack<bf16>& x) {
    return make_uint4(pack_bf16(x.v[0], x.v[1]), pack_bf16(x.v[2], x.v[3]), pack_bf16(x.v[4], x.v[5]),
                      pack_bf16(x.v[6], x.v[7]));
}
__device__ __forceinline__ uint4 pack(const Pack<float>& x) {
    return make_uint4(__float_as_uint(x.v[0]), __float_as_uint(x.v[1]), __float_as_uint(x.v[2]), __float_as_uint(x.v[3]));
}

/// Elements `i .. i + PACK` of `p`, those from `end` on as 0. `wide`: `p` and `i` are aligned to 16 bytes, so a whole
/// pack is one access; the same for all threads of a launch.
template <class T>
__device__ __forceinline__ Pack<T> load(const T* p, index_t i, index_t end, bool wide) {
    Pack<T> result;
    if (wide && i + PACK<T> <= end) {
        unpack(load16(p + i), result);
        return result;
    }
#pragma unroll
    for (int j = 0; j < PACK<T>; ++j) result.v[j] = i + j < end ? to_float(p[i + j]) : 0.0f;
    return result;
}

/// Writes the elements of a pack that lie before `end`.
template <class T>
__device__ __forceinline__ void store(T* p, index_t i, index_t end, bool wide, const Pack<T>& x) {
    if (wide && i + PACK<T> <= end) {
        store16(p + i, pack(x));
        return;
    }
#pragma unroll
    for (int j = 0; j < PACK<T>; ++j) {
        if (i + j < end) from_float(p[i + j], x.v[j]);
    }
}

/// A pack as it lies in memory, half the registers of a `Pack<bf16>`: elements `i ..` of `p`, those from `end` on as 0.
/// With `WIDE` `p + i` is aligned and `end` ends a pack, so a load is one predicated access without a branch and many
/// of them are on their way at once; without, a pack is put together element by element.
template <class T, bool WIDE>
__device__ __forceinline__ uint4 load_raw(const T* p, index_t i, index_t end) {
    if constexpr (WIDE) {
        return i < end ? load16(p + i) : make_uint4(0, 0, 0, 0);
    } else {
        return pack(load(p, i, end, false));
    }
}
/// Writes what `load_raw` would read.
template <class T, bool WIDE>
__device__ __forceinline__ void store_raw(T* p, index_t i, index_t end, const Pack<T>& x) {
    if constexpr (WIDE) {
        if (i < end) store16(p + i, pack(x));
    } else {
        store(p, i, end, false, x);
    }
}
template <class T>
__device__ __forceinline__ Pack<T> unpacked(uint4 word) {
    Pack<T> result;
    unpack(word, result);
    return result;
}

/// Elements `i .. i + N` of a float32 vector, as wide as packs of another type, those from `end` on as 0.
template <int N>
__device__ __forceinline__ void load_floats(const float* p, index_t i, index_t end, bool wide, float (&to)[N]) {
    static_assert(N % 4 == 0, "whole accesses");
#pragma unroll
    for (int j = 0; j < N; j += 4) {
        const Pack<float> part = load(p, i + j, end, wide);
#pragma unroll
        for (int l = 0; l < 4; ++l) to[j + l] = part.v[l];
    }
}

/// Starts copying 16 bytes from global to shared memory, `valid` of them read and the rest set to 0 (PTX cp.async).
__device__ __forceinline__ void copy_async16(void* shared, const void* global, int valid = 16) {
#if defined(__CUDACC__)
    const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(global), "r"(valid) : "memory");
#else
    host::copy_async(shared, global, 16, static_cast<std::size_t>(valid));
#endif
}
/// Closes a group of copies.
__device__ __forceinline__ void copy_async_commit() {
#if defined(__CUDACC__)
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#else
    host::copy_commit();
#endif
}
/// Waits for this thread's groups but the last `PENDING`. A barrier must follow before other threads read.
template <int PENDING>
__device__ __forceinline__ void copy_async_wait() {
#if defined(__CUDACC__)
    asm volatile("cp.async.wait_group %0;\n" ::"n"(PENDING) : "memory");
#else
    host::copy_wait(PENDING);
#endif
}
