//! Element types a buffer can hold.

use std::fmt;

/// Element type of a buffer or a tensor in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 float32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a float32.
    Bf16,
    /// Two's complement 32-bit integer: token ids, positions, sequence starts.
    I32,
    /// Unsigned byte: codes of quantised numbers.
    U8,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::U8 => 1,
        }
    }

    /// Name as configuration files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::I32 => "int32",
            Self::U8 => "uint8",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
