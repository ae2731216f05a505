//! Weights on their way into another file: converted to float32 one tensor at a time, with a place to look in from outside.

use std::ops::ControlFlow;

use tunesmith_ops::{Code, Error, Result};

use crate::stored_tensor::TensorSource;

/// Weights of a model under Hugging Face names, each made when it is asked for.
pub trait Weights {
    /// Names of all tensors, sorted.
    fn names(&self) -> Vec<String>;

    /// Dimensions of a tensor.
    ///
    /// # Errors
    /// `FileInvalid` where it is absent.
    fn shape(&self, name: &str) -> Result<Vec<usize>>;

    /// The elements of a tensor, replacing the content of `out`.
    ///
    /// # Errors
    /// Those of reading it; `OutOfMemory`.
    fn read(&self, name: &str, out: &mut Vec<f32>) -> Result<()>;

    /// Whether a tensor exists.
    fn contains(&self, name: &str) -> bool;
}

/// Whether a tensor is a table of the rotation that old files carry along: it follows from the configuration.
pub fn is_rotary_buffer(name: &str) -> bool {
    ["rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached"].iter().any(|end| name.ends_with(end))
}

/// The weights of a model file as they are.
pub struct AsStored<'a>(pub &'a dyn TensorSource);

impl Weights for AsStored<'_> {
    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.0.get(name)?.shape)
    }

    fn read(&self, name: &str, out: &mut Vec<f32>) -> Result<()> {
        self.0.get(name)?.to_f32(out)
    }

    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// Told how many elements are written and how many there are, after each tensor; answers whether to go on.
pub type OnProgress<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// Counts elements for an [`OnProgress`].
pub(crate) struct Progress<'a, 'b> {
    tell: &'a mut OnProgress<'b>,
    done: u64,
    total: u64,
}

impl<'a, 'b> Progress<'a, 'b> {
    /// Nothing written yet.
    pub fn new(tell: &'a mut OnProgress<'b>, total: u64) -> Self {
        Self { tell, done: 0, total }
    }

    /// Some elements more.
    ///
    /// # Errors
    /// `Aborted` when the answer is to stop.
    pub fn add(&mut self, elements: usize, place: &str) -> Result<()> {
        self.done = self.done.saturating_add(elements as u64);
        match (self.tell)(self.done, self.total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::new(Code::Aborted, place, "aborted; nothing was written")),
        }
    }
}
