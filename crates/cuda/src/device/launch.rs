//! Launches: arguments packed with their types, blocks and threads chosen by name, and a count of them all.

use std::ffi::c_void;

use tunesmith_ops::{DType, Error, Result, View, ViewMut};

use super::buffer::Buffer;
use super::driver::{Address, Dimensions};
use crate::Cuda;

/// Blocks that one axis of a grid can count besides the first.
const MOST_BLOCKS: usize = 65_535;

/// A launch in the making.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    cuda: &'a Cuda,
    kernel: &'static str,
    at: Dimensions,
    /// Arguments one after the other, each from a whole word.
    words: Vec<u64>,
    starts: Vec<usize>,
    signature: String,
    error: Option<Error>,
}

impl Cuda {
    /// A launch of one kernel.
    pub(crate) fn launch(&self, kernel: &'static str) -> Launch<'_> {
        Launch::new(self, kernel)
    }

    /// A launch of the kernel for this backend's activations.
    pub(crate) fn launch_activations(&self, f32: &'static str, bf16: &'static str) -> Launch<'_> {
        Launch::new(self, if self.dtype == DType::Bf16 { bf16 } else { f32 })
    }
}

impl<'a> Launch<'a> {
    fn new(cuda: &'a Cuda, kernel: &'static str) -> Self {
        let at = Dimensions { grid: [1; 3], block: [1; 3], shared: 0 };
        let (words, starts) = (Vec::with_capacity(16), Vec::with_capacity(16));
        Self { cuda, kernel, at, words, starts, signature: String::with_capacity(32), error: None }
    }

    /// Blocks along x and threads of each.
    pub(crate) fn blocks(self, blocks: usize, threads: u32) -> Self {
        self.grid([blocks, 1, 1], threads)
    }

    /// Blocks along every axis and threads of each.
    pub(crate) fn grid(mut self, grid: [usize; 3], threads: u32) -> Self {
        let [x, y, z] = grid;
        if i32::try_from(x).is_err() || y > MOST_BLOCKS || z > MOST_BLOCKS {
            self.error =
                Some(Error::argument(self.kernel, "a grid of at most 2^31 × 65535 × 65535", format!("{grid:?}")));
        }
        self.at.grid = grid.map(|axis| axis as u32);
        self.at.block = [threads, 1, 1];
        self
    }

    /// Bytes of shared memory.
    pub(crate) fn shared(mut self, bytes: usize) -> Self {
        self.at.shared = bytes;
        self
    }

    fn push(mut self, tag: &str, words: &[u64]) -> Self {
        self.starts.push(self.words.len());
        self.words.extend_from_slice(words);
        self.signature.push_str(tag);
        self.signature.push(' ');
        self
    }

    /// An `int`.
    pub(crate) fn int(mut self, value: usize) -> Self {
        if i32::try_from(value).is_err() {
            self.error = Some(Error::argument(self.kernel, "sizes below 2^31", value));
        }
        self.push("i", &[value as u64])
    }

    /// A `long long`.
    pub(crate) fn long(self, value: usize) -> Self {
        self.push("l", &[value as u64])
    }

    /// An `int` that is 0 or 1.
    pub(crate) fn flag(self, value: bool) -> Self {
        self.push("i", &[u64::from(value)])
    }

    /// A `float`.
    pub(crate) fn float(self, value: f32) -> Self {
        self.push("f", &[u64::from(value.to_bits())])
    }

    /// A `double`.
    pub(crate) fn double(self, value: f64) -> Self {
        self.push("d", &[value.to_bits()])
    }

    /// A pointer to read from.
    pub(crate) fn read(self, view: View<'_, Buffer>) -> Self {
        let address = view.buffer.address_of(view.start);
        self.push("p", &[address])
    }

    /// A pointer to write to.
    pub(crate) fn write(self, view: &ViewMut<'_, Buffer>) -> Self {
        let address = view.buffer.address_of(view.start);
        self.push("p", &[address])
    }

    /// A pointer to read from, or null.
    pub(crate) fn read_some(self, view: Option<View<'_, Buffer>>) -> Self {
        match view {
            Some(view) => self.read(view),
            None => self.push("p", &[0]),
        }
    }

    /// An `unsigned`.
    pub(crate) fn bits(self, value: u32) -> Self {
        self.push("u", &[u64::from(value)])
    }

    /// A pointer.
    pub(crate) fn address(self, address: Address) -> Self {
        self.push("p", &[address])
    }

    /// A structure by value, as [`super::structure::Structure`] lays it out.
    pub(crate) fn structure(self, words: &[u64]) -> Self {
        self.push(&format!("s{}", 8 * words.len()), words)
    }

    /// Starts the kernel; nothing where a grid has no block.
    pub(crate) fn run(mut self) -> Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.at.grid.contains(&0) {
            return Ok(());
        }
        let words = self.words.as_mut_ptr();
        // SAFETY: every start lies in `words`, which lives until the launch has taken its arguments.
        let mut arguments: Vec<*mut c_void> = self.starts.iter().map(|&at| unsafe { words.add(at) }.cast()).collect();
        self.cuda.start(self.kernel, self.at, &self.signature, &mut arguments)
    }
}
