//! Suite of `muon`.

use tunesmith_ops::grad_norm::reference::squared_sum;
use tunesmith_ops::muon::{reference, workspace};
use tunesmith_ops::{Clip, Muon, MuonStep, MuonTensor, MuonWorkspace, Result};

use crate::inputs::wide;
use crate::stage::Staged;
use crate::{Record, Stage};

/// As torch.optim.Muon sets it.
const PLAIN: MuonStep =
    MuonStep { momentum: 0.95, nesterov: true, coefficients: [3.4445, -4.775, 2.0315], iterations: 5, epsilon: 1e-7 };

const SHAPES: [[usize; 3]; 9] =
    [[1, 0, 3], [1, 1, 1], [1, 2, 3], [1, 16, 40], [1, 33, 3], [3, 16, 16], [2, 33, 16], [1, 257, 40], [1, 16, 300]];

/// Runs the suite: several steps over matrices and stacks at once, with every part of the rule.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Muon>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    for (name, step) in [
        ("plain", PLAIN),
        ("without Nesterov", MuonStep { momentum: 0.4, nesterov: false, ..PLAIN }),
        ("of one iteration", MuonStep { iterations: 1, coefficients: [1.5, -0.5, 0.25], epsilon: 2.0, ..PLAIN }),
    ] {
        steps(stage, seed, record, name, &step)?;
    }
    zeros(stage, record)?;
    not_finite(stage, record)?;
    refusals(stage, record)
}

/// Parameter, gradient and momentum.
struct State<T> {
    parameter: Staged<T>,
    gradient: Staged<T>,
    momentum: Staged<T>,
}

impl<T> State<T> {
    fn new<B: Muon<Buffer = T>>(stage: &Stage<'_, B>, want: &reference::Tensor, momentum: &[f32]) -> Result<Self> {
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let [parameter, gradient] = [&want.parameter, &want.gradient].map(|values| narrow(values));
        Ok(Self {
            parameter: stage.floats(&parameter)?,
            gradient: stage.floats(&gradient)?,
            momentum: stage.floats(momentum)?,
        })
    }

    fn tensor(&mut self, want: &reference::Tensor) -> MuonTensor<'_, T> {
        MuonTensor {
            parameter: self.parameter.view_mut(),
            gradient: self.gradient.view(),
            momentum_buffer: self.momentum.view_mut(),
            shape: want.shape,
            learning_rate: want.learning_rate,
            decay: want.decay,
        }
    }
}

fn run<B: Muon>(
    stage: &Stage<'_, B>,
    step: &MuonStep,
    clip: &Clip,
    tensors: &mut [MuonTensor<'_, B::Buffer>],
) -> Result<()> {
    let gradients: Vec<_> = tensors.iter().map(|tensor| tensor.gradient).collect();
    let norm = stage.backend.grad_norm(clip, &gradients)?;
    let [activations, floats] = workspace(tensors.iter().map(|tensor| tensor.shape));
    let [mut activations, mut floats] = [stage.activation_output(activations)?, stage.output(floats)?];
    let room = MuonWorkspace { activations: activations.view_mut(), floats: floats.view_mut() };
    stage.backend.muon(step, &norm, tensors, room)
}

fn fresh(shape: [usize; 3], gradient: &[f32]) -> reference::Tensor {
    let len = gradient.len();
    let parameter = (0..len).map(|at| 0.125 * (at % 7) as f64).collect();
    let gradient = wide(gradient);
    reference::Tensor { parameter, gradient, momentum_buffer: vec![0.0; len], shape, learning_rate: 1.0, decay: 0.0 }
}

fn steps<B: Muon>(stage: &Stage<'_, B>, seed: u64, record: &mut Record, name: &str, step: &MuonStep) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let (mut wants, mut states) = (Vec::new(), Vec::new());
    for (i, shape) in SHAPES.into_iter().enumerate() {
        let mut want = fresh(shape, &inputs.finite(shape.iter().product()));
        want.learning_rate += 0.1 * i as f64;
        want.decay = 0.01 * i as f64;
        states.push(State::new(stage, &want, &vec![0.0; want.parameter.len()])?);
        wants.push(want);
    }
    for number in 1..=2 {
        // The second step is clipped: its momentum takes a smaller gradient.
        let clip = Clip { denominator: 2.0, max_grad_norm: (number == 2).then_some(0.5) };
        let factor = clip.factor(clip.norm(squared_sum(wants.iter().map(|want| want.gradient.as_slice()))));
        let mut tensors: Vec<_> = states.iter_mut().zip(&wants).map(|(state, want)| state.tensor(want)).collect();
        run(stage, step, &clip, &mut tensors)?;
        for (state, want) in states.iter().zip(&mut wants) {
            let before = want.parameter.clone();
            reference::muon(step, factor, want);
            let name = format!("muon {name}: step {number} of {:?}", want.shape);
            record.compare(format!("{name} momentum"), &stage.read(&state.momentum)?, &want.momentum_buffer, 1e-6);
            let got = stage.read(&state.parameter)?;
            let error = if got.len() == before.len() { change_error(&got, want, &before) } else { f64::INFINITY };
            record.measured(format!("{name} parameter"), error, 6e-3, &got);
            // What a step has got wrong is not held against the next one.
            want.parameter = wide(&got);
            want.momentum_buffer = wide(&stage.read(&state.momentum)?);
        }
    }
    Ok(())
}

/// Root mean square of a parameter's error over that of its change.
fn change_error(got: &[f32], want: &reference::Tensor, before: &[f64]) -> f64 {
    let sum = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let error = sum(&mut got.iter().zip(&want.parameter).map(|(got, want)| f64::from(*got) - want));
    let change = sum(&mut want.parameter.iter().zip(before).map(|(after, before)| after - before));
    if error == 0.0 { 0.0 } else { error / change }
}

/// Where nothing has a gradient, nothing but the decay changes a parameter.
fn zeros<B: Muon>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let mut want = fresh([1, 2, 3], &[0.0; 6]);
    want.parameter = vec![1.0; 6];
    want.decay = 0.25;
    let mut state = State::new(stage, &want, &[0.0; 6])?;
    run(stage, &PLAIN, &Clip { denominator: 1.0, max_grad_norm: None }, &mut [state.tensor(&want)])?;
    record.same("muon without a gradient", &stage.read(&state.parameter)?, &[0.75; 6]);
    Ok(())
}

/// A step whose norm is not finite changes nothing.
fn not_finite<B: Muon>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    for bad in [f32::NAN, f32::INFINITY] {
        let want = fresh([1, 2, 3], &[0.5, bad, 0.5, 0.5, 0.5, 0.5]);
        let momentum = [0.5, -0.5, 0.25, 1.0, 2.0, 3.0];
        let mut state = State::new(stage, &want, &momentum)?;
        run(stage, &PLAIN, &Clip { denominator: 1.0, max_grad_norm: Some(1.0) }, &mut [state.tensor(&want)])?;
        let parameter: Vec<f32> = want.parameter.iter().map(|&value| value as f32).collect();
        record.same(format!("muon with a gradient of {bad}: parameter"), &stage.read(&state.parameter)?, &parameter);
        record.same(format!("muon with a gradient of {bad}: momentum"), &stage.read(&state.momentum)?, &momentum);
    }
    Ok(())
}

/// Views of another length, and a workspace that is too small.
fn refusals<B: Muon>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let want = fresh([1, 2, 3], &[1.0; 6]);
    let mut state = State::new(stage, &want, &[0.0; 6])?;
    let [mut short, mut floats] = [stage.floats(&[0.0; 5])?, stage.output(6)?];
    let clip = Clip { denominator: 1.0, max_grad_norm: None };
    let tensor = MuonTensor { momentum_buffer: short.view_mut(), ..state.tensor(&want) };
    record.refused("muon with a short momentum buffer", &run(stage, &PLAIN, &clip, &mut [tensor]));
    let tensor = MuonTensor { shape: [1, 3, 3], ..state.tensor(&want) };
    record.refused("muon with another shape", &run(stage, &PLAIN, &clip, &mut [tensor]));
    let norm = stage.backend.grad_norm(&clip, &[state.gradient.view()])?;
    let mut activations = stage.activation_output(9)?;
    let room = MuonWorkspace { activations: activations.view_mut(), floats: floats.view_mut() };
    let outcome = stage.backend.muon(&PLAIN, &norm, &mut [state.tensor(&want)], room);
    record.refused("muon with a small workspace", &outcome);
    Ok(())
}
