//! The cache of quantised matrices: one checked file for each, in a folder named by what they were made of.
//!
//! The folder's name is a digest of the content of the model's files and of the options, so another model, or the same one
//! changed, never meets it. The digest of a large file is kept in the cache too, under the file's path, size and times: a model
//! that was not touched is not read whole again only to be recognised.

use std::fs;
use std::path::{Path, PathBuf};

use tunesmith_formats::{Nf4File, Nf4Tensor, TensorSource, file_digest, text_digest, write_atomic, write_nf4};
use tunesmith_ops::{Code, Nf4Options, Result};

/// Goes into every name: another number when the content of the files changes its meaning.
const VERSION: u32 = 1;

/// The cache of one model under one set of options.
pub(crate) struct Nf4Cache {
    folder: PathBuf,
    /// Why nothing more is written, after the first failure.
    failure: Option<String>,
    /// Files that were not what was written, and what was wrong with the first.
    damaged: usize,
    first_damage: String,
}

impl Nf4Cache {
    /// The part below `root` for the files of `source`; None where the tensors are in no files.
    ///
    /// # Errors
    /// Those of reading the model's files.
    pub(crate) fn open(source: &dyn TensorSource, root: &Path, nf4: Nf4Options) -> Result<Option<Self>> {
        let mut content = format!("nf4 {VERSION} {} {}", nf4.block_size, nf4.double_quant);
        let mut failure = None;
        let files = source.files();
        if files.is_empty() {
            return Ok(None);
        }
        for file in files {
            content.push('\n');
            content.push_str(&known_digest(root, file, &mut failure)?);
        }
        let folder = root.join(&text_digest(&content)[..32]);
        Ok(Some(Self { folder, failure, damaged: 0, first_damage: String::new() }))
    }

    /// Where the matrices are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.safetensors"))
    }

    /// The file of a matrix, if it is there and whole.
    pub(crate) fn read(&mut self, name: &str, shape: [usize; 2]) -> Option<Nf4File> {
        let opened = Nf4File::open(&self.file(name)).and_then(|file| file.tensor(shape).map(|_| ()).map(|()| file));
        match opened {
            Ok(file) => return Some(file),
            // Not there yet, or a folder that cannot be read: writing will tell.
            Err(error) if matches!(error.code, Code::FileMissing | Code::Io) => {}
            Err(error) => {
                if self.damaged == 0 {
                    self.first_damage = error.to_string();
                }
                self.damaged += 1;
            }
        }
        None
    }

    /// Keeps a matrix. A cache that cannot be written costs time, not the run: the failure is told once, at the end.
    pub(crate) fn write(&mut self, name: &str, tensor: &Nf4Tensor<'_>, shape: [usize; 2]) {
        if self.failure.is_some() {
            return;
        }
        let written = fs::create_dir_all(&self.folder)
            .map_err(|error| error.to_string())
            .and_then(|()| write_nf4(&self.file(name), tensor, shape).map_err(|error| error.message));
        self.failure = written.err();
    }

    /// What the user should know.
    pub(crate) fn into_warnings(self) -> Vec<String> {
        let Self { folder, failure, damaged, first_damage } = self;
        let folder = folder.display();
        let made_anew = format!(
            "{folder}: damaged matrices in the cache of quantised weights: {damaged}; they were quantised again ({first_damage})"
        );
        let not_kept = |failure| format!("{folder}: quantised weights were not kept for the next load ({failure})");
        (damaged > 0).then_some(made_anew).into_iter().chain(failure.map(not_kept)).collect()
    }
}

/// Digest of a file's content, from the cache where the file is the one that was read then.
fn known_digest(root: &Path, file: &Path, failure: &mut Option<String>) -> Result<String> {
    let Some(identity) = identity(file) else { return file_digest(file) };
    let known = root.join(format!("{}.digest", &text_digest(&identity)[..32]));
    if let Ok(digest) = fs::read_to_string(&known)
        && digest.len() == 64
        && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Ok(digest);
    }
    let digest = file_digest(file)?;
    let written = fs::create_dir_all(root)
        .map_err(|error| error.to_string())
        .and_then(|()| write_atomic(&known, digest.as_bytes()).map_err(|error| error.message));
    *failure = failure.take().or(written.err());
    Ok(digest)
}

/// Path, size and times of a file: all that tells, without reading it, that it is still the same. None where the system gives
/// no time of the last change.
fn identity(file: &Path) -> Option<String> {
    let path = fs::canonicalize(file).ok()?;
    let metadata = fs::metadata(&path).ok()?;
    let modified = metadata.modified().ok()?;
    #[cfg(unix)]
    let inode = {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let inode = ();
    Some(format!("{} {} {modified:?} {inode:?}", path.display(), metadata.len()))
}
