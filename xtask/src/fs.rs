//! Files written so that nobody ever sees half of one: beside, then renamed.
//!
//! Takes paths and bytes; never leaves a temporary file behind on an error, never follows the umask for what
//! others must read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Context, Result};

/// Makes `path` hold `bytes`, atomically; parents are made.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let attempt = || format!("write {}", path.display());
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).attempt(attempt)?;
    let mut beside = tempfile::Builder::new().permissions(readable()).tempfile_in(parent).attempt(attempt)?;
    beside.write_all(bytes).attempt(attempt)?;
    beside.persist(path).attempt(attempt)?;
    Ok(())
}

/// Reads a whole file that is known to be small (configuration, a manifest), refusing one above `limit` bytes.
pub fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let attempt = || format!("read {}", path.display());
    let file = File::open(path).attempt(attempt)?;
    let mut bytes = Vec::new();
    let read = io::Read::read_to_end(&mut io::Read::take(file, limit + 1), &mut bytes).attempt(attempt)?;
    if read as u64 > limit {
        return Err(format!("it is larger than {limit} bytes")).attempt(attempt);
    }
    Ok(bytes)
}

/// Puts the same bytes at `to` without copying where the file system can (a hard link), else by a copy renamed into
/// place. An existing `to` of the same size is left as it is: the callers are content-addressed.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    let attempt = || format!("link {} to {}", from.display(), to.display());
    let size = fs::metadata(from).attempt(attempt)?.len();
    if fs::metadata(to).is_ok_and(|m| m.len() == size) {
        return Ok(());
    }
    let parent = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).attempt(attempt)?;
    // A link is there whole or not at all; only what replaces a file needs another name first.
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let beside = tempfile::Builder::new().tempdir_in(parent).attempt(attempt)?;
    let new = beside.path().join("new");
    if fs::hard_link(from, &new).is_err() {
        fs::copy(from, &new).attempt(attempt)?;
    }
    fs::rename(&new, to).attempt(attempt)
}

/// `rw-r--r--` whatever the umask.
pub fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_made_where_nothing_is_and_in_place_of_what_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("below/to"));
        fs::write(&from, "content").unwrap();
        link(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"content");
        fs::remove_file(&to).unwrap();
        fs::write(&to, "cont").unwrap();
        link(&from, &to).unwrap();
        assert_eq!((fs::read(&to).unwrap(), fs::read(&from).unwrap()), (b"content".to_vec(), b"content".to_vec()));
        assert_eq!(fs::read_dir(folder.path().join("below")).unwrap().count(), 1, "nothing is left beside it");
    }
}
