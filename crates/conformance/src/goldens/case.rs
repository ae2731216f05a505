//! One case of goldens: where it lies, and how what it throws becomes an outcome.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tunesmith_formats::ModelFiles;
use tunesmith_ops::{Code, Error, Result};

use super::outcome::Outcome;

/// One folder of goldens and the model it belongs to.
pub struct Case<'a> {
    pub id: &'a str,
    pub dir: &'a Path,
    pub model: &'a Path,
}

impl Case<'_> {
    pub fn open_model(&self) -> Result<ModelFiles> {
        ModelFiles::open(self.model)
    }
}

/// An error of a case becomes its outcome: unsupported where the engine says so, failed otherwise.
pub fn attempt(id: &str, report: &mut dyn FnMut(Outcome), run: impl FnOnce(&mut dyn FnMut(Outcome)) -> Result<()>) {
    match run(report) {
        Ok(()) => {}
        Err(error) if error.code == Code::ModelUnsupported => report(Outcome::unsupported(id, &error.message)),
        Err(error) => report(Outcome::broken(id, &error.to_string())),
    }
}

pub fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// A model's folder below `kind`: that of the root, or else that of the cases of adapters.
pub fn place(root: &Path, kind: &str, name: &str) -> PathBuf {
    let own = root.join(kind).join(name);
    if own.is_dir() { own } else { root.join("misc/adapters").join(kind).join(name) }
}

pub fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub fn read_json(path: &Path) -> Result<Value> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Error::new(Code::FileMissing, &place, error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::new(Code::FileInvalid, &place, error.to_string()))
}

/// The numbers of a list.
pub fn list(value: &Value) -> Result<Vec<f32>> {
    let numbers = value.as_array().ok_or_else(|| Error::argument("misc", "a list of numbers", value))?;
    numbers
        .iter()
        .map(|number| {
            number.as_f64().map(|number| number as f32).ok_or_else(|| Error::argument("misc", "a number", number))
        })
        .collect()
}

/// The entries of a list; none of anything else.
pub fn entries(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
