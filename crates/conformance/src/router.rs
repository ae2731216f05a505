//! Suite of `router`.

use tunesmith_ops::router::reference::{self, Routed};
use tunesmith_ops::{Backend, Matrix, Result, RouterShape};

use crate::inputs::wide;
use crate::stage::Staged;
use crate::{Inputs, Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Backend>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let sizes = [(1, 1), (5, 1), (5, 2), (5, 5), (128, 8), (131, 37)];
    let shapes = [0, 1, 257].into_iter().flat_map(|t| sizes.map(|size| (t, size)));
    let shapes = shapes.flat_map(|shape| [false, true].map(|normalize| (shape, normalize)));
    for ((t, (experts, top_k)), normalize) in stage.cases(shapes) {
        let shape = RouterShape { t, experts, top_k, normalize };
        let logits = logits(stage, &mut inputs, shape);
        routing(stage, &mut inputs, record, shape, &logits)?;
    }
    strange(stage, &mut inputs, record)?;
    nowhere(stage, record)?;
    for d in [1, 17, 576] {
        for (t, top_k) in [(0, 2), (1, 1), (257, 2), (33, 8)] {
            combining(stage, &mut inputs, record, RouterShape { t, experts: 11, top_k, normalize: true }, d)?;
        }
    }
    refusals(stage, record)
}

/// Integers of a view, which no backend copies to the host, by way of a table that holds its own indices.
fn indices<B: Backend>(stage: &Stage<'_, B>, staged: &Staged<B::Buffer>, len: usize, limit: usize) -> Result<Vec<f32>> {
    let numbers: Vec<f32> = (0..limit).map(|i| i as f32).collect();
    let (table, mut out) = (stage.floats(&numbers)?, stage.activation_output(len)?);
    let table = Matrix::Trained(table.view());
    stage.backend.embedding_forward(limit, 1, table, staged.view(), out.view_mut())?;
    stage.read(&out)
}

fn logits<B: Backend>(stage: &Stage<'_, B>, inputs: &mut Inputs, shape: RouterShape) -> Vec<f32> {
    let RouterShape { t, experts: e, top_k: k, .. } = shape;
    let mut logits: Vec<f32> = inputs.normal(t * e).iter().map(|z| 2.0 * z).collect();
    // One token whose experts are all alike, one with both zeros, and one expert without a token.
    logits.iter_mut().take(e).for_each(|z| *z = 0.5);
    logits.iter_mut().skip(e).take(e).enumerate().for_each(|(i, z)| *z = if i % 3 == 0 { -0.0 } else { 0.0 });
    if e > k {
        logits.chunks_exact_mut(e).for_each(|row| row[e / 2] = -20.0);
    }
    stage.round(logits)
}

/// Tokens whose logits are NaN or infinite, in part or all of them; logits that differ in the last bit; and one expert that
/// all tokens take.
fn strange<B: Backend>(stage: &Stage<'_, B>, inputs: &mut Inputs, record: &mut Record) -> Result<()> {
    let (nan, most) = (f32::NAN, f32::INFINITY);
    let rows = [
        [nan, 1.0, 2.0, nan, 2.0],
        [nan; 5],
        [most, 0.0, 1.0, most, -1.0],
        [-most, -most, 3.0, -most, -most],
        [-most, nan, -most, nan, nan],
        [-most; 5],
        [1.0, 1.0_f32.next_down(), 1.0_f32.next_up(), 1.0, 1.0],
        [-1.0, (-1.0_f32).next_down(), (-1.0_f32).next_up(), -1.0, -1.0],
    ];
    let logits = stage.round(rows.concat());
    for (top_k, normalize) in [(1, false), (3, true), (5, true)] {
        let shape = RouterShape { t: rows.len(), experts: 5, top_k, normalize };
        routing(stage, inputs, record, shape, &logits)?;
    }
    let mut alike = stage.round(inputs.normal(1031 * 3));
    alike.chunks_exact_mut(3).for_each(|row| row[1] = 9.0);
    routing(stage, inputs, record, RouterShape { t: 1031, experts: 3, top_k: 1, normalize: true }, &alike)
}

/// Invalid experts and places: refused or, on a device whose host does not see them, marked.
fn nowhere<B: Backend>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let (b, shape) = (stage.backend, RouterShape { t: 2, experts: 3, top_k: 2, normalize: true });
    for wrong in [-1, 3] {
        let chosen = stage.integers(&[0, wrong, 2, 1])?;
        let [mut tokens, mut places] = [stage.integers(&[0; 4])?, stage.integers(&[0; 4])?];
        let mut starts = stage.integers(&[0; 4])?;
        let outcome = b.router_group(shape, chosen.view(), tokens.view_mut(), places.view_mut(), starts.view_mut());
        let name = format!("router_group of expert {wrong} of 3");
        if outcome.is_ok() {
            let got = indices(stage, &places, 4, 4)?;
            record.compare(format!("{name} places"), &got, &[0.0, f64::NAN, 2.0, 1.0], 0.0);
            let got = indices(stage, &starts, 4, 5)?;
            record.compare(format!("{name} starts"), &got, &[0.0, 1.0, 2.0, 3.0], 0.0);
        } else {
            record.refused(name, &outcome);
        }
        let (p, dweights) = (stage.floats(&[0.25, 0.5, 0.25, 0.5, 0.25, 0.25])?, stage.floats(&[1.0; 4])?);
        let mut dlogits = stage.activation_output(6)?;
        let outcome = b.router_backward(shape, p.view(), chosen.view(), dweights.view(), dlogits.view_mut());
        let want = [f64::NAN, f64::NAN, f64::NAN, 0.0, 0.0, 0.0];
        marked(stage, record, format!("router_backward of expert {wrong} of 3"), &outcome, &dlogits, &want)?;

        let place = if wrong < 0 { -1 } else { 4 };
        let places = stage.integers(&[0, place, 2, 1])?;
        let (x, weights, mut y) =
            (stage.activations(&[1.0; 12])?, stage.floats(&[0.5; 4])?, stage.activation_output(6)?);
        let outcome = b.combine_forward(shape, 3, x.view(), places.view(), weights.view(), y.view_mut());
        let want = [f64::NAN, f64::NAN, f64::NAN, 1.0, 1.0, 1.0];
        marked(stage, record, format!("combine_forward from place {place} of 4"), &outcome, &y, &want)?;
        let (dy, mut dx, mut dweights) =
            (stage.activations(&[1.0; 6])?, stage.activation_output(12)?, stage.output(4)?);
        let outcome = b.combine_backward(
            shape,
            3,
            dy.view(),
            x.view(),
            places.view(),
            weights.view(),
            dx.view_mut(),
            dweights.view_mut(),
        );
        marked(
            stage,
            record,
            format!("combine_backward from place {place} of 4"),
            &outcome,
            &dweights,
            &[3.0, f64::NAN, 3.0, 3.0],
        )?;
    }
    Ok(())
}

/// A call that was refused, or else wrote this.
fn marked<B: Backend>(
    stage: &Stage<'_, B>,
    record: &mut Record,
    name: String,
    outcome: &Result<()>,
    got: &Staged<B::Buffer>,
    want: &[f64],
) -> Result<()> {
    if outcome.is_ok() {
        record.compare(name, &stage.read(got)?, want, 0.0);
    } else {
        record.refused(name, outcome);
    }
    Ok(())
}

/// Indices as [`indices`] gives them.
fn whole<B: Backend>(stage: &Stage<'_, B>, x: &[i32]) -> Vec<f64> {
    wide(&stage.round(x.iter().map(|x| *x as f32).collect()))
}

fn routing<B: Backend>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: RouterShape,
    logits: &[f32],
) -> Result<()> {
    let (b, RouterShape { t, experts: e, top_k: k, normalize }) = (stage.backend, shape);
    let want = reference::forward(shape, &wide(logits));
    let (mut p, mut weights) = (stage.output(t * e)?, stage.output(t * k)?);
    let mut chosen = stage.integers(&vec![-1; t * k])?;
    let staged = stage.activations(logits)?;
    b.router_forward(shape, staged.view(), p.view_mut(), chosen.view_mut(), weights.view_mut())?;
    let name = format!("{t} to {k} of {e} normalized {normalize}");
    record.compare(format!("router_forward {name} probabilities"), &stage.read(&p)?, &want.probabilities, 2e-6);
    record.compare(format!("router_forward {name} weights"), &stage.read(&weights)?, &want.weights, 2e-6);
    let got = indices(stage, &chosen, t * k, e)?;
    record.compare(format!("router_forward {name} chosen"), &got, &whole(stage, &want.chosen), 0.0);
    backward(stage, inputs, record, shape, &want, &name)?;
    // Where the weights are divided or not, the slots are the same.
    if normalize { grouping(stage, record, shape, &want.chosen, &name) } else { Ok(()) }
}

fn grouping<B: Backend>(
    stage: &Stage<'_, B>,
    record: &mut Record,
    shape: RouterShape,
    chosen: &[i32],
    name: &str,
) -> Result<()> {
    let RouterShape { t, experts: e, top_k: k, .. } = shape;
    let want = reference::group(shape, chosen);
    let chosen = stage.integers(chosen)?;
    let sizes = [t * k, t * k, e + 1];
    let [mut tokens, mut places, mut starts] = [
        stage.integers(&vec![-1; sizes[0]])?,
        stage.integers(&vec![-1; sizes[1]])?,
        stage.integers(&vec![-1; sizes[2]])?,
    ];
    stage.backend.router_group(shape, chosen.view(), tokens.view_mut(), places.view_mut(), starts.view_mut())?;
    for (what, got, want, limit) in [
        ("tokens", &tokens, &want[0], t.max(1)),
        ("places", &places, &want[1], (t * k).max(1)),
        ("starts", &starts, &want[2], t * k + 1),
    ] {
        let got = indices(stage, got, want.len(), limit)?;
        record.compare(format!("router_group {name} {what}"), &got, &whole(stage, want), 0.0);
    }
    Ok(())
}

fn backward<B: Backend>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: RouterShape,
    routed: &Routed,
    name: &str,
) -> Result<()> {
    let RouterShape { t, experts: e, top_k: k, .. } = shape;
    // What forward saves is float32: the reference is given the same numbers.
    let saved: Vec<f32> = routed.probabilities.iter().map(|p| *p as f32).collect();
    let rounded = Routed { probabilities: wide(&saved), ..routed.clone() };
    let dweights = inputs.finite(t * k);
    let want = reference::backward(shape, &rounded, &wide(&dweights));
    let (p, chosen, dweights) = (stage.floats(&saved)?, stage.integers(&routed.chosen)?, stage.floats(&dweights)?);
    let mut dlogits = stage.activation_output(t * e)?;
    stage.backend.router_backward(shape, p.view(), chosen.view(), dweights.view(), dlogits.view_mut())?;
    // With one expert, or all of them normalized to one, the gradient is nothing but rounding.
    let floor = 1e-6;
    let got = stage.read(&dlogits)?;
    if want.iter().all(|d| d.abs() < floor) {
        let small = got.len() == want.len() && got.iter().all(|d| d.abs() < floor as f32);
        record.compare(format!("router_backward {name} vanishes"), &[f32::from(u8::from(small))], &[1.0], 0.0);
        return Ok(());
    }
    record.compare(format!("router_backward {name}"), &got, &want, stage.tolerance(1e-5, 4e-3));
    Ok(())
}

fn combining<B: Backend>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: RouterShape,
    d: usize,
) -> Result<()> {
    let (b, RouterShape { t, top_k: k, .. }) = (stage.backend, shape);
    let routed = reference::forward(shape, &wide(&inputs.normal(t * shape.experts)));
    let [_, places, _] = reference::group(shape, &routed.chosen);
    let weights: Vec<f32> = routed.weights.iter().map(|w| *w as f32).collect();
    let (x, dy) = (stage.round(inputs.normal(t * k * d)), stage.round(inputs.normal(t * d)));
    let (staged_places, staged_weights) = (stage.integers(&places)?, stage.floats(&weights)?);
    let (staged_x, mut y) = (stage.activations(&x)?, stage.activation_output(t * d)?);
    b.combine_forward(shape, d, staged_x.view(), staged_places.view(), staged_weights.view(), y.view_mut())?;
    let want = reference::combine(k, d, &wide(&x), &places, &wide(&weights));
    let name = format!("{t}×{d} from {k}");
    record.compare(format!("combine_forward {name}"), &stage.read(&y)?, &want, stage.tolerance(2e-6, 4e-3));
    let (mut dx, mut dweights) = (stage.activation_output(t * k * d)?, stage.output(t * k)?);
    b.combine_backward(
        shape,
        d,
        stage.activations(&dy)?.view(),
        staged_x.view(),
        staged_places.view(),
        staged_weights.view(),
        dx.view_mut(),
        dweights.view_mut(),
    )?;
    let [want_dx, want_dweights] = reference::combine_backward(k, d, &wide(&dy), &wide(&x), &places, &wide(&weights));
    record.compare(format!("combine_backward {name} dx"), &stage.read(&dx)?, &want_dx, stage.tolerance(1e-5, 4e-3));
    let got = stage.read(&dweights)?;
    record.compare(format!("combine_backward {name} dweights"), &got, &want_dweights, 1e-5);
    Ok(())
}

fn refusals<B: Backend>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let (logits, mut p, mut w) = (stage.activations(&[0.0; 4])?, stage.output(4)?, stage.output(2)?);
    let mut chosen = stage.integers(&[0; 2])?;
    for (top_k, experts) in [(0, 2), (3, 2), (1, 3)] {
        let shape = RouterShape { t: 2, experts, top_k, normalize: false };
        let outcome = stage.backend.router_forward(shape, logits.view(), p.view_mut(), chosen.view_mut(), w.view_mut());
        record.refused(format!("router of {top_k} of {experts} over 4 logits"), &outcome);
    }
    Ok(())
}
