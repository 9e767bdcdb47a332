//! A tree as a folder on disk, for a builder that reads files and not archives.
//!
//! Takes a [`Tree`], gives a folder with its files, modes and times. Owners are the caller's: who may not be root can't
//! give files away, and builders make them root's anyway.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Node, Tree};
use crate::error::{Context, Result};

impl Tree {
    /// Writes everything below `folder`, which is made; every time is `epoch`.
    pub fn write_to(&self, folder: &Path, epoch: i64) -> Result<()> {
        fs::create_dir_all(folder).attempt(|| format!("create {}", folder.display()))?;
        for (path, entry) in &self.entries {
            let to = folder.join(path);
            match &entry.node {
                Node::Folder => fs::create_dir_all(&to),
                Node::Bytes(bytes) => fs::write(&to, bytes),
                Node::Disk { path: from, .. } => fs::copy(from, &to).map(drop),
            }
            .attempt(|| format!("write {}", to.display()))?;
        }
        // Children first: what is written into a folder changes the folder's own time.
        for (path, entry) in self.entries.iter().rev() {
            set(&folder.join(path), entry.mode, epoch)?;
        }
        Ok(())
    }
}

/// Whatever the umask was.
fn set(path: &Path, mode: u32, epoch: i64) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(epoch).unwrap_or(0));
    let set = || {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        File::open(path)?.set_times(FileTimes::new().set_modified(time).set_accessed(time))
    };
    set().attempt(|| format!("set mode and time of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_files_modes_and_times_of_its_tree() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.folder(&"/tmp".parse().unwrap(), 0o1777);
        tree.bytes(&"/etc/passwd".parse().unwrap(), 0o644, b"root".to_vec());
        tree.write_to(folder.path(), 1_700_000_000).unwrap();
        for (path, mode) in [("tmp", 0o1777), ("etc", 0o755), ("etc/passwd", 0o644)] {
            let meta = fs::metadata(folder.path().join(path)).unwrap();
            assert_eq!(meta.permissions().mode() & 0o7777, mode, "{path}");
            let age = meta.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(age, Duration::from_secs(1_700_000_000), "{path}");
        }
        assert_eq!(fs::read(folder.path().join("etc/passwd")).unwrap(), b"root");
    }
}
