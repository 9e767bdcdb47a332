//! Pulling an image's Go programs, where nothing that is attached says what is in it.
//!
//! Takes a manifest, streams its layers, gives the Go programs that are left in the end. No path of an archive is ever
//! used: a program is written under a number. How much is read and kept has limits; layers are hashed while they are
//! read.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Class, Context, Error, Result};
use crate::oci::digest::{Checked, Hasher, read_error};
use crate::oci::rootfs::{Hidden, is_whiteout, normal};
use crate::oci::spec::{Descriptor, Manifest, parse};
use crate::oci::{Digest, layer};
use crate::publish::Remote;
use crate::sbom::buildinfo;

/// The most that all layers of a platform may unpack to.
const UNPACKED_LIMIT: u64 = 16 << 30;
/// The most that is written to disk of one platform's programs.
const KEPT_LIMIT: u64 = 4 << 30;
/// The first bytes of an ELF file.
const ELF: &[u8; 4] = b"\x7fELF";

/// The Go programs of the image `manifest`, and the folder they are in.
pub(super) fn programs(
    remote: &dyn Remote,
    manifest: &Digest,
    trouble: Class,
) -> Result<(Vec<(PathBuf, Digest)>, TempDir)> {
    let what = format!("{}@{manifest}", remote.name());
    let missing = || Error::verification(format!("{what} isn't there"));
    let document = remote.manifest(manifest)?.ok_or_else(missing)?;
    let Manifest { layers, .. } = parse(&what, &document.bytes)?;
    let folder = tempfile::Builder::new().prefix("pull-").tempdir().attempt(|| "create a temporary folder".into())?;
    let mut pulled = Pulled { folder: folder.path(), files: BTreeMap::new(), count: 0, unpacked: 0, kept: 0 };
    for layer in &layers {
        pulled.layer(remote, layer, trouble)?;
    }
    let is_go = |(path, _): &(PathBuf, Digest)| buildinfo::read(path).is_ok();
    let mut programs: Vec<_> = pulled.files.into_values().filter(is_go).collect();
    programs.sort_by_key(|(_, digest)| *digest);
    programs.dedup_by_key(|(_, digest)| *digest);
    match programs.is_empty() {
        true => Err(Error::failed(format!("{what} has nothing to scan"))
            .because("no Go program is in its layers, and no SBOM is attached")),
        false => Ok((programs, folder)),
    }
}

/// What has been pulled so far.
struct Pulled<'a> {
    folder: &'a Path,
    /// ELF files by their path in the image.
    files: BTreeMap<String, (PathBuf, Digest)>,
    count: u32,
    unpacked: u64,
    kept: u64,
}

impl Pulled<'_> {
    fn layer(&mut self, remote: &dyn Remote, layer: &Descriptor, trouble: Class) -> Result<()> {
        let what = format!("layer {} of {}", layer.digest, remote.name());
        let mut blob = Checked::new(remote.blob(layer)?.take(layer.size.saturating_add(1)), layer.digest, layer.size);
        let failed = |e: std::io::Error| match e.get_ref() {
            Some(_) => read_error(&format!("failed to read {what}"), &e),
            None => Error::new(trouble, format!("failed to read {what}")).because(e),
        };
        self.unpack(layer::unpack(&layer.media_type, &mut blob, &what)?, &failed)?;
        // The rest of the archive's padding: only the last byte makes the digest sure.
        std::io::copy(&mut blob, &mut std::io::sink()).map(drop).map_err(failed)
    }

    fn unpack(&mut self, layer: impl Read, failed: &dyn Fn(std::io::Error) -> Error) -> Result<()> {
        let left = UNPACKED_LIMIT.saturating_sub(self.unpacked);
        let mut counted = layer.take(left.saturating_add(1));
        let mut added = BTreeMap::new();
        let mut archive = tar::Archive::new(&mut counted);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            let (path, is_folder) = (normal(&entry.path_bytes()), entry.header().entry_type().is_dir());
            Hidden::by(&path, is_folder).remove_from(&mut self.files);
            if !is_folder && !is_whiteout(&path) {
                let file = self.elf(&mut entry, failed)?;
                added.insert(path, file);
            }
        }
        let unpacked = left.saturating_add(1).saturating_sub(counted.limit());
        self.unpacked = self.unpacked.saturating_add(unpacked);
        if self.unpacked > UNPACKED_LIMIT {
            return Err(Error::failed(format!("the layers unpack to more than {UNPACKED_LIMIT} bytes")));
        }
        self.files.extend(added.into_iter().filter_map(|(path, file)| Some((path, file?))));
        Ok(())
    }

    /// The entry on disk, when it is an ELF file.
    fn elf(
        &mut self,
        entry: &mut impl Read,
        failed: &dyn Fn(std::io::Error) -> Error,
    ) -> Result<Option<(PathBuf, Digest)>> {
        let mut magic = Vec::new();
        entry.take(ELF.len() as u64).read_to_end(&mut magic).map_err(failed)?;
        if magic != ELF {
            return Ok(None);
        }
        self.count += 1;
        let path = self.folder.join(self.count.to_string());
        let attempt = || format!("write {}", path.display());
        let mut file = Hasher::new(std::fs::File::create(&path).attempt(attempt)?);
        file.write_all(&magic).attempt(attempt)?;
        let left = KEPT_LIMIT.saturating_sub(self.kept);
        std::io::copy(&mut entry.take(left.saturating_add(1)), &mut file).map_err(failed)?;
        let (_, digest, size) = file.finish();
        self.kept = self.kept.saturating_add(size);
        match self.kept > KEPT_LIMIT {
            true => Err(Error::failed(format!("the programs of the image have more than {KEPT_LIMIT} bytes"))),
            false => Ok(Some((path, digest))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::spec::media;

    fn layer(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_ustar();
            // Set by hand, because the crate refuses to write paths that an attacker would.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            header.set_cksum();
            tar.append(&header, *content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn files(layers: &[Vec<u8>]) -> (Vec<(String, Vec<u8>)>, TempDir) {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("in");
        std::fs::create_dir(&folder).unwrap();
        let mut pulled = Pulled { folder: &folder, files: BTreeMap::new(), count: 0, unpacked: 0, kept: 0 };
        for layer in layers {
            let failed = |e: std::io::Error| Error::failed("failed").because(e);
            let blob = layer::unpack(media::LAYER_TAR, layer.as_slice(), "x").unwrap();
            pulled.unpack(blob, &failed).unwrap();
        }
        let read = |(path, (file, digest)): (String, (PathBuf, Digest))| {
            let bytes = std::fs::read(&file).unwrap();
            assert_eq!(digest, Digest::of(&bytes));
            assert_eq!(file.parent(), Some(folder.as_path()));
            (path, bytes)
        };
        (pulled.files.into_iter().map(read).collect(), outer)
    }

    const ONE: &[u8] = b"\x7fELF one";
    const TWO: &[u8] = b"\x7fELF two";

    #[test]
    fn upper_layers_replace_and_hide_what_lower_ones_have() {
        let lower = layer(&[("bin/a", ONE), ("./bin/b", ONE), ("lib/c", ONE), ("opt/x/d", ONE), ("etc/text", b"text")]);
        let upper = layer(&[("bin/a", TWO), ("/bin/.wh.b", b""), ("lib/.wh..wh..opq", b""), ("lib/e", TWO)]);
        let (found, _folder) = files(&[lower, upper, layer(&[(".wh.opt", b"")])]);
        assert_eq!(found, [("bin/a".to_owned(), TWO.to_vec()), ("lib/e".to_owned(), TWO.to_vec())]);
    }

    #[test]
    fn a_program_that_is_replaced_by_something_else_is_gone() {
        assert_eq!(files(&[layer(&[("bin/a", ONE)]), layer(&[("bin/a", b"#!/bin/sh")])]).0, []);
    }

    #[test]
    fn no_path_of_an_archive_leads_out_of_the_folder() {
        let (found, outer) = files(&[layer(&[("../../evil", ONE), ("/etc/evil", TWO), ("a/../../b", ONE)])]);
        assert_eq!(found.len(), 3);
        let names: Vec<_> = std::fs::read_dir(outer.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["in"]);
    }
}
