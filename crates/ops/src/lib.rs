//! The contract of every operation: the nouns, one trait per op, and beside each trait a float64 reference written for
//! reading. This crate imports nothing.

pub mod adafactor;
pub mod adamw;
pub mod attention;
pub mod blockwise_step;
pub mod check;
pub mod cross_entropy;
pub mod dora;
pub mod dropout;
pub mod dtype;
pub mod dynamic_map;
pub mod elementwise;
pub mod elementwise_step;
pub mod embedding;
pub mod error;
pub mod grad_norm;
pub mod grouped_matmul;
pub mod lora_matmul;
pub mod matmul;
pub mod memory;
pub mod muon;
pub mod neftune;
pub mod nf4;
pub mod philox;
pub mod rms_norm;
pub mod rope;
pub mod router;
pub mod sgd;
pub mod swiglu;

pub use adafactor::{Adafactor, AdafactorStep, AdafactorTensor};
pub use adamw::{AdamW, AdamWStep, AdamWTensor};
pub use attention::{Attention, AttentionShape, CheckedSequences, Sequence, Sequences};
pub use blockwise_step::{BLOCK, BlockwiseRule, BlockwiseStep, BlockwiseTensor, Quantized};
pub use check::Call;
pub use cross_entropy::{
    Coefficients, CrossEntropy, IGNORE_INDEX, LocalObjective, LogitTransform, RowGradient, RowValues,
};
pub use dora::Dora;
pub use dropout::{Dropout, DropoutMask};
pub use dtype::DType;
pub use elementwise::{Columns, Elementwise};
pub use elementwise_step::{ElementwiseRule, ElementwiseStep, StepTensor};
pub use embedding::Embedding;
pub use error::{Code, Error, Result};
pub use grad_norm::{Clip, GradNorm};
pub use grouped_matmul::{GroupedMatmul, GroupedShape, Stack};
pub use lora_matmul::{Lora, LoraMatmul};
pub use matmul::{Matmul, MatmulShape, Matrix, Storage};
pub use memory::{Host, Memory, MemoryStats, TypedBuffer, View, ViewMut};
pub use muon::{Muon, MuonStep, MuonTensor, MuonWorkspace};
pub use neftune::Neftune;
pub use nf4::{Nf4, Nf4Matrix, Nf4Options, Nf4Scales};
pub use philox::philox;
pub use rms_norm::{NormShape, RmsNorm};
pub use rope::{Rope, RopeShape, Rotation};
pub use router::{Router, RouterShape};
pub use sgd::{Sgd, SgdStep, SgdTensor};
pub use swiglu::{Activation, Swiglu};

/// Everything the engine asks of a device: the sum of the ops.
pub trait Backend:
    Elementwise
    + Embedding
    + RmsNorm
    + Rope
    + Attention
    + Swiglu
    + LoraMatmul
    + CrossEntropy
    + AdamW
    + GradNorm
    + Nf4
    + Dropout
    + Dora
    + Router
    + GroupedMatmul
    + Sgd
    + ElementwiseStep
    + BlockwiseStep
    + Neftune
    + Adafactor
    + Muon
{
    /// Short name for logs and results: `cpu`, `cuda`.
    fn name(&self) -> &'static str;

    /// Bytes of logits that may be alive at once: the head is computed in chunks of rows, 64 at least. The same on every
    /// machine, since sums over rows depend on it. 64 MiB keep a chunk near a CPU's cache; a device that must read the head's
    /// weights for every chunk wants more.
    fn logit_bytes(&self) -> usize {
        64 << 20
    }
}
