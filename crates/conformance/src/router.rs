//! Suite of `router`.

use tunesmith_ops::router::reference::{self, Routed};
use tunesmith_ops::{Backend, Code, Matrix, Result, RouterShape};

use crate::inputs::wide;
use crate::stage::Staged;
use crate::{Inputs, Record, Stage};

/// Runs the suite; on a backend that refuses mixtures it says so.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Backend>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = Inputs::new(seed);
    for t in [0, 1, 257] {
        for (experts, top_k) in [(1, 1), (5, 1), (5, 2), (5, 5), (128, 8)] {
            for normalize in [false, true] {
                let shape = RouterShape { t, experts, top_k, normalize };
                match routing(stage, &mut inputs, record, shape) {
                    Err(error) if error.code == Code::ModelUnsupported => {
                        println!("skipped: {error}");
                        return Ok(());
                    }
                    outcome => outcome?,
                }
            }
        }
    }
    for d in [1, 17, 576] {
        for (t, top_k) in [(0, 2), (1, 1), (257, 2), (33, 8)] {
            combining(stage, &mut inputs, record, RouterShape { t, experts: 11, top_k, normalize: true }, d)?;
        }
    }
    refusals(stage, record)
}

/// Integers of a window, which no backend copies to the host, by way of a table that holds its own indices.
fn indices<B: Backend>(stage: &Stage<'_, B>, staged: &Staged<B::Buffer>, len: usize, limit: usize) -> Result<Vec<f32>> {
    let numbers: Vec<f32> = (0..limit).map(|i| i as f32).collect();
    let (table, mut out) = (stage.floats(&numbers)?, stage.activation_output(len)?);
    let table = Matrix::Trained(table.view());
    stage.backend.embedding_forward(limit, 1, table, staged.view(), out.view_mut())?;
    stage.read(&out)
}

fn routing<B: Backend>(
    stage: &Stage<'_, B>,
    inputs: &mut Inputs,
    record: &mut Record,
    shape: RouterShape,
) -> Result<()> {
    let (b, RouterShape { t, experts: e, top_k: k, normalize }) = (stage.backend, shape);
    let mut logits: Vec<f32> = inputs.normal(t * e).iter().map(|z| 2.0 * z).collect();
    // One token whose experts are all alike, and one expert that nobody takes.
    logits.iter_mut().take(e).for_each(|z| *z = 0.5);
    if e > k {
        logits.chunks_exact_mut(e).for_each(|row| row[e / 2] = -20.0);
    }
    let logits = stage.round(logits);
    let want = reference::forward(shape, &wide(&logits));
    let (mut p, mut weights) = (stage.output(t * e)?, stage.output(t * k)?);
    let mut chosen = stage.integers(&vec![-1; t * k])?;
    let staged = stage.activations(&logits)?;
    b.router_forward(shape, staged.view(), p.view_mut(), chosen.view_mut(), weights.view_mut())?;
    let name = format!("{t} to {k} of {e} normalized {normalize}");
    record.compare(format!("router_forward {name} probabilities"), &stage.read(&p)?, &want.probabilities, 2e-6);
    record.compare(format!("router_forward {name} weights"), &stage.read(&weights)?, &want.weights, 2e-6);
    let whole = |x: &[i32]| wide(&stage.round(x.iter().map(|x| *x as f32).collect()));
    let got = indices(stage, &chosen, t * k, e)?;
    record.compare(format!("router_forward {name} chosen"), &got, &whole(&want.chosen), 0.0);
    backward(stage, inputs, record, shape, &want, &name)?;

    let want = reference::group(shape, &want.chosen);
    let sizes = [t * k, t * k, e + 1];
    let [mut tokens, mut places, mut starts] = [
        stage.integers(&vec![-1; sizes[0]])?,
        stage.integers(&vec![-1; sizes[1]])?,
        stage.integers(&vec![-1; sizes[2]])?,
    ];
    b.router_group(shape, chosen.view(), tokens.view_mut(), places.view_mut(), starts.view_mut())?;
    for (what, got, want, limit) in [
        ("tokens", &tokens, &want[0], t.max(1)),
        ("places", &places, &want[1], (t * k).max(1)),
        ("starts", &starts, &want[2], t * k + 1),
    ] {
        let got = indices(stage, got, want.len(), limit)?;
        record.compare(format!("router_group {name} {what}"), &got, &whole(want), 0.0);
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
    // What forward saves is binary32: the reference is given the same numbers.
    let saved: Vec<f32> = routed.probabilities.iter().map(|p| *p as f32).collect();
    let rounded = Routed { probabilities: wide(&saved), ..routed.clone() };
    let dweights = inputs.normal(t * k);
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
    record.compare(format!("router_backward {name}"), &got, &want, stage.tolerance(1e-5, 1e-2));
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
    record.compare(format!("combine_forward {name}"), &stage.read(&y)?, &want, stage.tolerance(2e-6, 1e-2));
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
    record.compare(format!("combine_backward {name} dx"), &stage.read(&dx)?, &want_dx, stage.tolerance(1e-5, 1e-2));
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
