// NormalFloat 4: dequantisation of a part of a matrix.
//
// 1. Purpose and formula. w = fl(NF4[code] · a), the scale a of a block plain or double quantised, a = fl(fl(book[c] ·
//    nested) + offset) (QLoRA, Dettmers et al. 2023, arXiv:2305.14314), to the bit as bitsandbytes: products and sums are
//    not contracted. A bf16 result is rounded once more.
// 2. Shapes. codes: two a byte over the flat row-major [n, k], the upper half first; one scale per `block` (a power of two)
//    flat elements, 256 of them per nested scale. The result is the dense part [rows, columns] from (row, column) on: whole
//    rows for a forward product, columns of all rows for a backward one, so that neither adds into a rounded result. A part
//    is as large as half of the L2 cache: the product that follows reads it from there.
// 3. Parallelisation. One launch does both levels. A thread makes four pieces of 8 elements; a warp's pieces lie side by
//    side, so that it loads 128 bytes of codes and stores 512 bytes at a time. The 16 values lie in 16 banks of shared
//    memory: no conflicts. A piece whose codes are not aligned (k or column no multiple of 8) is read byte by byte. `result`
//    is aligned to 16 bytes.
//
//      Bytes and floor (H100 at 3.0 TB/s): 0.516 bytes in, 2 bytes out an element. Llama-8B gate [14336, 4096]: 148 MB, 49
//      µs; Qwen-0.5B gate [4864, 896]: 11 MB, 3.7 µs. One FLOP and about four operations of integers an element: memory bound.
//
// 5. Launch bounds: 256 threads, 1.1 KB of shared memory.
#include "common/memory.cuh"
#include "common/types.cuh"

namespace {

// A quantised matrix and the part that is wanted; the launcher's twin is `crates/cuda/src/nf4.rs`.
struct Nf4Part {
    const unsigned char* codes;
    // Plain scales, or null.
    const float* scales;
    const unsigned char* scale_codes;
    const float* nested;
    const float* book;
    float offset;
    int block_shift;
    int k;
    int row;
    int rows;
    int column;
    int columns;
};

constexpr int THREADS = 256, PIECE = 8, PIECES_PER_THREAD = 4;

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

__device__ float scale_of(const Nf4Part& p, const float* book, index_t flat) {
    const index_t block = flat >> p.block_shift;
    if (p.scales != nullptr) {
        return p.scales[block];
    }
    return __fadd_rn(__fmul_rn(book[p.scale_codes[block]], p.nested[block >> 8]), p.offset);
}

template <class T>
__device__ void dequantize(const Nf4Part& p, T* result) {
    DYN_SHARED(shared);
    float* values = reinterpret_cast<float*>(shared);
    float* book = values + 16;
    if (threadIdx.x < 16) {
        values[threadIdx.x] = NF4_VALUES[threadIdx.x];
    }
    for (int i = threadIdx.x; p.scales == nullptr && i < 256; i += THREADS) {
        book[i] = p.book[i];
    }
    __syncthreads();
    const int pieces_per_row = (p.columns + PIECE - 1) / PIECE;
    const index_t pieces = static_cast<index_t>(p.rows) * pieces_per_row;
    const bool whole = p.k % PIECE == 0 && p.column % PIECE == 0 && p.columns % PIECE == 0;
#pragma unroll
    for (int i = 0; i < PIECES_PER_THREAD; ++i) {
        const index_t piece = (static_cast<index_t>(blockIdx.x) * PIECES_PER_THREAD + i) * THREADS + threadIdx.x;
        if (piece >= pieces) {
            return;
        }
        const index_t row = piece / pieces_per_row;
        const int column = static_cast<int>(piece % pieces_per_row) * PIECE;
        const index_t flat = (p.row + row) * p.k + p.column + column;
        T* target = result + row * p.columns + column;
        if (whole) {
            const unsigned codes = *reinterpret_cast<const unsigned*>(p.codes + flat / 2);
            const float scale = scale_of(p, book, flat);
#pragma unroll
            for (int first = 0; first < PIECE; first += PACK<T>) {
                Pack<T> out;
#pragma unroll
                for (int j = 0; j < PACK<T>; ++j) {
                    const int nibble = first + j;
                    const unsigned code = codes >> (8 * (nibble / 2) + (nibble % 2 == 0 ? 4 : 0)) & 15;
                    out.v[j] = __fmul_rn(values[code], scale);
                }
                store(target, first, PIECE, true, out);
            }
        } else {
            for (int j = 0; j < PIECE && column + j < p.columns; ++j) {
                const unsigned byte = p.codes[(flat + j) / 2], code = (flat + j) % 2 == 0 ? byte >> 4 : byte & 15;
                from_float(target[j], __fmul_rn(values[code], scale_of(p, book, flat + j)));
            }
        }
    }
}

}  // namespace

KERNEL(nf4_dequantize_bf16, 256)(Nf4Part p, bf16* result) { dequantize(p, result); }
EXPORT_KERNEL(nf4_dequantize_bf16, 256)
KERNEL(nf4_dequantize_f32, 256)(Nf4Part p, float* result) { dequantize(p, result); }
EXPORT_KERNEL(nf4_dequantize_f32, 256)
