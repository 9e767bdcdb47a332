//! Programs of modules that tests bring: what Debian hasn't got, by versions that the module names.
//!
//! Takes a module, gives the folder of its programs in the machine's cache, compiled once for its content and toolchain.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xtask::oci::Digest;
use xtask::tools::machine_cache;
use xtask::ui::Ui;

use super::tools;

/// How long a compilation may take on a slow machine.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// The folder of the programs of `packages` in `module`, kept under `name`.
pub(crate) fn compiled(name: &str, module: &Path, ldflags: &str, packages: &str) -> PathBuf {
    let go = tools::go();
    let key = format!("{}-{}-{}", &content(module, ldflags).hex()[..16], go.toolchain(), std::env::consts::ARCH);
    let shelf = machine_cache().expect("the machine has a cache").join(name);
    let done = shelf.join(key);
    std::fs::create_dir_all(&shelf).expect("the cache can be written");
    // Another test may be at it.
    let alone = File::create(shelf.join("lock")).expect("the cache can be written");
    alone.lock().expect("the lock can be waited for");
    if !done.is_dir() {
        let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(&shelf).expect("the cache can be written");
        let (flags, out) = (format!("-ldflags={ldflags}"), format!("{}/", beside.path().display()));
        let build = ["build", "-trimpath", "-buildvcs=false", &flags, "-o", &out, packages];
        let built = go.run(module, None, &build).and_then(|run| run.limit(LIMIT).read(&Ui::new(false)));
        built.expect("it compiles");
        std::fs::rename(beside.path(), &done).expect("it gets its name");
    }
    done
}

fn content(module: &Path, ldflags: &str) -> Digest {
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(module)
        .into_iter()
        .map(|entry| entry.expect("the module can be read"))
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    files.sort();
    let mut content = format!("{ldflags}\n").into_bytes();
    files.iter().for_each(|file| content.extend(std::fs::read(file).expect("the module can be read")));
    Digest::of(&content)
}
