//! What an optimizer keeps of each trained tensor: named slots, from which the memory plan, the checkpoint and the tests know it.

use tunesmith_ops::{BLOCK, Backend, DType, Memory, Result, ViewMut};

use super::parameters::{ParameterSpec, Parameters};

/// One kind of state of a trained tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Name in checkpoints (PyTorch's): the state of `NAME` is the tensor `SLOT.NAME`.
    pub name: &'static str,
    /// Type of its elements.
    pub dtype: DType,
    /// Its shape.
    pub shape: SlotShape,
}

/// How a slot's shape follows from the parameter's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotShape {
    /// The parameter's own.
    Parameter,
    /// One after another, as the parameter is held.
    Flat,
    /// One for each [`BLOCK`] elements, as the parameter is held.
    Blocks,
    /// One for each row of a matrix, as it is held; of a stack, for each of its matrices.
    Rows,
    /// One for each column, alike.
    Columns,
}

impl Slot {
    /// A slot of float32 in the parameter's shape.
    pub const fn float32(name: &'static str) -> Self {
        Self::of(name, SlotShape::Parameter)
    }

    /// A slot of float32.
    pub const fn of(name: &'static str, shape: SlotShape) -> Self {
        Self { name, dtype: DType::F32, shape }
    }

    /// The slots of a state in eight bits: its codes, and the scales of their blocks.
    pub const fn eight_bits(codes: &'static str, absmax: &'static str) -> [Self; 2] {
        [Self { name: codes, dtype: DType::U8, shape: SlotShape::Flat }, Self::of(absmax, SlotShape::Blocks)]
    }

    /// Shape of the state of a parameter, row-major.
    pub fn shape_of(&self, parameter: &ParameterSpec) -> Vec<usize> {
        let [count, rows, columns] = parameter.held_matrices();
        match self.shape {
            SlotShape::Parameter => parameter.shape.clone(),
            SlotShape::Flat => vec![parameter.len()],
            SlotShape::Blocks => vec![parameter.len().div_ceil(BLOCK)],
            SlotShape::Rows => vec![count * rows],
            SlotShape::Columns => vec![count * columns],
        }
    }

    /// Elements of the state of a parameter.
    pub fn len_of(&self, parameter: &ParameterSpec) -> usize {
        self.shape_of(parameter).iter().product()
    }

    /// Bytes of the state of a parameter.
    pub fn bytes_of(&self, parameter: &ParameterSpec) -> usize {
        self.dtype.size() * self.len_of(parameter)
    }

    /// Whether the state lies as the parameter does, transposed where that is held so.
    pub fn follows_parameter(&self) -> bool {
        self.shape == SlotShape::Parameter
    }
}

/// The state of every trained tensor.
pub struct State<B: Memory> {
    tensors: Vec<Vec<(Slot, B::Buffer)>>,
}

impl<B: Backend> State<B> {
    /// Zeros for every parameter; `slots` says which it has.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(backend: &B, parameters: &Parameters<B>, slots: impl Fn(&ParameterSpec) -> Vec<Slot>) -> Result<Self> {
        let zeros = |spec: &ParameterSpec| {
            let buffers = slots(spec).into_iter().map(|slot| Ok((slot, backend.zeros(slot.dtype, slot.len_of(spec))?)));
            buffers.collect::<Result<Vec<_>>>()
        };
        Ok(Self { tensors: parameters.specs().iter().map(zeros).collect::<Result<_>>()? })
    }

    /// The slots of each parameter in order, with their buffers.
    pub fn tensors(&self) -> &[Vec<(Slot, B::Buffer)>] {
        &self.tensors
    }

    /// The same, to be written.
    pub fn tensors_mut(&mut self) -> &mut [Vec<(Slot, B::Buffer)>] {
        &mut self.tensors
    }

    /// The state of each parameter in order: one view a slot.
    pub(super) fn by_parameter(&mut self, specs: &[ParameterSpec]) -> Vec<Vec<ViewMut<'_, B::Buffer>>> {
        self.tensors
            .iter_mut()
            .zip(specs)
            .map(|(slots, spec)| {
                slots.iter_mut().map(|(slot, buffer)| ViewMut::new(buffer, 0, slot.len_of(spec))).collect()
            })
            .collect()
    }
}
