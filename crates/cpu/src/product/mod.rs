//! The product `c[m, n] = a[m, k] · b[k, n]` on one thread, the strided operands it reads, and the tiles it writes.

mod f32;
mod operand;
mod target;
mod transpose;

pub(crate) use f32::{COLLIDING, Mode, Product};
pub(crate) use operand::{Left, Right};
pub(crate) use target::{SharedMatrix, Target};
pub(crate) use transpose::Transpose;
