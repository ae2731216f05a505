//! What a checkpoint holds: parameters and optimizer state, as safetensors.
//!
//! The random numbers are counters and the rest of the state belongs to the trainer, so this is all the engine has to save.

use std::path::Path;

use tunesmith_formats::{
    F32Tensor, SafetensorsFile, SafetensorsWriter, StoredType, TensorSource, TensorSpec, write_safetensors,
};
use tunesmith_ops::{Backend, Code, DType, Error, Host, Result, View, ViewMut};

use crate::optimizer::{
    Gradients, Optimizer, ParameterId, ParameterSpec, Parameters, PointWeights, Slot, refuse_non_finite,
};

/// File of the optimizer's state.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// File of the weights after full fine-tuning.
pub const MODEL_FILE: &str = "model.safetensors";
/// File of a PEFT adapter's weights.
pub const ADAPTER_FILE: &str = "adapter_model.safetensors";

const STEP: &str = "step";
/// Weights of the points of a schedule-free optimizer: of each group the largest rate and the sum.
const POINTS: &str = "points";
/// The trained point of a schedule-free optimizer, beside its mean in the file of the weights.
const TRAINED: &str = "y";

/// Writes all parameters to one file under their own names.
///
/// # Errors
/// `NonFinite`, `Io`.
pub fn save_parameters<B: Backend>(backend: &B, parameters: &Parameters<B>, path: &Path) -> Result<()> {
    let host = parameters.read_all(backend)?;
    let tensors: Vec<F32Tensor<'_>> = parameters
        .specs()
        .iter()
        .zip(&host)
        .map(|(spec, data)| F32Tensor { name: spec.name.clone(), shape: spec.shape.clone(), data })
        .collect();
    write_safetensors(path, &tensors)
}

/// A tensor on its way into the file.
struct Saved {
    spec: TensorSpec,
    bytes: Vec<u8>,
}

impl Saved {
    fn float32(name: String, shape: Vec<usize>, data: &[f32]) -> Self {
        let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { spec: TensorSpec { name, stored: StoredType::F32, shape }, bytes }
    }

    fn state(slot: &Slot, spec: &ParameterSpec, host: Vec<f32>) -> Self {
        let (name, shape) = (state_name(slot, spec), slot.shape_of(spec));
        match slot.dtype {
            DType::U8 => Self {
                spec: TensorSpec { name, stored: StoredType::U8, shape },
                bytes: host.into_iter().map(|code| code as u8).collect(),
            },
            _ if slot.follows_parameter() => Self::float32(name, shape, &spec.stored(host)),
            _ => Self::float32(name, shape, &host),
        }
    }
}

/// Writes the optimizer's state (`SLOT.NAME`, PyTorch's names of the slots) and the number of steps. In `trained` the trained points
/// of a schedule-free optimizer wait while the parameters are their mean.
///
/// # Errors
/// `NonFinite`, `Io`.
pub fn save_optimizer<B: Backend>(
    backend: &B,
    parameters: &Parameters<B>,
    optimizer: &Optimizer<B>,
    trained: Option<&Gradients<B>>,
    path: &Path,
) -> Result<()> {
    let mut tensors = vec![Saved::float32(STEP.to_owned(), vec![1], &[optimizer.step as f32])];
    let mut push = |slot: &Slot, spec: &ParameterSpec, view: View<'_, B::Buffer>| {
        let mut host = vec![0.0; view.len];
        backend.read(view, &mut host)?;
        refuse_non_finite(&state_name(slot, spec), &host)?;
        tensors.push(Saved::state(slot, spec, host));
        Ok::<(), Error>(())
    };
    for (spec, slots) in parameters.specs().iter().zip(optimizer.state.tensors()) {
        for (slot, buffer) in slots {
            push(slot, spec, View::new(buffer, 0, slot.len_of(spec)))?;
        }
    }
    if let Some(trained) = trained {
        for (spec, view) in parameters.specs().iter().zip(trained.views()) {
            push(&Slot::float32(TRAINED), spec, view)?;
        }
        let points: Vec<f32> = optimizer.points.iter().flat_map(|point| [point.largest_rate, point.sum]).collect();
        tensors.push(Saved::float32(POINTS.to_owned(), vec![optimizer.points.len(), 2], &points));
    }
    tensors.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    let mut writer = SafetensorsWriter::create(path, tensors.iter().map(|saved| saved.spec.clone()).collect())?;
    for Saved { spec, bytes } in &tensors {
        writer.write(&spec.name, bytes)?;
    }
    writer.finish()
}

fn state_name(slot: &Slot, spec: &ParameterSpec) -> String {
    format!("{}.{}", slot.name, spec.name)
}

/// Reads back what the two functions above wrote. Everything is read and checked before anything is changed. `trained` takes the
/// trained points of a schedule-free optimizer.
///
/// # Errors
/// `CheckpointInvalid` naming the tensor that is missing, of another shape or not finite; the errors of reading a file.
pub fn load<B: Backend>(
    backend: &B,
    parameters: &mut Parameters<B>,
    optimizer: &mut Optimizer<B>,
    trained: Option<&mut Gradients<B>>,
    (parameter_file, optimizer_file): (&Path, &Path),
) -> Result<()> {
    let saved = SafetensorsFile::open(parameter_file)?;
    let state = SafetensorsFile::open(optimizer_file)?;
    let specs = parameters.specs().to_vec();
    let values = specs.iter().map(|spec| read(&saved, &spec.name, &spec.shape)).collect::<Result<Vec<_>>>()?;
    let states = specs
        .iter()
        .zip(optimizer.state.tensors())
        .map(|(spec, slots)| {
            let of_slot = |(slot, _): &(Slot, _)| read(&state, &state_name(slot, spec), &slot.shape_of(spec));
            slots.iter().map(of_slot).collect::<Result<Vec<_>>>()
        })
        .collect::<Result<Vec<_>>>()?;
    let step = read(&state, STEP, &[1])?[0] as u64;
    let own =
        trained.map(|gradients| read_trained(&state, &specs, optimizer.points.len()).map(|read| (gradients, read)));

    let own = own.transpose()?;
    for (id, host) in parameters.ids().zip(&values) {
        parameters.write(backend, id, host)?;
    }
    for ((spec, slots), hosts) in specs.iter().zip(optimizer.state.tensors_mut()).zip(states) {
        for ((slot, buffer), host) in slots.iter_mut().zip(hosts) {
            restore(backend, spec, slot, ViewMut::new(buffer, 0, host.len()), host)?;
        }
    }
    if let Some((gradients, (points, trained))) = own {
        for (number, (spec, host)) in specs.iter().zip(trained).enumerate() {
            restore(backend, spec, &Slot::float32(TRAINED), gradients.of(ParameterId(number)), host)?;
        }
        optimizer.points = points;
    }
    optimizer.step = step;
    optimizer.values_replaced(backend, parameters)
}

/// The points of a schedule-free optimizer: their weights, and the trained one of each tensor.
fn read_trained(
    state: &SafetensorsFile,
    specs: &[ParameterSpec],
    groups: usize,
) -> Result<(Vec<PointWeights>, Vec<Vec<f32>>)> {
    let points = read(state, POINTS, &[groups, 2])?;
    let weights = points.chunks(2).map(|pair| PointWeights { largest_rate: pair[0], sum: pair[1] }).collect();
    let slot = Slot::float32(TRAINED);
    let trained = specs.iter().map(|spec| read(state, &state_name(&slot, spec), &spec.shape)).collect::<Result<_>>()?;
    Ok((weights, trained))
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

fn restore<B: Backend>(
    backend: &B,
    spec: &ParameterSpec,
    slot: &Slot,
    target: ViewMut<'_, B::Buffer>,
    host: Vec<f32>,
) -> Result<()> {
    match slot.dtype {
        DType::U8 => {
            let codes: Vec<u8> = host.into_iter().map(|code| code as u8).collect();
            backend.write(Host::U8(&codes), target)
        }
        _ if slot.follows_parameter() => backend.write(Host::F32(&spec.held(&host)), target),
        _ => backend.write(Host::F32(&host), target),
    }
}
