// One step with second moments that are held by row and by column, over all trained tensors.
//
// 1. Purpose and formula. Adafactor (Shazeer and Stern 2018, arXiv:1804.04235) as crates/ops/src/adafactor.rs has it: R and C
//    are means of squares over rows and columns, u = g / sqrt(R / mean R) / sqrt(C), brought down to a root mean square over
//    the whole tensor, p = p (1 - rate * decay) - rate * u. The gradient is first multiplied with the factor that grad_norm
//    left; where the norm is not finite nothing is changed.
// 2. Shapes. Float32 throughout; tensors [e, n, k] by a table, with what the launches leave to each other: what rows and
//    columns are multiplied with, sums down columns by chunks of 256 rows, sums of squares by pieces of 4096 elements, rates.
// 3. Parallelisation. Six launches over all tensors together: a warp a row; a thread a column of a chunk; a thread a column,
//    adding chunks in index order; a block a matrix, for the mean of its rows' moments; then a block per piece of 4096
//    elements adds the squares of the update, a block a tensor makes the rate of them, and a block per piece moves it.
//
//      41.9M adapter parameters (Llama-3.1-8B, r 16): four reads of the gradient, a read and a write of the parameter: 1.01
//      GB, 335 µs at 3.0 TB/s. 494M (Qwen2.5-0.5B in full): 11.9 GB, 4.0 ms. About 15 FLOP an element.
//
// 4. Launch bounds: 256 threads, 64 bytes of shared memory.
#include "common/memory.cuh"
#include "common/reduce.cuh"
#include "common/tensors.cuh"

namespace {

constexpr int THREADS = 256;
constexpr int PIECE = 4096;
constexpr int WARPS = THREADS / 32;
constexpr int CHUNK = 256;

/// One tensor; the words of crates/cuda/src/adafactor.rs.
struct Factored {
    float* parameter;
    const float* gradient;
    /// Null of a vector.
    float* row_moment;
    float* column_moment;
    /// Null where a step has none.
    float* first_moment;
    float* row_factors;
    float* column_factors;
    /// Sums down columns, [e, chunks, k].
    float* columns_of_chunks;
    /// Sums of squares by piece: of the update, of the parameter.
    double* updates;
    double* sizes;
    /// What is kept of the parameter, and what the update is multiplied with.
    float* rates;
    index_t len;
    int rows, columns, chunks, pieces;
    float learning_rate, weight_decay;
};

/// What moves a second moment.
struct Moment {
    float kept, taken, epsilon;
    __device__ __forceinline__ void take(float& moment, float mean_square) const {
        moment = moment * kept + taken * (mean_square + epsilon);
    }
};

/// What the second moments make of the gradient of a piece, an element a thread at a time.
struct Update {
    const Factored& t;
    index_t row, first;
    unsigned offset;
    __device__ __forceinline__ Update(const Factored& tensor, int piece)
        : t(tensor), row(0), first(static_cast<index_t>(piece) * PIECE), offset(0) {
        row = first / t.columns;
        offset = static_cast<unsigned>(first - row * t.columns);
    }
    /// The update at the element `at` of the piece.
    __device__ __forceinline__ float value(int at, float factor) const {
        const unsigned place = offset + static_cast<unsigned>(at), down = place / static_cast<unsigned>(t.columns);
        const index_t i = row + down, matrix = i / t.rows;
        const unsigned column = place - down * static_cast<unsigned>(t.columns);
        return t.gradient[first + at] * factor * t.row_factors[i] * t.column_factors[matrix * t.columns + column];
    }
};

}  // namespace

KERNEL(adafactor_rows, THREADS)
(const Factored* tensors, const Piece* pieces, const Norm* norm, float kept, float taken, float epsilon) {
    if (!norm->finite) return;
    const Piece piece = pieces[blockIdx.x];
    const Factored t = tensors[piece.index];
    const index_t row = static_cast<index_t>(piece.piece) * WARPS + warp_id();
    const bool inside = row * t.columns < t.len;
    const float factor = norm->factor;
    float sum = 0.0f;
    for (int j = lane_id(); inside && j < t.columns; j += 32) {
        const float g = t.gradient[row * t.columns + j] * factor;
        sum = fmaf(g, g, sum);
    }
    sum = warp_sum(sum);
    if (inside && lane_id() == 0) Moment{kept, taken, epsilon}.take(t.row_moment[row], sum / static_cast<float>(t.columns));
}
EXPORT_KERNEL(adafactor_rows, THREADS)

KERNEL(adafactor_columns, THREADS)(const Factored* tensors, const Piece* pieces, const Norm* norm) {
    if (!norm->finite) return;
    const Piece piece = pieces[blockIdx.x];
    const Factored t = tensors[piece.index];
    const int stripes = (t.columns + THREADS - 1) / THREADS;
    const int column = piece.piece % stripes * THREADS + static_cast<int>(threadIdx.x), chunk = piece.piece / stripes;
    if (column >= t.columns) return;
    const int first = chunk % t.chunks * CHUNK, last = min(t.rows, first + CHUNK);
    const float* gradient = t.gradient + static_cast<index_t>(chunk / t.chunks) * t.rows * t.columns + column;
    const float factor = norm->factor;
    float sum = 0.0f;
#pragma unroll 4
    for (int i = first; i < last; ++i) {
        const float g = gradient[static_cast<index_t>(i) * t.columns] * factor;
        sum = fmaf(g, g, sum);
    }
    t.columns_of_chunks[static_cast<index_t>(chunk) * t.columns + column] = sum;
}
EXPORT_KERNEL(adafactor_columns, THREADS)

KERNEL(adafactor_column_moments, THREADS)
(const Factored* tensors, const Piece* pieces, const Norm* norm, float kept, float taken, float epsilon) {
    if (!norm->finite) return;
    const Piece piece = pieces[blockIdx.x];
    const Factored t = tensors[piece.index];
    const int stripes = (t.columns + THREADS - 1) / THREADS;
    const int column = piece.piece % stripes * THREADS + static_cast<int>(threadIdx.x);
    if (column >= t.columns) return;
    const index_t matrix = piece.piece / stripes, at = matrix * t.columns + column;
    float sum = 0.0f;
    for (int chunk = 0; chunk < t.chunks; ++chunk) sum += t.columns_of_chunks[(matrix * t.chunks + chunk) * t.columns + column];
    float moment = t.column_moment[at];
    Moment{kept, taken, epsilon}.take(moment, sum / static_cast<float>(t.rows));
    t.column_moment[at] = moment;
    t.column_factors[at] = 1.0f / sqrtf(moment);
}
EXPORT_KERNEL(adafactor_column_moments, THREADS)

KERNEL(adafactor_row_factors, THREADS)(const Factored* tensors, const Piece* pieces, const Norm* norm) {
    DYN_SHARED(shared);
    if (!norm->finite) return;
    const Piece piece = pieces[blockIdx.x];
    const Factored t = tensors[piece.index];
    const index_t first = static_cast<index_t>(piece.piece) * t.rows;
    double sum = 0.0;
    if (t.row_moment)
        for (int i = static_cast<int>(threadIdx.x); i < t.rows; i += THREADS) sum += t.row_moment[first + i];
    sum = block_sum<THREADS>(sum, reinterpret_cast<double*>(shared));
    const float mean = static_cast<float>(sum / t.rows);
    for (int i = static_cast<int>(threadIdx.x); i < t.rows; i += THREADS)
        t.row_factors[first + i] = t.row_moment ? 1.0f / sqrtf(t.row_moment[first + i] / mean) : 1.0f;
}
EXPORT_KERNEL(adafactor_row_factors, THREADS)

/// `scales`: the squares of the parameter are asked for.
KERNEL(adafactor_sums, THREADS)(const Factored* tensors, const Piece* pieces, const Norm* norm, int scales) {
    DYN_SHARED(shared);
    if (!norm->finite) return;
    const Piece piece = pieces[blockIdx.x];
    const Factored t = tensors[piece.index];
    const Update update(t, piece.piece);
    const float factor = norm->factor;
    double* scratch = reinterpret_cast<double*>(shared);
    const int last = static_cast<int>(min(static_cast<index_t>(PIECE), t.len - update.first));
    double sum = 0.0;
    for (int at = static_cast<int>(threadIdx.x); at < last; at += THREADS) {
        const double u = update.value(at, factor);
        sum += u * u;
    }
    sum = block_sum<THREADS>(sum, scratch);
    if (threadIdx.x == 0) t.updates[piece.piece] = sum;
    sum = 0.0;
    for (int at = static_cast<int>(threadIdx.x); scales && at < last; at += THREADS) {
        const double p = t.parameter[update.first + at];
        sum += p * p;
    }
    sum = block_sum<THREADS>(sum, scratch + WARPS);
    if (threadIdx.x == 0) t.sizes[piece.piece] = sum;
}
EXPORT_KERNEL(adafactor_sums, THREADS)

/// `least` below 0: rates do not follow the size of the parameter.
KERNEL(adafactor_rates, THREADS)(const Factored* tensors, const Norm* norm, double clip_threshold, double least) {
    DYN_SHARED(shared);
    if (!norm->finite) return;
    const Factored t = tensors[blockIdx.x];
    double updates = 0.0, sizes = 0.0;
    for (int i = static_cast<int>(threadIdx.x); i < t.pieces; i += THREADS) {
        updates += t.updates[i];
        sizes += t.sizes[i];
    }
    double* scratch = reinterpret_cast<double*>(shared);
    updates = block_sum<THREADS>(updates, scratch);
    sizes = block_sum<THREADS>(sizes, scratch + WARPS);
    if (threadIdx.x != 0) return;
    const double len = static_cast<double>(t.len);
    const double rate = t.learning_rate * (least < 0.0 ? 1.0 : fmax(least, sqrt(sizes / len)));
    t.rates[0] = static_cast<float>(1.0 - rate * t.weight_decay);
    t.rates[1] = static_cast<float>(rate / fmax(1.0, sqrt(updates / len) / clip_threshold));
}
EXPORT_KERNEL(adafactor_rates, THREADS)

KERNEL(adafactor_move, THREADS)
(const Factored* tensors, const Piece* pieces, const Norm* norm, float beta1, float one_minus_beta1) {
    if (!norm->finite) return;
    const Piece piece = pieces[blockIdx.x];
    const Factored t = tensors[piece.index];
    const Update update(t, piece.piece);
    const float factor = norm->factor, kept = t.rates[0], rate = t.rates[1];
    for (int at = static_cast<int>(threadIdx.x); at < PIECE && update.first + at < t.len; at += THREADS) {
        const index_t i = update.first + at;
        float along = update.value(at, factor) * rate;
        if (t.first_moment) {
            along = fmaf(along, one_minus_beta1, t.first_moment[i] * beta1);
            t.first_moment[i] = along;
        }
        t.parameter[i] = t.parameter[i] * kept - along;
    }
}
EXPORT_KERNEL(adafactor_move, THREADS)
