//! Suite of `adafactor`.

use tunesmith_ops::adafactor::reference;
use tunesmith_ops::grad_norm::reference::squared_sum;
use tunesmith_ops::{Adafactor, AdafactorStep, AdafactorTensor, Clip, Result};

use crate::inputs::wide;
use crate::stage::Staged;
use crate::{Record, Stage};

/// As transformers' Trainer sets it.
const PLAIN: AdafactorStep = AdafactorStep {
    step: 1,
    decay_rate: -0.8,
    epsilon: [1e-30, 1e-3],
    clip_threshold: 1.0,
    beta1: None,
    scale_parameter: false,
};

/// Matrices, rows, columns; where a vector is meant, only columns.
const SHAPES: [([usize; 3], bool); 13] = [
    ([1, 0, 5], true),
    ([1, 1, 1], true),
    ([1, 7, 1], true),
    ([1, 16, 300], true),
    ([1, 255, 5], true),
    ([1, 256, 16], true),
    ([1, 257, 33], true),
    ([1, 600, 16], true),
    ([3, 16, 33], true),
    ([2, 257, 5], true),
    ([1, 1, 1], false),
    ([1, 1, 17], false),
    ([1, 1, 4099], false),
];

/// Runs the suite: several steps over matrices, stacks and vectors at once, with every part of the rule.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Adafactor>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    for (name, step) in [
        ("plain", PLAIN),
        ("scaled", AdafactorStep { scale_parameter: true, epsilon: [1e-20, 0.5], ..PLAIN }),
        ("with a first moment", AdafactorStep { beta1: Some(0.9), clip_threshold: 0.7, decay_rate: -0.5, ..PLAIN }),
    ] {
        steps(stage, seed, record, name, step)?;
    }
    zeros(stage, record)?;
    not_finite(stage, record)?;
    refusals(stage, record)
}

/// Parameter, gradient and moments.
struct State<T> {
    parameter: Staged<T>,
    gradient: Staged<T>,
    row: Option<Staged<T>>,
    column: Staged<T>,
    first: Staged<T>,
}

impl<T> State<T> {
    fn new<B: Adafactor<Buffer = T>>(stage: &Stage<'_, B>, want: &reference::Tensor, gradient: &[f32]) -> Result<Self> {
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        Ok(Self {
            parameter: stage.floats(&narrow(&want.parameter))?,
            gradient: stage.floats(gradient)?,
            row: want.row_moment.as_ref().map(|moment| stage.floats(&narrow(moment))).transpose()?,
            column: stage.floats(&narrow(&want.column_moment))?,
            first: stage.floats(&narrow(&want.first_moment))?,
        })
    }

    fn tensor(&mut self, step: &AdafactorStep, want: &reference::Tensor) -> AdafactorTensor<'_, T> {
        AdafactorTensor {
            parameter: self.parameter.view_mut(),
            gradient: self.gradient.view(),
            shape: want.shape,
            row_moment: self.row.as_mut().map(Staged::view_mut),
            column_moment: self.column.view_mut(),
            first_moment: step.beta1.map(|_| self.first.view_mut()),
            learning_rate: want.learning_rate,
            weight_decay: want.weight_decay,
        }
    }
}

/// A tensor before its first step.
fn fresh(shape: [usize; 3], factored: bool, parameter: &[f32], gradient: &[f32]) -> reference::Tensor {
    let [e, n, k] = shape;
    reference::Tensor {
        parameter: wide(parameter),
        gradient: wide(gradient),
        shape,
        row_moment: factored.then(|| vec![0.0; e * n]),
        column_moment: vec![0.0; e * k],
        first_moment: vec![0.0; e * n * k],
        learning_rate: 1e-2,
        weight_decay: 0.1,
    }
}

fn steps<B: Adafactor>(
    stage: &Stage<'_, B>,
    seed: u64,
    record: &mut Record,
    name: &str,
    constants: AdafactorStep,
) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let (mut wants, mut states) = (Vec::new(), Vec::new());
    for (i, (shape, factored)) in SHAPES.into_iter().enumerate() {
        let [parameter, gradient] = [(); 2].map(|()| inputs.finite(shape.iter().product()));
        // Rows and columns of unlike size, so that neither can stand for the other.
        let uneven = |at: usize, x: f32| x * (1.0 + (at % shape[2]) as f32 + 0.1 * (at / shape[2] % shape[1]) as f32);
        let gradient: Vec<f32> = gradient.into_iter().enumerate().map(|(at, x)| uneven(at, x)).collect();
        let mut want = fresh(shape, factored, &parameter, &gradient);
        want.learning_rate *= i as f64 + 1.0;
        want.weight_decay *= i as f64;
        states.push(State::new(stage, &want, &gradient)?);
        wants.push(want);
    }
    for number in 1..=3 {
        let step = AdafactorStep { step: number, ..constants };
        // The second step is clipped: its moments take a smaller gradient.
        let clip = Clip { denominator: 2.0, max_grad_norm: (number == 2).then_some(0.5) };
        let factor = clip.factor(clip.norm(squared_sum(wants.iter().map(|want| want.gradient.as_slice()))));
        let gradients: Vec<_> = states.iter().map(|state| state.gradient.view()).collect();
        let norm = stage.backend.grad_norm(&clip, &gradients)?;
        let mut tensors: Vec<_> =
            states.iter_mut().zip(&wants).map(|(state, want)| state.tensor(&step, want)).collect();
        stage.backend.adafactor(&step, &norm, &mut tensors)?;
        for want in &mut wants {
            reference::adafactor(&step, factor, want);
        }
        for (state, want) in states.iter().zip(&wants) {
            let name = format!("adafactor {name}: step {number} of {:?}", want.shape);
            record.compare(format!("{name} parameter"), &stage.read(&state.parameter)?, &want.parameter, 2e-6);
            record.compare(format!("{name} columns"), &stage.read(&state.column)?, &want.column_moment, 2e-6);
            record.compare(format!("{name} first moment"), &stage.read(&state.first)?, &want.first_moment, 2e-6);
            if let (Some(row), Some(want)) = (&state.row, &want.row_moment) {
                record.compare(format!("{name} rows"), &stage.read(row)?, want, 2e-6);
            }
        }
    }
    Ok(())
}

/// Where nothing has a gradient, nothing but the decay changes a parameter.
fn zeros<B: Adafactor>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let want = fresh([1, 2, 3], true, &[1.0; 6], &[0.0; 6]);
    let mut state = State::new(stage, &want, &[0.0; 6])?;
    let norm = stage.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &[state.gradient.view()])?;
    stage.backend.adafactor(&PLAIN, &norm, &mut [state.tensor(&PLAIN, &want)])?;
    record.compare("adafactor without a gradient", &stage.read(&state.parameter)?, &[0.999; 6], 1e-6);
    Ok(())
}

/// A step whose norm is not finite changes nothing.
fn not_finite<B: Adafactor>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let step = AdafactorStep { beta1: Some(0.9), scale_parameter: true, ..PLAIN };
    for bad in [f32::NAN, f32::INFINITY] {
        let gradient = [0.5, bad, 0.5, 0.5, 0.5, 0.5];
        let mut want = fresh([1, 2, 3], true, &[1.0, -2.0, 3.0, 4.0, 5.0, 6.0], &gradient);
        want.row_moment = Some(vec![0.25, 0.5]);
        want.column_moment = vec![0.125, 0.25, 0.5];
        let mut state = State::new(stage, &want, &gradient)?;
        let norm =
            stage.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: Some(1.0) }, &[state.gradient.view()])?;
        stage.backend.adafactor(&step, &norm, &mut [state.tensor(&step, &want)])?;
        let kept = [("parameter", &state.parameter, &want.parameter), ("columns", &state.column, &want.column_moment)];
        let first = [("first moment", &state.first, &want.first_moment)];
        let row = state.row.as_ref().zip(want.row_moment.as_ref()).map(|(row, want)| ("rows", row, want));
        for (name, staged, want) in kept.into_iter().chain(first).chain(row) {
            let want: Vec<f32> = want.iter().map(|&value| value as f32).collect();
            record.same(format!("adafactor with a gradient of {bad}: {name}"), &stage.read(staged)?, &want);
        }
    }
    Ok(())
}

/// Moments that are missing, in vain or of another length.
fn refusals<B: Adafactor>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let want = fresh([1, 2, 3], true, &[1.0; 6], &[1.0; 6]);
    let mut state = State::new(stage, &want, &[1.0; 6])?;
    let [mut vain, mut short] = [stage.floats(&[0.0; 6])?, stage.floats(&[0.0; 2])?];
    let norm = stage.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: None }, &[state.gradient.view()])?;
    let momentum = AdafactorStep { beta1: Some(0.9), ..PLAIN };
    let tensor = AdafactorTensor { first_moment: Some(vain.view_mut()), ..state.tensor(&PLAIN, &want) };
    let outcome = stage.backend.adafactor(&PLAIN, &norm, &mut [tensor]);
    record.refused("adafactor with a first moment in vain", &outcome);
    let outcome = stage.backend.adafactor(&momentum, &norm, &mut [state.tensor(&PLAIN, &want)]);
    record.refused("adafactor without its first moment", &outcome);
    let tensor = AdafactorTensor { row_moment: None, ..state.tensor(&PLAIN, &want) };
    let outcome = stage.backend.adafactor(&PLAIN, &norm, &mut [tensor]);
    record.refused("adafactor of two rows without their moments", &outcome);
    let tensor = AdafactorTensor { shape: [1, 3, 2], ..state.tensor(&PLAIN, &want) };
    let outcome = stage.backend.adafactor(&PLAIN, &norm, &mut [tensor]);
    record.refused("adafactor with moments of another shape", &outcome);
    let tensor = AdafactorTensor { column_moment: short.view_mut(), ..state.tensor(&PLAIN, &want) };
    let outcome = stage.backend.adafactor(&PLAIN, &norm, &mut [tensor]);
    record.refused("adafactor with short moments of the columns", &outcome);
    Ok(())
}
