// Four-bit weights: where they lie, and how a code becomes a number.
#pragma once

#include "common/types.cuh"

/// A quantised matrix, row-major, nothing in it aligned to rows; the launcher's twin is `crates/cuda/src/weight/nf4.rs`.
struct Nf4Matrix {
    const unsigned char* codes;
    // Plain scales, or null; a plain matrix has no book.
    const float* scales;
    const unsigned char* scale_codes;
    const float* nested;
    const float* book;
    float offset;
    int block_shift;
};

/// Elements that a thread takes at a time: four bytes of codes.
constexpr int NF4_PIECE = 8;

__device__ const float NF4_VALUES[16] = {-1.0f,
                                         -0.6961928009986877f,
                                         -0.5250730514526367f,
                                         -0.39491748809814453f,
                                         -0.28444138169288635f,
                                         -0.18477343022823334f,
                                         -0.09105003625154495f,
                                         0.0f,
                                         0.07958029955625534f,
                                         0.16093020141124725f,
                                         0.24611230194568634f,
                                         0.33791524171829224f,
                                         0.44070982933044434f,
                                         0.5626170039176941f,
                                         0.7229568362236023f,
                                         1.0f};

/// The sixteen values in sixteen banks of shared memory, and then the code book of the scales: 1088 bytes.
struct Nf4Tables {
    const float* values;
    const float* book;
};

/// Fills the tables. The whole block comes here.
template <int THREADS>
__device__ __forceinline__ Nf4Tables nf4_tables(const Nf4Matrix& w, unsigned char* shared) {
    float* values = reinterpret_cast<float*>(shared);
    float* book = values + 16;
    if (threadIdx.x < 16) values[threadIdx.x] = NF4_VALUES[threadIdx.x];
    for (int i = threadIdx.x; w.book != nullptr && i < 256; i += THREADS) book[i] = w.book[i];
    __syncthreads();
    return {values, book};
}

/// The scale of the block of element `flat`.
__device__ __forceinline__ float nf4_scale(const Nf4Matrix& w, const Nf4Tables& tables, index_t flat) {
    const index_t block = flat >> w.block_shift;
    if (w.scales != nullptr) return w.scales[block];
    return __fadd_rn(__fmul_rn(tables.book[w.scale_codes[block]], w.nested[block >> 8]), w.offset);
}

/// The codes of a piece that begins on one.
__device__ __forceinline__ unsigned nf4_codes(const Nf4Matrix& w, index_t flat) {
    return *reinterpret_cast<const unsigned*>(w.codes + flat / 2);
}

/// Value `i` of a piece.
__device__ __forceinline__ float nf4_value(const Nf4Tables& tables, unsigned codes, int i, float scale) {
    return __fmul_rn(tables.values[codes >> (8 * (i / 2) + (i % 2 == 0 ? 4 : 0)) & 15], scale);
}

/// The value of any element.
__device__ __forceinline__ float nf4_element(const Nf4Matrix& w, const Nf4Tables& tables, index_t flat) {
    const unsigned byte = w.codes[flat / 2], code = flat % 2 == 0 ? byte >> 4 : byte & 15;
    return __fmul_rn(tables.values[code], nf4_scale(w, tables, flat));
}
