//! A folder that appears whole or not at all: filled under a temporary name beside its place, synced, renamed.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};
use tunesmith_ops::{Code, Error, Result};

use crate::atomic_file::{create_dir, sync_dir};
use crate::input::io_error;

/// A folder being filled. Dropping it before [`StagedFolder::finish`] removes what was written.
#[derive(Debug)]
pub struct StagedFolder {
    target: PathBuf,
    staged: TempDir,
    overwrite: bool,
}

impl StagedFolder {
    /// Begins a folder that will be `target`; its parents are made where absent.
    ///
    /// # Errors
    /// `ArgumentInvalid` where there is something already that is not an empty folder, unless `overwrite`; `Io`.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self> {
        refuse_existing(target, overwrite)?;
        let name = target.file_name().and_then(|name| name.to_str());
        let Some(name) = name else {
            let place = target.display().to_string();
            return Err(Error::new(Code::ArgumentInvalid, place, "expected the name of a folder, got none; give one"));
        };
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        create_dir(parent)?;
        let prefix = format!(".tmp-{name}-");
        let mut builder = Builder::new();
        builder.prefix(&prefix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let staged = builder.tempdir_in(parent).map_err(|error| io_error(target, "create this folder", &error))?;
        Ok(Self { target: target.to_path_buf(), staged, overwrite })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        self.staged.path()
    }

    /// Syncs and renames the folder into place. What was there is taken away only when the new folder is whole, and put back
    /// where the renaming fails.
    ///
    /// # Errors
    /// `ArgumentInvalid` where something appeared there meanwhile; `Io`.
    pub fn finish(self) -> Result<()> {
        let Self { target, staged, overwrite } = self;
        refuse_existing(&target, overwrite)?;
        sync_dir(staged.path())?;
        let failed = |error: std::io::Error| io_error(&target, "put this folder into place", &error);
        let parent = staged.path().parent().unwrap_or(Path::new(".")).to_path_buf();
        let old = Builder::new().prefix(".tmp-old-").tempdir_in(&parent).map_err(failed)?;
        let aside = old.path().join("old");
        let had_old = target.symlink_metadata().is_ok();
        if had_old {
            fs::rename(&target, &aside).map_err(failed)?;
        }
        let staged = staged.keep();
        if let Err(error) = fs::rename(&staged, &target) {
            if had_old {
                fs::rename(&aside, &target).map_err(failed)?;
            }
            fs::remove_dir_all(&staged).map_err(failed)?;
            return Err(failed(error));
        }
        sync_dir(&parent)
    }
}

/// Refuses to write where there is something already.
///
/// # Errors
/// `ArgumentInvalid`.
pub fn refuse_existing(target: &Path, overwrite: bool) -> Result<()> {
    let is_empty = || fs::read_dir(target).is_ok_and(|mut items| items.next().is_none());
    if overwrite || target.symlink_metadata().is_err() || is_empty() {
        return Ok(());
    }
    let place = target.display().to_string();
    let message = "expected a new path, got one that exists; choose another, or ask to overwrite it";
    Err(Error::new(Code::ArgumentInvalid, place, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(dir: &Path) -> Vec<String> {
        let items = fs::read_dir(dir).unwrap();
        items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn an_abandoned_folder_leaves_nothing_and_a_finished_one_appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("deep/model");
        let staged = StagedFolder::create(&target, false).unwrap();
        fs::write(staged.path().join("a"), "half").unwrap();
        drop(staged);
        assert!(listed(&dir.path().join("deep")).is_empty());
        let staged = StagedFolder::create(&target, false).unwrap();
        fs::write(staged.path().join("a"), "whole").unwrap();
        staged.finish().unwrap();
        assert_eq!(listed(&dir.path().join("deep")), ["model"]);
        assert_eq!(fs::read(target.join("a")).unwrap(), b"whole");
    }

    #[test]
    fn what_is_there_is_replaced_only_when_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "old").unwrap();
        assert_eq!(StagedFolder::create(&target, false).unwrap_err().code, Code::ArgumentInvalid);
        let staged = StagedFolder::create(&target, true).unwrap();
        fs::write(staged.path().join("new"), "new").unwrap();
        assert_eq!(listed(&target), ["old"]);
        staged.finish().unwrap();
        assert_eq!(listed(&target), ["new"]);
        assert_eq!(listed(dir.path()), ["model"]);
    }
}
