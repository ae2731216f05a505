//! Products: `c[m, n] = a[m, k] · b[k, n]` on one thread, the operands it reads, the tiles it writes, and the same over all
//! threads.

mod f32;
mod nf4;
mod operand;
mod panel;
mod target;
mod tiles;
mod transpose;

pub(crate) use f32::{Mode, Product};
pub(crate) use operand::{Left, Right};
pub(crate) use panel::{Operand, PANEL, Source};
pub(crate) use target::{SharedMatrix, Target};
pub(crate) use tiles::{CHUNK, Tail, block};
pub(crate) use transpose::Transpose;
