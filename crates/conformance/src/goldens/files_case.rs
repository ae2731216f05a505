//! One model in other files: the older spelling of its configuration, shards, 16-bit weights, GGUF in every type.

use std::path::Path;
use std::sync::Arc;

use tunesmith_engine::{Batch, SessionOptions};
use tunesmith_formats::{ModelConfig, ModelFiles, SafetensorsFile, TensorSource};
use tunesmith_ops::{Backend, Result};

use super::case::{attempt, file_name, folders};
use super::outcome::Outcome;
use super::reference::{bf16_tolerance, floats, ints, is_bf16, relative_error};

/// Logits of float32 weights against float32, as in the case files of the models.
const TOLERANCE: f64 = 1e-5;

/// A few ids that every vocabulary has.
const IDS: [i32; 12] = [5, 17, 3, 40, 12, 9, 33, 21, 8, 60, 2, 11];

pub fn run<B: Backend>(backend: &Arc<B>, root: &Path, filter: &str, report: &mut dyn FnMut(Outcome)) {
    for dir in folders(&root.join("models-v4-config")) {
        let id = format!("models-v4-config/{}", file_name(&dir));
        if id.contains(filter) {
            attempt(&id, report, |report| older_spelling(backend, root, &dir, &id, report));
        }
    }
    for dir in folders(&root.join("models-extra")) {
        let id = format!("models-extra/{}", file_name(&dir));
        if id.contains(filter) {
            attempt(&id, report, |report| other_files(backend, &dir, &id, report));
        }
    }
}

/// The number of logits whose bits differ between the two spellings of one model's configuration.
fn older_spelling<B: Backend>(
    backend: &Arc<B>,
    root: &Path,
    dir: &Path,
    id: &str,
    report: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let files = ModelFiles::open(&root.join("models").join(file_name(dir)))?;
    let older = ModelConfig::read(&dir.join("config.json"))?;
    let expected = logits(backend, files.config.clone(), &*files.source, &IDS)?;
    let got = logits(backend, older, &*files.source, &IDS)?;
    let differing = got.iter().zip(&expected).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    report(Outcome::measured(id, differing as f64, 0.0));
    Ok(())
}

/// The folder's own weights, and every GGUF file in it, against the logits recorded for them.
fn other_files<B: Backend>(backend: &Arc<B>, dir: &Path, id: &str, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    let reference = SafetensorsFile::open(&dir.join("reference.safetensors"))?;
    let ids = ints(&reference, "input_ids")?;
    let tolerance = if is_bf16(&**backend) { bf16_tolerance("files") } else { TOLERANCE };
    for name in reference.names() {
        let Some(suffix) = name.strip_prefix("logits") else { continue };
        let path = match suffix.strip_prefix('.') {
            None => dir.to_path_buf(),
            Some(kind) => dir.join(format!("{kind}.gguf")),
        };
        let files = ModelFiles::open(&path)?;
        let got = logits(backend, files.config, &*files.source, &ids)?;
        let error = relative_error(&got, &floats(&reference, &name)?);
        report(Outcome::measured(&format!("{id}{}", suffix.replace('.', "/")), error, tolerance));
    }
    Ok(())
}

fn logits<B: Backend>(
    backend: &Arc<B>,
    config: ModelConfig,
    source: &dyn TensorSource,
    ids: &[i32],
) -> Result<Vec<f32>> {
    let options = SessionOptions::inference();
    let mut session = tunesmith_engine::Session::new(backend.clone(), config, source, "golden", &options)?;
    let positions: Vec<i32> = (0..ids.len() as i32).collect();
    let starts = [0, ids.len() as i32];
    session.logits(&Batch {
        input_ids: ids,
        labels: ids,
        positions: &positions,
        sequence_starts: &starts,
        weights: None,
        row_ids: None,
    })
}
