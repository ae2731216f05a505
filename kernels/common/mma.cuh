// Tensor-core products and matrix loads from shared memory: each one wrapper, with PTX on a device and plain C++ on the CPU
// (PTX ISA 8.0, sections "mma.m16n8k16" and "ldmatrix"; compute capability 8.0).
#pragma once

#include "common/memory.cuh"

#ifndef __CUDACC__
// The row of a matrix that lane `lane` named in an exchange.
template <class T>
const T* host_row(const unsigned char* slots, int lane) {
    const T* row;
    std::memcpy(&row, slots + host::SLOT * lane, sizeof row);
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) {
        host::fail("ldmatrix of a row that is not aligned to 16 bytes");
    }
    return row;
}
#endif

// Fragments of mma.m16n8k16, lane = 4 g + t: A rows g and g + 8, columns 2t, 2t + 1 and 2t + 8, 2t + 9; B the same of its
// columns g; C rows g and g + 8, columns 2t, 2t + 1.

// c[16, 8] += a[16, 16] · b[16, 8], bf16 operands, float32 sums.
__device__ inline void mma_bf16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef __CUDACC__
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    const unsigned mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const unsigned char* slots = host::exchange(mine, sizeof mine, __FILE__, __LINE__);
    const auto of_lane = [slots](int lane, int j) { return reinterpret_cast<const unsigned*>(slots + host::SLOT * lane)[j]; };
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const auto half_of = [](unsigned pair, int odd) { return __uint_as_float(odd ? pair & 0xffff0000u : pair << 16); };
    for (int i = 0; i < 4; ++i) {
        const int upper = i / 2, column = 2 * t + i % 2;
        for (int k = 0; k < 16; ++k) {
            const int lane = k % 8 / 2, far = k / 8;
            const float x = half_of(of_lane(4 * g + lane, upper + 2 * far), k % 2);
            const float y = half_of(of_lane(4 * column + lane, 4 + far), k % 2);
            c[i] = fmaf(x, y, c[i]);
        }
    }
#endif
}

// Four 8 × 8 matrices of bf16: lane i names row i % 8 of matrix i / 8 (16 bytes, aligned). Register j of lane 4 g + t holds
// row g, columns 2t and 2t + 1 of matrix j.
__device__ inline void ldmatrix(unsigned (&r)[4], const void* row) {
#ifdef __CUDACC__
    const unsigned place = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(place)
                 : "memory");
#else
    const unsigned char* slots = host::exchange(&row, sizeof row, __FILE__, __LINE__);
    const int lane = threadIdx.x % 32;
    for (int j = 0; j < 4; ++j) {
        r[j] = host_row<unsigned>(slots, 8 * j + lane / 4)[lane % 4];
    }
#endif
}

// The same, each matrix transposed: register j of lane 4 g + t holds rows 2t and 2t + 1, column g of matrix j.
__device__ inline void ldmatrix_transposed(unsigned (&r)[4], const void* row) {
#ifdef __CUDACC__
    const unsigned place = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(place)
                 : "memory");
#else
    const unsigned char* slots = host::exchange(&row, sizeof row, __FILE__, __LINE__);
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (int j = 0; j < 4; ++j) {
        const unsigned low = host_row<unsigned short>(slots, 8 * j + 2 * t)[g];
        const unsigned high = host_row<unsigned short>(slots, 8 * j + 2 * t + 1)[g];
        r[j] = low | high << 16;
    }
#endif
}

// Place of a 16-byte piece of a row in a tile of rows of `PIECES` pieces, such that eight rows of one piece, or eight pieces
// of one row, lie in different banks.
template <int PIECES>
__device__ inline int swizzle(int row, int piece) {
    static_assert(PIECES == 4 || PIECES % 8 == 0, "rows of 64 bytes or whole multiples of 128");
    return row * PIECES + (PIECES == 4 ? piece ^ (row >> 1 & 3) : piece ^ (row & 7));
}

// Loads the part of a row-major matrix `[rows, columns]` that begins at (row, column) as a tile `[ROWS, 8 · PIECES]` of
// shared memory, with `THREADS` threads; what lies outside the matrix becomes zero. `aligned`: the matrix begins at a multiple
// of 16 bytes and `stride` is a multiple of 8, so that the copies need no waiting thread.
template <int ROWS, int PIECES, int THREADS>
__device__ inline void load_tile(bf16* tile, const bf16* matrix, index_t stride, int row, int rows, int column, int columns,
                                 bool aligned) {
    for (int i = threadIdx.x; i < ROWS * PIECES; i += THREADS) {
        const int r = i / PIECES, piece = i % PIECES;
        const int first = column + 8 * piece;
        const int count = row + r < rows ? min(max(columns - first, 0), 8) : 0;
        const bf16* source = count > 0 ? matrix + (row + r) * stride + first : matrix;
        bf16* target = tile + 8 * swizzle<PIECES>(r, piece);
        if (aligned) {
            copy_async16(target, source, 2 * count);
        } else {
            unsigned words[4] = {};
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                if (j < count) words[j / 2] |= bf16_bits(source[j]) << (j % 2 * 16);
            }
            store16(target, make_uint4(words[0], words[1], words[2], words[3]));
        }
    }
}

// The fragments of A for rows row .. row + 16 and reduced columns 16 · step .. of a tile [rows, reduced].
template <int PIECES>
__device__ inline void load_a(unsigned (&a)[4], const bf16* tile, int row, int step) {
    const int lane = threadIdx.x % 32;
    ldmatrix(a, tile + 8 * swizzle<PIECES>(row + lane % 16, 2 * step + lane / 16));
}

// The same of a tile [reduced, rows].
template <int PIECES>
__device__ inline void load_a_turned(unsigned (&a)[4], const bf16* tile, int row, int step) {
    const int lane = threadIdx.x % 32;
    ldmatrix_transposed(a, tile + 8 * swizzle<PIECES>(16 * step + lane % 8 + lane / 16 * 8, row / 8 + lane / 8 % 2));
}

// The fragments of B for columns column .. column + 16 (two of eight: b[0], b[1] and b[2], b[3]) and reduced rows 16 · step
// .. of a tile [columns, reduced].
template <int PIECES>
__device__ inline void load_b(unsigned (&b)[4], const bf16* tile, int column, int step) {
    const int lane = threadIdx.x % 32;
    ldmatrix(b, tile + 8 * swizzle<PIECES>(column + lane % 8 + lane / 16 * 8, 2 * step + lane / 8 % 2));
}

// The same of a tile [reduced, columns].
template <int PIECES>
__device__ inline void load_b_turned(unsigned (&b)[4], const bf16* tile, int column, int step) {
    const int lane = threadIdx.x % 32;
    ldmatrix_transposed(b, tile + 8 * swizzle<PIECES>(16 * step + lane % 16, column / 8 + lane / 16));
}

// Two products with the two halves of `b`.
__device__ inline void mma_pair(float (&c0)[4], float (&c1)[4], const unsigned (&a)[4], const unsigned (&b)[4]) {
    mma_bf16(c0, a, {b[0], b[1]});
    mma_bf16(c1, a, {b[2], b[3]});
}
