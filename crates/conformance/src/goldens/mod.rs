//! Whole-model goldens: what the reference libraries computed on tiny models, compared number by number.
//!
//! Cases are found by listing folders (`goldens/NAME`, `goldens/NAME/VARIANT`, `models-v4-config`, `models-extra`, `misc`),
//! so the same code runs on any root of that layout. Nothing here knows a name, a size or a seed.

mod adapter_case;
mod files_case;
mod misc_case;
mod model_case;
mod nf4_case;
mod outcome;
mod reference;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tunesmith_formats::ModelFiles;
use tunesmith_ops::{Backend, Code, Error, Result};

pub use outcome::{Outcome, Verdict};

/// Runs every case below `root` whose id contains `filter` and reports each check through `report`.
///
/// # Errors
/// When a file below `misc` cannot be read. A case that fails is an outcome, not an error.
pub fn run<B: Backend>(backend: &Arc<B>, root: &Path, filter: &str, report: &mut dyn FnMut(Outcome)) -> Result<()> {
    for dir in folders(&root.join("goldens")) {
        let name = file_name(&dir);
        let id = format!("goldens/{name}");
        let case = Case { id: &id, dir: &dir, model: &root.join("models").join(&name) };
        if id.contains(filter) {
            attempt(&id, report, |report| model_case::run(backend, &case, report));
        }
        let nf4 = dir.join("nf4.safetensors");
        if nf4.is_file() && format!("{id}/nf4").contains(filter) {
            attempt(&format!("{id}/nf4"), report, |report| {
                nf4_case::model(&**backend, &id, &nf4, &*case.open_model()?.source, report)
            });
        }
        for variant in folders(&dir) {
            let variant_id = format!("{id}/{}", file_name(&variant));
            if variant.join("adamw.json").is_file() && variant_id.contains(filter) {
                let case = Case { id: &variant_id, dir: &variant, model: case.model };
                attempt(&variant_id, report, |report| adapter_case::run(backend, &case, &dir, report));
            }
        }
    }
    files_case::run(backend, root, filter, report);
    misc_case::run(backend, &root.join("misc"), filter, report)
}

/// One folder of goldens and the model it belongs to.
struct Case<'a> {
    id: &'a str,
    dir: &'a Path,
    model: &'a Path,
}

impl Case<'_> {
    fn open_model(&self) -> Result<ModelFiles> {
        ModelFiles::open(self.model)
    }
}

/// An error of a case becomes its outcome: unsupported where the engine says so, failed otherwise.
fn attempt(id: &str, report: &mut dyn FnMut(Outcome), run: impl FnOnce(&mut dyn FnMut(Outcome)) -> Result<()>) {
    match run(report) {
        Ok(()) => {}
        Err(error) if error.code == Code::ModelUnsupported => report(Outcome::unsupported(id, &error.message)),
        Err(error) => report(Outcome::broken(id, &error.to_string())),
    }
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read_json(path: &Path) -> Result<serde_json::Value> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Error::new(Code::FileMissing, &place, error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::new(Code::FileInvalid, &place, error.to_string()))
}
