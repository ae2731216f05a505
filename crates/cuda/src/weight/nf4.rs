//! Four-bit weights on the device, and their expansion: launches of `kernels/nf4.cu`.

use std::ops::Range;

use tunesmith_ops::{DType, Host, Memory, Nf4Matrix, Nf4Scales, Result, TypedBuffer, ViewMut};

use crate::Cuda;
use crate::device::{Buffer, Structure};

/// Elements that one block of threads expands.
const BLOCK: usize = 256 * 4 * 8;

/// Shared memory of a block: the sixteen values and the code book.
pub(crate) const NF4_SHARED: usize = (16 + 256) * 4;

/// A matrix in four bits on the device.
#[derive(Debug)]
pub(crate) struct Nf4Weight {
    k: usize,
    block_size: usize,
    codes: Buffer,
    scales: Scales,
}

/// The scales of the blocks.
#[derive(Debug)]
enum Scales {
    Plain(Buffer),
    Double { codes: Buffer, nested: Buffer, book: Buffer, offset: f32 },
}

impl Nf4Weight {
    /// As `struct Nf4Matrix` of `common/nf4.cuh`.
    pub(crate) fn structure(&self) -> Structure {
        let s = Structure::default().pointer(self.codes.address_of(0));
        let (s, offset) = match &self.scales {
            Scales::Plain(scales) => (s.pointer(scales.address_of(0)).pointer(0).pointer(0).pointer(0), 0.0),
            Scales::Double { codes, nested, book, offset } => {
                let s = s.pointer(0).pointer(codes.address_of(0)).pointer(nested.address_of(0));
                (s.pointer(book.address_of(0)), *offset)
            }
        };
        s.float(offset).int(self.block_size.trailing_zeros() as usize)
    }
}

impl Cuda {
    /// Takes a quantised matrix in rows of `k`.
    pub(super) fn upload_nf4(&self, k: usize, matrix: Nf4Matrix<'_>) -> Result<Nf4Weight> {
        let scales = match matrix.scales {
            Nf4Scales::Plain(scales) => Scales::Plain(self.upload(Host::F32(scales))?),
            Nf4Scales::Double { codes, nested, code_book, offset } => Scales::Double {
                codes: self.upload_bytes(codes)?,
                nested: self.upload(Host::F32(nested))?,
                book: self.upload(Host::F32(code_book))?,
                offset,
            },
        };
        let codes = self.upload_bytes(matrix.codes)?;
        Ok(Nf4Weight { k, block_size: matrix.block_size, codes, scales })
    }

    /// Bytes on the device, in words of which the last may be filled up.
    fn upload_bytes(&self, bytes: &[u8]) -> Result<Buffer> {
        if !self.keeps_values() {
            return self.undefined(DType::I32, bytes.len().div_ceil(4));
        }
        let word = |four: &[u8]| {
            let mut word = [0; 4];
            word[..four.len()].copy_from_slice(four);
            i32::from_ne_bytes(word)
        };
        let words: Vec<i32> = bytes.chunks(4).map(word).collect();
        self.upload(Host::I32(&words))
    }

    /// The part `rows` × `columns` of a matrix, expanded.
    pub(crate) fn nf4_part(
        &self,
        w: &Nf4Weight,
        dtype: DType,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Buffer> {
        let mut part = self.undefined(dtype, rows.len() * columns.len())?;
        self.nf4_expand(w, rows, columns, &part.view_mut())?;
        Ok(part)
    }

    /// The same into a view that begins on 16 bytes.
    pub(crate) fn nf4_expand(
        &self,
        w: &Nf4Weight,
        rows: Range<usize>,
        columns: Range<usize>,
        part: &ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let s = w.structure().int(w.k).int(rows.start).int(rows.len()).int(columns.start).int(columns.len());
        let pieces = rows.len() * columns.len().div_ceil(8);
        let kernel = if part.buffer.dtype() == DType::F32 { "nf4_dequantize_f32" } else { "nf4_dequantize_bf16" };
        let launch = self.launch(kernel).blocks(pieces.div_ceil(BLOCK / 8), 256).shared(NF4_SHARED);
        launch.structure(&s.finish()?).write(part).run()
    }
}
