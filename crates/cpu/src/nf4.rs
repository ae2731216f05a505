//! `nf4`: four-bit weights, held as they come and turned into binary32 a cache-sized part at a time.

use tunesmith_ops::nf4::{NF4, SMALLEST, check_quantize, midpoints};
use tunesmith_ops::{Nf4, Nf4Matrix, Nf4Scales, Result};

use crate::Cpu;
use crate::memory::Block;
use crate::simd::{Kernel, NF4_RUN, Simd};
use crate::weight::Weight;

/// Rows of an output tile of a product: a part that was turned into binary32 serves all of them.
pub(crate) const ROWS: usize = 512;

/// Elements of one piece of a matrix that is quantised: whole blocks of every size.
const PIECE: usize = 64 * 1024;

/// A quantised matrix in memory of the backend.
pub(crate) struct Held {
    block_size: usize,
    codes: (Block, usize),
    scales: Scales,
}

enum Scales {
    Plain(Block, usize),
    Double { codes: (Block, usize), nested: (Block, usize), code_book: Box<[f32; 256]>, offset: f32 },
}

/// A counted copy of a slice, and its length.
fn keep<T: bytemuck::Pod>(cpu: &Cpu, source: &[T]) -> Result<(Block, usize)> {
    let mut block = Block::zeroed(&cpu.tracker, size_of_val(source))?;
    block.as_mut_slice(source.len()).copy_from_slice(source);
    Ok((block, source.len()))
}

impl Held {
    fn new(cpu: &Cpu, matrix: Nf4Matrix<'_>) -> Result<Self> {
        let scales = match matrix.scales {
            Nf4Scales::Plain(scales) => {
                let (block, len) = keep(cpu, scales)?;
                Scales::Plain(block, len)
            }
            Nf4Scales::Double { codes, nested, code_book, offset } => {
                let mut book = Box::new([0.0; 256]);
                book.copy_from_slice(code_book);
                Scales::Double { codes: keep(cpu, codes)?, nested: keep(cpu, nested)?, code_book: book, offset }
            }
        };
        Ok(Self { block_size: matrix.block_size, codes: keep(cpu, matrix.codes)?, scales })
    }

    pub(crate) fn matrix(&self) -> Nf4Matrix<'_> {
        Nf4Matrix {
            block_size: self.block_size,
            codes: self.codes.0.as_slice(self.codes.1),
            scales: match &self.scales {
                Scales::Plain(block, len) => Nf4Scales::Plain(block.as_slice(*len)),
                Scales::Double { codes, nested, code_book, offset } => Nf4Scales::Double {
                    codes: codes.0.as_slice(codes.1),
                    nested: nested.0.as_slice(nested.1),
                    code_book: &code_book[..],
                    offset: *offset,
                },
            },
        }
    }
}

/// Rows of `columns` elements, `from_stride` apart in the matrix and `stride` apart in the target. The first element has the
/// flat index `first`; the elements of a target row beyond `columns` become zero.
pub(crate) struct Decode<'a, 't> {
    matrix: Nf4Matrix<'a>,
    first: usize,
    from_stride: usize,
    columns: usize,
    target: &'t mut [f32],
    stride: usize,
}

impl<'a, 't> Decode<'a, 't> {
    /// As many rows as `target` has room for at its stride.
    pub(crate) fn part(
        matrix: Nf4Matrix<'a>,
        first: usize,
        from_stride: usize,
        columns: usize,
        (target, stride): (&'t mut [f32], usize),
    ) -> Self {
        Self { matrix, first, from_stride, columns, target, stride }
    }
}

impl Kernel for Decode<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { matrix, first, from_stride, columns, target, stride } = self;
        for (row, line) in target.chunks_exact_mut(stride.max(1)).enumerate() {
            let (live, rest) = line.split_at_mut(columns);
            decode_run(s, matrix, first + row * from_stride, live);
            rest.fill(0.0);
        }
    }
}

/// Consecutive elements from flat index `first` on, block by block.
#[inline(always)]
fn decode_run<S: Simd>(s: S, matrix: Nf4Matrix<'_>, first: usize, mut target: &mut [f32]) {
    let shift = matrix.block_size.trailing_zeros();
    let mut flat = first;
    while !target.is_empty() {
        let block = flat >> shift;
        let (now, later) = target.split_at_mut(target.len().min(((block + 1) << shift) - flat));
        decode_block(s, matrix.codes, flat, matrix.scale(block), now);
        flat += now.len();
        target = later;
    }
}

/// Elements of one block.
#[inline(always)]
fn decode_block<S: Simd>(s: S, codes: &[u8], flat: usize, scale: f32, target: &mut [f32]) {
    let value = |flat: usize| {
        let byte = codes[flat / 2];
        NF4[usize::from(if flat.is_multiple_of(2) { byte >> 4 } else { byte & 15 })] * scale
    };
    let odd = flat % 2;
    let (head, rest) = target.split_at_mut(odd);
    if let [head] = head {
        *head = value(flat);
    }
    let flat = flat + odd;
    let (table, bytes) = (s.nf4_table(scale), &codes[flat / 2..]);
    let whole = rest.len() / NF4_RUN * NF4_RUN;
    assert!(whole / 2 <= bytes.len(), "the codes are too short");
    for (run, place) in rest.chunks_exact_mut(NF4_RUN).enumerate() {
        // SAFETY: the codes are as long as asserted, the place as long as a run.
        unsafe { s.nf4_values(table, bytes.as_ptr().add(run * NF4_RUN / 2), place.as_mut_ptr()) };
    }
    for (i, place) in rest.iter_mut().enumerate().skip(whole) {
        *place = value(flat + i);
    }
}

/// Consecutive blocks.
struct Encode<'a> {
    w: &'a [f32],
    block_size: usize,
    codes: &'a mut [u8],
    absmax: &'a mut [f32],
}

impl Kernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { w, block_size, codes, absmax } = self;
        let blocks = w.chunks(block_size).zip(codes.chunks_mut(block_size / 2));
        for ((block, codes), scale) in blocks.zip(absmax) {
            if block.len() < block_size {
                *scale = encode_tail(block, codes);
                continue;
            }
            let mut largest = s.splat(0.0);
            for x in block.chunks_exact(S::LANES) {
                let x = s.load(x);
                largest = s.max(largest, s.max(x, s.sub(s.splat(0.0), x)));
            }
            *scale = s.largest(largest);
            let reciprocal = s.splat(1.0 / scale.max(SMALLEST));
            let (one, minus_one) = (s.splat(1.0), s.splat(-1.0));
            for (x, bytes) in block.chunks_exact(S::LANES).zip(codes.chunks_exact_mut(S::LANES / 2)) {
                let x = s.max(minus_one, s.min(one, s.mul(s.load(x), reciprocal)));
                // SAFETY: a piece of the codes has `LANES / 2` bytes.
                unsafe { s.nf4_codes(x, bytes.as_mut_ptr()) };
            }
        }
    }
}

/// The last block, where it is not whole: its codes, and its scale.
fn encode_tail(block: &[f32], codes: &mut [u8]) -> f32 {
    let midpoints = midpoints();
    let scale = block.iter().fold(SMALLEST, |most, w| most.max(w.abs()));
    let code = |w: &f32| midpoints.iter().filter(|&&midpoint| midpoint < w / scale).count() as u8;
    for (pair, byte) in block.chunks(2).zip(codes) {
        *byte = code(&pair[0]) << 4 | pair.get(1).map_or_else(|| code(&0.0), code);
    }
    scale
}

impl Nf4 for Cpu {
    fn nf4_quantize(&self, w: &[f32], block_size: usize, codes: &mut [u8], absmax: &mut [f32]) -> Result<()> {
        check_quantize(w.len(), block_size, codes.len(), absmax.len())?;
        let outputs = codes.chunks_mut(PIECE / 2).zip(absmax.chunks_mut(PIECE / block_size));
        self.pool.each(w.chunks(PIECE).zip(outputs), |_, (w, (codes, absmax))| {
            self.isa.run(Encode { w, block_size, codes, absmax });
        })
    }

    fn nf4_prepare(&self, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<Weight> {
        let elements = n
            .checked_mul(k)
            .ok_or_else(|| tunesmith_ops::Error::argument("nf4_prepare", "a size below 2^64", format!("{n} × {k}")))?;
        matrix.check(elements)?;
        Ok(Weight::of_nf4(n, k, Held::new(self, matrix)?))
    }
}
