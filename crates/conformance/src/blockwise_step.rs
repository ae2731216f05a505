//! Suite of `blockwise_step`.

use tunesmith_ops::blockwise_step::reference;
use tunesmith_ops::grad_norm::reference::squared_sum;
use tunesmith_ops::{BLOCK, BlockwiseRule, BlockwiseStep, BlockwiseTensor, Clip, Quantized, Result};

use crate::inputs::wide;
use crate::stage::Staged;
use crate::{Record, Stage};

/// Codes that differ by one, of so many: the comparison with a midpoint has the last bit of a float32.
const OFF_BY_ONE: f64 = 1e-3;

/// Runs the suite: several steps over several tensors at once, by every rule.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: BlockwiseStep>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    steps(stage, seed, record, &BlockwiseRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 })?;
    steps(stage, seed, record, &BlockwiseRule::Lion { beta1: 0.9, beta2: 0.99 })?;
    not_finite(stage, record)?;
    refusals(stage, record)
}

/// Parameter, gradient, and codes with their scales.
struct State<T> {
    parameter: Staged<T>,
    gradient: Staged<T>,
    states: Vec<[Staged<T>; 2]>,
}

impl<T> State<T> {
    fn tensor(&mut self, learning_rate: f64, weight_decay: f64) -> BlockwiseTensor<'_, T> {
        BlockwiseTensor {
            parameter: self.parameter.view_mut(),
            gradient: self.gradient.view(),
            states: self
                .states
                .iter_mut()
                .map(|[codes, absmax]| Quantized { codes: codes.view_mut(), absmax: absmax.view_mut() })
                .collect(),
            learning_rate,
            weight_decay,
        }
    }
}

fn state_of<B: BlockwiseStep>(
    stage: &Stage<'_, B>,
    rule: &BlockwiseRule,
    [parameter, gradient]: [&[f32]; 2],
) -> Result<State<B::Buffer>> {
    let len = parameter.len();
    let zeros = || Ok([stage.bytes(&vec![0; len])?, stage.floats(&vec![0.0; len.div_ceil(BLOCK)])?]);
    let states = (0..rule.states()).map(|_| zeros()).collect::<Result<_>>()?;
    Ok(State { parameter: stage.floats(parameter)?, gradient: stage.floats(gradient)?, states })
}

fn steps<B: BlockwiseStep>(stage: &Stage<'_, B>, seed: u64, record: &mut Record, rule: &BlockwiseRule) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let (mut wants, mut states) = (Vec::new(), Vec::new());
    for (i, len) in [0, 1, 255, 256, 257, 4096, 4611].into_iter().enumerate() {
        let [parameter, mut gradient] = [(); 2].map(|()| inputs.finite(len));
        // Three decades in a block, some elements without a gradient, and a block of nothing.
        for (place, g) in gradient.iter_mut().enumerate() {
            *g *= if place % 11 == 0 || (512..768).contains(&place) { 0.0 } else { [1.0, 0.1, 0.001][place % 3] };
        }
        let zeros = || reference::Quantized { codes: vec![0; len], absmax: vec![0.0; len.div_ceil(BLOCK)] };
        states.push(state_of(stage, rule, [&parameter, &gradient])?);
        wants.push(reference::Tensor {
            parameter: wide(&parameter),
            gradient: wide(&gradient),
            states: (0..rule.states()).map(|_| zeros()).collect(),
            learning_rate: 1e-3 * (i as f64 + 1.0),
            weight_decay: 0.1 * i as f64,
        });
    }
    for step in 1..=3 {
        // The second step is clipped: its states take a smaller gradient.
        let clip = Clip { denominator: 2.0, max_grad_norm: (step == 2).then_some(0.5) };
        let factor = clip.factor(clip.norm(squared_sum(wants.iter().map(|want| want.gradient.as_slice()))));
        let gradients: Vec<_> = states.iter().map(|state| state.gradient.view()).collect();
        let norm = stage.backend.grad_norm(&clip, &gradients)?;
        let tensors = states.iter_mut().zip(&wants);
        let mut tensors: Vec<_> =
            tensors.map(|(state, want)| state.tensor(want.learning_rate, want.weight_decay)).collect();
        stage.backend.blockwise_step(rule, step, &norm, &mut tensors)?;
        for (state, want) in states.iter().zip(&mut wants) {
            reference::blockwise_step(rule, step, factor, want);
            compare(stage, record, &format!("blockwise_step {rule:?}: step {step}"), state, want)?;
        }
    }
    Ok(())
}

/// Compares a tensor, and goes on from what was got: a code that is off by one would grow into the next step.
fn compare<B: BlockwiseStep>(
    stage: &Stage<'_, B>,
    record: &mut Record,
    name: &str,
    state: &State<B::Buffer>,
    want: &mut reference::Tensor,
) -> Result<()> {
    let name = format!("{name} of {}", want.parameter.len());
    record.compare(format!("{name} parameter"), &stage.read(&state.parameter)?, &want.parameter, 1e-6);
    for (number, ([codes, absmax], want)) in state.states.iter().zip(&mut want.states).enumerate() {
        let (codes, absmax) = (stage.read_bytes(codes)?, stage.read(absmax)?);
        record.compare(format!("{name} scales {number}"), &absmax, &want.absmax, 1e-6);
        let distance = |(got, want): (&f32, &u8)| (got - f32::from(*want)).abs();
        let off: Vec<f32> = codes.iter().zip(&want.codes).map(distance).collect();
        let most = off.iter().fold(0.0_f32, |most, by| most.max(*by));
        let share = off.iter().filter(|by| **by > 0.0).count() as f64 / off.len().max(1) as f64;
        let error = if codes.len() == want.codes.len() && most <= 1.0 { share } else { f64::INFINITY };
        record.compare(format!("{name} codes {number} off by one"), &[error as f32 + 1.0], &[1.0], OFF_BY_ONE);
        record.same(format!("{name} codes {number}"), &codes, &codes);
        want.codes = codes.iter().map(|code| *code as u8).collect();
        want.absmax = wide(&absmax);
    }
    Ok(())
}

/// A step whose norm is not finite changes nothing.
fn not_finite<B: BlockwiseStep>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let rule = BlockwiseRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    for bad in [f32::NAN, f32::INFINITY] {
        let start = [1.0, -2.0, 3.0];
        let mut state = state_of(stage, &rule, [&start, &[0.5, bad, 0.5]])?;
        let clip = Clip { denominator: 1.0, max_grad_norm: Some(1.0) };
        let norm = stage.backend.grad_norm(&clip, &[state.gradient.view()])?;
        stage.backend.blockwise_step(&rule, 1, &norm, &mut [state.tensor(0.1, 0.1)])?;
        let name = format!("blockwise_step with a gradient of {bad}");
        record.same(format!("{name}: parameter"), &stage.read(&state.parameter)?, &start);
        for [codes, absmax] in &state.states {
            record.same(format!("{name}: codes"), &stage.read_bytes(codes)?, &[0.0; 3]);
            record.same(format!("{name}: scales"), &stage.read(absmax)?, &[0.0]);
        }
    }
    Ok(())
}

/// States that are missing, and codes that are no bytes.
fn refusals<B: BlockwiseStep>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let rule = BlockwiseRule::Lion { beta1: 0.9, beta2: 0.99 };
    let numbers: [&[f32]; 2] = [&[1.0; 4], &[1.0; 4]];
    let mut state = state_of(stage, &rule, numbers)?;
    let norm = stage.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &[state.gradient.view()])?;
    let two = BlockwiseRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let result = stage.backend.blockwise_step(&two, 1, &norm, &mut [state.tensor(0.1, 0.0)]);
    record.refused("blockwise_step without a state", &result);
    state.states = vec![[stage.floats(&[0.0; 4])?, stage.floats(&[0.0])?]];
    let result = stage.backend.blockwise_step(&rule, 1, &norm, &mut [state.tensor(0.1, 0.0)]);
    record.refused("blockwise_step with codes in float32", &result);
    Ok(())
}
