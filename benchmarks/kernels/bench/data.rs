//! Numbers under the clock: whole buffers, aligned as the engine's are, random and never zero where they are read.

use tunesmith_ops::{Backend, DType, Host, Result, Storage, View, ViewMut};

use super::Bench;

/// Random numbers made on the host; longer buffers repeat them, which no kernel can notice.
const PATTERN: usize = 1 << 20;

/// A buffer that is used whole.
#[derive(Debug)]
pub struct Held<T> {
    buffer: T,
    len: usize,
}

impl<T> Held<T> {
    /// All of it.
    pub fn view(&self) -> View<'_, T> {
        View::new(&self.buffer, 0, self.len)
    }

    /// All of it, writable.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(&mut self.buffer, 0, self.len)
    }
}

impl<B: Backend> Bench<'_, B> {
    /// Bytes of one activation.
    pub fn width(&self) -> usize {
        self.backend.activation_dtype().size()
    }

    /// Random activations in `-limit .. limit`.
    pub fn activations(&mut self, len: usize, limit: f32) -> Result<Held<B::Buffer>> {
        self.random(self.backend.activation_dtype(), len, limit)
    }

    /// Random float32 numbers in `-limit .. limit`: what is trained, its gradient, its moments.
    pub fn floats(&mut self, len: usize, limit: f32) -> Result<Held<B::Buffer>> {
        self.random(DType::F32, len, limit)
    }

    /// Room for activations that an op is to write.
    pub fn output(&self, len: usize) -> Result<Held<B::Buffer>> {
        Ok(Held { buffer: self.backend.zeros(self.backend.activation_dtype(), len)?, len })
    }

    /// Room for float32 numbers that an op is to write or to add to.
    pub fn output_floats(&self, len: usize) -> Result<Held<B::Buffer>> {
        Ok(Held { buffer: self.backend.zeros(DType::F32, len)?, len })
    }

    /// One float32 value over and over.
    pub fn constant(&self, value: f32, len: usize) -> Result<Held<B::Buffer>> {
        self.numbers(&vec![value; len])
    }

    /// Given float32 numbers.
    pub fn numbers(&self, x: &[f32]) -> Result<Held<B::Buffer>> {
        Ok(Held { buffer: self.backend.upload(Host::F32(x))?, len: x.len() })
    }

    /// Integers.
    pub fn integers(&self, x: &[i32]) -> Result<Held<B::Buffer>> {
        Ok(Held { buffer: self.backend.upload(Host::I32(x))?, len: x.len() })
    }

    /// Random numbers in `-limit .. limit` on the host.
    pub fn host(&mut self, len: usize, limit: f32) -> Vec<f32> {
        let pattern = self.inputs.uniform(PATTERN.min(len), limit);
        pattern.iter().copied().cycle().take(len).collect()
    }

    /// A frozen weight `[n, k]`, stored as the activations are.
    pub fn weight(&mut self, n: usize, k: usize) -> Result<B::Weight> {
        if self.width() == 4 {
            return self.backend.prepare_weight(n, k, Host::F32(&self.host(n * k, 0.1)), Storage::F32);
        }
        let pattern = self.inputs.uniform(PATTERN.min(n * k), 0.1);
        let bits: Vec<u16> = pattern.iter().map(|x| half::bf16::from_f32(*x).to_bits()).collect();
        let numbers: Vec<u16> = bits.into_iter().cycle().take(n * k).collect();
        self.backend.prepare_weight(n, k, Host::Bf16(&numbers), Storage::Bf16)
    }

    fn random(&mut self, dtype: DType, len: usize, limit: f32) -> Result<Held<B::Buffer>> {
        let pattern = self.inputs.uniform(PATTERN.min(len), limit);
        let bits: Vec<u16> = pattern.iter().map(|x| half::bf16::from_f32(*x).to_bits()).collect();
        let host = if dtype == DType::Bf16 { Host::Bf16(&bits) } else { Host::F32(&pattern) };
        let source = self.backend.upload(host)?;
        let mut buffer = self.backend.zeros(dtype, len)?;
        for start in (0..len).step_by(PATTERN) {
            let count = PATTERN.min(len - start);
            self.backend.copy(View::new(&source, 0, count), ViewMut::new(&mut buffer, start, count))?;
        }
        Ok(Held { buffer, len })
    }
}
