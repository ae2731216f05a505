//! Adapters whose first values are taken out of the base: the values, what is left, three steps, and every way to read what is saved.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tunesmith_engine::adapter::linears;
use tunesmith_engine::{
    AdamWOptions, AdapterOptions, Engine, LoraFaOptions, MergeBase, MergedWeights, Objective, OptimizerOptions,
    ParameterGroup, ParameterKind, Session, StepKey, Update,
};
use tunesmith_formats::{
    AdapterConfig, AdapterFiles, CONVERTED_FOLDER, Matcher, ModuleTensors, SafetensorsFile, TensorSource, Weights,
};
use tunesmith_ops::{Backend, Error, Result};

use super::case::{Case, entries, place, read_json};
use super::outcome::Outcome;
use super::reference::{Rows, floats, is_bf16, number, relative, relative_error, session};

/// Checks of one case under one id.
struct Checks<'a, 'r> {
    id: &'a str,
    tolerance: &'a Value,
    report: &'r mut dyn FnMut(Outcome),
}

impl Checks<'_, '_> {
    fn add(&mut self, name: &str, error: f64, tolerance: &str) -> Result<()> {
        let allowed = number(self.tolerance, tolerance)?;
        (self.report)(Outcome::measured(&format!("{}/{name}", self.id), error, allowed));
        Ok(())
    }
}

/// Runs one folder of `misc/init`; what it holds says which kind it is.
pub fn run<B: Backend>(
    backend: &Arc<B>,
    root: &Path,
    dir: &Path,
    id: &str,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let recorded = read_json(&dir.join("case.json"))?;
    let name = recorded["model"].as_str().unwrap_or_default();
    let case = &Case { id, dir, model: &place(root, "models", name) };
    let init = recorded["init_lora_weights"].as_str().unwrap_or("lorafa");
    if is_bf16(&**backend) || !(init.starts_with("pissa") || ["olora", "loftq", "lorafa"].contains(&init)) {
        let note = if is_bf16(&**backend) { "recorded in float32" } else { init };
        report(Outcome::unsupported(case.id, note));
        return Ok(());
    }
    if init == "lorafa" {
        let batch = place(root, "goldens", name).join("forward.safetensors");
        let rows = Rows::read(&SafetensorsFile::open(&batch)?)?;
        return lora_fa(backend, case, &recorded, &rows, &mut Checks { id, tolerance: &recorded["tolerance"], report });
    }
    let batch = place(root, "goldens", name).join("forward.safetensors");
    let rows = Rows::read(&SafetensorsFile::open(&batch)?)?;
    let mut checks = Checks { id: case.id, tolerance: &recorded["tolerance"], report };
    taken(backend, case, &recorded, &rows, &mut checks)
}

/// Three steps of LoRA-FA: the loss before each, the gradient of B as the pass leaves it, and B after it.
fn lora_fa<B: Backend>(
    backend: &Arc<B>,
    case: &Case<'_>,
    recorded: &Value,
    rows: &Rows,
    checks: &mut Checks<'_, '_>,
) -> Result<()> {
    let (files, rate) = (case.open_model()?, number(recorded, "learning_rate")?);
    let optimizer = OptimizerOptions::LoraFa(LoraFaOptions {
        beta1: number(recorded, "adam_beta1")?,
        beta2: number(recorded, "adam_beta2")?,
        epsilon: number(recorded, "adam_epsilon")?,
    });
    let groups = ParameterGroup::of_each_kind(rate, number(recorded, "weight_decay")?);
    let start = Some(AdapterOptions::Saved { path: case.dir.join("adapter_start") });
    let mut model = session(backend, &files, start, Some((optimizer, groups)))?;
    let expected = SafetensorsFile::open(&case.dir.join("steps.safetensors"))?;
    let trained: Vec<&str> = entries(&recorded["trained"]).iter().filter_map(Value::as_str).collect();
    let first = values(&model)?;
    let (mut losses, mut grads, mut params) = (0.0f64, 0.0f64, 0.0f64);
    for (step, before) in (1..).zip(entries(&recorded["losses"])) {
        let sums = model.accumulate(&rows.batch(), &Objective::default(), StepKey::default())?;
        let got = sums.iter().map(|sum| sum.loss).sum::<f64>() / rows.num_items;
        losses = losses.max(relative(got, before.as_f64().unwrap_or(f64::NAN)));
        for (name, gradient) in model.gradients()?.iter().filter(|(name, _)| trained.contains(&name.as_str())) {
            let divided: Vec<f32> = gradient.iter().map(|g| (f64::from(*g) / rows.num_items) as f32).collect();
            grads = grads.max(relative_error(&divided, &floats(&expected, &format!("{step}.grad.{name}"))?));
        }
        model.update(&Update {
            learning_rates: &[rate; ParameterKind::ALL.len()],
            max_grad_norm: None,
            denominator: rows.num_items,
        })?;
        for (name, now) in values(&model)? {
            // What is not recorded stays what it was.
            let known = trained.contains(&name.as_str());
            let should = if known { floats(&expected, &format!("{step}.param.{name}"))? } else { first[&name].clone() };
            let far = now.iter().zip(&should).fold(0.0f64, |most, (a, b)| most.max(f64::from((a - b).abs())));
            params = params.max(if known { far / rate } else { far * f64::from(f32::MAX) });
        }
    }
    losses = losses.max(relative(loss(&mut model, rows)?, number(recorded, "loss_after_3")?));
    checks.add("steps_loss", losses, "loss_rel")?;
    checks.add("grads", grads, "grads")?;
    checks.add("params", params, "param_over_lr")
}

/// Every trained tensor as files have it.
fn values<B: Backend>(model: &Session<B>) -> Result<BTreeMap<String, Vec<f32>>> {
    let parameters = model.parameters();
    let each = parameters.ids().zip(parameters.specs());
    each.map(|(id, spec)| Ok((spec.name.clone(), parameters.read(model.backend(), id)?))).collect()
}

fn adapter(recorded: &Value) -> Result<AdapterConfig> {
    let names = |key: &str| entries(&recorded[key]).iter().filter_map(Value::as_str).collect::<Vec<_>>();
    let loftq = recorded
        .get("loftq_iter")
        .map(|iterations| serde_json::json!({ "loftqBits": recorded["loftq_bits"], "loftqIter": iterations }));
    let options = serde_json::json!({
        "r": recorded["r"], "loraAlpha": recorded["lora_alpha"], "loraDropout": 0.0,
        "useRslora": recorded["use_rslora"].as_bool().unwrap_or(false), "useDora": false,
        "targetModules": names("target_modules"), "excludeModules": null, "modulesToSave": null,
        "rankPattern": {}, "alphaPattern": {}, "layersToTransform": recorded["layers_to_transform"],
        "layersPattern": null, "initLoraWeights": recorded["init_lora_weights"], "bias": "none",
        "loraBias": false, "ensureWeightTying": false, "loftqConfig": loftq, "trainableTokenIndices": null, "targetParameters": null,
    });
    serde_json::from_value(options).map_err(|error| Error::argument("case.json", "options of an adapter", error))
}

fn taken<B: Backend>(
    backend: &Arc<B>,
    case: &Case<'_>,
    recorded: &Value,
    rows: &Rows,
    checks: &mut Checks<'_, '_>,
) -> Result<()> {
    let (files, adamw) = (case.open_model()?, &recorded["adamw"]);
    if adamw.is_null() {
        return begun(backend, case, recorded, rows, checks);
    }
    let optimizer = OptimizerOptions::AdamW(AdamWOptions {
        beta1: number(adamw, "adam_beta1")?,
        beta2: number(adamw, "adam_beta2")?,
        epsilon: number(adamw, "adam_epsilon")?,
    });
    let rate = number(adamw, "learning_rate")?;
    let groups = ParameterGroup::of_each_kind(rate, number(adamw, "weight_decay")?);
    let fresh = Some(AdapterOptions::Lora(adapter(recorded)?));
    let mut model = session(backend, &files, fresh, Some((optimizer, groups)))?;

    beginning(&mut model, case, recorded, rows, checks)?;
    let mut worst = 0.0f64;
    for expected in entries(&recorded["losses"]) {
        let sums = model.accumulate(&rows.batch(), &Objective::default(), StepKey::default())?;
        let before = sums.iter().map(|sum| sum.loss).sum::<f64>() / rows.num_items;
        worst = worst.max(relative(before, expected.as_f64().unwrap_or(f64::NAN)));
        model.update(&Update {
            learning_rates: &[rate; ParameterKind::ALL.len()],
            max_grad_norm: None,
            denominator: rows.num_items,
        })?;
    }
    let after = number(recorded, "loss_after_3")?;
    checks.add("steps_loss", worst.max(relative(loss(&mut model, rows)?, after)), "steps_loss_rel")?;

    let saved = std::env::temp_dir().join(format!("tunesmith-{}-{}", std::process::id(), case.id.replace('/', "-")));
    std::fs::create_dir_all(&saved).map_err(|error| Error::argument("init", "a folder to write to", error))?;
    let result = every_form(backend, &mut model, case, (rows, after), &saved, checks);
    // A folder that is left there harms no other case.
    let _ = std::fs::remove_dir_all(&saved);
    result
}

/// The values that an adapter begins with, and the losses with and without it.
fn beginning<B: Backend>(
    model: &mut Session<B>,
    case: &Case<'_>,
    recorded: &Value,
    rows: &Rows,
    checks: &mut Checks<'_, '_>,
) -> Result<()> {
    first_values(model, &case.dir.join("init.safetensors"), checks)?;
    let after = relative(loss(model, rows)?, number(recorded, "loss_after_init")?);
    checks.add("loss_after_init", after, "loss_rel")?;
    model.disable_adapter()?;
    checks.add("base_loss", relative(loss(model, rows)?, number(recorded, "base_loss")?), "loss_rel")?;
    model.enable_adapter()
}

/// A case whose adapter is not trained: its beginning, saved and read again.
fn begun<B: Backend>(
    backend: &Arc<B>,
    case: &Case<'_>,
    recorded: &Value,
    rows: &Rows,
    checks: &mut Checks<'_, '_>,
) -> Result<()> {
    let files = case.open_model()?;
    let mut model = session(backend, &files, Some(AdapterOptions::Lora(adapter(recorded)?)), None)?;
    beginning(&mut model, case, recorded, rows, checks)?;
    let saved = std::env::temp_dir().join(format!("tunesmith-{}-{}", std::process::id(), case.id.replace('/', "-")));
    std::fs::create_dir_all(&saved).map_err(|error| Error::argument("init", "a folder to write to", error))?;
    let read = model.save_adapter(&saved).and_then(|()| {
        let mut again = session(backend, &files, Some(AdapterOptions::Saved { path: saved.clone() }), None)?;
        loss(&mut again, rows)
    });
    // A folder that is left there harms no other case.
    let _ = std::fs::remove_dir_all(&saved);
    checks.add("saved", relative(read?, number(recorded, "loss_after_init")?), "loss_rel")
}

/// Every way in which the adapter can be read once it was saved, by us and by PEFT, and its merge.
fn every_form<B: Backend>(
    backend: &Arc<B>,
    model: &mut Session<B>,
    case: &Case<'_>,
    (rows, after): (&Rows, f64),
    saved: &Path,
    checks: &mut Checks<'_, '_>,
) -> Result<()> {
    let files = case.open_model()?;
    model.save_adapter(saved)?;
    let ours = deltas(&saved.join(CONVERTED_FOLDER))?;
    let theirs = deltas(&case.dir.join("converted"))?;
    let first = SafetensorsFile::open(&case.dir.join("init.safetensors"))?;
    checks.add("converted_after_steps", worst_of(&ours, &theirs, &first)?, "delta")?;
    for (name, dir) in [
        ("saved", saved.to_path_buf()),
        ("saved_converted", saved.join(CONVERTED_FOLDER)),
        ("read", case.dir.join("adapter_end")),
        ("read_converted", case.dir.join("converted")),
    ] {
        let mut again = session(backend, &files, Some(AdapterOptions::Saved { path: dir }), None)?;
        checks.add(name, relative(loss(&mut again, rows)?, after), "steps_loss_rel")?;
    }
    let end = case.dir.join("adapter_end");
    let merged = MergedWeights::new(&**backend, &*files.source, false, MergeBase::Original, Some(&end))?;
    checks.add("merged", merge_error(&merged, &*files.source, &theirs)?, "converted_delta")
}

fn loss<B: Backend>(model: &mut Session<B>, rows: &Rows) -> Result<f64> {
    let sums = model.evaluate(&rows.batch(), &Objective::default())?;
    Ok(sums.iter().map(|sum| sum.loss).sum::<f64>() / rows.num_items)
}

/// What is left of each weight, and the product that was taken out of it.
fn first_values<B: Backend>(model: &mut Session<B>, file: &Path, checks: &mut Checks<'_, '_>) -> Result<()> {
    let expected = SafetensorsFile::open(file)?;
    let (mut base, mut delta) = (0.0f64, 0.0f64);
    let mut found = 0;
    let (backend, decoder, parameters) = model.parts();
    for linear in linears(decoder) {
        let Some(slot) = &linear.lora else { continue };
        let name = &linear.module;
        let mut rest = vec![0.0; linear.n * linear.k];
        if let tunesmith_engine::layer::Weight::Frozen(weight) = &linear.weight {
            backend.read_weight(weight, 0, linear.n, &mut rest)?;
        }
        let [a, b] = [slot.a, slot.b].map(|id| parameters.read(backend, id));
        base = base.max(relative_error(&rest, &floats(&expected, &format!("{name}.base"))?));
        let product = product(&a?, &b?, slot.r, slot.scale);
        delta = delta.max(relative_error(&product, &floats(&expected, &format!("{name}.delta"))?));
        found += 1;
    }
    let all = expected.names().iter().filter(|name| name.rsplit('.').next() == Some("base")).count();
    let missed = if found == all { 0.0 } else { f64::INFINITY };
    checks.add("base", base + missed, "base")?;
    checks.add("delta", delta + missed, "delta")
}

fn product(a: &[f32], b: &[f32], r: usize, scale: f32) -> Vec<f32> {
    let k = a.len() / r;
    let row = |b: &[f32], j: usize| -> f64 {
        b.iter().enumerate().map(|(l, b)| f64::from(*b) * f64::from(a[l * k + j])).sum()
    };
    b.chunks(r).flat_map(|b| (0..k).map(|j| (f64::from(scale) * row(b, j)) as f32).collect::<Vec<_>>()).collect()
}

/// What each module of an adapter's folder adds to the base.
fn deltas(dir: &Path) -> Result<Vec<(String, Vec<f32>)>> {
    let files = AdapterFiles::read(dir)?;
    let matcher = Matcher::new(&files.config)?;
    let mut all = Vec::new();
    for (module, tensors) in &files.modules {
        if let ModuleTensors::Lora(factors) = tensors {
            let (r, scale) = matcher.rank_and_scale(module)?;
            all.push((module.clone(), product(&factors.a.data, &factors.b.data, r, scale)));
        }
    }
    Ok(all)
}

/// The largest error, relative to what was taken out of the base: a difference of two products has the rounding of each.
fn worst_of(got: &[(String, Vec<f32>)], expected: &[(String, Vec<f32>)], first: &SafetensorsFile) -> Result<f64> {
    if got.len() != expected.len() || expected.is_empty() {
        return Ok(f64::INFINITY);
    }
    let largest = |values: &[f32]| values.iter().fold(0.0f64, |most, value| most.max(f64::from(value.abs())));
    let mut worst = 0.0f64;
    for ((name, got), (other, expected)) in got.iter().zip(expected) {
        let share = largest(expected) / largest(&floats(first, &format!("{name}.delta"))?);
        worst = worst.max(if name == other { relative_error(got, expected) * share } else { f64::INFINITY });
    }
    Ok(worst)
}

/// The merge of the adapter as it was saved, against the base with what the converted one adds.
fn merge_error<B: Backend>(
    merged: &MergedWeights<'_, B>,
    source: &dyn TensorSource,
    deltas: &[(String, Vec<f32>)],
) -> Result<f64> {
    let (mut worst, mut got, mut base) = (0.0f64, Vec::new(), Vec::new());
    for (module, delta) in deltas {
        let name = format!("{module}.weight");
        merged.read(&name, &mut got)?;
        source.get(&name)?.to_f32(&mut base)?;
        base.iter_mut().zip(delta).for_each(|(value, delta)| *value += delta);
        worst = worst.max(relative_error(&got, &base));
    }
    Ok(worst)
}
