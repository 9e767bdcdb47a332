//! The program, read out of the layers of an image.
//!
//! Takes layers in the store, gives the file as a container would see it: the uppermost layer that has it decides, and
//! one that removes it is an error. Streams; kept by the layer it came from, so that it is unpacked once.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::build::base::covers;
use crate::error::{Context, Error, Result};
use crate::fs;
use crate::oci::Digest;
use crate::oci::layer;
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;

/// The largest program unpacked, so that a damaged archive can't fill the disk.
const PROGRAM_LIMIT: u64 = 2 << 30;

/// The file at `path` of the image, and its digest.
pub(super) fn extract(
    layers: &[Descriptor],
    path: &str,
    store: &Store,
    kept: &Path,
    what: &str,
) -> Result<(PathBuf, Digest)> {
    let path = path.trim_start_matches('/');
    let name = path.rsplit('/').next().unwrap_or(path);
    for layer in layers.iter().rev() {
        let to = kept.join(layer.digest.hex()).join(name);
        let there = match to.is_file() {
            true => true,
            false => unpack(layer, path, store, &to, what)?,
        };
        if there {
            let attempt = || format!("read {}", to.display());
            let (digest, _) = Digest::of_reader(std::fs::File::open(&to).attempt(attempt)?).attempt(attempt)?;
            return Ok((to, digest));
        }
    }
    Err(missing(path, what))
}

fn missing(path: &str, what: &str) -> Error {
    Error::failed(format!("{what} has no program /{path}")).hint("the Dockerfile has to copy it there")
}

/// Writes the layer's file `path` to `to`; whether the layer has it.
fn unpack(descriptor: &Descriptor, path: &str, store: &Store, to: &Path, what: &str) -> Result<bool> {
    let attempt = || format!("read {what}");
    let blob = BufReader::new(store.open(descriptor)?);
    let mut archive = tar::Archive::new(layer::unpack(&descriptor.media_type, blob, what)?);
    for entry in archive.entries().attempt(attempt)? {
        let mut entry = entry.attempt(attempt)?;
        let name = entry.path().attempt(attempt)?.to_string_lossy().trim_start_matches("./").to_owned();
        let name = name.trim_matches('/');
        if name != path {
            if covers(name, path) {
                return Err(missing(path, what));
            }
            continue;
        }
        if !entry.header().entry_type().is_file() || entry.size() > PROGRAM_LIMIT {
            return Err(Error::failed(format!(
                "{what}: /{path} is no file, or one of more than {PROGRAM_LIMIT} bytes"
            )));
        }
        write(&mut entry, to)?;
        return Ok(true);
    }
    Ok(false)
}

fn write(from: &mut impl Read, to: &Path) -> Result<()> {
    let attempt = || format!("write {}", to.display());
    let folder = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).attempt(attempt)?;
    let mut beside = tempfile::Builder::new().permissions(fs::readable()).tempfile_in(folder).attempt(attempt)?;
    std::io::copy(from, &mut beside).attempt(attempt)?;
    beside.persist(to).attempt(attempt).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::layer::Tree;

    /// A layer with these files.
    fn layer(store: &Store, files: &[(&str, &str)]) -> Descriptor {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.bytes(&path.parse().unwrap(), 0o755, text.as_bytes().to_vec());
        }
        layer::make(&tree, 0, Default::default(), store, &store.root().join("cache")).unwrap().descriptor
    }

    #[test]
    fn the_uppermost_file_is_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("store"));
        let kept = folder.path().join("programs");
        let layers = [
            layer(&store, &[("/usr/local/bin/gate", "old")]),
            layer(&store, &[("/usr/local/bin/gate", "new"), ("/usr/local/bin/other", "x")]),
            layer(&store, &[("/app/index.html", "<p>")]),
        ];
        for _ in 0..2 {
            let (path, digest) = extract(&layers, "/usr/local/bin/gate", &store, &kept, "an image").unwrap();
            assert_eq!((std::fs::read(path).unwrap(), digest), (b"new".to_vec(), Digest::of(b"new")));
        }
    }

    #[test]
    fn a_program_that_a_layer_removes_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("store"));
        let lower = layer(&store, &[("/usr/local/bin/gate", "old")]);
        for gone in ["/usr/local/bin/.wh.gate", "/usr/.wh.local", "/usr/local/bin/.wh..wh..opq"] {
            let layers = [lower.clone(), layer(&store, &[(gone, "")])];
            let error = extract(&layers, "/usr/local/bin/gate", &store, folder.path(), "an image").unwrap_err();
            assert!(error.to_string().contains("no program /usr/local/bin/gate"), "{gone}: {error}");
        }
    }
}
