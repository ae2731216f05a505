//! `nf4`: frozen weights in four bits.

use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::matmul::Matmul;

/// The sixteen values of `NormalFloat` 4 (Dettmers et al. 2023, arXiv:2305.14314, appendix E, as bitsandbytes has them).
pub const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Rows of activations that a step of decoding has at most: so many sequences are generated side by side.
pub const FEW_ROWS: usize = 32;

/// Blocks that share one scale of the second level.
pub const NESTED_BLOCK: usize = 256;

/// The smallest scale a block is divided by.
pub const SMALLEST: f32 = 1e-38;

/// How a matrix is quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nf4Options {
    /// Consecutive elements that share a scale: a power of two from 64 to 4096.
    pub block_size: usize,
    /// Hold the scales themselves in eight bits.
    pub double_quant: bool,
}

impl Nf4Options {
    /// Refuses a block size that is not a power of two from 64 to 4096.
    ///
    /// # Errors
    /// `ArgumentInvalid`.
    pub fn check(self) -> Result<()> {
        if self.block_size.is_power_of_two() && (64..=4096).contains(&self.block_size) {
            return Ok(());
        }
        Err(Error::argument("nf4", "a block size of 64, 128, 256, 512, 1024, 2048 or 4096", self.block_size))
    }

    /// Blocks of a matrix of so many elements.
    pub fn blocks(self, elements: usize) -> usize {
        elements.div_ceil(self.block_size)
    }

    /// Bytes of a matrix of so many elements: codes, scales and, at the second level, their code book and offset.
    pub fn bytes(self, elements: usize) -> usize {
        let blocks = self.blocks(elements);
        let scales = if self.double_quant { blocks + 4 * (blocks.div_ceil(NESTED_BLOCK) + 257) } else { 4 * blocks };
        elements.div_ceil(2) + scales
    }
}

/// The scales of a matrix: one number for every block.
#[derive(Debug, Clone, Copy)]
pub enum Nf4Scales<'a> {
    /// float32, one a block.
    Plain(&'a [f32]),
    /// Eight bits a block: scale `b` is `fl(fl(code_book[codes[b]] · nested[b / 256]) + offset)`.
    Double {
        /// One a block.
        codes: &'a [u8],
        /// One for 256 blocks.
        nested: &'a [f32],
        /// 256 values, sorted: [`code_book`], or what a file brings along.
        code_book: &'a [f32],
        /// The mean that was taken from the scales before they were quantised.
        offset: f32,
    },
}

/// A quantised matrix in host memory, in the layout of bitsandbytes. Nothing in it is aligned to rows: element `(i, j)` of
/// `[n, k]` has the flat index `f = i·k + j`, its code lies in byte `f / 2` (the upper half for even `f`), its scale is that of
/// block `f / block_size`, and its value `fl(NF4[code] · scale)`.
#[derive(Debug, Clone, Copy)]
pub struct Nf4Matrix<'a> {
    /// Elements of a block.
    pub block_size: usize,
    /// `⌈n·k / 2⌉` bytes.
    pub codes: &'a [u8],
    /// `⌈n·k / block_size⌉` scales.
    pub scales: Nf4Scales<'a>,
}

impl Nf4Matrix<'_> {
    /// What it was made with.
    pub fn options(&self) -> Nf4Options {
        Nf4Options { block_size: self.block_size, double_quant: matches!(self.scales, Nf4Scales::Double { .. }) }
    }

    /// Checks the block size and that every part has the length that a matrix `[n, k]` asks for.
    ///
    /// # Errors
    /// `ArgumentInvalid`.
    pub fn check(&self, n: usize, k: usize) -> Result<()> {
        self.options().check()?;
        let elements = n.checked_mul(k);
        let elements = elements.ok_or_else(|| Error::argument("nf4", "a size below 2^64", format!("{n} × {k}")))?;
        let blocks = self.options().blocks(elements);
        let parts = match self.scales {
            Nf4Scales::Plain(scales) => vec![("scales", blocks, scales.len())],
            Nf4Scales::Double { codes, nested, code_book, .. } => vec![
                ("codes of scales", blocks, codes.len()),
                ("nested scales", blocks.div_ceil(NESTED_BLOCK), nested.len()),
                ("values in the code book", 256, code_book.len()),
            ],
        };
        let parts = [("bytes of codes", elements.div_ceil(2), self.codes.len())].into_iter().chain(parts);
        for (name, expected, got) in parts {
            if expected != got {
                return Err(Error::argument("nf4", format!("{expected} {name} for {elements} elements"), got));
            }
        }
        Ok(())
    }

    /// The scale of block `b`.
    ///
    /// # Panics
    /// When there is no such block.
    pub fn scale(&self, b: usize) -> f32 {
        match self.scales {
            Nf4Scales::Plain(scales) => scales[b],
            Nf4Scales::Double { codes, nested, code_book, offset } => {
                code_book[usize::from(codes[b])] * nested[b / NESTED_BLOCK] + offset
            }
        }
    }
}

/// Frozen weights as `NormalFloat` 4 with double quantisation (QLoRA, Dettmers et al. 2023, arXiv:2305.14314), to the bit as
/// bitsandbytes 0.50 computes them.
///
/// Quantise, all in float32, over flat blocks of the row-major matrix: `a = max |w|`; a full block has `x = clamp(w · (1 /
/// max(a, 1e-38)), −1, 1)`, a shorter one at the end `a = max(a, 1e-38)` and `x = w / a`. The code is the number of `i` with
/// `(NF4[i] + NF4[i + 1]) / 2 < x`; an odd count is filled up with `x = 0`. The second level is [`double_quantize`].
///
/// A weight of this kind takes part in every op that takes a `Weight`: `matmul` and `lora_matmul` (forward and the gradient of
/// the input), `embedding_forward`, `read_weight`. A backend must not hold the matrix dequantised as a whole. Tolerance:
/// that of the op with the dequantised values as its weight; dequantising is exact, and so is quantising. A backend may have
/// a way of its own for at most [`FEW_ROWS`] rows: the bits of a row of `y` may depend on whether there are so few, and on
/// nothing but the row.
///
/// Edge sizes: those of `matmul`, 1 to 33 rows, block sizes 64, 128 and 4096, both kinds of scales, blocks that cross rows.
pub trait Nf4: Matmul {
    /// Quantises elements on the host: writes `⌈len / 2⌉` bytes of codes and one scale for each block. A matrix may come in
    /// pieces of consecutive elements; all but the last must be whole blocks. `w` is finite.
    ///
    /// # Errors
    /// `ArgumentInvalid` on a block size out of range or a wrong length.
    fn nf4_quantize(&self, w: &[f32], block_size: usize, codes: &mut [u8], absmax: &mut [f32]) -> Result<()> {
        check_quantize(w.len(), block_size, codes.len(), absmax.len())?;
        reference::quantize(w, block_size, codes, absmax);
        Ok(())
    }

    /// Takes a quantised `[n, k]` matrix from the host, as it is: nothing is dequantised, and the values of the weight are
    /// those of `matrix`. Never holds more than the source and the result.
    ///
    /// # Errors
    /// `ArgumentInvalid` when a part of `matrix` does not have the length that `n·k` asks for, `OutOfMemory`.
    fn nf4_prepare(&self, n: usize, k: usize, matrix: Nf4Matrix<'_>) -> Result<Self::Weight>;
}

/// The checks of [`Nf4::nf4_quantize`].
///
/// # Errors
/// `ArgumentInvalid` on a block size out of range or a wrong length.
pub fn check_quantize(elements: usize, block_size: usize, codes: usize, absmax: usize) -> Result<()> {
    let options = Nf4Options { block_size, double_quant: false };
    options.check()?;
    let expected = (elements.div_ceil(2), options.blocks(elements));
    if expected == (codes, absmax) {
        return Ok(());
    }
    Err(Error::argument(
        "nf4_quantize",
        format!("{} bytes of codes and {} scales for {elements} elements", expected.0, expected.1),
        format!("{codes} and {absmax}"),
    ))
}

/// The midpoints between neighbouring values, in float32: code `c` is the number of midpoints below `x`.
pub fn midpoints() -> [f32; 15] {
    std::array::from_fn(|i| f32::midpoint(NF4[i], NF4[i + 1]))
}

/// The code book of the second level: 256 values, sorted.
pub use crate::dynamic_map::signed as code_book;

/// The second level of a matrix's scales.
#[derive(Debug, Clone, PartialEq)]
pub struct DoubleQuantized {
    /// One a block.
    pub codes: Vec<u8>,
    /// One for 256 blocks.
    pub nested: Vec<f32>,
    /// Mean of the scales.
    pub offset: f32,
}

/// Quantises scales to eight bits with [`code_book`], in float32: `offset` is their mean (summed in float64, rounded once),
/// `d = a − offset`; per 256 of them `N = max |d|`, `v = clamp(d · (1 / N), −1, 1)`, `j = trunc(((v + 1) · 0.5) · 65535 + 0.5)`,
/// and the code is the number of midpoints of the code book below `−1 + 2 j / 65535`; 0 where `N` is 0.
pub fn double_quantize(absmax: &[f32]) -> DoubleQuantized {
    let sum: f64 = absmax.iter().map(|&a| f64::from(a)).sum();
    let offset = (sum / absmax.len().max(1) as f64) as f32;
    double_quantize_from(absmax, offset)
}

/// [`double_quantize`] with the offset given.
pub fn double_quantize_from(absmax: &[f32], offset: f32) -> DoubleQuantized {
    let steps = steps();
    let mut nested = Vec::with_capacity(absmax.len().div_ceil(NESTED_BLOCK));
    let mut codes = Vec::with_capacity(absmax.len());
    for group in absmax.chunks(NESTED_BLOCK) {
        let largest = group.iter().fold(0.0_f32, |most, a| most.max((a - offset).abs()));
        nested.push(largest);
        if largest == 0.0 {
            codes.resize(codes.len() + group.len(), 0);
            continue;
        }
        let reciprocal = 1.0 / largest;
        codes.extend(group.iter().map(|a| {
            let v = ((a - offset) * reciprocal).clamp(-1.0, 1.0);
            // At most 65535 since v is at most 1.
            steps[((v + 1.0) * 0.5 * 65535.0 + 0.5) as usize]
        }));
    }
    DoubleQuantized { codes, nested, offset }
}

/// The code of each of the 65,536 steps from −1 to 1.
fn steps() -> &'static [u8] {
    static STEPS: OnceLock<Vec<u8>> = OnceLock::new();
    STEPS.get_or_init(|| {
        let book = code_book();
        let mut code = 0_usize;
        let step = |j: u32| {
            let x = -1.0 + (2 * j) as f32 / 65535.0;
            while code < 255 && 0.5 * (book[code] + book[code + 1]) < x {
                code += 1;
            }
            code as u8
        };
        (0..65536).map(step).collect()
    })
}

/// The same element by element, written for reading. It rounds like every implementation must: there is one right result.
pub mod reference {
    use super::{NF4, Nf4Matrix, SMALLEST, midpoints};

    /// Writes the codes and the scales of `w`.
    pub fn quantize(w: &[f32], block_size: usize, codes: &mut [u8], absmax: &mut [f32]) {
        let midpoints = midpoints();
        let code = |x: f32| midpoints.iter().filter(|&&midpoint| midpoint < x).count() as u8;
        codes.fill(0);
        for (b, (block, scale)) in w.chunks(block_size).zip(absmax).enumerate() {
            let largest = block.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
            let full = block.len() == block_size;
            *scale = if full { largest } else { largest.max(SMALLEST) };
            let reciprocal = 1.0 / largest.max(SMALLEST);
            for (i, &w) in block.iter().enumerate() {
                let x = if full { (w * reciprocal).clamp(-1.0, 1.0) } else { w / *scale };
                let flat = b * block_size + i;
                codes[flat / 2] |= code(x) << if flat.is_multiple_of(2) { 4 } else { 0 };
            }
        }
        if w.len() % 2 == 1 {
            codes[w.len() / 2] |= code(0.0);
        }
    }

    /// Elements `first .. first + target.len()`, in flat order.
    pub fn dequantize(matrix: &Nf4Matrix<'_>, first: usize, target: &mut [f32]) {
        for (flat, value) in (first..).zip(target) {
            let byte = matrix.codes[flat / 2];
            let code = if flat.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
            *value = NF4[usize::from(code)] * matrix.scale(flat / matrix.block_size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_book_is_sorted_symmetric_and_ends_at_one() {
        let book = code_book();
        assert!(book.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((book[127].to_bits(), book[255].to_bits()), (0.0_f32.to_bits(), 1.0_f32.to_bits()));
        assert!((book[0] + 0.992_968_74).abs() < 1e-6, "{}", book[0]);
        assert!((0..127).all(|i| book[i].to_bits() == (-book[254 - i]).to_bits()));
    }

    #[test]
    fn scales_that_are_all_equal_have_code_zero_and_come_back_exactly() {
        let second = double_quantize(&[0.25; 300]);
        assert_eq!(
            (second.codes, second.nested, second.offset.to_bits()),
            (vec![0; 300], vec![0.0; 2], 0.25_f32.to_bits())
        );
    }

    #[test]
    fn ties_go_to_the_lower_code_and_zero_blocks_to_seven() {
        let (mut codes, mut absmax) = ([0; 32], [9.0]);
        reference::quantize(&[0.0; 64], 64, &mut codes, &mut absmax);
        assert_eq!((codes, absmax[0].to_bits()), ([0x77; 32], 0.0_f32.to_bits()));
        let mut w = [1.0; 64];
        (w[0], w[1]) = (midpoints()[9], midpoints()[9].next_up());
        reference::quantize(&w, 64, &mut codes, &mut absmax);
        assert_eq!(codes[0], 0x9a);
    }

    #[test]
    fn bytes_are_counted_and_wrong_sizes_refused() {
        let options = Nf4Options { block_size: 64, double_quant: true };
        assert_eq!(options.bytes(64 * 257), 32 * 257 + 257 + 4 * (2 + 257));
        assert_eq!(Nf4Options { double_quant: false, ..options }.bytes(65), 33 + 8);
        for block_size in [0, 32, 63, 96, 8192] {
            assert!(Nf4Options { block_size, double_quant: true }.check().is_err());
        }
        let matrix = Nf4Matrix { block_size: 64, codes: &[0; 32], scales: Nf4Scales::Plain(&[1.0]) };
        assert!(matrix.check(1, 64).is_ok() && matrix.check(5, 13).is_err() && matrix.check(2, 31).is_err());
    }
}
