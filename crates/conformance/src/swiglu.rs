//! Suite of `swiglu`.

use tunesmith_ops::swiglu::reference;
use tunesmith_ops::{Activation, Result, Swiglu};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Swiglu>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for activation in [Activation::Silu, Activation::GeluTanh] {
        cases(stage, &mut inputs, record, activation)?;
    }
    let (gate, up, mut y) = (stage.activations(&[1.0; 2])?, stage.activations(&[1.0; 3])?, stage.activation_output(3)?);
    let outcome = stage.backend.swiglu_forward(Activation::Silu, gate.view(), up.view(), y.view_mut());
    record.refused("swiglu of unequal lengths", &outcome);
    Ok(())
}

fn cases<B: Swiglu>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    activation: Activation,
) -> Result<()> {
    let b = stage.backend;
    for (len, limit) in [(0, 1.0), (1, 3.0), (15, 3.0), (16, 3.0), (17, 3.0), (4099, 3.0), (20_000, 12.0), (64, 100.0)]
    {
        let mut gate = stage.round(inputs.uniform(len, limit));
        // The slopes have a zero below 0, at which one element alone has no scale to be compared with.
        gate.iter_mut().take(1).for_each(|gate| *gate = gate.abs());
        if limit > 50.0 {
            (gate[0], gate[1]) = (100.0, -100.0);
        }
        let (up, dy) = (stage.round(inputs.normal(len)), stage.round(inputs.normal(len)));
        let (mut staged_gate, mut staged_up) = (stage.activations(&gate)?, stage.activations(&up)?);
        let mut y = stage.activation_output(len)?;
        b.swiglu_forward(activation, staged_gate.view(), staged_up.view(), y.view_mut())?;
        let want = reference::forward(activation, &wide(&gate), &wide(&up));
        record.compare(
            format!("swiglu_forward {activation:?} {len} ±{limit}"),
            &stage.read(&y)?,
            &want,
            stage.tolerance(2e-6, 4e-3),
        );
        b.swiglu_backward(activation, stage.activations(&dy)?.view(), staged_gate.view_mut(), staged_up.view_mut())?;
        let (dgate, dup) = reference::backward(activation, &wide(&dy), &wide(&gate), &wide(&up));
        let name = format!("swiglu_backward {activation:?} {len} ±{limit}");
        record.compare(format!("{name} gate"), &stage.read(&staged_gate)?, &dgate, stage.tolerance(5e-6, 4e-3));
        record.compare(format!("{name} up"), &stage.read(&staged_up)?, &dup, stage.tolerance(5e-6, 4e-3));
    }
    Ok(())
}
