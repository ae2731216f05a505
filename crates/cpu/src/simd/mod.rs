//! SIMD instruction sets with one trait, chosen at run time.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
mod portable;
mod vector;

pub use isa::Isa;
pub(crate) use vector::{Kernel, NF4_RUN, Simd};
