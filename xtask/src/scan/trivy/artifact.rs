//! Trivy's vulnerability database as it is published: an OCI artifact of one layer, a tar+gzip of two files.
//!
//! Takes a registry or a layout on disk, gives a folder. Streams, checks the layer's digest, and writes nothing but the
//! two files it knows. Never runs Trivy, and never leaves a folder that isn't whole under its name.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use crate::ahead::ahead;
use crate::config::DbSource;
use crate::error::{Class, Context, Error, Result};
use crate::oci::digest::{Hasher, read_error};
use crate::oci::layout::Layout;
use crate::oci::spec::Descriptor;
use crate::oci::{Digest, Reference};
use crate::registry::Policy;
use crate::remote::{self, Remote};
use crate::ui::Ui;

/// The media type of its one layer.
pub(super) const LAYER: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";
/// The version of its schema that this reads.
const SCHEMA: u32 = 2;
/// The database proper, a bbolt file.
pub(super) const DATABASE: &str = "trivy.db";
/// What it says of itself.
const METADATA: &str = "metadata.json";
/// The largest layer that is fetched; Trivy's own is below 100 MB.
const LAYER_LIMIT: u64 = 1 << 30;
/// The most that is unpacked of it; Trivy's own is below 1 GB.
const UNPACKED_LIMIT: u64 = 8 << 30;
/// The largest metadata.
const METADATA_LIMIT: u64 = 64 << 10;
/// The buffer between the stream and the disk.
const BUFFER: usize = 1 << 20;
/// A registry that sheds load is not asked again within a second, whatever it says, and not for ever: the next
/// repository may answer.
pub(super) const PATIENCE: Policy =
    Policy { tries: 4, first: Duration::from_secs(1), longest: Duration::from_secs(8), asked: Duration::from_secs(60) };

/// What a database says of itself, in the spelling of trivy-db's `metadata.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metadata {
    /// Of the schema.
    pub(super) version: u32,
    /// RFC 3339.
    pub(super) updated_at: String,
}

/// A database that was found and not yet fetched.
pub(super) struct Artifact {
    remote: Box<dyn Remote>,
    /// Its one layer: the same layer is the same database.
    pub(super) layer: Descriptor,
}

/// A database on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unpacked {
    /// Of `trivy.db`.
    pub(super) database: Digest,
    pub(super) metadata: Metadata,
}

/// The part of a manifest that matters here; whoever published it may have left out the rest.
#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

impl Artifact {
    /// Asks `source` what its database is; a layout's path is relative to `root`.
    pub(super) fn find(source: &DbSource, root: &Path, ui: &Ui) -> Result<Artifact> {
        let (remote, digest) = match source {
            DbSource::Layout(path, digest) => in_layout(&root.join(path), *digest)?,
            DbSource::Registry(reference) => in_registry(reference, ui)?,
        };
        let missing = || Error::network(format!("{} has no {digest}", remote.name()));
        let document = remote.manifest(&digest)?.ok_or_else(missing)?;
        let layer = layer(&document.bytes).map_err(|why| {
            Error::network(format!("{}@{digest} is no vulnerability database", remote.name())).because(why)
        })?;
        Ok(Artifact { remote, layer })
    }

    /// Fetches it into `folder`, which must be there and empty.
    pub(super) fn unpack(&self, folder: &Path, ui: &Ui) -> Result<Unpacked> {
        let step = ui.transfer(format!("fetch Trivy's database from {}", self.remote.name()), self.layer.size);
        let blob = self.remote.blob(&self.layer)?;
        let unpacked = unpack(Counted { inner: blob, seen: &|bytes| step.advance(bytes) }, folder, UNPACKED_LIMIT)?;
        step.done(&crate::ui::size(self.layer.size));
        Ok(unpacked)
    }
}

fn in_layout(root: &Path, digest: Option<Digest>) -> Result<(Box<dyn Remote>, Digest)> {
    Ok((remote::layout::open(root)?, digest.map_or_else(|| only(root), Ok)?))
}

fn in_registry(reference: &Reference, ui: &Ui) -> Result<(Box<dyn Remote>, Digest)> {
    let remote = remote::registry::open_with(reference, PATIENCE, ui)?;
    if let Some(digest) = reference.digest {
        return Ok((remote, digest));
    }
    let tag = reference.tag.as_deref().unwrap_or_default();
    let found = remote.resolve(tag)?.ok_or_else(|| Error::network(format!("{} has no tag `{tag}`", remote.name())))?;
    Ok((remote, found.digest))
}

/// The one manifest of a layout.
fn only(root: &Path) -> Result<Digest> {
    match Layout::open(root)?.index()?.manifests.as_slice() {
        [one] => Ok(one.digest),
        several => {
            let err = Error::usage(format!("{} holds {} manifests, not one", root.display(), several.len()));
            Err(err.hint("write it as oci:PATH@sha256:…"))
        }
    }
}

fn layer(manifest: &[u8]) -> std::result::Result<Descriptor, String> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|e| e.to_string())?;
    match manifest.layers.as_slice() {
        [layer] if layer.media_type != LAYER => {
            Err(format!("its layer is of type `{}`, not {LAYER}", layer.media_type))
        }
        [layer] if layer.size > LAYER_LIMIT => {
            Err(format!("its layer is {} bytes, and no more than {LAYER_LIMIT} are fetched", layer.size))
        }
        [layer] => Ok(layer.clone()),
        layers => Err(format!("it has {} layers, not one", layers.len())),
    }
}

/// Unpacks the two files of a database out of a tar+gzip stream and reads that to its end, so that its digest is
/// checked.
fn unpack(blob: impl Read + Send, folder: &Path, limit: u64) -> Result<Unpacked> {
    ahead(Gunzip(GzDecoder::new(blob)), |archive| unpack_archive(archive, folder, limit))
}

fn unpack_archive(archive: impl Read, folder: &Path, limit: u64) -> Result<Unpacked> {
    let failed = |e: io::Error| read_error("failed to unpack Trivy's database", &e);
    let mut archive = tar::Archive::new(archive.take(limit));
    let (mut database, mut metadata) = (None, None);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        match name.strip_prefix(b"./").unwrap_or(&name) {
            b"" if kind.is_dir() => {}
            b"trivy.db" if kind.is_file() && database.is_none() => {
                database = Some(write(&mut entry, &folder.join(DATABASE))?);
            }
            b"metadata.json" if kind.is_file() && metadata.is_none() => {
                metadata = Some(read_metadata(&mut entry, &folder.join(METADATA))?);
            }
            _ => {
                let name = String::from_utf8_lossy(&name).into_owned();
                return Err(damaged(&format!("it holds `{name}`, which doesn't belong there")));
            }
        }
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(failed)?;
    if rest.limit() == 0 {
        return Err(damaged(&format!("it is larger than {limit} bytes when unpacked")));
    }
    let database = database.ok_or_else(|| damaged(&format!("it holds no {DATABASE}")))?;
    let metadata = metadata.ok_or_else(|| damaged(&format!("it holds no {METADATA}")))?;
    Ok(Unpacked { database, metadata })
}

fn write(from: &mut impl Read, to: &Path) -> Result<Digest> {
    let attempt = || format!("write {}", to.display());
    let mut file = Hasher::new(BufWriter::with_capacity(BUFFER, File::create_new(to).attempt(attempt)?));
    io::copy(from, &mut file).map_err(|e| read_error("failed to unpack Trivy's database", &e))?;
    let (mut file, digest, _) = file.finish();
    file.flush().attempt(attempt)?;
    Ok(digest)
}

fn read_metadata(from: &mut impl Read, to: &Path) -> Result<Metadata> {
    let mut text = Vec::new();
    from.take(METADATA_LIMIT)
        .read_to_end(&mut text)
        .map_err(|e| read_error("failed to unpack Trivy's database", &e))?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| damaged(&format!("its {METADATA}: {e}")))?;
    if metadata.version != SCHEMA {
        return Err(damaged(&format!("its schema is version {}, and Trivy reads {SCHEMA}", metadata.version)));
    }
    if metadata.updated_at.parse::<jiff::Timestamp>().is_err() {
        return Err(damaged(&format!("it was made at `{}`, which is no time", metadata.updated_at)));
    }
    crate::fs::write(to, &text)?;
    Ok(metadata)
}

fn damaged(why: &str) -> Error {
    Error::new(Class::Network, "Trivy's database can't be used").because(why)
}

/// Unpacks, and reads what comes after the packed bytes too.
struct Gunzip<R: Read>(GzDecoder<R>);

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        if n == 0 && !buffer.is_empty() {
            io::copy(self.0.get_mut(), &mut io::sink())?;
        }
        Ok(n)
    }
}

/// Tells of the bytes that pass.
struct Counted<'a, R> {
    inner: R,
    seen: &'a (dyn Fn(u64) + Sync),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        (self.seen)(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
