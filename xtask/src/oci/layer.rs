//! Layers: a sorted tree of files becomes a compressed archive that is the same bytes on any machine and day
//! (OCI image spec, layer.md).
//!
//! Takes a [`Tree`], gives a [`Layer`] whose blob is in a store. Streams: neither a file nor an archive is ever held in
//! memory. Layers are cached by the content they are made of, so that nothing is compressed twice.

mod folder;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Digest;
use super::digest::{Checked, Hasher};
use super::spec::{Descriptor, media};
use super::store::Store;
use crate::config::{AbsPath, Compression};
use crate::error::{Context, Error, Result};
use crate::fs;

/// Changes whenever the bytes made from one tree change, so that no cache outlives its code.
const FORMAT: &str = "layer/3";

/// What stands at a path.
#[derive(Clone, Debug)]
enum Node {
    Folder,
    Bytes(Vec<u8>),
    Disk { path: PathBuf, digest: Digest, size: u64 },
}

#[derive(Clone, Debug)]
struct Entry {
    mode: u32,
    node: Node,
}

/// Files and folders of a layer, all of them root's: sorted by path, parents before children.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Adds a folder, and the folders above it with mode 0755.
    pub fn folder(&mut self, path: &AbsPath, mode: u32) {
        self.put(path, Entry { mode, node: Node::Folder });
    }

    /// Adds a small file.
    pub fn bytes(&mut self, path: &AbsPath, mode: u32, bytes: Vec<u8>) {
        self.put(path, Entry { mode, node: Node::Bytes(bytes) });
    }

    /// Adds a file from disk, hashing it now; archiving it later fails if it has changed meanwhile.
    pub fn disk(&mut self, path: &AbsPath, mode: u32, from: &Path) -> Result<Digest> {
        let attempt = || format!("read {}", from.display());
        let (digest, size) = Digest::of_reader(File::open(from).attempt(attempt)?).attempt(attempt)?;
        self.put(path, Entry { mode, node: Node::Disk { path: from.to_owned(), digest, size } });
        Ok(digest)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn put(&mut self, path: &AbsPath, entry: Entry) {
        let path = path.as_str().trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            let parent = path.get(..at).unwrap_or_default().to_owned();
            self.entries.entry(parent).or_insert(Entry { mode: 0o755, node: Node::Folder });
        }
        if !path.is_empty() {
            self.entries.insert(path.to_owned(), entry);
        }
    }

    /// What the archive's bytes depend on, as a digest.
    fn key(&self, epoch: i64, compression: Compression) -> Result<Digest> {
        let mut lines = format!("{FORMAT}\n{compression}\n{epoch}\n");
        for (path, entry) in &self.entries {
            let (kind, digest) = match &entry.node {
                Node::Folder => ("folder", None),
                Node::Bytes(bytes) => ("file", Some(Digest::of(bytes))),
                Node::Disk { digest, .. } => ("file", Some(*digest)),
            };
            let row = (path, entry.mode, kind, digest);
            lines += &serde_json::to_string(&row).attempt(|| format!("describe {path}"))?;
            lines.push('\n');
        }
        Ok(Digest::of(lines.as_bytes()))
    }
}

/// A layer whose blob is in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The compressed archive.
    pub descriptor: Descriptor,
    /// The digest of the archive before compression.
    pub diff_id: Digest,
}

/// Archives `tree` with every time set to `epoch`. `cache` is a folder of notes on what was already made.
pub fn make(tree: &Tree, epoch: i64, compression: Compression, store: &Store, cache: &Path) -> Result<Layer> {
    let note = cache.join(format!("{}.json", tree.key(epoch, compression)?.hex()));
    if let Some(layer) = recall(&note, store) {
        return Ok(layer);
    }
    let mut blob = store.create()?;
    let written = match compression {
        Compression::Gzip(level) => {
            let gzip = flate2::GzBuilder::new().write(&mut blob, flate2::Compression::new(level));
            archive(tree, epoch, Pieces::new(gzip)).and_then(|(pieces, diff_id)| {
                pieces.finish()?.finish()?;
                Ok(diff_id)
            })
        }
        Compression::Zstd(level) => zstd::Encoder::new(&mut blob, level)
            .and_then(|zstd| archive(tree, epoch, zstd))
            .and_then(|(zstd, diff_id)| zstd.finish().map(|_| diff_id)),
    };
    let diff_id = written.attempt(|| format!("write a layer into {}", store.root().display()))?;
    let (digest, size) = blob.commit()?;
    let media_type = if matches!(compression, Compression::Gzip(_)) { media::LAYER_GZIP } else { media::LAYER_ZSTD };
    let layer = Layer { descriptor: Descriptor::new(media_type, digest, size), diff_id };
    fs::write(&note, &serde_json::to_vec(&layer).attempt(|| "describe a layer".into())?)?;
    Ok(layer)
}

/// A note that can't be read, or whose blob is gone, is as good as none.
fn recall(note: &Path, store: &Store) -> Option<Layer> {
    let layer: Layer = serde_json::from_slice(&std::fs::read(note).ok()?).ok()?;
    store.has(&layer.descriptor.digest, layer.descriptor.size).then_some(layer)
}

/// Writes what `tar --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime=@EPOCH` writes.
fn archive<W: Write>(tree: &Tree, epoch: i64, to: W) -> io::Result<(W, Digest)> {
    let mut tar = tar::Builder::new(Hasher::new(to));
    for (path, entry) in &tree.entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(epoch).unwrap_or(0));
        header.set_entry_type(tar::EntryType::Regular);
        match &entry.node {
            Node::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                append(&mut tar, &mut header, &format!("{path}/"), io::empty())?;
            }
            Node::Bytes(bytes) => {
                header.set_size(bytes.len() as u64);
                append(&mut tar, &mut header, path, bytes.as_slice())?;
            }
            Node::Disk { path: from, digest, size } => {
                header.set_size(*size);
                let changed = |e: io::Error| {
                    io::Error::new(e.kind(), format!("{} changed while being read: {e}", from.display()))
                };
                let file = File::open(from).map_err(changed)?;
                append(&mut tar, &mut header, path, Checked::new(file, *digest, *size)).map_err(changed)?;
            }
        }
    }
    let (writer, digest, _) = tar.into_inner()?.finish();
    Ok((writer, digest))
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    header: &mut tar::Header,
    path: &str,
    content: impl io::Read,
) -> io::Result<()> {
    // A name that doesn't fit is written before the entry, which the crate does by itself.
    if header.set_path(path).is_err() {
        return tar.append_data(header, path, content);
    }
    header.set_cksum();
    let sum = format!("{:06o}\0 ", header.cksum()?);
    header.as_old_mut().cksum.copy_from_slice(sum.as_bytes());
    tar.append(header, content)
}

/// Passes bytes on in pieces of one length: what zlib-rs makes of them depends on where they are cut, and a file system
/// may cut a read anywhere.
struct Pieces<W> {
    to: W,
    held: Vec<u8>,
}

impl<W: Write> Pieces<W> {
    /// The length of a piece in bytes.
    const LENGTH: usize = 64 << 10;

    fn new(to: W) -> Pieces<W> {
        Pieces { to, held: Vec::with_capacity(Self::LENGTH) }
    }

    /// Passes the last, shorter piece on.
    fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&self.held)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Pieces<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (taken, _) = bytes.split_at(bytes.len().min(Self::LENGTH - self.held.len()));
        self.held.extend_from_slice(taken);
        if self.held.len() == Self::LENGTH {
            self.to.write_all(&self.held)?;
            self.held.clear();
        }
        Ok(taken.len())
    }

    /// Does nothing: a flush is one more cut.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a layer for reading its archive, whatever its compression; `what` names it in the error.
pub fn unpack<'a>(media_type: &str, blob: impl io::Read + 'a, what: &str) -> Result<Box<dyn io::Read + 'a>> {
    match media_type {
        media::LAYER_TAR => Ok(Box::new(blob)),
        media::LAYER_GZIP | media::DOCKER_LAYER => Ok(Box::new(flate2::read::MultiGzDecoder::new(blob))),
        media::LAYER_ZSTD => Ok(Box::new(zstd::Decoder::new(blob).attempt(|| format!("read {what}"))?)),
        other => Err(Error::failed(format!("{what} has a layer of unknown type `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn path(text: &str) -> AbsPath {
        text.parse().unwrap()
    }

    fn tree(file: &Path) -> Tree {
        let mut tree = Tree::default();
        tree.folder(&path("/tmp"), 0o1777);
        tree.disk(&path("/usr/local/bin/gate"), 0o755, file).unwrap();
        tree.bytes(&path("/etc/passwd"), 0o644, b"root:x:0:0::/:/bin/false\n".to_vec());
        tree
    }

    fn made(compression: &str, epoch: i64) -> (Layer, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        std::fs::write(&file, b"program ".repeat(50_000)).unwrap();
        let store = Store::new(folder.path().join("store"));
        let layer =
            make(&tree(&file), epoch, compression.parse().unwrap(), &store, &folder.path().join("cache")).unwrap();
        let blob = store.open(&layer.descriptor).unwrap();
        let mut bytes = Vec::new();
        unpack(&layer.descriptor.media_type, blob, "the layer").unwrap().read_to_end(&mut bytes).unwrap();
        (layer, bytes)
    }

    #[test]
    fn the_archive_has_sorted_entries_of_root_at_one_time() {
        let (layer, bytes) = made("gzip", 1_700_000_000);
        assert_eq!(Digest::of(&bytes), layer.diff_id);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|e| {
                let e = e.unwrap();
                let header = e.header();
                assert_eq!(
                    (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
                    (0, 0, 1_700_000_000)
                );
                (e.path().unwrap().display().to_string(), header.mode().unwrap())
            })
            .collect();
        let expected = [
            ("etc/", 0o755),
            ("etc/passwd", 0o644),
            ("tmp/", 0o1777),
            ("usr/", 0o755),
            ("usr/local/", 0o755),
            ("usr/local/bin/", 0o755),
            ("usr/local/bin/gate", 0o755),
        ];
        assert_eq!(entries, expected.map(|(p, m)| (p.to_owned(), m)));
    }

    #[test]
    fn where_a_read_is_cut_does_not_show_in_the_compressed_bytes() {
        let text: Vec<u8> = (0..40_000u64).flat_map(|n| (n * n % 9_973).to_string().into_bytes()).collect();
        let gzip = |lengths: &[usize]| {
            let mut pieces = Pieces::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6)));
            let (mut rest, mut lengths) = (text.as_slice(), lengths.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
                pieces.write_all(piece).unwrap();
                rest = after;
            }
            pieces.finish().unwrap().finish().unwrap()
        };
        let whole = gzip(&[text.len()]);
        for lengths in [&[1][..], &[512, 8_192], &[100_000], &[3, 70_000, 11]] {
            assert!(gzip(lengths) == whole, "{lengths:?}");
        }
    }

    #[test]
    fn every_compression_holds_the_same_archive_and_is_the_same_twice() {
        let (gzip, archive) = made("gzip", 5);
        for compression in ["gzip", "gzip:1", "zstd", "zstd:19"] {
            let (layer, bytes) = made(compression, 5);
            assert_eq!(bytes, archive, "{compression}");
            assert_eq!(layer, made(compression, 5).0, "{compression}");
            assert_eq!(layer.diff_id, gzip.diff_id);
        }
        assert_ne!(made("gzip", 6).0.diff_id, gzip.diff_id);
    }

    #[test]
    fn a_file_that_changes_while_being_read_is_an_error_and_leaves_no_blob() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        for changed in ["long content", "short", "other co"] {
            std::fs::write(&file, "contents").unwrap();
            let tree = tree(&file);
            std::fs::write(&file, changed).unwrap();
            let store = Store::new(folder.path().join("store"));
            let err =
                make(&tree, 0, Compression::default(), &store, &folder.path().join("cache")).unwrap_err().to_string();
            assert!(err.contains("changed while being read"), "{err}");
            assert_eq!(std::fs::read_dir(folder.path().join("store/blobs/sha256")).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_cached_layer_whose_blob_is_gone_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (store, cache) = (Store::new(folder.path().join("store")), folder.path().join("cache"));
        let mut tree = Tree::default();
        tree.bytes(&path("/a"), 0o644, b"a".to_vec());
        let first = make(&tree, 0, Compression::default(), &store, &cache).unwrap();
        std::fs::remove_file(store.path(&first.descriptor.digest)).unwrap();
        assert_eq!(make(&tree, 0, Compression::default(), &store, &cache).unwrap(), first);
        assert!(store.has(&first.descriptor.digest, first.descriptor.size));
    }
}
