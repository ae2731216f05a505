//! Suite of `sgd`.

use tunesmith_ops::grad_norm::reference::squared_sum;
use tunesmith_ops::sgd::reference;
use tunesmith_ops::{Clip, Result, Sgd, SgdStep, SgdTensor};

use crate::inputs::wide;
use crate::stage::Staged;
use crate::{Record, Stage};

/// Runs the suite: several steps over several tensors at once, with every kind of momentum.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Sgd>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    for (momentum, dampening, nesterov) in [(0.0, 0.0, false), (0.9, 0.0, false), (0.8, 0.4, false), (0.9, 0.0, true)] {
        steps(stage, seed, record, SgdStep { step: 1, momentum, dampening, nesterov })?;
    }
    not_finite(stage, record)?;
    refusals(stage, record)
}

/// Parameter, gradient and momentum buffer.
type State<T> = [Staged<T>; 3];

/// A state as the op takes it; without its buffer where the momentum is 0.
fn tensor<'a, T>(state: &'a mut State<T>, step: &SgdStep, rate: f64, decay: f64) -> SgdTensor<'a, T> {
    let [parameter, gradient, buffer] = state;
    SgdTensor {
        parameter: parameter.view_mut(),
        gradient: gradient.view(),
        momentum_buffer: (step.momentum != 0.0).then(|| buffer.view_mut()),
        learning_rate: rate,
        weight_decay: decay,
    }
}

fn steps<B: Sgd>(stage: &Stage<'_, B>, seed: u64, record: &mut Record, constants: SgdStep) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let (mut wants, mut states) = (Vec::new(), Vec::new());
    for (i, len) in [0, 1, 15, 16, 17, 4099, 20_000].into_iter().enumerate() {
        let [parameter, gradient] = [(); 2].map(|()| inputs.finite(len));
        wants.push(reference::Tensor {
            parameter: wide(&parameter),
            gradient: wide(&gradient),
            momentum_buffer: vec![f64::NAN; len],
            learning_rate: 1e-2 * (i as f64 + 1.0),
            weight_decay: 0.1 * i as f64,
        });
        // What the buffer holds before the first step has no meaning.
        states.push([stage.floats(&parameter)?, stage.floats(&gradient)?, stage.output(len)?]);
    }
    for number in 1..=3 {
        let step = SgdStep { step: number, ..constants };
        // The second step is clipped: its buffers take a smaller gradient.
        let clip = Clip { denominator: 2.0, max_grad_norm: (number == 2).then_some(0.5) };
        let squared_sum = squared_sum(wants.iter().map(|want| want.gradient.as_slice()));
        let factor = clip.factor(clip.norm(squared_sum));
        let gradients: Vec<_> = states.iter().map(|[_, gradient, _]| gradient.view()).collect();
        let norm = stage.backend.grad_norm(&clip, &gradients)?;
        let tensors = states.iter_mut().zip(&wants);
        let mut tensors: Vec<_> =
            tensors.map(|(state, want)| tensor(state, &step, want.learning_rate, want.weight_decay)).collect();
        stage.backend.sgd(&step, &norm, &mut tensors)?;
        for want in &mut wants {
            reference::sgd(&step, factor, want);
        }
        for ([parameter, _, buffer], want) in states.iter().zip(&wants) {
            let SgdStep { momentum, dampening, nesterov, .. } = constants;
            let name = format!(
                "sgd momentum {momentum} dampening {dampening} nesterov {nesterov}: step {number} of {}",
                want.parameter.len()
            );
            record.compare(format!("{name} parameter"), &stage.read(parameter)?, &want.parameter, 1e-6);
            record.compare(format!("{name} buffer"), &stage.read(buffer)?, &want.momentum_buffer, 1e-6);
        }
    }
    Ok(())
}

const MOMENTUM: SgdStep = SgdStep { step: 2, momentum: 0.9, dampening: 0.0, nesterov: false };

/// A step whose norm is not finite changes nothing.
fn not_finite<B: Sgd>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let start = [1.0, -2.0, 3.0];
    for bad in [f32::NAN, f32::INFINITY] {
        let mut state = [stage.floats(&start)?, stage.floats(&[0.5, bad, 0.5])?, stage.floats(&start)?];
        let clip = Clip { denominator: 1.0, max_grad_norm: Some(1.0) };
        let norm = stage.backend.grad_norm(&clip, &[state[1].view()])?;
        stage.backend.sgd(&MOMENTUM, &norm, &mut [tensor(&mut state, &MOMENTUM, 0.1, 0.1)])?;
        for (name, place) in [("parameter", 0), ("buffer", 2)] {
            record.same(format!("sgd with a gradient of {bad}: {name}"), &stage.read(&state[place])?, &start);
        }
    }
    Ok(())
}

fn refusals<B: Sgd>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let mut state = [stage.floats(&[1.0])?, stage.floats(&[0.5])?, stage.floats(&[0.0])?];
    let norm = stage.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &[state[1].view()])?;
    let plain = SgdStep { momentum: 0.0, ..MOMENTUM };
    // The constants, and those whose tensors are handed over: a buffer may be missing or in vain.
    let refused = [
        ("a momentum below 0", SgdStep { momentum: -0.1, ..MOMENTUM }, MOMENTUM),
        ("a dampening of NaN", SgdStep { dampening: f64::NAN, ..MOMENTUM }, MOMENTUM),
        ("Nesterov without momentum", SgdStep { nesterov: true, ..plain }, plain),
        ("Nesterov with dampening", SgdStep { nesterov: true, dampening: 0.1, ..MOMENTUM }, MOMENTUM),
        ("no buffer", MOMENTUM, plain),
        ("a buffer in vain", plain, MOMENTUM),
    ];
    for (name, step, handed) in refused {
        let outcome = stage.backend.sgd(&step, &norm, &mut [tensor(&mut state, &handed, 0.1, 0.0)]);
        record.refused(format!("sgd with {name}"), &outcome);
    }
    Ok(())
}
