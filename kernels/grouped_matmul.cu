// Products of groups of rows, each with a weight matrix of its own, on tensor cores in bf16 and exactly in float32.
//
// 1. Purpose and formula (Gale et al. 2022, arXiv:2211.15841). Of the rows of group g: forward y[m, n] = x[m, k] w[g]ᵀ;
//    gradient of the input dx[m, k] = dy[m, n] w[g]; gradient of the weight dw[g] += dyᵀ x, in float32.
// 2. Shapes. x, y, dy, dx bf16 with w bf16, or f32 with w f32 or bf16; w[groups, n, k] row-major; dw[groups, n, k] f32.
//    The rows of group g are starts[g] .. starts[g + 1]: int32, known to the device alone. Starts that do not
//    ascend from 0 to m give NaN everywhere.
// 3. Parallelisation. The tiles of matmul.cu, so that a row has the same bits as there. How many tiles a group has is
//    known on the device alone: every block counts them (a warp's prefix sum over the starts, a microsecond), finds its
//    own by bisection, and goes on with the tile that lies a whole grid further. The grid is as large as the card can
//    hold at once, never larger than the most tiles that any division of the rows gives, Σ ⌈rows / tile⌉ ≤ ⌊(m − e) /
//    tile⌋ + e with e = min(groups, m): no block waits for the host, none is there in vain, and no bit depends on the
//    grid. An expert's tiles follow one another, so that its weights are read from memory once and then from L2.
//    Weights in four bits are expanded before, as many experts at a time as half of the L2 cache holds.
//
//      Bytes, FLOPs and floor (H100 at 3.0 TB/s, 798 TFLOP/s). Rows spread evenly over 8 experts of a quarter of the
//      feed-forward size: Llama-8B, 8192 × 3584 × 4096: 361 MB, 241 G, 0.30 ms; Qwen-0.5B, 16384 × 1216 × 896: 87 MB,
//      36 G, 45 µs. Gate and up of Qwen3-30B-A3B (8192 tokens to 8 of 128 experts of 1536 × 2048): 1.27 GB, 412 G, 0.52
//      ms. Compute bound, at the rate of mma.sync as matmul.cu is; with few rows for each expert bound by its weights.
//
// 4. Launch bounds: as matmul.cu; and shared memory for the counts of tiles.
#include "common/gemm.cuh"

namespace {

// Arguments of all kernels; the launcher's twin is `crates/cuda/src/grouped_matmul.rs`.
struct Grouped {
    // The product of the first group: with m rows (or, for the gradient of a weight, m of the reduced axis) of all groups.
    Gemm all;
    const int* starts;
    // Elements from the matrix of one group to that of the next.
    index_t stride;
    // Groups of this launch, and of all.
    int first;
    int groups;
    int of;
};

// Counts the rows of tiles, `height` high, of the launch's groups up to and with each. False where the starts do not ascend
// from 0 to `m`.
__device__ bool count_tiles(const Grouped& p, int m, int height, int* ends) {
    if (warp_id() == 0) {
        const int lane = lane_id();
        bool ascends = p.starts[0] == 0 && p.starts[p.of] == m;
        int before = 0;
        for (int base = 0; base < p.of; base += 32) {
            const int group = base + lane, place = group - p.first;
            const int from = group < p.of ? p.starts[group] : 0, to = group < p.of ? p.starts[group + 1] : 0;
            const bool here = place >= 0 && place < p.groups;
            ascends = ascends && from <= to;
            // Where they do not ascend the counts are not read.
            int tiles = here ? (to - from + height - 1) / height : 0;
            for (int by = 1; by < 32; by *= 2) {
                const int left = __shfl_up_sync(FULL_WARP, tiles, by);
                tiles += lane >= by ? left : 0;
            }
            if (here) ends[place] = before + tiles;
            before += __shfl_sync(FULL_WARP, tiles, 31);
        }
        ascends = __all_sync(FULL_WARP, ascends);
        if (lane == 0) ends[p.groups] = ascends;
    }
    __syncthreads();
    return ends[p.groups] != 0;
}

// The first group whose tiles end beyond row of tiles `row`.
__device__ int group_of(const int* ends, int groups, int row) {
    int low = 0, high = groups - 1;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (ends[middle] > row) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

// `WEIGHT`: the groups divide the reduced axis, and each has a result of its own.
template <class Product, bool WEIGHT>
__device__ void grouped(const Grouped& p) {
    using Result = typename Product::Result;
    DYN_SHARED(shared);
    int* ends = reinterpret_cast<int*>(shared + Product::SHARED);
    const auto* a = static_cast<const typename Product::Left*>(p.all.main.a);
    const auto* b = static_cast<const typename Product::Right*>(p.all.main.b);
    auto* c = static_cast<Result*>(p.all.c);
    if (!count_tiles(p, WEIGHT ? p.all.main.reduced : p.all.m, Product::ROWS, ends)) {
        const index_t count = static_cast<index_t>(WEIGHT ? p.groups : 1) * p.all.m * p.all.n;
        for (index_t i = static_cast<index_t>(blockIdx.x) * Product::THREADS + threadIdx.x; i < count;
             i += static_cast<index_t>(gridDim.x) * Product::THREADS) {
            from_float(c[i / p.all.n * p.all.c_stride + i % p.all.n], NAN);
        }
        return;
    }
    const int columns = (p.all.n + Product::COLUMNS - 1) / Product::COLUMNS;
    const int rows = (p.all.m + Product::ROWS - 1) / Product::ROWS;
    const int tiles = columns * (WEIGHT ? rows * p.groups : ends[p.groups - 1]);
    for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
        const int group = WEIGHT ? index / (rows * columns) : group_of(ends, p.groups, index / columns);
        const int first = p.starts[p.first + group], count = p.starts[p.first + group + 1] - first;
        if (WEIGHT && count == 0) continue;
        const int before = WEIGHT ? group * rows : group == 0 ? 0 : ends[group - 1];
        Gemm one = p.all;
        one.main.a = a + first * p.all.main.a_stride;
        one.main.b = b + (WEIGHT ? first * p.all.main.b_stride : group * p.stride);
        (WEIGHT ? one.main.reduced : one.m) = count;
        Result* result = c + (WEIGHT ? group * p.stride : first * p.all.c_stride);
        // Some warps may still read what the tile before has left in shared memory.
        __syncthreads();
        Product::tile(one, index - before * columns, 0, one.steps_per_part, result);
    }
}

}  // namespace

#define KERNEL_TENSOR_CORE(NAME, BM, BN, WM, WN, BLOCKS, WEIGHT, TA, TB, C)                          \
    extern "C" __global__ void __launch_bounds__(BM / WM * (BN / WN) * 32, BLOCKS) NAME(Grouped p) { \
        grouped<TensorCoreProduct<BM, BN, WM, WN, TA, TB, C>, WEIGHT>(p);                            \
    }                                                                                                \
    EXPORT_KERNEL(NAME, BM / WM * (BN / WN) * 32)
#define KERNEL_EXACT(NAME, WEIGHT, TA, TB, B)                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 2) NAME(Grouped p) { grouped<ExactProduct<TA, TB, B>, WEIGHT>(p); } \
    EXPORT_KERNEL(NAME, 256)

KERNEL_TENSOR_CORE(grouped_forward_large_bf16, 128, 128, 64, 32, 2, false, false, false, bf16)
KERNEL_TENSOR_CORE(grouped_forward_small_bf16, 64, 64, 32, 32, 4, false, false, false, bf16)
KERNEL_TENSOR_CORE(grouped_input_large_bf16, 128, 128, 64, 32, 2, false, false, true, bf16)
KERNEL_TENSOR_CORE(grouped_input_small_bf16, 64, 64, 32, 32, 4, false, false, true, bf16)
KERNEL_TENSOR_CORE(grouped_weight_large_bf16, 128, 128, 64, 32, 2, true, true, true, float)
KERNEL_TENSOR_CORE(grouped_weight_small_bf16, 64, 64, 32, 32, 4, true, true, true, float)
KERNEL_EXACT(grouped_forward_f32, false, false, false, float)
KERNEL_EXACT(grouped_forward_by_bf16_f32, false, false, false, bf16)
KERNEL_EXACT(grouped_input_f32, false, false, true, float)
KERNEL_EXACT(grouped_input_by_bf16_f32, false, false, true, bf16)
KERNEL_EXACT(grouped_weight_f32, true, true, true, float)
