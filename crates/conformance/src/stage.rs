//! Short ways of putting numbers on a backend and taking them back.

use tunesmith_ops::{Backend, Host, Result, View, ViewMut};

/// Elements of every staged buffer that lie before and behind its window, so that an op which ignores the window's place
/// or writes beyond it is found out.
const MARGIN: usize = 3;

/// The value of the margins.
const GUARD: f32 = 12345.0;

/// A backend under test.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a, B> {
    /// The backend.
    pub backend: &'a B,
}

/// A buffer with a window inside it.
#[derive(Debug)]
pub struct Staged<T> {
    buffer: T,
    len: usize,
}

impl<T> Staged<T> {
    /// The window.
    pub fn view(&self) -> View<'_, T> {
        View::new(&self.buffer, MARGIN, self.len)
    }

    /// The window, writable.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(&mut self.buffer, MARGIN, self.len)
    }
}

impl<'a, B: Backend> Stage<'a, B> {
    /// A stage for a backend.
    pub fn new(backend: &'a B) -> Self {
        Self { backend }
    }

    /// Uploads floats between margins.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn floats(&self, x: &[f32]) -> Result<Staged<B::Buffer>> {
        let mut padded = vec![GUARD; x.len() + 2 * MARGIN];
        padded[MARGIN..MARGIN + x.len()].copy_from_slice(x);
        Ok(Staged { buffer: self.backend.upload(Host::F32(&padded))?, len: x.len() })
    }

    /// A window of `len` floats that an op is to write.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn output(&self, len: usize) -> Result<Staged<B::Buffer>> {
        self.floats(&vec![f32::NAN; len])
    }

    /// Uploads integers between margins.
    ///
    /// # Errors
    /// What the upload fails with.
    pub fn integers(&self, x: &[i32]) -> Result<Staged<B::Buffer>> {
        let mut padded = vec![0; x.len() + 2 * MARGIN];
        padded[MARGIN..MARGIN + x.len()].copy_from_slice(x);
        Ok(Staged { buffer: self.backend.upload(Host::I32(&padded))?, len: x.len() })
    }

    /// The floats of a window; empty, and so unlike any reference, when something wrote into the margins.
    ///
    /// # Errors
    /// What the read fails with.
    pub fn read(&self, staged: &Staged<B::Buffer>) -> Result<Vec<f32>> {
        let mut all = vec![0.0; staged.len + 2 * MARGIN];
        self.backend.read(View::new(&staged.buffer, 0, all.len()), &mut all)?;
        let (before, rest) = all.split_at(MARGIN);
        let (window, behind) = rest.split_at(staged.len);
        let intact = before.iter().chain(behind).all(|x| x.to_bits() == GUARD.to_bits());
        Ok(if intact { window.to_vec() } else { Vec::new() })
    }
}
