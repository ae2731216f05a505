// Many tensors in one launch: a table of them and a table of pieces, one piece a block.
#pragma once

#include "common/types.cuh"

/// One trained tensor and what a step needs of it; the words of `TensorTable` in crates/cuda/src/tensors.rs.
struct Tensor {
    float* parameter;
    const float* gradient;
    /// State, null where an optimizer has none: both moments of AdamW, the momentum buffer of SGD.
    float* first;
    float* second;
    index_t len;
    /// AdamW: 1 − learning rate · weight decay. SGD: weight decay.
    float decay;
    /// Learning rate; AdamW: over the first moment's correction.
    float rate;
    /// All four pointers are aligned to 16 bytes.
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
