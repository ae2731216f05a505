// Many tensors in one launch: a table of them and a table of pieces, one piece a block.
#pragma once

#include "common/types.cuh"

/// One trained tensor and what a step needs of it; the words of `TensorTable` in crates/cuda/src/tensors.rs.
struct Tensor {
    float* parameter;
    const float* gradient;
    /// State, null where an optimizer has none: both moments of AdamW, the momentum buffer of SGD, those of a rule of
    /// `elementwise_step`; the codes of `blockwise_step`.
    float* first;
    float* second;
    /// State of `elementwise_step`, or the scales of the first codes.
    float* third;
    /// The scales of the second codes.
    float* fourth;
    index_t len;
    /// Where decay is decoupled what is kept of the parameter, 1 − learning rate · weight decay; else the weight decay.
    float decay;
    /// Learning rate; AdamW: over the first moment's correction.
    float rate;
    /// Schedule-free rules: share of z in the average, and the factor of the direction.
    float average, step;
    /// All pointers are aligned to 16 bytes.
    int wide;
    int unused;
};

/// Piece of a tensor: `index` of the tensor, and which piece of it.
struct Piece {
    int index, piece;
};

/// What `grad_norm` leaves and the optimizers read.
struct Norm {
    double norm;
    float factor;
    int finite;
};
