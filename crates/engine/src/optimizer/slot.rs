//! What an optimizer keeps of each trained tensor: named slots, from which the memory plan, the checkpoint and the tests know it.

use tunesmith_ops::{Backend, DType, Memory, Result, ViewMut};

use super::parameters::{ParameterSpec, Parameters};

/// One kind of state, kept once for every trained tensor.
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
}

impl Slot {
    /// A slot of float32 in the parameter's shape.
    pub const fn float32(name: &'static str) -> Self {
        Self { name, dtype: DType::F32, shape: SlotShape::Parameter }
    }

    /// Shape of the state of a parameter, row-major.
    pub fn shape_of(&self, parameter: &ParameterSpec) -> Vec<usize> {
        match self.shape {
            SlotShape::Parameter => parameter.shape.clone(),
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
}

/// The state of every trained tensor, slot by slot.
pub struct State<B: Memory> {
    slots: Vec<(Slot, Vec<B::Buffer>)>,
}

impl<B: Backend> State<B> {
    /// Zeros for every parameter.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(backend: &B, parameters: &Parameters<B>, slots: &[Slot]) -> Result<Self> {
        let zeros = |slot: &Slot| {
            let specs = parameters.specs().iter();
            let buffers = specs.map(|spec| backend.zeros(slot.dtype, slot.len_of(spec))).collect::<Result<Vec<_>>>()?;
            Ok((*slot, buffers))
        };
        Ok(Self { slots: slots.iter().map(zeros).collect::<Result<_>>()? })
    }

    /// The slots with their buffers, one for each parameter in order.
    pub fn slots(&self) -> impl Iterator<Item = (&Slot, &[B::Buffer])> {
        self.slots.iter().map(|(slot, buffers)| (slot, buffers.as_slice()))
    }

    /// The same, to be written.
    pub fn slots_mut(&mut self) -> impl Iterator<Item = (&Slot, &mut [B::Buffer])> {
        self.slots.iter_mut().map(|(slot, buffers)| (&*slot, buffers.as_mut_slice()))
    }

    /// The state of each parameter in order: one view a slot, in the order of the slots.
    pub(super) fn by_parameter(&mut self, specs: &[ParameterSpec]) -> Vec<Vec<ViewMut<'_, B::Buffer>>> {
        let mut states: Vec<Vec<ViewMut<'_, B::Buffer>>> = specs.iter().map(|_| Vec::new()).collect();
        for (slot, buffers) in &mut self.slots {
            for ((state, spec), buffer) in states.iter_mut().zip(specs).zip(buffers) {
                state.push(ViewMut::new(buffer, 0, slot.len_of(spec)));
            }
        }
        states
    }
}
