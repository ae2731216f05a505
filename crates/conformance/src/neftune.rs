//! Suite of `neftune`.

use tunesmith_ops::neftune::reference;
use tunesmith_ops::{Neftune, Result};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Neftune>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for (m, n) in [(0, 4), (1, 1), (1, 3), (257, 4), (257, 5), (3, 64), (257, 65), (5, 4099)] {
        case(stage, &mut inputs, record, m, n)?;
    }
    places(stage, &mut inputs, record)?;
    refusals(stage, record)
}

fn case<B: Neftune>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record, m: usize, n: usize) -> Result<()> {
    let (key, old) = (inputs.bits(), stage.round(inputs.normal(m * n)));
    let (mut rows, positions) = (inputs.integers(m, 1 << 30), inputs.integers(m, 5000));
    rows.iter_mut().step_by(2).for_each(|row| *row = -*row);
    let mut magnitudes = inputs.normal(m);
    magnitudes.iter_mut().step_by(3).for_each(|magnitude| *magnitude = 0.0);
    let mut y = stage.activations(&old)?;
    let staged = (stage.integers(&rows)?, stage.integers(&positions)?, stage.floats(&magnitudes)?);
    stage.backend.neftune(m, n, key, staged.0.view(), staged.1.view(), staged.2.view(), y.view_mut())?;
    let want = reference::neftune(n, key, &rows, &positions, &wide(&magnitudes), &wide(&old));
    record.compare(format!("neftune {m}×{n}"), &stage.read(&y)?, &want, stage.tolerance(2e-7, 4e-3));
    Ok(())
}

/// A token has its noise wherever it lies in the batch, another one than its neighbours, uniform in (−1, 1).
fn places<B: Neftune>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record) -> Result<()> {
    let (m, n) = (6, 4096);
    let key = inputs.bits();
    let (rows, positions) = ([7, 7, 7, 9, 9, 9], [0, 1, 2, 0, 1, 2]);
    let magnitudes = stage.floats(&[1.0; 6])?;
    let mut outputs = Vec::new();
    for order in [[0, 1, 2, 3, 4, 5], [4, 2, 0, 5, 1, 3]] {
        let (rows, positions) = (order.map(|i| rows[i]), order.map(|i| positions[i]));
        let (rows, positions, mut y) =
            (stage.integers(&rows)?, stage.integers(&positions)?, stage.activations(&vec![0.0; m * n])?);
        stage.backend.neftune(m, n, key, rows.view(), positions.view(), magnitudes.view(), y.view_mut())?;
        let mut tokens = vec![Vec::new(); m];
        for (token, line) in order.iter().zip(stage.read(&y)?.chunks(n)) {
            tokens[*token] = line.to_vec();
        }
        outputs.push(tokens);
    }
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n as f64;
    for (token, (a, b)) in outputs[0].iter().zip(&outputs[1]).enumerate() {
        record.same(format!("noise of token {token} in another place"), a, b);
        let other = &outputs[0][(token + 1) % m];
        let product = mean(&mut a.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)));
        // Four standard deviations of 4096 draws each: of a product 1/3, of a value 1/√3, of a square 2/√45.
        record.measured(format!("noise of token {token} is its own"), product.abs(), 0.021, a);
        let first = mean(&mut a.iter().map(|a| f64::from(*a)));
        record.measured(format!("noise of token {token} has mean 0"), first.abs(), 0.036, a);
        let second = mean(&mut a.iter().map(|a| f64::from(*a) * f64::from(*a)));
        record.measured(format!("noise of token {token} has variance 1/3"), (second - 1.0 / 3.0).abs(), 0.019, a);
        let largest = a.iter().fold(0.0f32, |most, a| most.max(a.abs()));
        record.measured(format!("noise of token {token} is at most 1"), f64::from(largest), 1.0, a);
    }
    Ok(())
}

fn refusals<B: Neftune>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let (places, one) = (stage.integers(&[0, 1])?, stage.floats(&[1.0; 2])?);
    let mut y = stage.activations(&[1.0; 6])?;
    let b = stage.backend;
    let outcome = b.neftune(3, 2, 1, places.view(), places.view(), one.view(), y.view_mut());
    record.refused("neftune of more rows than places", &outcome);
    let outcome = b.neftune(2, 4, 1, places.view(), places.view(), one.view(), y.view_mut());
    record.refused("neftune of rows that are shorter", &outcome);
    let outcome = b.neftune(2, 3, 1, places.view(), places.view(), places.view(), y.view_mut());
    record.refused("neftune with integers for magnitudes", &outcome);
    Ok(())
}
