//! Structures as kernels take them: pointers and numbers laid out as C++ does it.

use tunesmith_ops::{Error, Result};

use super::driver::Address;

/// A structure in the making. Its fields are added in the order of their declaration; 8-byte fields begin on 8 bytes.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    words: Vec<u64>,
    /// True when the upper half of the last word is still free.
    half: bool,
    error: Option<Error>,
}

impl Structure {
    fn half(mut self, bits: u32) -> Self {
        match self.words.last_mut() {
            Some(last) if self.half => *last |= u64::from(bits) << 32,
            _ => self.words.push(u64::from(bits)),
        }
        self.half = !self.half;
        self
    }

    /// A pointer; 0 for null.
    pub(crate) fn pointer(mut self, address: Address) -> Self {
        self.words.push(address);
        self.half = false;
        self
    }

    /// A `long long`.
    pub(crate) fn long(self, value: usize) -> Self {
        self.pointer(value as u64)
    }

    /// An `int`.
    pub(crate) fn int(mut self, value: usize) -> Self {
        if i32::try_from(value).is_err() {
            self.error = Some(Error::argument("cuda", "sizes below 2^31", value));
        }
        self.half(value as u32)
    }

    /// A `float`.
    pub(crate) fn float(self, value: f32) -> Self {
        self.half(value.to_bits())
    }

    /// Whole words.
    pub(crate) fn finish(self) -> Result<Vec<u64>> {
        self.error.map_or(Ok(self.words), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::Structure;

    #[test]
    fn fields_lie_where_cpp_puts_them() {
        let words =
            Structure::default().pointer(7).int(1).float(1.0).int(2).long(3).int(4).finish().expect("small sizes");
        assert_eq!(words, [7, 1 | 0x3f80_0000 << 32, 2, 3, 4]);
        assert!(Structure::default().int(1 << 31).finish().is_err());
    }
}
