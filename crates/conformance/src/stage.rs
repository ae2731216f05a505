//! Short ways of putting numbers on a backend and taking them back.

use half::bf16;
use tunesmith_ops::{DType, Host, Memory, Result, View, ViewMut};

use crate::Inputs;

/// Elements of every staged buffer before and after its view, so that an op which ignores the view's place
/// or writes beyond it is found out. The usual number is no multiple of a vector.
const MARGIN: usize = 3;

/// The value of the margins, exact in every floating-point dtype.
const GUARD: f32 = 12352.0;
/// The same for bytes.
const GUARD_BYTE: u8 = 0xa5;

/// A backend under test.
#[derive(Debug)]
pub struct Stage<'a, B> {
    /// The backend.
    pub backend: &'a B,
    margin: usize,
    after: usize,
    step: usize,
    strange: bool,
}

// Derived implementations would ask for `B: Clone`; a reference copies without it.
impl<B> Clone for Stage<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B> Copy for Stage<'_, B> {}

/// A buffer with a view inside it.
#[derive(Debug)]
pub struct Staged<T> {
    buffer: T,
    margin: usize,
    len: usize,
    after: usize,
}

impl<T> Staged<T> {
    /// The view.
    pub fn view(&self) -> View<'_, T> {
        View::new(&self.buffer, self.margin, self.len)
    }

    /// The view, writable.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(&mut self.buffer, self.margin, self.len)
    }
}

impl<'a, B: Memory> Stage<'a, B> {
    /// A stage for a backend.
    pub fn new(backend: &'a B) -> Self {
        Self::with_margin(backend, MARGIN)
    }

    /// A stage whose views begin `margin` elements into their buffers: a multiple of 8 lets a backend that moves 16 bytes
    /// at a time do so.
    pub fn with_margin(backend: &'a B, margin: usize) -> Self {
        Self { backend, margin, after: margin, step: 1, strange: false }
    }

    /// A stage whose views begin `margin` elements into their buffers and end where these end: for a backend that watches
    /// every access beyond a buffer.
    pub fn to_the_end(backend: &'a B, margin: usize) -> Self {
        Self { backend, margin, after: 0, step: 1, strange: false }
    }

    /// The same stage for one case in `step` of the long lists: where a suite runs often, or slowly.
    #[must_use]
    pub fn sparse(self, step: usize) -> Self {
        Self { step, ..self }
    }

    /// The same stage for numbers among which NaN and infinities are: what they reach by the formula is not finite, and
    /// everything else is as it would be.
    #[must_use]
    pub fn strange(self) -> Self {
        Self { strange: true, ..self }
    }

    /// The suite's numbers.
    pub fn inputs(&self, seed: u64) -> Inputs {
        if self.strange { Inputs::strange(seed) } else { Inputs::new(seed) }
    }

    /// The cases of a long list that this stage asks for: all, unless it is a sparse one.
    pub fn cases<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().step_by(self.step)
    }

    /// The numbers as the backend's activations hold them: tests round their inputs first, and compare with a reference that
    /// was given the rounded ones.
    pub fn round(&self, mut x: Vec<f32>) -> Vec<f32> {
        if self.backend.activation_dtype() == DType::Bf16 {
            x.iter_mut().for_each(|v| *v = bf16::from_f32(*v).to_f32());
        }
        x
    }

    /// The tolerance of an output in activations: `f32` where they are float32, `bf16` where they are bfloat16.
    pub fn tolerance(&self, f32: f64, bf16: f64) -> f64 {
        match self.backend.activation_dtype() {
            DType::Bf16 => bf16,
            _ => f32,
        }
    }

    /// Uploads float32 numbers between margins.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn floats(&self, x: &[f32]) -> Result<Staged<B::Buffer>> {
        let padded = self.padded(x);
        Ok(self.staged(self.backend.upload(Host::F32(&padded))?, x.len()))
    }

    /// Uploads numbers as activations, between margins.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn activations(&self, x: &[f32]) -> Result<Staged<B::Buffer>> {
        if self.backend.activation_dtype() != DType::Bf16 {
            return self.floats(x);
        }
        let bits: Vec<u16> = self.padded(x).into_iter().map(|v| bf16::from_f32(v).to_bits()).collect();
        Ok(self.staged(self.backend.upload(Host::Bf16(&bits))?, x.len()))
    }

    /// A view of `len` float32 numbers that an op is to write.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn output(&self, len: usize) -> Result<Staged<B::Buffer>> {
        self.floats(&vec![f32::NAN; len])
    }

    /// A view of `len` activations that an op is to write.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn activation_output(&self, len: usize) -> Result<Staged<B::Buffer>> {
        self.activations(&vec![f32::NAN; len])
    }

    /// Uploads integers between margins.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn integers(&self, x: &[i32]) -> Result<Staged<B::Buffer>> {
        let mut padded = vec![0; self.margin + x.len() + self.after];
        padded[self.margin..self.margin + x.len()].copy_from_slice(x);
        Ok(self.staged(self.backend.upload(Host::I32(&padded))?, x.len()))
    }

    /// Uploads bytes between margins.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn bytes(&self, x: &[u8]) -> Result<Staged<B::Buffer>> {
        let mut padded = vec![GUARD_BYTE; self.margin + x.len() + self.after];
        padded[self.margin..self.margin + x.len()].copy_from_slice(x);
        Ok(self.staged(self.backend.upload(Host::U8(&padded))?, x.len()))
    }

    /// The bytes of a view, as [`Stage::read`] has floats.
    ///
    /// # Errors
    /// What the read fails with.
    pub fn read_bytes(&self, staged: &Staged<B::Buffer>) -> Result<Vec<f32>> {
        self.read_guarded(staged, f32::from(GUARD_BYTE))
    }

    /// The floats of a view; empty, and so unlike any reference, when something wrote into the margins.
    ///
    /// # Errors
    /// What the read fails with.
    pub fn read(&self, staged: &Staged<B::Buffer>) -> Result<Vec<f32>> {
        self.read_guarded(staged, GUARD)
    }

    fn read_guarded(&self, staged: &Staged<B::Buffer>, guard: f32) -> Result<Vec<f32>> {
        let mut all = vec![0.0; staged.margin + staged.len + staged.after];
        self.backend.read(View::new(&staged.buffer, 0, all.len()), &mut all)?;
        let (before, rest) = all.split_at(staged.margin);
        let (view, after) = rest.split_at(staged.len);
        let intact = before.iter().chain(after).all(|x| x.to_bits() == guard.to_bits());
        Ok(if intact { view.to_vec() } else { Vec::new() })
    }

    fn padded(&self, x: &[f32]) -> Vec<f32> {
        let mut padded = vec![GUARD; self.margin + x.len() + self.after];
        padded[self.margin..self.margin + x.len()].copy_from_slice(x);
        padded
    }

    fn staged(&self, buffer: B::Buffer, len: usize) -> Staged<B::Buffer> {
        Staged { buffer, margin: self.margin, len, after: self.after }
    }
}
