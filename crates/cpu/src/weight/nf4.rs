//! Four-bit weights, held as they come.

use tunesmith_ops::{Nf4Matrix, Nf4Scales, Result};

use crate::Cpu;
use crate::buffer::Block;

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
    pub(crate) fn new(cpu: &Cpu, matrix: Nf4Matrix<'_>) -> Result<Self> {
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
