// Many tensors in one launch: a table of them and a table of pieces, one piece a block.
#pragma once

#include "common/types.cuh"

/// One trained tensor and what a step needs of it; the words of `TensorTable` in crates/cuda/src/tensors.rs.
struct Tensor {
    float* parameter;
    const float* gradient;
    float* first;
    float* second;
    index_t len;
    /// 1 − learning rate · weight decay.
    float decay;
    /// Learning rate over the first moment's correction.
    float rate;
    /// All four pointers are aligned to 16 bytes.
    int wide;
    int unused;
};

/// Piece of a tensor: `index` of the tensor, and which piece of it.
struct Piece {
    int index, piece;
};

/// What `grad_norm` leaves and `adamw` reads.
struct Norm {
    double norm;
    float factor;
    int finite;
};
