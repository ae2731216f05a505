//! Tables of tensors for kernels that take many at once (`common/tensors.cuh`).

use tunesmith_ops::{Host, Memory as _, Result};

use crate::Cuda;
use crate::device::{Address, Buffer};

/// Elements of one piece, which is one block's work.
const PIECE: usize = 4096;

/// One tensor as the kernels read it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tensor {
    pub(crate) parameter: Address,
    pub(crate) gradient: Address,
    pub(crate) first: Address,
    pub(crate) second: Address,
    pub(crate) third: Address,
    pub(crate) fourth: Address,
    pub(crate) len: usize,
    pub(crate) decay: f32,
    pub(crate) rate: f32,
    pub(crate) average: f32,
    pub(crate) step: f32,
}

/// Both tables on the device.
#[derive(Debug)]
pub(crate) struct TensorTable {
    pub(crate) tensors: Buffer,
    pub(crate) pieces: Buffer,
    /// Number of pieces.
    pub(crate) count: usize,
}

fn low_high(word: u64) -> [i32; 2] {
    [word as i32, (word >> 32) as i32]
}

impl Tensor {
    fn words(&self) -> [i32; 20] {
        let pointers = [self.parameter, self.gradient, self.first, self.second, self.third, self.fourth];
        let wide = pointers.iter().all(|pointer| pointer.is_multiple_of(16));
        let mut words = [0; 20];
        let longs = pointers.into_iter().chain([self.len as u64]).flat_map(low_high);
        let floats = [self.decay, self.rate, self.average, self.step].map(|x| x.to_bits() as i32);
        let all = longs.chain(floats).chain([i32::from(wide)]);
        words.iter_mut().zip(all).for_each(|(word, value)| *word = value);
        words
    }
}

impl TensorTable {
    /// Puts the tables on the device.
    pub(crate) fn new(cuda: &Cuda, tensors: &[Tensor]) -> Result<Self> {
        let words: Vec<i32> = tensors.iter().flat_map(Tensor::words).collect();
        let pieces: Vec<i32> = tensors
            .iter()
            .enumerate()
            .flat_map(|(index, tensor)| {
                (0..tensor.len.div_ceil(PIECE)).flat_map(move |piece| [index as i32, piece as i32])
            })
            .collect();
        Ok(Self {
            tensors: cuda.upload(Host::I32(&words))?,
            count: pieces.len() / 2,
            pieces: cuda.upload(Host::I32(&pieces))?,
        })
    }
}
