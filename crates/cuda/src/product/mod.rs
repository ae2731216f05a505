//! The products of `matmul`, `lora_matmul` and `grouped_matmul`: factors, kernels with their tiles, and weights as operands.

mod factors;
mod kernel;
mod nf4_gemv;
mod operand;
mod tiled;
mod weight;

pub(crate) use factors::{Factors, Side};
pub(crate) use kernel::Kernel;
pub(crate) use tiled::Product;
