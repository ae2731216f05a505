// NormalFloat 4: dequantisation of a part of a matrix.
//
// 1. Purpose and formula. w = fl(NF4[code] · a), the scale a of a block plain or double quantised, a = fl(fl(book[c] ·
//    nested) + offset) (QLoRA, Dettmers et al. 2023, arXiv:2305.14314), to the bit as bitsandbytes: products and sums
//    are not contracted. A bf16 result is rounded once more.
// 2. Shapes. codes: two a byte over the flat row-major [n, k], the upper half first; one scale per `block` (a power of
//    two) flat elements, 256 of them per nested scale. The result is the dense part [rows, columns] from (row, column)
//    on: whole rows for a forward product, columns of all rows for a backward one, so that neither adds into a rounded
//    result. A part is as large as half of the L2 cache: the product that follows reads it from there.
// 3. Parallelisation. One launch does both levels. A thread makes four pieces of 8 elements; a warp's pieces lie side
//    by side, so that it loads 128 bytes of codes and stores 512 bytes at a time. The 16 values lie in 16 banks of
//    shared memory: no conflicts. A piece whose codes are not aligned (k or column no multiple of 8) is read byte by
//    byte. `result` is aligned to 16 bytes.
//
//      Bytes and floor (H100 at 3.0 TB/s): 0.516 bytes in, 2 bytes out an element. Llama-8B gate [14336, 4096]: 148 MB,
//      49 µs; Qwen-0.5B gate [4864, 896]: 11 MB, 3.7 µs. One FLOP and about four operations of integers an element:
//      memory bound.
//
// 4. Launch bounds: 256 threads, 1.1 KB of shared memory.
#include "common/memory.cuh"
#include "common/nf4.cuh"

namespace {

// The part of a matrix that is wanted.
struct Nf4Part {
    Nf4Matrix w;
    int k;
    int row;
    int rows;
    int column;
    int columns;
};

constexpr int THREADS = 256, PIECES_PER_THREAD = 4;

template <class T>
__device__ void dequantize(const Nf4Part& p, T* result) {
    DYN_SHARED(shared);
    const Nf4Tables tables = nf4_tables<THREADS>(p.w, shared);
    const int pieces_per_row = (p.columns + NF4_PIECE - 1) / NF4_PIECE;
    const index_t pieces = static_cast<index_t>(p.rows) * pieces_per_row;
    const bool whole = p.k % NF4_PIECE == 0 && p.column % NF4_PIECE == 0 && p.columns % NF4_PIECE == 0;
#pragma unroll
    for (int i = 0; i < PIECES_PER_THREAD; ++i) {
        const index_t piece = (static_cast<index_t>(blockIdx.x) * PIECES_PER_THREAD + i) * THREADS + threadIdx.x;
        if (piece >= pieces) {
            return;
        }
        const index_t row = piece / pieces_per_row;
        const int column = static_cast<int>(piece % pieces_per_row) * NF4_PIECE;
        const index_t flat = (p.row + row) * p.k + p.column + column;
        T* target = result + row * p.columns + column;
        if (whole) {
            const unsigned codes = nf4_codes(p.w, flat);
            const float scale = nf4_scale(p.w, tables, flat);
#pragma unroll
            for (int first = 0; first < NF4_PIECE; first += PACK<T>) {
                Pack<T> out;
#pragma unroll
                for (int j = 0; j < PACK<T>; ++j) out.v[j] = nf4_value(tables, codes, first + j, scale);
                store(target, first, NF4_PIECE, true, out);
            }
        } else {
            for (int j = 0; j < NF4_PIECE && column + j < p.columns; ++j) {
                from_float(target[j], nf4_element(p.w, tables, flat + j));
            }
        }
    }
}

}  // namespace

KERNEL(nf4_dequantize_bf16, 256)(Nf4Part p, bf16* result) { dequantize(p, result); }
EXPORT_KERNEL(nf4_dequantize_bf16, 256)
KERNEL(nf4_dequantize_f32, 256)(Nf4Part p, float* result) { dequantize(p, result); }
EXPORT_KERNEL(nf4_dequantize_f32, 256)
