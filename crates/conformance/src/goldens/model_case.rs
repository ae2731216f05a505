//! A model without an adapter: logits, losses, every gradient, the packed form, greedy generation.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use tunesmith_engine::{
    AdamWOptions, Batch, Engine, Objective, OptimizerOptions, ParameterGroup, Request, Session, StepKey, TokenEvent,
};
use tunesmith_formats::{SafetensorsFile, TensorSource};
use tunesmith_ops::{Backend, Result};

use super::case::{Case, read_json};
use super::outcome::Outcome;
use super::reference::{Rows, Tolerances, angle, floats, ints, relative, relative_error, session};

pub fn run<B: Backend>(backend: &Arc<B>, case: &Case<'_>, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    let files = case.open_model()?;
    let mut model = session(backend, &files, None, None)?;
    let tolerances = Tolerances::read(&model, case.dir)?;
    let forward = SafetensorsFile::open(&case.dir.join("forward.safetensors"))?;
    let rows = Rows::read(&forward)?;
    compare_forward(&mut model, &forward, &rows, case.id, &tolerances, report)?;
    token_losses(&mut model, &forward, &rows, case.id, &tolerances, report)?;
    packed(&mut model, case, &tolerances, report)?;
    // Rounding decides between tokens that are nearly as likely: a greedy text has no tolerance.
    if !tolerances.bf16 {
        generate(&mut model, case, report)?;
    }
    drop(model);

    // Constants do not matter: no step is taken.
    let optimizer = OptimizerOptions::AdamW(AdamWOptions::default());
    let groups = ParameterGroup::of_each_kind(0.0, 0.0);
    let mut trained = session(backend, &files, None, Some((optimizer, groups)))?;
    trained.accumulate(&rows.batch(), &Objective::default(), StepKey::default())?;
    let expected = SafetensorsFile::open(&case.dir.join("grads_full.safetensors"))?;
    let error = gradient_error(&trained, &expected, rows.num_items, tolerances.bf16)?;
    report(Outcome::measured(&format!("{}/grads_full", case.id), error, tolerances.of("grads")?));
    Ok(())
}

/// Logits at every real token where the file has them, and the mean loss.
pub fn compare_forward<B: Backend>(
    model: &mut Session<B>,
    forward: &SafetensorsFile,
    rows: &Rows,
    id: &str,
    tolerances: &Tolerances,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    if forward.contains("logits") {
        let logits = model.logits(&rows.batch())?;
        let vocab = model.config().vocab;
        let padded = floats(forward, "logits")?;
        let expected: Vec<f32> =
            rows.kept.iter().flat_map(|place| &padded[place * vocab..(place + 1) * vocab]).copied().collect();
        report(Outcome::measured(
            &format!("{id}/logits"),
            tolerances.over_rows(&logits, &expected, vocab),
            tolerances.of("logits")?,
        ));
    }
    let sums = model.evaluate(&rows.batch(), &Objective::default())?;
    let loss = sums.iter().map(|sum| sum.loss).sum::<f64>() / rows.num_items;
    let expected = f64::from(floats(forward, "loss")?[0]);
    report(Outcome::measured(&format!("{id}/loss"), relative(loss, expected), tolerances.of("loss_rel")?));
    Ok(())
}

/// The loss of each token alone: one evaluation per position, all other labels ignored.
fn token_losses<B: Backend>(
    model: &mut Session<B>,
    forward: &SafetensorsFile,
    rows: &Rows,
    id: &str,
    tolerances: &Tolerances,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let expected = floats(forward, "token_nll")?;
    let mut errors = Vec::new();
    for position in 1..rows.width {
        let keep = |t: usize| rows.positions[t] as usize == position;
        let labels: Vec<i32> = (0..rows.labels.len())
            .map(|t| if keep(t) { rows.labels[t] } else { tunesmith_ops::IGNORE_INDEX })
            .collect();
        let sums = model.evaluate(&Batch { labels: &labels, ..rows.batch() }, &Objective::default())?;
        for (row, sum) in sums.iter().enumerate() {
            let reference = f64::from(expected[row * (rows.width - 1) + position - 1]);
            let error = (sum.loss - reference).abs();
            // What is not supervised is zero on both sides and says nothing.
            if error != 0.0 {
                errors.push(if error.is_nan() { f64::INFINITY } else { error });
            }
        }
    }
    report(Outcome::measured(
        &format!("{id}/token_nll"),
        tolerances.over_tokens(errors),
        tolerances.of("token_nll_abs")?,
    ));
    Ok(())
}

fn packed<B: Backend>(
    model: &mut Session<B>,
    case: &Case<'_>,
    tolerances: &Tolerances,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let file = SafetensorsFile::open(&case.dir.join("packed.safetensors"))?;
    let (ids, labels) = (ints(&file, "input_ids")?, ints(&file, "labels")?);
    let (positions, starts) = (ints(&file, "position_ids")?, ints(&file, "cu_seqlens")?);
    let batch = Batch {
        input_ids: &ids,
        labels: &labels,
        positions: &positions,
        sequence_starts: &starts,
        weights: None,
        row_ids: None,
    };
    let vocab = model.config().vocab;
    let error = tolerances.over_rows(&model.logits(&batch)?, &floats(&file, "logits")?, vocab);
    report(Outcome::measured(&format!("{}/packed", case.id), error, tolerances.of("logits")?));
    let sums = model.evaluate(&batch, &Objective::default())?;
    let tokens: u32 = sums.iter().map(|sum| sum.tokens).sum();
    let loss = sums.iter().map(|sum| sum.loss).sum::<f64>() / f64::from(tokens);
    let error = relative(loss, f64::from(floats(&file, "loss")?[0]));
    report(Outcome::measured(&format!("{}/packed_loss", case.id), error, tolerances.of("loss_rel")?));
    Ok(())
}

/// Greedy continuations, all prompts together; the error is the number of differing tokens.
fn generate<B: Backend>(model: &mut Session<B>, case: &Case<'_>, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    let expected: BTreeMap<String, BTreeMap<String, Vec<i32>>> =
        serde_json::from_value(read_json(&case.dir.join("generate.json"))?).unwrap_or_default();
    let outputs: Vec<&Vec<i32>> = expected.values().filter_map(|entry| entry.get("output")).collect();
    let request = Request {
        prompts: expected.values().filter_map(|entry| entry.get("prompt").cloned()).collect(),
        max_new_tokens: outputs.iter().map(|output| output.len()).max().unwrap_or(0),
        ..Request::default()
    };
    let mut written: Vec<Vec<i32>> = vec![Vec::new(); request.prompts.len()];
    model.generate(&request, &mut |event: TokenEvent| {
        written[event.index].push(event.token);
        ControlFlow::Continue(())
    })?;
    let differing: usize = written
        .iter()
        .zip(&outputs)
        .map(|(got, expected)| expected.iter().enumerate().filter(|(i, token)| got.get(*i) != Some(token)).count())
        .sum();
    let error = if outputs.is_empty() { f64::INFINITY } else { differing as f64 };
    report(Outcome::measured(&format!("{}/generate", case.id), error, 0.0));
    Ok(())
}

/// Largest relative error over all gradients, or the angle between all of them and the expected ones; every expected tensor must be there, and no other.
pub fn gradient_error<B: Backend>(
    model: &Session<B>,
    expected: &SafetensorsFile,
    denominator: f64,
    by_angle: bool,
) -> Result<f64> {
    let gradients: BTreeMap<String, Vec<f32>> = model.gradients()?.into_iter().collect();
    let names = expected.names();
    if names.len() != gradients.len() {
        return Ok(f64::INFINITY);
    }
    let mut worst = 0.0f64;
    let (mut all, mut all_expected) = (Vec::new(), Vec::new());
    for name in names {
        // Gradients have the names of parameters, files drop a part of them.
        let in_file =
            name.replace(".lora_magnitude_vector.weight", ".lora_magnitude_vector").replace(".modules_to_save.", ".");
        let Some(sum) = gradients.get(&in_file) else {
            return Ok(f64::INFINITY);
        };
        let mean: Vec<f32> = sum.iter().map(|value| (f64::from(*value) / denominator) as f32).collect();
        let expected = floats(expected, &name)?;
        worst = worst.max(relative_error(&mean, &expected));
        all.extend(mean);
        all_expected.extend(expected);
    }
    Ok(if by_angle { angle(&all, &all_expected) } else { worst })
}
