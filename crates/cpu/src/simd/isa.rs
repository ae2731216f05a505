//! The instruction sets this backend is compiled for, and the choice among them at run time.

use tunesmith_ops::{Error, Result};

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::portable;
use super::vector::Kernel;

/// An instruction set this backend has kernels for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// 16 lanes, 32 registers.
    Avx512,
    /// 8 lanes with fused multiply-add.
    Avx2,
    /// Plain Rust, 4 lanes.
    Portable,
}

impl Isa {
    /// All, best first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// Name as `TUNESMITH_CPU_ISA` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// True when this machine can run it.
    pub fn available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && Self::Avx2.available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }

    /// The one named by `TUNESMITH_CPU_ISA`, else the best of this machine.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the variable names nothing this machine has.
    pub fn resolve() -> Result<Self> {
        match std::env::var("TUNESMITH_CPU_ISA") {
            Ok(name) => match Self::ALL.into_iter().find(|isa| isa.name() == name) {
                Some(isa) => isa.checked(),
                None => Err(Error::argument("TUNESMITH_CPU_ISA", "avx512, avx2 or portable", name)),
            },
            Err(_) => Ok(Self::ALL.into_iter().find(|isa| isa.available()).unwrap_or(Self::Portable)),
        }
    }

    /// Itself, when this machine can run it.
    pub(crate) fn checked(self) -> Result<Self> {
        if self.available() {
            Ok(self)
        } else {
            Err(Error::argument("cpu", "an instruction set of this machine", self.name()))
        }
    }

    /// Runs a kernel compiled for this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            // SAFETY: a `Cpu` only ever holds an instruction set that `checked` has found on this machine.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512::call(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2::call(kernel) },
            _ => kernel.run(portable::Portable),
        }
    }
}
