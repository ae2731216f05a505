//! Suite of `dropout`.

use tunesmith_ops::dropout::reference;
use tunesmith_ops::{Dropout, DropoutMask, Result};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Dropout>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for (m, n) in [(0, 4), (1, 1), (1, 3), (257, 4), (257, 5), (3, 64), (257, 65), (5, 4099)] {
        for p in [0.0, 0.1, 0.5] {
            case(stage, &mut inputs, record, m, n, p)?;
        }
    }
    places(stage, &mut inputs, record)?;
    refusals(stage, record)
}

fn case<B: Dropout>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    m: usize,
    n: usize,
    p: f64,
) -> Result<()> {
    let mask = DropoutMask { key: inputs.bits(), p };
    let (x, old) = (stage.round(inputs.normal(m * n)), stage.round(inputs.normal(m * n)));
    let (mut rows, positions) = (inputs.integers(m, 1 << 30), inputs.integers(m, 5000));
    rows.iter_mut().step_by(2).for_each(|row| *row = -*row);
    let staged = (stage.integers(&rows)?, stage.integers(&positions)?, stage.activations(&x)?);
    let want = reference::dropout(n, mask, &rows, &positions, f64::from(mask.scale()), &wide(&x));
    for accumulate in [false, true] {
        let mut y = if accumulate { stage.activations(&old)? } else { stage.activation_output(m * n)? };
        let (rows, positions, x) = (staged.0.view(), staged.1.view(), staged.2.view());
        stage.backend.dropout(m, n, mask, rows, positions, mask.scale(), x, y.view_mut(), accumulate)?;
        let added = |(want, old): (&f64, &f32)| want + f64::from(*old);
        let want: Vec<f64> = if accumulate { want.iter().zip(&old).map(added).collect() } else { want.clone() };
        let name = format!("dropout {m}×{n} p {p} accumulate {accumulate}");
        record.compare(name, &stage.read(&y)?, &want, stage.tolerance(1e-7, 4e-3));
    }
    Ok(())
}

/// A token keeps its mask wherever it lies in the batch, and two tokens of one batch do not share theirs.
fn places<B: Dropout>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record) -> Result<()> {
    let (m, n) = (6, 4096);
    let mask = DropoutMask { key: inputs.bits(), p: 0.5 };
    let (rows, positions) = ([7, 7, 7, 9, 9, 9], [0, 1, 2, 0, 1, 2]);
    let x = stage.activations(&vec![1.0; m * n])?;
    let mut outputs = Vec::new();
    for order in [[0, 1, 2, 3, 4, 5], [4, 2, 0, 5, 1, 3]] {
        let (rows, positions) = (order.map(|i| rows[i]), order.map(|i| positions[i]));
        let (rows, positions, mut y) =
            (stage.integers(&rows)?, stage.integers(&positions)?, stage.activation_output(m * n)?);
        stage.backend.dropout(m, n, mask, rows.view(), positions.view(), 1.0, x.view(), y.view_mut(), false)?;
        let mut tokens = vec![Vec::new(); m];
        for (token, line) in order.iter().zip(stage.read(&y)?.chunks(n)) {
            tokens[*token] = line.to_vec();
        }
        outputs.push(tokens);
    }
    for (token, (a, b)) in outputs[0].iter().zip(&outputs[1]).enumerate() {
        record.same(format!("dropout of token {token} in another place"), a, b);
        let other = &outputs[0][(token + 1) % m];
        let agree = a.iter().zip(other).filter(|(a, b)| (**a > 0.5) == (**b > 0.5)).count();
        let unlike = (agree as f64 / n as f64 - 0.5).abs();
        // Four standard deviations of 4096 coin tosses.
        record.measured(format!("dropout of token {token} is its own"), unlike, 0.032, a);
        let kept = a.iter().sum::<f32>() as f64 / n as f64;
        record.measured(format!("dropout of token {token} keeps half"), (kept - 0.5).abs(), 0.032, a);
    }
    Ok(())
}

fn refusals<B: Dropout>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let (places, x, mut y) = (stage.integers(&[0, 1])?, stage.activations(&[1.0; 6])?, stage.activation_output(6)?);
    let b = stage.backend;
    for p in [1.0, -0.1, f64::NAN] {
        let mask = DropoutMask { key: 1, p };
        let outcome = b.dropout(2, 3, mask, places.view(), places.view(), 1.0, x.view(), y.view_mut(), false);
        record.refused(format!("dropout with p {p}"), &outcome);
    }
    let mask = DropoutMask { key: 1, p: 0.5 };
    let outcome = b.dropout(3, 2, mask, places.view(), places.view(), 1.0, x.view(), y.view_mut(), false);
    record.refused("dropout of more rows than places", &outcome);
    Ok(())
}
