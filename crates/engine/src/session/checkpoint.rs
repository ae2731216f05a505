//! What a checkpoint holds: parameters and optimizer state, as safetensors.
//!
//! The random numbers are counters and the rest of the state belongs to the trainer, so this is all the engine has to save.

use std::path::Path;

use tunesmith_formats::{F32Tensor, SafetensorsFile, TensorSource, write_safetensors};
use tunesmith_ops::{Backend, Code, Error, Host, Memory, Result, View, ViewMut};

use crate::optimizer::{Optimizer, ParameterSpec, Parameters, Slot, refuse_non_finite};

/// File of the optimizer's state.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// File of the weights after full fine-tuning.
pub const MODEL_FILE: &str = "model.safetensors";
/// File of a PEFT adapter's weights.
pub const ADAPTER_FILE: &str = "adapter_model.safetensors";

const STEP: &str = "step";

/// Writes all parameters to one file under their own names.
///
/// # Errors
/// `NonFinite`, `Io`.
pub fn save_parameters<B: Backend>(backend: &B, parameters: &Parameters<B>, path: &Path) -> Result<()> {
    let host = parameters.read_all(backend)?;
    let tensors: Vec<F32Tensor<'_>> =
        parameters.specs().iter().zip(&host).map(|(spec, data)| tensor(spec.name.clone(), spec, data)).collect();
    write_safetensors(path, &tensors)
}

/// Writes the optimizer's state (`SLOT.NAME`, PyTorch's names of the slots) and the number of steps.
///
/// # Errors
/// `NonFinite`, `Io`.
pub fn save_optimizer<B: Backend>(
    backend: &B,
    parameters: &Parameters<B>,
    optimizer: &Optimizer<B>,
    path: &Path,
) -> Result<()> {
    let step = [optimizer.step as f32];
    let mut state = Vec::new();
    for (number, spec) in parameters.specs().iter().enumerate() {
        for (slot, buffers) in optimizer.state.slots() {
            let mut host = vec![0.0; slot.len_of(spec)];
            backend.read(View::new(&buffers[number], 0, host.len()), &mut host)?;
            let name = state_name(slot, spec);
            refuse_non_finite(&name, &host)?;
            state.push((name, slot.shape_of(spec), spec.stored(host)));
        }
    }
    let mut tensors: Vec<F32Tensor<'_>> =
        state.iter().map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data }).collect();
    tensors.push(F32Tensor { name: STEP.to_owned(), shape: vec![1], data: &step });
    write_safetensors(path, &tensors)
}

fn state_name(slot: &Slot, spec: &ParameterSpec) -> String {
    format!("{}.{}", slot.name, spec.name)
}

fn tensor<'a>(name: String, spec: &ParameterSpec, data: &'a [f32]) -> F32Tensor<'a> {
    F32Tensor { name, shape: spec.shape.clone(), data }
}

/// Reads back what the two functions above wrote. Everything is read and checked before anything is changed.
///
/// # Errors
/// `CheckpointInvalid` naming the tensor that is missing, of another shape or not finite; the errors of reading a file.
pub fn load<B: Backend>(
    backend: &B,
    parameters: &mut Parameters<B>,
    optimizer: &mut Optimizer<B>,
    parameter_file: &Path,
    optimizer_file: &Path,
) -> Result<()> {
    let saved = SafetensorsFile::open(parameter_file)?;
    let state = SafetensorsFile::open(optimizer_file)?;
    let specs = parameters.specs().to_vec();
    let values = specs.iter().map(|spec| read(&saved, &spec.name, &spec.shape)).collect::<Result<Vec<_>>>()?;
    let slots: Vec<Slot> = optimizer.state.slots().map(|(slot, _)| *slot).collect();
    let of_slot = |slot: &Slot| {
        let state_of = |spec: &ParameterSpec| read(&state, &state_name(slot, spec), &slot.shape_of(spec));
        specs.iter().map(state_of).collect::<Result<Vec<_>>>()
    };
    let states = slots.iter().map(of_slot).collect::<Result<Vec<_>>>()?;
    let step = read(&state, STEP, &[1])?[0] as u64;

    for (id, host) in parameters.ids().zip(&values) {
        parameters.write(backend, id, host)?;
    }
    for ((_, buffers), hosts) in optimizer.state.slots_mut().zip(&states) {
        restore(backend, &specs, buffers, hosts)?;
    }
    optimizer.step = step;
    Ok(())
}

fn read(source: &SafetensorsFile, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    if !source.contains(name) {
        return Err(mismatch(name, format!("expected shape {shape:?}, got no such tensor")));
    }
    let tensor = source.get(name)?;
    if tensor.shape != shape {
        return Err(mismatch(name, format!("expected shape {shape:?}, got {:?}", tensor.shape)));
    }
    let mut host = Vec::new();
    tensor.to_f32(&mut host)?;
    match host.iter().find(|value| !value.is_finite()) {
        None => Ok(host),
        Some(value) => {
            let message = format!("expected finite values, got {value}; resume from an older checkpoint");
            Err(Error::new(Code::CheckpointInvalid, name, message))
        }
    }
}

fn mismatch(name: &str, message: String) -> Error {
    Error::new(Code::CheckpointInvalid, name, message + "; the checkpoint is of another model, adapter or optimizer")
}

fn restore<B: Memory>(
    backend: &B,
    specs: &[ParameterSpec],
    buffers: &mut [B::Buffer],
    hosts: &[Vec<f32>],
) -> Result<()> {
    for ((spec, buffer), host) in specs.iter().zip(buffers).zip(hosts) {
        backend.write(Host::F32(&spec.held(host)), ViewMut::new(buffer, 0, host.len()))?;
    }
    Ok(())
}
