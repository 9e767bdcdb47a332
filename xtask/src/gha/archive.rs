//! The bundle as one file: the same bytes for the same files, whoever packs them.
//!
//! Takes a folder, gives a gzip archive; entries sorted, owned by root, all of one time.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use crate::error::{Context, Error, Result};

/// The largest file that GitHub attaches to a release.
const LIMIT: u64 = 2 << 30;
/// Most of a bundle is layers, which are compressed already.
const LEVEL: u32 = 1;

/// Packs `folder` into `to`; in the archive all of it stands below `name`.
pub(super) fn pack(folder: &Path, name: &str, epoch: i64, to: &Path) -> Result<()> {
    let attempt = || format!("write {}", to.display());
    let file = BufWriter::new(File::create(to).attempt(attempt)?);
    // GzBuilder writes neither a name nor a time.
    let gzip = flate2::GzBuilder::new().write(file, flate2::Compression::new(LEVEL));
    let mut tar = tar::Builder::new(gzip);
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.attempt(|| format!("list {}", folder.display()))?;
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        if !entry.file_type().is_file() {
            continue;
        }
        let attempt = || format!("pack {}", entry.path().display());
        let content = File::open(entry.path()).attempt(attempt)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.metadata().attempt(attempt)?.len());
        header.set_mode(0o644);
        header.set_mtime(u64::try_from(epoch).unwrap_or(0));
        tar.append_data(&mut header, Path::new(name).join(below), content).attempt(attempt)?;
    }
    let file = tar.into_inner().and_then(flate2::write::GzEncoder::finish).attempt(attempt)?;
    let size = file.into_inner().map_err(|e| e.into_error()).and_then(|f| f.metadata()).attempt(attempt)?.len();
    match size <= LIMIT {
        true => Ok(()),
        false => {
            Err(Error::failed(format!("the bundle is {size} bytes, and a release on GitHub takes {LIMIT} a file")))
        }
    }
}
