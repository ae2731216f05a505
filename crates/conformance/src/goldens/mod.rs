//! Whole-model goldens: what the reference libraries computed on tiny models, compared number by number.
//!
//! Cases are found by listing folders (`goldens/NAME`, `goldens/NAME/VARIANT`, `misc/adapters/NAME/VARIANT`, `misc/init/CASE`,
//! `misc/losses`, `models-v4-config`, `models-extra`, `misc`),
//! so the same code runs on any root of that layout. Nothing here knows a name, a size or a seed.

mod adapter_case;
mod case;
mod files_case;
mod init_case;
mod misc_case;
mod model_case;
mod neftune_case;
mod nf4_case;
mod optimizer_case;
mod outcome;
mod reference;

use std::path::Path;
use std::sync::Arc;

use tunesmith_ops::{Backend, Result};

use case::{Case, attempt, file_name, folders, place};

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
    adapters(backend, root, filter, report);
    files_case::run(backend, root, filter, report);
    neftune_case::run(backend, root, filter, report)?;
    misc_case::run(backend, &root.join("misc"), filter, report)
}

/// The cases of adapters beside those of the models.
fn adapters<B: Backend>(backend: &Arc<B>, root: &Path, filter: &str, report: &mut dyn FnMut(Outcome)) {
    for family in folders(&root.join("misc/adapters")) {
        let name = file_name(&family);
        // Folders of models and batches that this root has nowhere else.
        if ["models", "goldens"].contains(&name.as_str()) {
            continue;
        }
        let (model, goldens) = (place(root, "models", &name), place(root, "goldens", &name));
        for variant in folders(&family) {
            let id = format!("misc/adapters/{name}/{}", file_name(&variant));
            if variant.join("adamw.json").is_file() && id.contains(filter) {
                let case = Case { id: &id, dir: &variant, model: &model };
                attempt(&id, report, |report| adapter_case::run(backend, &case, &goldens, report));
            }
        }
    }
    for dir in folders(&root.join("misc/init")) {
        let id = format!("misc/init/{}", file_name(&dir));
        if dir.join("case.json").is_file() && id.contains(filter) {
            attempt(&id, report, |report| init_case::run(backend, root, &dir, &id, report));
        }
    }
}
