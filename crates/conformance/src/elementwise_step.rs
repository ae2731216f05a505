//! Suite of `elementwise_step`.

use tunesmith_ops::elementwise_step::{MOST_STATES, reference};
use tunesmith_ops::grad_norm::reference::squared_sum;
use tunesmith_ops::{Clip, ElementwiseRule, ElementwiseStep, Result, StepTensor};

use crate::inputs::wide;
use crate::stage::Staged;
use crate::{Record, Stage};

/// Every rule, and each of its ways.
fn rules() -> Vec<(&'static str, ElementwiseRule)> {
    let rms_prop = |momentum, centered| ElementwiseRule::RmsProp { alpha: 0.9, epsilon: 1e-6, momentum, centered };
    vec![
        ("lion", ElementwiseRule::Lion { beta1: 0.9, beta2: 0.99 }),
        ("schedule-free", ElementwiseRule::ScheduleFreeAdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 }),
        ("rmsprop", rms_prop(0.0, false)),
        ("rmsprop with momentum", rms_prop(0.8, false)),
        ("rmsprop about the mean", rms_prop(0.8, true)),
        ("adagrad", ElementwiseRule::Adagrad { epsilon: 1e-10, lr_decay: 0.1 }),
        ("ademamix", ElementwiseRule::AdEmaMix { beta1: 0.9, beta2: 0.99, beta3: 0.999, alpha: 5.0, epsilon: 1e-8 }),
    ]
}

/// Runs the suite: several steps over several tensors at once, by every rule.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: ElementwiseStep>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    for (name, rule) in rules() {
        steps(stage, seed, record, name, &rule)?;
    }
    not_finite(stage, record)?;
    refusals(stage, record)
}

/// Parameter, gradient and states.
struct State<T> {
    parameter: Staged<T>,
    gradient: Staged<T>,
    states: [Staged<T>; MOST_STATES],
}

impl<T> State<T> {
    /// As the op takes it, without the states that the rule does not use.
    fn tensor(&mut self, rule: &ElementwiseRule, want: &reference::Tensor) -> StepTensor<'_, T> {
        let mut used = rule.states().into_iter();
        StepTensor {
            parameter: self.parameter.view_mut(),
            gradient: self.gradient.view(),
            states: self.states.each_mut().map(|state| used.next().unwrap_or_default().then(|| state.view_mut())),
            learning_rate: want.learning_rate,
            weight_decay: want.weight_decay,
            average: want.average,
        }
    }
}

fn steps<B: ElementwiseStep>(
    stage: &Stage<'_, B>,
    seed: u64,
    record: &mut Record,
    name: &str,
    rule: &ElementwiseRule,
) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let (mut wants, mut states) = (Vec::new(), Vec::new());
    for (i, len) in [0, 1, 15, 16, 17, 4099, 20_000].into_iter().enumerate() {
        let [parameter, gradient] = [(); 2].map(|()| inputs.finite(len));
        wants.push(reference::Tensor {
            parameter: wide(&parameter),
            gradient: wide(&gradient),
            states: [(); MOST_STATES].map(|()| vec![0.0; len]),
            learning_rate: 1e-3 * (i as f64 + 1.0),
            weight_decay: 0.1 * i as f64,
            average: 0.25,
        });
        let zeros = vec![0.0; len];
        states.push(State {
            parameter: stage.floats(&parameter)?,
            gradient: stage.floats(&gradient)?,
            states: [stage.floats(&zeros)?, stage.floats(&zeros)?, stage.floats(&zeros)?],
        });
    }
    for step in 1..=3 {
        // The second step is clipped: its states take a smaller gradient.
        let clip = Clip { denominator: 2.0, max_grad_norm: (step == 2).then_some(0.5) };
        let factor = clip.factor(clip.norm(squared_sum(wants.iter().map(|want| want.gradient.as_slice()))));
        let gradients: Vec<_> = states.iter().map(|state| state.gradient.view()).collect();
        let norm = stage.backend.grad_norm(&clip, &gradients)?;
        let mut tensors: Vec<_> = states.iter_mut().zip(&wants).map(|(state, want)| state.tensor(rule, want)).collect();
        stage.backend.elementwise_step(rule, step, &norm, &mut tensors)?;
        for want in &mut wants {
            reference::elementwise_step(rule, step, factor, want);
        }
        for (state, want) in states.iter().zip(&wants) {
            let name = format!("elementwise_step {name}: step {step} of {}", want.parameter.len());
            record.compare(format!("{name} parameter"), &stage.read(&state.parameter)?, &want.parameter, 1e-6);
            for (number, (got, want)) in state.states.iter().zip(&want.states).enumerate() {
                record.compare(format!("{name} state {number}"), &stage.read(got)?, want, 2e-6);
            }
        }
    }
    Ok(())
}

/// A step whose norm is not finite changes nothing.
fn not_finite<B: ElementwiseStep>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let start = [1.0, -2.0, 3.0];
    let rule = ElementwiseRule::Lion { beta1: 0.9, beta2: 0.99 };
    for bad in [f32::NAN, f32::INFINITY] {
        let gradient = stage.floats(&[0.5, bad, 0.5])?;
        let [mut parameter, mut state] = [stage.floats(&start)?, stage.floats(&start)?];
        let norm = stage.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: Some(1.0) }, &[gradient.view()])?;
        let tensor = StepTensor {
            parameter: parameter.view_mut(),
            gradient: gradient.view(),
            states: [Some(state.view_mut()), None, None],
            learning_rate: 0.1,
            weight_decay: 0.1,
            average: 0.0,
        };
        stage.backend.elementwise_step(&rule, 1, &norm, &mut [tensor])?;
        for (name, staged) in [("parameter", &parameter), ("state", &state)] {
            let name = format!("elementwise_step with a gradient of {bad}: {name}");
            record.same(name, &stage.read(staged)?, &start);
        }
    }
    Ok(())
}

/// States that are missing, in vain or of another length.
fn refusals<B: ElementwiseStep>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let rule = ElementwiseRule::Lion { beta1: 0.9, beta2: 0.99 };
    let gradient = stage.floats(&[1.0; 4])?;
    let norm = stage.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &[gradient.view()])?;
    let [mut parameter, mut state, mut short, mut vain] =
        [stage.floats(&[1.0; 4])?, stage.floats(&[1.0; 4])?, stage.floats(&[1.0; 3])?, stage.floats(&[1.0; 4])?];
    for (name, states) in [
        ("without its state", [None, None, None]),
        ("with a state in vain", [Some(state.view_mut()), Some(vain.view_mut()), None]),
        ("with a short state", [Some(short.view_mut()), None, None]),
    ] {
        let tensor = StepTensor {
            parameter: parameter.view_mut(),
            gradient: gradient.view(),
            states,
            learning_rate: 0.1,
            weight_decay: 0.1,
            average: 0.0,
        };
        let result = stage.backend.elementwise_step(&rule, 1, &norm, &mut [tensor]);
        record.refused(format!("elementwise_step {name}"), &result);
    }
    Ok(())
}
