//! The program, read out of the layers of an image.
//!
//! Takes layers in the store, gives the file as a container would see it; kept by the layers it came from, so that it is
//! unpacked once.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;
use crate::oci::{Digest, rootfs};

/// The file at `path` of the image, and its digest.
pub(super) fn extract(
    layers: &[Descriptor],
    path: &str,
    store: &Store,
    kept: &Path,
    what: &str,
) -> Result<(PathBuf, Digest)> {
    let path = path.trim_start_matches('/');
    let stacked: Vec<_> = layers.iter().map(|layer| layer.digest.to_string()).collect();
    let name = path.rsplit('/').next().unwrap_or(path);
    let to = kept.join(Digest::of(stacked.join("\n").as_bytes()).hex()).join(name);
    if to.is_file() {
        let attempt = || format!("read {}", to.display());
        let (digest, _) = Digest::of_reader(std::fs::File::open(&to).attempt(attempt)?).attempt(attempt)?;
        return Ok((to, digest));
    }
    match rootfs::extract(layers, store, path, &to, what)? {
        Some(digest) => Ok((to, digest)),
        None => {
            Err(Error::failed(format!("{what} has no program /{path}")).hint("the Dockerfile has to copy it there"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::layer::{self, Tree};

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
        let kept = folder.path().join("programs");
        extract(std::slice::from_ref(&lower), "/usr/local/bin/gate", &store, &kept, "an image").unwrap();
        let layers = [lower, layer(&store, &[("/usr/local/bin/.wh.gate", "")])];
        let error = extract(&layers, "/usr/local/bin/gate", &store, &kept, "an image").unwrap_err();
        assert!(error.to_string().contains("no program /usr/local/bin/gate"), "{error}");
    }
}
