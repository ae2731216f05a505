//! The tensors that are trained: value, gradient, kind. Everything else in the model is frozen.

use std::borrow::Cow;

use serde::Deserialize;
use tunesmith_formats::transposed;
use tunesmith_ops::{Code, DType, Error, Host, Memory, Result, View, ViewMut};

/// Index of a trained tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterId(pub(crate) usize);

/// What a trained tensor is: a run's groups are made of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Matrices: of a whole model, and A of an adapter.
    Decay,
    /// Norm scales and biases, which Hugging Face's Trainer does not decay.
    NoDecay,
    /// Copies of the embedding and the head that an adapter trains, and its factors on the embedding.
    Embedding,
    /// B and the magnitudes of an adapter, which LoRA+ moves faster (Hayou et al. 2024, arXiv:2402.12354).
    LoraB,
}

impl ParameterKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Decay, Self::NoDecay, Self::Embedding, Self::LoraB];

    /// Name in options, as TypeScript has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decay => "decay",
            Self::NoDecay => "no_decay",
            Self::Embedding => "embedding",
            Self::LoraB => "lora_b",
        }
    }
}

/// One trained tensor as files know it.
#[derive(Debug, Clone)]
pub struct ParameterSpec {
    /// Name in the file it is saved to.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: ParameterKind,
    /// A matrix that is held transposed, and so are its gradient and its state.
    pub transposed: bool,
    /// Above 0: a matrix whose columns belong to so many experts in turn, held as one matrix of each, and so are its gradient and its
    /// state.
    pub experts: usize,
    /// Of B of a layer: what its product with A is multiplied with.
    pub scale: Option<f32>,
}

impl ParameterSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Matrices, rows and columns as they are held: a matrix is one, a stack of experts has several, a vector is one row.
    pub fn held_matrices(&self) -> [usize; 3] {
        match self.shape[..] {
            [rows, columns] if self.experts > 0 => [self.experts, rows, columns / self.experts],
            [rows, columns] if self.transposed => [1, columns, rows],
            [rows, columns] => [1, rows, columns],
            [count, rows, columns] => [count, rows, columns],
            _ => [1, 1, self.len()],
        }
    }

    /// Values as files have them, in the order in which they are held.
    pub fn held<'a>(&self, stored: &'a [f32]) -> Cow<'a, [f32]> {
        match self.shape[..] {
            [rows, columns] if self.experts > 0 => {
                let r = columns / self.experts;
                let places = (0..self.experts).flat_map(|e| {
                    (0..rows).flat_map(move |row| (0..r).map(move |l| row * columns + l * self.experts + e))
                });
                Cow::Owned(places.map(|place| stored[place]).collect())
            }
            [_, columns] if self.transposed => Cow::Owned(transposed(stored, columns)),
            _ => Cow::Borrowed(stored),
        }
    }

    /// Values in the order in which they are held, as files have them.
    pub fn stored(&self, held: Vec<f32>) -> Vec<f32> {
        match self.shape[..] {
            [rows, columns] if self.experts > 0 => {
                let r = columns / self.experts;
                let place =
                    |row: usize, column: usize| ((column % self.experts) * rows + row) * r + column / self.experts;
                (0..rows)
                    .flat_map(|row| (0..columns).map(move |column| place(row, column)))
                    .map(|at| held[at])
                    .collect()
            }
            [rows, _] if self.transposed => transposed(&held, rows),
            _ => held,
        }
    }

    /// True for a tensor without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Values of the trained tensors, float32.
pub struct Parameters<B: Memory> {
    specs: Vec<ParameterSpec>,
    values: Vec<B::Buffer>,
}

impl<B: Memory> Default for Parameters<B> {
    fn default() -> Self {
        Self { specs: Vec::new(), values: Vec::new() }
    }
}

impl<B: Memory> Parameters<B> {
    /// Adds a tensor with its first values, as files have them.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn add(&mut self, backend: &B, spec: ParameterSpec, values: &[f32]) -> Result<ParameterId> {
        self.values.push(if backend.keeps_values() {
            backend.upload(Host::F32(&spec.held(values)))?
        } else {
            backend.zeros(DType::F32, spec.len())?
        });
        self.specs.push(spec);
        Ok(ParameterId(self.specs.len() - 1))
    }

    /// Number of tensors.
    pub fn count(&self) -> usize {
        self.specs.len()
    }

    /// Every tensor's description, in order.
    pub fn specs(&self) -> &[ParameterSpec] {
        &self.specs
    }

    /// The value of a tensor, as it is held.
    pub fn value(&self, id: ParameterId) -> View<'_, B::Buffer> {
        View::new(&self.values[id.0], 0, self.specs[id.0].len())
    }

    /// Descriptions with writable values, for the optimizer.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&ParameterSpec, ViewMut<'_, B::Buffer>)> {
        self.specs.iter().zip(&mut self.values).map(|(spec, value)| (spec, ViewMut::new(value, 0, spec.len())))
    }

    /// Copies a tensor to the host, as files have it.
    ///
    /// # Errors
    /// Whatever the backend's copy fails with.
    pub fn read(&self, backend: &B, id: ParameterId) -> Result<Vec<f32>> {
        let spec = &self.specs[id.0];
        let mut host = vec![0.0; spec.len()];
        backend.read(self.value(id), &mut host)?;
        Ok(spec.stored(host))
    }

    /// Copies every tensor to the host.
    ///
    /// # Errors
    /// `NonFinite`: a file with NaN or infinity is never written.
    pub fn read_all(&self, backend: &B) -> Result<Vec<Vec<f32>>> {
        let each = self.ids().zip(&self.specs);
        each.map(|(id, spec)| {
            let host = self.read(backend, id)?;
            refuse_non_finite(&spec.name, &host)?;
            Ok(host)
        })
        .collect()
    }

    /// Writable value of a tensor, as it is held.
    pub(crate) fn value_mut(&mut self, id: ParameterId) -> ViewMut<'_, B::Buffer> {
        ViewMut::new(&mut self.values[id.0], 0, self.specs[id.0].len())
    }

    /// Replaces the values of a tensor by those that a file has.
    ///
    /// # Errors
    /// `ArgumentInvalid` on another length.
    pub fn write(&mut self, backend: &B, id: ParameterId, values: &[f32]) -> Result<()> {
        let spec = &self.specs[id.0];
        backend.write(Host::F32(&spec.held(values)), ViewMut::new(&mut self.values[id.0], 0, spec.len()))
    }

    /// Ids of all tensors, in order.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> + use<B> {
        (0..self.specs.len()).map(ParameterId)
    }
}

/// No file with NaN or infinity is ever written.
///
/// # Errors
/// `NonFinite`, with the first place of such a value.
pub fn refuse_non_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(place) => Err(Error::new(
            Code::NonFinite,
            name,
            format!("expected finite values to save, got {} at {place}; nothing was written", values[place]),
        )),
    }
}

/// Summed gradients, one per trained tensor.
pub struct Gradients<B: Memory> {
    buffers: Vec<B::Buffer>,
    lengths: Vec<usize>,
}

impl<B: Memory> Gradients<B> {
    /// Zero gradients for every tensor.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(backend: &B, parameters: &Parameters<B>) -> Result<Self> {
        let lengths: Vec<usize> = parameters.specs().iter().map(ParameterSpec::len).collect();
        let buffers = lengths.iter().map(|len| backend.zeros(DType::F32, *len)).collect::<Result<_>>()?;
        Ok(Self { buffers, lengths })
    }

    /// The gradient of a tensor, to add to.
    pub fn of(&mut self, id: ParameterId) -> ViewMut<'_, B::Buffer> {
        ViewMut::new(&mut self.buffers[id.0], 0, self.lengths[id.0])
    }

    /// The gradients of two different tensors, to add to.
    pub fn pair(&mut self, a: ParameterId, b: ParameterId) -> (ViewMut<'_, B::Buffer>, ViewMut<'_, B::Buffer>) {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        let (left, right) = self.buffers.split_at_mut(high.0);
        let low_view = ViewMut::new(&mut left[low.0], 0, self.lengths[low.0]);
        let high_view = ViewMut::new(&mut right[0], 0, self.lengths[high.0]);
        if a < b { (low_view, high_view) } else { (high_view, low_view) }
    }

    /// Read-only views of all gradients.
    pub fn views(&self) -> Vec<View<'_, B::Buffer>> {
        self.buffers.iter().zip(&self.lengths).map(|(buffer, len)| View::new(buffer, 0, *len)).collect()
    }

    /// Names of the tensors in whose gradient a value is not finite.
    ///
    /// # Errors
    /// Whatever the backend's copy fails with.
    pub fn not_finite(&self, backend: &B, specs: &[ParameterSpec]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for (view, spec) in self.views().into_iter().zip(specs) {
            let mut host = vec![0.0_f32; spec.len()];
            backend.read(view, &mut host)?;
            if host.iter().any(|value| !value.is_finite()) {
                names.push(spec.name.clone());
            }
        }
        Ok(names)
    }

    /// Sets every gradient to zero.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn clear(&mut self, backend: &B) -> Result<()> {
        for (buffer, len) in self.buffers.iter_mut().zip(&self.lengths) {
            backend.clear(ViewMut::new(buffer, 0, *len))?;
        }
        Ok(())
    }
}
