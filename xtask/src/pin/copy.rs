//! A copy of a folder of manifests with the pins in it, for the files of a release.
//!
//! Takes a plan and a folder it was made from, leaves that folder as it is. The copy appears whole or not at all, and
//! its modes don't depend on the umask.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use walkdir::DirEntry;

use super::folder::{PinPlan, walk};
use crate::error::{Context, Error, Result};

const FOLDER: u32 = 0o755;
const FILE: u32 = 0o644;
const PROGRAM: u32 = 0o755;

impl PinPlan {
    /// Copies everything below `from` to `to`, pinned, replacing what is at `to`; the number of files. `from` must be
    /// one of the planned folders, or below one. Hidden folders stay behind; a symbolic link is an error, because the
    /// copy has to stand alone.
    pub fn write_into(&self, from: &Path, to: &Path) -> Result<usize> {
        if !self.covers(from) {
            return Err(Error::failed(format!("failed to copy {}: it was not searched for images", from.display())));
        }
        if to.starts_with(from) {
            return Err(Error::usage(format!("failed to copy {} to {}: it lies inside", from.display(), to.display())));
        }
        let attempt = || format!("copy {} to {}", from.display(), to.display());
        let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).attempt(attempt)?;
        let beside = tempfile::Builder::new().prefix(".pin-").tempdir_in(parent).attempt(attempt)?;
        let new = beside.path().join("new");
        let mut files = 0;
        for entry in walk(from) {
            files += usize::from(self.copy(&entry.attempt(attempt)?, from, &new)?);
        }
        if to.exists() {
            fs::rename(to, beside.path().join("old")).attempt(attempt)?;
        }
        fs::rename(&new, to).attempt(attempt)?;
        Ok(files)
    }

    /// Copies one entry; whether it is a file.
    fn copy(&self, entry: &DirEntry, from: &Path, new: &Path) -> Result<bool> {
        let path = entry.path();
        let attempt = || format!("copy {}", path.display());
        let to = new.join(path.strip_prefix(from).attempt(attempt)?);
        if entry.file_type().is_dir() {
            fs::create_dir(&to).attempt(attempt)?;
            fs::set_permissions(&to, Permissions::from_mode(FOLDER)).attempt(attempt)?;
            return Ok(false);
        }
        if !entry.file_type().is_file() {
            let special = Error::usage(format!("{} is neither a file nor a folder", path.display()));
            return Err(special.hint("replace it by a file, so that the copy stands alone"));
        }
        match self.changes.get(path) {
            Some(change) => fs::write(&to, &change.new).attempt(attempt)?,
            None => fs::copy(path, &to).map(|_| ()).attempt(attempt)?,
        }
        let is_program = entry.metadata().attempt(attempt)?.permissions().mode() & 0o111 != 0;
        fs::set_permissions(&to, Permissions::from_mode(if is_program { PROGRAM } else { FILE })).attempt(attempt)?;
        Ok(true)
    }
}
