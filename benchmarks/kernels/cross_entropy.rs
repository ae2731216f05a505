//! Benchmark of `cross_entropy`: a quarter of the tokens over the whole vocabulary, with none, half and most of them ignored,
//! with every value and coefficient, and the whole head of a model.

use tunesmith_ops::{
    Backend, Coefficients, IGNORE_INDEX, LocalObjective, LogitTransform, Result, RowGradient, RowValues,
};

use crate::bench::{Bench, Work};

/// Times values and gradient.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    for ignored in [0, 50, 90] {
        let name = format!("cross_entropy {ignored}% ignored");
        case(bench, &name, ignored, LogitTransform::default(), Some(LocalObjective::NLL))?;
    }
    let capped = LogitTransform { factor: 1.0, soft_cap: Some(30.0) };
    case(bench, "cross_entropy capped", 0, capped, Some(LocalObjective::NLL))?;
    let smoothed = LocalObjective::Nll { label_smoothing: 0.1, z_loss: 0.0 };
    case(bench, "cross_entropy smoothed", 0, LogitTransform::default(), Some(smoothed))?;
    case(bench, "cross_entropy all values and coefficients", 0, LogitTransform::default(), None)?;
    bench.time_head("linear_cross_entropy frozen")
}

/// One case; without an objective all values are asked for, and every coefficient is handed in.
fn case<B: Backend>(
    bench: &mut Bench<'_, B>,
    name: &str,
    ignored: usize,
    transform: LogitTransform,
    objective: Option<LocalObjective>,
) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let (m, v, backend) = ((bench.tokens / 4).max(1), bench.model.vocabulary, bench.backend);
    let (logits, first) = (bench.output(m * v)?, bench.activations(m * v, 4.0)?);
    let mut labels = bench.inputs.integers(m, v);
    for (row, label) in labels.iter_mut().enumerate() {
        if row % 10 * 10 < ignored {
            *label = IGNORE_INDEX;
        }
    }
    let read = labels.iter().filter(|label| **label != IGNORE_INDEX).count();
    let labels = bench.integers(&labels)?;
    let weights = bench.constant(1.0, m)?;
    let mut outputs = Vec::new();
    for _ in 0..7 {
        outputs.push(bench.output_floats(m)?);
    }
    // An ignored row is written and not read.
    bench.time_in_place(
        name,
        Work::Bytes((read + m) * v * bench.width()),
        logits,
        |logits| backend.copy(first.view(), logits.view_mut()),
        |logits| {
            let [log_prob, entropy, hit, rest @ ..] = &mut outputs[..] else { return Ok(()) };
            let mut values = RowValues::new(log_prob.view_mut(), entropy.view_mut(), hit.view_mut());
            let view = Some(weights.view());
            let gradient = match objective {
                Some(objective) => RowGradient::Local { objective, weights: weights.view() },
                None => RowGradient::Coefficients(Coefficients {
                    log_prob: view,
                    entropy: view,
                    log_sum_exp: view,
                    mean_log_prob: view,
                }),
            };
            if let ([log_sum_exp, mean_log_prob, log_sum_squares, mean_logit], None) = (rest, objective) {
                values.log_sum_exp = Some(log_sum_exp.view_mut());
                values.mean_log_prob = Some(mean_log_prob.view_mut());
                values.log_sum_squares = Some(log_sum_squares.view_mut());
                values.mean_logit = Some(mean_logit.view_mut());
            }
            backend.cross_entropy(m, v, transform, logits.view_mut(), labels.view(), gradient, values)
        },
    )
}
