//! `misc/losses`, its cases of noise on the embeddings: loss, gradient norm and gradients of an adapter under recorded noise. The other
//! cases of these files weight tokens and choose objectives, and are run by what has those.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tunesmith_engine::{
    AdamWOptions, AdapterOptions, Objective, OptimizerOptions, ParameterGroup, Session, SessionOptions,
};
use tunesmith_formats::{ModelFiles, SafetensorsFile, TensorSource as _};
use tunesmith_ops::{Backend, Code, Error, Result};

use super::case::{attempt, entries, read_json};
use super::outcome::Outcome;
use super::reference::{Rows, angle, bf16_tolerance, floats, is_bf16, number, relative, relative_error};

/// Runs the cases of every file below `root/misc/losses` whose id contains `filter`.
///
/// # Errors
/// When a file cannot be read. A case that fails is an outcome, not an error.
pub fn run<B: Backend>(backend: &Arc<B>, root: &Path, filter: &str, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    let dir = root.join("misc/losses");
    let Ok(files) = std::fs::read_dir(&dir) else { return Ok(()) };
    let mut files: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let file = read_json(path)?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        for case in entries(&file["cases"]) {
            let name = case["case"].as_str().unwrap_or_default();
            let id = format!("misc/losses/{stem}/{name}");
            if name.starts_with("neftune") && id.contains(filter) {
                attempt(&id, report, |report| one(backend, root, path, (&id, &file, case), report));
            }
        }
    }
    Ok(())
}

fn one<B: Backend>(
    backend: &Arc<B>,
    root: &Path,
    path: &Path,
    (id, file, case): (&str, &Value, &Value),
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let place = |key: &str| root.join(file[key].as_str().unwrap_or_default());
    let files = ModelFiles::open(&root.join("models").join(file["model"].as_str().unwrap_or_default()))?;
    let alpha = number(case, "alpha")?;
    let options = SessionOptions {
        adapter: Some(AdapterOptions::Saved { path: place("adapter") }),
        optimizer: Some(OptimizerOptions::AdamW(AdamWOptions::default())),
        parameter_groups: ParameterGroup::of_each_kind(0.0, 0.0),
        neftune_noise_alpha: Some(alpha),
        ..SessionOptions::inference()
    };
    let mut model = Session::new(Arc::clone(backend), files.config.clone(), &*files.source, "golden", &options)?;
    let rows = Rows::read(&SafetensorsFile::open(&place("batch"))?)?;
    let recorded = SafetensorsFile::open(&path.with_extension("safetensors"))?;
    let noise = noise(&rows, &recorded, (case, alpha), model.config().hidden)?;
    let sums = model.accumulate_with_noise(&rows.batch(), &Objective::default(), &noise)?;

    let (denominator, bf16) = (number(case, "denominator")?, is_bf16(&**backend));
    let allowed = |name: &str, of_bf16: &str| {
        if bf16 { Ok(bf16_tolerance(of_bf16)) } else { number(&file["tolerance"], name) }
    };
    let loss = sums.iter().map(|sum| sum.loss).sum::<f64>() / denominator;
    let error = relative(loss, number(case, "loss")?);
    report(Outcome::measured(&format!("{id}/loss"), error, allowed("loss_rel", "loss_rel")?));

    let gradients: BTreeMap<String, Vec<f32>> = model.gradients()?.into_iter().collect();
    let square = |values: &Vec<f32>| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    let norm = gradients.values().map(square).sum::<f64>().sqrt() / denominator;
    let error = relative(norm, number(case, "grad_norm")?);
    report(Outcome::measured(&format!("{id}/grad_norm"), error, allowed("grad_norm_rel", "steps_grad_norm_rel")?));

    if case["grads"] == Value::Bool(true) {
        let name = case["case"].as_str().unwrap_or_default();
        let error = gradient_error(&gradients, &recorded, (name, denominator), bf16)?;
        report(Outcome::measured(&format!("{id}/gradients"), error, allowed("grads", "grads")?));
    }
    Ok(())
}

/// Recorded unit noise of the tokens that are no padding. The engine scales it by a row's own length; where the magnitude of a case is
/// that of the padded length, the difference is multiplied in here.
fn noise(rows: &Rows, recorded: &SafetensorsFile, (case, alpha): (&Value, f64), d: usize) -> Result<Vec<f32>> {
    let unit = floats(recorded, "neftune.unit_noise")?;
    let mut noise = Vec::with_capacity(rows.kept.len() * d);
    for (&place, &row) in rows.kept.iter().zip(&rows.row_of) {
        let length = (rows.sequence_starts[row + 1] - rows.sequence_starts[row]) as usize;
        let own = alpha / ((length * d) as f64).sqrt();
        let factor = match &case["magnitude"] {
            Value::Number(magnitude) => magnitude.as_f64().unwrap_or(f64::NAN) / own,
            // Of each row its own: what the engine makes of alpha by itself is compared.
            _ => 1.0,
        };
        let values = unit.get(place * d..(place + 1) * d).ok_or_else(|| {
            Error::new(
                Code::FileInvalid,
                "neftune.unit_noise",
                format!("expected {d} values at token {place}, got none"),
            )
        })?;
        noise.extend(values.iter().map(|value| (f64::from(*value) * factor) as f32));
    }
    Ok(noise)
}

/// Largest relative error over all tensors, or the angle between all of them and the expected ones.
fn gradient_error(
    gradients: &BTreeMap<String, Vec<f32>>,
    recorded: &SafetensorsFile,
    (case, denominator): (&str, f64),
    by_angle: bool,
) -> Result<f64> {
    let (mut worst, mut got, mut expected, mut count) = (0.0f64, Vec::new(), Vec::new(), 0);
    for name in recorded.names() {
        let Some(tensor) = name.strip_prefix(&format!("{case}.grad.")) else { continue };
        let Some(sum) = gradients.get(tensor) else { return Ok(f64::INFINITY) };
        let mean: Vec<f32> = sum.iter().map(|value| (f64::from(*value) / denominator) as f32).collect();
        let reference = floats(recorded, &name)?;
        worst = worst.max(relative_error(&mean, &reference));
        got.extend(mean);
        expected.extend(reference);
        count += 1;
    }
    if count != gradients.len() {
        return Ok(f64::INFINITY);
    }
    Ok(if by_angle { angle(&got, &expected) } else { worst })
}
