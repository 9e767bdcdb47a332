//! A folder of blobs named by their digest (OCI image layout, "Blobs"): written beside while being hashed, then renamed.
//!
//! Takes streams, gives descriptors. Two writers of the same blob agree by construction. Never keeps a blob in memory.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::Digest;
use super::digest::{Checked, Hasher, read_error};
use super::spec::{Descriptor, Document};
use crate::error::{Context, Error, Result};
use crate::fs;

/// The largest manifest, index or config read into memory: registries refuse more than 4 MiB (distribution spec).
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Blobs below `root/blobs/sha256`.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `root`; folders are made when something is written.
    pub fn new(root: impl Into<PathBuf>) -> Store {
        Store { root: root.into() }
    }

    /// The folder that has `blobs/` in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether the blob is there with this size. Its content was checked when it was written.
    pub fn has(&self, digest: &Digest, size: u64) -> bool {
        std::fs::metadata(self.path(digest)).is_ok_and(|m| m.is_file() && m.len() == size)
    }

    /// Opens a blob; reading to its end checks size and digest.
    pub fn open(&self, descriptor: &Descriptor) -> Result<Checked<File>> {
        let path = self.path(&descriptor.digest);
        let file = File::open(&path).attempt(|| format!("open blob {}", path.display()))?;
        Ok(Checked::new(file, descriptor.digest, descriptor.size))
    }

    /// Reads a small blob whole, checked.
    pub fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if descriptor.size > DOCUMENT_LIMIT {
            return Err(Error::verification(format!(
                "{} is {} bytes, more than a document may have",
                descriptor.digest, descriptor.size
            )));
        }
        let mut bytes = Vec::new();
        let mut blob = self.open(descriptor)?;
        blob.read_to_end(&mut bytes)
            .map_err(|e| Error::verification(format!("blob {} is damaged", descriptor.digest)).because(e))?;
        Ok(bytes)
    }

    /// Stores a document.
    pub fn put(&self, document: &Document) -> Result<()> {
        if self.has(&document.descriptor.digest, document.descriptor.size) {
            return Ok(());
        }
        fs::write(&self.path(&document.descriptor.digest), &document.bytes)
    }

    /// Copies a stream in, checked against `descriptor` before it gets its name. Wrong content is class verification;
    /// a stream that fails otherwise is class network, or what the stream's own error says.
    pub fn copy_in(&self, descriptor: &Descriptor, from: impl Read) -> Result<()> {
        if self.has(&descriptor.digest, descriptor.size) {
            return Ok(());
        }
        let mut blob = self.create()?;
        std::io::copy(&mut Checked::new(from, descriptor.digest, descriptor.size), &mut blob)
            .map_err(|e| read_error(&format!("failed to copy blob {}", descriptor.digest), &e))?;
        blob.commit().map(|_| ())
    }

    /// Starts a blob whose digest isn't known yet.
    pub fn create(&self) -> Result<BlobWriter> {
        let folder = self.root.join("blobs/sha256");
        let attempt = || format!("create a blob in {}", folder.display());
        std::fs::create_dir_all(&folder).attempt(attempt)?;
        let file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(fs::readable())
            .tempfile_in(&folder)
            .attempt(attempt)?;
        Ok(BlobWriter { store: self.clone(), inner: Hasher::new(BufWriter::with_capacity(128 << 10, file)) })
    }

    /// Makes another store hold the blob, by a hard link where the file system can.
    pub fn link_to(&self, descriptor: &Descriptor, other: &Store) -> Result<()> {
        fs::link(&self.path(&descriptor.digest), &other.path(&descriptor.digest))
    }
}

/// A blob being written; dropped before [`BlobWriter::commit`] it leaves nothing.
pub struct BlobWriter {
    store: Store,
    inner: Hasher<BufWriter<tempfile::NamedTempFile>>,
}

impl BlobWriter {
    /// Gives the blob its name; returns its digest and size.
    pub fn commit(self) -> Result<(Digest, u64)> {
        let (writer, digest, size) = self.inner.finish();
        let file = writer.into_inner().map_err(|e| e.into_error()).attempt(|| format!("write blob {digest}"))?;
        file.persist(self.store.path(&digest)).attempt(|| format!("name blob {digest}"))?;
        Ok((digest, size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
