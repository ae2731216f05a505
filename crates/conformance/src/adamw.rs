//! Suite of `adamw`.

use tunesmith_ops::adamw::reference;
use tunesmith_ops::grad_norm::reference::squared_sum;
use tunesmith_ops::{AdamW, AdamWStep, AdamWTensor, Clip, Result};

use crate::inputs::wide;
use crate::{Record, Stage};

/// Runs the suite: several steps over several tensors at once.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: AdamW>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let lengths = [0, 1, 15, 16, 17, 4099, 20_000];
    let (mut wants, mut states) = (Vec::new(), Vec::new());
    for (i, len) in lengths.into_iter().enumerate() {
        let [parameter, gradient] = [(); 2].map(|()| inputs.finite(len));
        wants.push(reference::Tensor {
            parameter: wide(&parameter),
            gradient: wide(&gradient),
            first_moment: vec![0.0; len],
            second_moment: vec![0.0; len],
            learning_rate: 1e-3 * (i as f64 + 1.0),
            weight_decay: 0.1 * i as f64,
        });
        let zeros = vec![0.0; len];
        states.push([
            stage.floats(&parameter)?,
            stage.floats(&gradient)?,
            stage.floats(&zeros)?,
            stage.floats(&zeros)?,
        ]);
    }
    for step in 1..=3 {
        let step = AdamWStep { step, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        // The second step is clipped: its moments are those of a smaller gradient.
        let clip = Clip { denominator: 2.0, max_grad_norm: (step.step == 2).then_some(0.5) };
        let squared_sum = squared_sum(wants.iter().map(|want| want.gradient.as_slice()));
        let factor = clip.factor(clip.norm(squared_sum));
        let gradients: Vec<_> = states.iter().map(|[_, gradient, ..]| gradient.view()).collect();
        let norm = stage.backend.grad_norm(&clip, &gradients)?;
        let mut tensors: Vec<_> = states
            .iter_mut()
            .zip(&wants)
            .map(|([parameter, gradient, first, second], want)| AdamWTensor {
                parameter: parameter.view_mut(),
                gradient: gradient.view(),
                first_moment: first.view_mut(),
                second_moment: second.view_mut(),
                learning_rate: want.learning_rate,
                weight_decay: want.weight_decay,
            })
            .collect();
        stage.backend.adamw(&step, &norm, &mut tensors)?;
        for want in &mut wants {
            reference::adamw(&step, factor, want);
        }
        for ([parameter, _, first, second], want) in states.iter().zip(&wants) {
            let name = format!("adamw step {} of {}", step.step, want.parameter.len());
            record.compare(format!("{name} parameter"), &stage.read(parameter)?, &want.parameter, 1e-6);
            record.compare(format!("{name} first"), &stage.read(first)?, &want.first_moment, 1e-6);
            record.compare(format!("{name} second"), &stage.read(second)?, &want.second_moment, 1e-6);
        }
    }
    not_finite(stage, record)
}

/// A step whose norm is not finite changes nothing.
fn not_finite<B: AdamW>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let start = [1.0, -2.0, 3.0];
    for bad in [f32::NAN, f32::INFINITY] {
        let gradient = stage.floats(&[0.5, bad, 0.5])?;
        let mut state = [stage.floats(&start)?, stage.floats(&start)?, stage.floats(&start)?];
        let norm = stage.backend.grad_norm(&Clip { denominator: 1.0, max_grad_norm: Some(1.0) }, &[gradient.view()])?;
        let [parameter, first, second] = &mut state;
        let tensor = AdamWTensor {
            parameter: parameter.view_mut(),
            gradient: gradient.view(),
            first_moment: first.view_mut(),
            second_moment: second.view_mut(),
            learning_rate: 0.1,
            weight_decay: 0.1,
        };
        let step = AdamWStep { step: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        stage.backend.adamw(&step, &norm, &mut [tensor])?;
        for (name, staged) in ["parameter", "first", "second"].iter().zip(&state) {
            record.same(format!("adamw with a gradient of {bad}: {name}"), &stage.read(staged)?, &start);
        }
    }
    Ok(())
}
