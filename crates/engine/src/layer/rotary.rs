//! A model's rotation on the device, applied to the heads of a pass.

use tunesmith_ops::{Backend, Host, Memory, Result, RopeShape, Rotation, View, ViewMut};

use crate::batch::Pass;
use crate::frequencies::Frequencies;

/// Rotary angles, shared by the layers that rotate alike.
pub struct Rotary<B: Memory> {
    inv_freq: B::Buffer,
    /// Sequences of more tokens than this have other frequencies.
    long: Option<(usize, B::Buffer)>,
    /// Elements of a head that are rotated.
    dim: usize,
    attention_scaling: f32,
}

impl<B: Backend> Rotary<B> {
    /// Uploads the frequencies.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(backend: &B, frequencies: &Frequencies) -> Result<Self> {
        let upload = |freq: &[f32]| backend.upload(Host::F32(freq));
        let long = frequencies.long.as_ref();
        Ok(Self {
            inv_freq: upload(&frequencies.inv_freq)?,
            long: long.map(|long| Ok((long.beyond, upload(&long.inv_freq)?))).transpose()?,
            dim: 2 * frequencies.inv_freq.len(),
            attention_scaling: frequencies.attention_scaling,
        })
    }

    /// Rotates `x[t, heads, h]` in place. Where long sequences have frequencies of their own, each sequence is judged by
    /// itself: what it is packed with changes nothing.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn apply(
        &self,
        backend: &B,
        pass: &Pass<B>,
        (heads, h): (usize, usize),
        mut x: ViewMut<'_, B::Buffer>,
        rotation: Rotation,
    ) -> Result<()> {
        let mut rotate = |first: usize, t: usize, inv_freq: &B::Buffer| {
            backend.rope(
                RopeShape { t, heads, h, rotary: self.dim },
                x.reborrow().part(first * heads * h, t * heads * h)?,
                View::new(&pass.positions, first, t),
                View::new(inv_freq, 0, self.dim / 2),
                self.attention_scaling,
                rotation,
            )
        };
        let Some((beyond, long)) = &self.long else {
            return rotate(0, pass.tokens(), &self.inv_freq);
        };
        let sequences = pass.layout.query_starts.windows(2).zip(&pass.ends);
        for (range, end) in sequences.filter(|(range, _)| range[0] < range[1]) {
            let inv_freq = if end > beyond { long } else { &self.inv_freq };
            rotate(range[0], range[1] - range[0], inv_freq)?;
        }
        Ok(())
    }
}
