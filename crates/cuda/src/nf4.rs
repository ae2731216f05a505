//! `nf4`: launches of `kernels/nf4.cu` and `kernels/nf4_gemv.cu`.

use std::ops::Range;

use tunesmith_ops::{DType, Host, MatmulShape, Memory, Nf4, Nf4Matrix, Nf4Scales, Result, ViewMut};

use crate::Cuda;
use crate::device::{Address, Buffer, Structure};
use crate::product::{Factors, Side};
use crate::weight::{Data, Weight};

/// Elements that one block of threads expands.
const BLOCK: usize = 256 * 4 * 8;

/// Rows of a product that one warp of `nf4_gemv.cu` makes together, and features of a block of threads.
const ROWS: usize = 4;
const FEATURES: usize = 4 * 2;

/// Shared memory of a block: the sixteen values and the code book.
const SHARED: usize = (16 + 256) * 4;

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
    fn structure(&self) -> Structure {
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

    /// The same into a window that begins on 16 bytes.
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
        let launch = self.launch(kernel).blocks(pieces.div_ceil(BLOCK / 8), 256).shared(SHARED);
        launch.structure(&s.finish()?).write(part).run()
    }

    /// `y[m, n] = x · wᵀ (+ bias)` for few rows, with the steps of an adapter behind where one is given as (`xa`, `s B`).
    pub(crate) fn nf4_gemv(
        &self,
        MatmulShape { m, n, k }: MatmulShape,
        x: Side,
        w: &Nf4Weight,
        adapter: Option<Factors>,
        bias: Address,
        y: &ViewMut<'_, Buffer>,
    ) -> Result<()> {
        if m == 0 || n == 0 {
            return Ok(());
        }
        let (kernel, rows) = match (m, self.dtype) {
            (1, DType::F32) => ("nf4_gemv_one_f32", 1),
            (1, _) => ("nf4_gemv_one_bf16", 1),
            (_, DType::F32) => ("nf4_gemv_few_f32", ROWS),
            (_, _) => ("nf4_gemv_few_bf16", ROWS),
        };
        let (xa, b, r) = adapter.map_or((0, 0, 0), |Factors { a, b, reduced }| (a.address(), b.address(), reduced));
        let wide = k.is_multiple_of(8) && x.address().is_multiple_of(16);
        let s = w.structure().pointer(x.address()).pointer(xa).pointer(b).pointer(bias);
        let s = s.pointer(y.buffer.address_of(y.start)).int(m).int(n).int(k).int(r).int(usize::from(wide));
        let launch = self.launch(kernel).grid([n.div_ceil(FEATURES), m.div_ceil(rows), 1], 128).shared(SHARED);
        launch.structure(&s.finish()?).run()
    }
}

impl Nf4 for Cuda {
    fn nf4_prepare(&self, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<Weight> {
        matrix.check(n * k)?;
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
        let weight = Nf4Weight { k, block_size: matrix.block_size, codes, scales };
        Ok(Weight { n, k, data: Data::Nf4(weight) })
    }
}
