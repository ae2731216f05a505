//! Element types of tensors in files: names, block sizes and byte counts.

/// How the elements of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoredType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned byte.
    U8,
    /// GGUF: blocks of 32, a binary16 scale and 32 signed bytes.
    Q8_0,
    /// GGUF: blocks of 32, a binary16 scale and 32 four-bit codes with offset 8.
    Q4_0,
    /// GGUF: blocks of 32, a binary16 scale, a binary16 minimum and 32 four-bit codes.
    Q4_1,
    /// GGUF: blocks of 32, a binary16 scale and 32 five-bit codes with offset 16.
    Q5_0,
    /// GGUF: blocks of 32, a binary16 scale, a binary16 minimum and 32 five-bit codes.
    Q5_1,
    /// GGUF: blocks of 32, a binary16 scale and 32 four-bit codes of sixteen levels that lie closer around zero.
    Iq4Nl,
    /// GGUF: blocks of 256 in sixteen groups, each with a six-bit signed scale, and three-bit codes with offset 4.
    Q3K,
    /// GGUF: blocks of 256 in eight groups, each with a six-bit scale and minimum, and four-bit codes.
    Q4K,
    /// GGUF: as `Q4K` with five-bit codes.
    Q5K,
    /// GGUF: blocks of 256 in sixteen groups, each with an eight-bit scale, and six-bit codes with offset 32.
    Q6K,
}

impl StoredType {
    /// Elements of one block; 1 for everything that is not quantised.
    pub fn block_elements(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Iq4Nl => 32,
            Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
            Self::F32 | Self::F16 | Self::Bf16 | Self::I64 | Self::I32 | Self::U8 => 1,
        }
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I64 => 8,
            Self::U8 => 1,
            Self::Q8_0 => 34,
            Self::Q4_0 | Self::Iq4Nl => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Name as safetensors and GGUF write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::U8 => "U8",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Iq4Nl => "IQ4_NL",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Bytes of a tensor of this shape, or None where they cannot be counted: overflow, or a last dimension that is not a
    /// whole number of blocks.
    pub fn byte_len(self, shape: &[usize]) -> Option<usize> {
        let last = shape.last().copied().unwrap_or(1);
        if !last.is_multiple_of(self.block_elements()) {
            return None;
        }
        let elements = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))?;
        elements.checked_div(self.block_elements())?.checked_mul(self.block_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_lengths_are_counted_without_overflow() {
        assert_eq!(StoredType::Q4_1.byte_len(&[3, 64]), Some(3 * 2 * 20));
        assert_eq!(StoredType::Q4_1.byte_len(&[3, 63]), None);
        assert_eq!(StoredType::F32.byte_len(&[usize::MAX, 2]), None);
        assert_eq!(StoredType::F32.byte_len(&[]), Some(4));
    }
}
