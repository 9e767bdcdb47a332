//! Where programs are kept for every checkout on this machine, and who may write there.
//!
//! Takes a name, a version and where the program comes from, gives paths and locks. Never looks at what is in a file:
//! what is under a name was renamed there whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use semver::Version;

use crate::config::Checksum;
use crate::error::{Context, Error, Result};
use crate::go;
use crate::ui::Ui;

/// What a folder that a download is filling is called; one that is found under the lock was left by a killed run. The
/// go command's, which needs no lock, are called otherwise.
const UNFINISHED: &str = ".download-";

/// Where programs that take minutes to get are kept for every checkout on this machine.
pub fn machine_cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache.or_else(home).ok_or_else(|| Error::failed("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(cache.join("goverse-xtask/tools"))
}

/// One program's folder, `tools/NAME`.
pub(super) struct Shelf {
    folder: PathBuf,
    name: String,
}

impl Shelf {
    pub(super) fn new(cache: &Path, name: &str) -> Shelf {
        Shelf { folder: cache.join(name), name: name.to_owned() }
    }

    /// Where the program stands that was unpacked from what has this checksum.
    pub(super) fn downloaded(&self, version: &Version, sha256: Checksum) -> PathBuf {
        self.folder.join(format!("{version}-sha256-{sha256}")).join(&self.name)
    }

    /// Where the program stands that a toolchain made.
    pub(super) fn built(&self, version: &Version, toolchain: &str) -> PathBuf {
        go::kept(self.folder.parent().unwrap_or(Path::new(".")), &self.name, version, toolchain)
    }

    /// Keeps other runs from getting the same program until it is dropped; waits while another one is at it.
    pub(super) fn lock(&self, ui: &Ui) -> Result<Held> {
        let path = self.folder.join("lock");
        let attempt = || format!("lock {}", path.display());
        std::fs::create_dir_all(&self.folder).attempt(attempt)?;
        let file = File::create(&path).attempt(attempt)?;
        if file.try_lock().is_err() {
            ui.note(&format!("another run is getting {}; waiting for it to end", self.name));
            file.lock().attempt(attempt)?;
        }
        let held = Held { folder: self.folder.clone(), _file: file };
        held.sweep();
        Ok(held)
    }
}

/// A locked shelf.
pub(super) struct Held {
    folder: PathBuf,
    _file: File,
}

impl Held {
    /// A folder on the shelf to work in, removed when it is dropped.
    pub(super) fn workshop(&self) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.folder);
        made.attempt(|| format!("create a folder in {}", self.folder.display()))
    }

    fn sweep(&self) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED)) {
            // What can't be removed is only in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Puts a finished program in its place.
pub(super) fn place(finished: &Path, program: &Path) -> Result<()> {
    let folder = program.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).attempt(|| format!("create {}", folder.display()))?;
    std::fs::rename(finished, program).attempt(|| format!("name {}", program.display()))
}
