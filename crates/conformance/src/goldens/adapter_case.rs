//! A model with an adapter: forward, gradients, twelve optimizer steps, where they end, and the merge.

use std::path::Path;
use std::sync::Arc;

use tunesmith_engine::ParameterKind;
use tunesmith_engine::{
    AdamWOptions, AdapterOptions, Engine, MergeBase, MergedWeights, Objective, OptimizerOptions, ParameterGroup,
    Session, StepKey, Update, WeightDtype, WeightOptions,
};
use tunesmith_formats::{ModelFiles, SafetensorsFile, TensorSource as _, Weights};
use tunesmith_ops::{Backend, Nf4Options, Result};

use super::case::{Case, file_name, read_json};
use super::model_case::{compare_forward, gradient_error};
use super::outcome::Outcome;
use super::reference::{Rows, Tolerances, floats, number, relative, relative_error, session_on};

const ADAPTER_FILE: &str = "adapter_model.safetensors";

pub fn run<B: Backend>(
    backend: &Arc<B>,
    case: &Case<'_>,
    model_goldens: &Path,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let files = case.open_model()?;
    let run = read_json(&case.dir.join("adamw.json"))?;
    let optimizer = OptimizerOptions::AdamW(AdamWOptions {
        beta1: number(&run, "adam_beta1")?,
        beta2: number(&run, "adam_beta2")?,
        epsilon: number(&run, "adam_epsilon")?,
    });
    let groups = ParameterGroup::of_each_kind(0.0, number(&run, "weight_decay")?);
    let start = Some(AdapterOptions::Saved { path: case.dir.join("adapter_start") });
    let mut model = session_on(backend, &files, weights(case), start, Some((optimizer, groups)))?;
    let tolerances = match &run["tolerance"]["float32"] {
        float32 if float32.is_object() => Tolerances::of_run(&model, float32),
        _ => Tolerances::read(&model, model_goldens)?,
    };

    let forward = SafetensorsFile::open(&case.dir.join("forward.safetensors"))?;
    let rows = if forward.contains("input_ids") {
        Rows::read(&forward)?
    } else {
        Rows::read(&SafetensorsFile::open(&model_goldens.join("forward.safetensors"))?)?
    };
    compare_forward(&mut model, &forward, &rows, case.id, &tolerances, report)?;

    model.accumulate(&rows.batch(), &Objective::default(), StepKey::default())?;
    let expected = SafetensorsFile::open(&case.dir.join("grads.safetensors"))?;
    let error = gradient_error(&model, &expected, rows.num_items, tolerances.bf16)?;
    report(Outcome::measured(&format!("{}/grads", case.id), error, tolerances.of("grads")?));
    model.clear_gradients()?;

    steps(&mut model, &rows, &run, case.id, &tolerances, report)?;
    let error = parameter_error(&model, &case.dir.join("adapter_end").join(ADAPTER_FILE))?;
    report(Outcome::measured(&format!("{}/adapter_end", case.id), error, tolerances.of("adapter_end")?));
    drop(model);

    let merged = case.dir.join("merged.safetensors");
    if merged.is_file() {
        let error = merge_error(&**backend, &files, &case.dir.join("adapter_end"), &merged)?;
        report(Outcome::measured(&format!("{}/merged", case.id), error, tolerances.of("merged")?));
    }
    Ok(())
}

/// How the base is held. The layout says so by the folder's name: that of `qlora` is NF4, block 64, double quantised.
fn weights(case: &Case<'_>) -> WeightOptions {
    let nf4 = Nf4Options { block_size: 64, double_quant: true };
    let quantized = file_name(case.dir).starts_with("qlora");
    WeightOptions { load_in_4bit: quantized, dtype: WeightDtype::Float32, ..WeightOptions::nf4(nf4) }
}

fn steps<B: Backend>(
    model: &mut Session<B>,
    rows: &Rows,
    run: &serde_json::Value,
    id: &str,
    tolerances: &Tolerances,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let max_grad_norm = number(run, "max_grad_norm")?;
    let history = run["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut loss_error, mut norm_error) = (if history.is_empty() { f64::INFINITY } else { 0.0f64 }, 0.0f64);
    for expected in history {
        let sums = model.accumulate(&rows.batch(), &Objective::default(), StepKey::default())?;
        let loss = sums.iter().map(|sum| sum.loss).sum::<f64>() / rows.num_items;
        let rate = number(expected, "learning_rate")?;
        let updated = model.update(&Update {
            learning_rates: &[rate; ParameterKind::ALL.len()],
            max_grad_norm: Some(max_grad_norm),
            denominator: rows.num_items,
        })?;
        loss_error = loss_error.max(relative(loss, number(expected, "loss")?));
        norm_error = norm_error.max(relative(updated.grad_norm, number(expected, "grad_norm")?));
    }
    report(Outcome::measured(&format!("{id}/steps_loss"), loss_error, tolerances.of("steps_loss_rel")?));
    report(Outcome::measured(&format!("{id}/steps_grad_norm"), norm_error, tolerances.of("steps_grad_norm_rel")?));
    Ok(())
}

fn parameter_error<B: Backend>(model: &Session<B>, file: &Path) -> Result<f64> {
    let expected = SafetensorsFile::open(file)?;
    let parameters = model.parameters();
    // PEFT saves the table under the factors or rows of an embedding along with them, and rows of a tied head, which are those of
    // the embedding, once more.
    let trained = |name: &&String| {
        let again =
            name.contains("lm_head.token_adapter") && !parameters.specs().iter().any(|spec| spec.name == **name);
        !name.ends_with(".base_layer.weight") && !again
    };
    if expected.names().iter().filter(trained).count() != parameters.count() {
        return Ok(f64::INFINITY);
    }
    let mut worst = 0.0f64;
    for (id, spec) in parameters.ids().zip(parameters.specs()) {
        let got = parameters.read(model.backend(), id)?;
        worst = worst.max(relative_error(&got, &floats(&expected, &spec.name)?));
    }
    Ok(worst)
}

/// Every tensor of the merge, adapted or not.
fn merge_error<B: Backend>(backend: &B, files: &ModelFiles, adapter: &Path, merged: &Path) -> Result<f64> {
    let expected = SafetensorsFile::open(merged)?;
    let tied = files.config.flag("tie_word_embeddings", false)?;
    let weights = MergedWeights::new(backend, &*files.source, tied, MergeBase::Original, Some(adapter))?;
    let (mut worst, mut got) = (0.0f64, Vec::new());
    for name in expected.names() {
        if weights.contains(&name) {
            weights.read(&name, &mut got)?;
        } else {
            got = base_tensor(files, &name)?;
        }
        worst = worst.max(relative_error(&got, &floats(&expected, &name)?));
    }
    Ok(worst)
}

/// A tensor of the base; one of all experts where the base has one for each.
fn base_tensor(files: &ModelFiles, name: &str) -> Result<Vec<f32>> {
    let mut tensor = Vec::new();
    let parts: &[&str] = match name.rsplit_once(".experts.") {
        Some((_, "gate_up_proj")) if !files.source.contains(name) => &["gate_proj", "up_proj"],
        Some((_, "down_proj")) if !files.source.contains(name) => &["down_proj"],
        _ => {
            files.source.get(name)?.to_f32(&mut tensor)?;
            return Ok(tensor);
        }
    };
    let base = name.rsplit_once('.').map_or(name, |(base, _)| base);
    for expert in 0.. {
        let names: Vec<String> = parts.iter().map(|part| format!("{base}.{expert}.{part}.weight")).collect();
        if !names.iter().all(|name| files.source.contains(name)) {
            break;
        }
        for name in names {
            let mut one = Vec::new();
            files.source.get(&name)?.to_f32(&mut one)?;
            tensor.append(&mut one);
        }
    }
    Ok(tensor)
}
