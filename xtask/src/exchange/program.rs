//! The program of an image, taken out of its layers: what is scanned and described is what is published.

use std::io::{BufReader, Read};
use std::path::Path;

use crate::config::AbsPath;
use crate::error::{Context, Error, Result};
use crate::oci::Digest;
use crate::oci::digest::Hasher;
use crate::oci::layer;
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;

/// The largest program unpacked; an archive that claims more is no program.
const PROGRAM_LIMIT: u64 = 2 << 30;

/// Writes the file that `layers` show at `path` to `to`, beside and then renamed; gives its digest.
pub(super) fn extract(layers: &[Descriptor], store: &Store, path: &AbsPath, to: &Path) -> Result<Digest> {
    let wanted = path.as_str().trim_start_matches('/');
    for descriptor in layers.iter().rev() {
        let attempt = || format!("unpack layer {}", descriptor.digest);
        let blob = BufReader::new(store.open(descriptor)?);
        let unpacked = layer::unpack(&descriptor.media_type, blob, "its layer")?;
        let mut archive = tar::Archive::new(unpacked);
        for entry in archive.entries().attempt(attempt)? {
            let entry = entry.attempt(attempt)?;
            let name = entry.path().attempt(attempt)?.to_string_lossy().trim_start_matches("./").to_owned();
            if name == wanted && entry.header().entry_type().is_file() {
                return save(entry, to);
            }
        }
    }
    Err(Error::verification(format!("it has no program {path}")))
}

fn save(mut program: impl Read, to: &Path) -> Result<Digest> {
    use std::os::unix::fs::PermissionsExt as _;
    let attempt = || format!("write {}", to.display());
    let folder = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).attempt(attempt)?;
    let mode = std::fs::Permissions::from_mode(0o755);
    let beside = tempfile::Builder::new().permissions(mode).tempfile_in(folder).attempt(attempt)?;
    let mut writer = Hasher::new(beside);
    let size = std::io::copy(&mut (&mut program).take(PROGRAM_LIMIT + 1), &mut writer).attempt(attempt)?;
    if size > PROGRAM_LIMIT {
        return Err(format!("the program is larger than {PROGRAM_LIMIT} bytes")).attempt(attempt);
    }
    let (beside, digest, _) = writer.finish();
    beside.persist(to).attempt(attempt)?;
    Ok(digest)
}
