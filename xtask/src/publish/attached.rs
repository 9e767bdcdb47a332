//! Attached documents, read back from where an image is: no layer is pulled for them.
//!
//! Takes a repository and a manifest's digest, gives what refers to it. A referrer whose content isn't what its digest
//! says, or that is about another manifest than the one it was listed for, is an error of class verification.

use std::io::Read;

use super::Remote;
use super::referrer::{Artifact, empty};
use crate::error::{Class, Error, Result};
use crate::oci::Digest;
use crate::oci::digest::Checked;
use crate::oci::spec::{Descriptor, Manifest, parse};
use crate::oci::store::Store;

/// The largest document read into memory: SBOMs and extracts of Go programs have some hundred KiB.
pub const LIMIT: u64 = 64 << 20;

/// The one document of `artifact`, which must be about `subject`. `trouble` is the class of a failed read.
pub fn read(remote: &dyn Remote, artifact: &Digest, subject: &Digest, trouble: Class) -> Result<Vec<u8>> {
    let what = format!("{}@{artifact}", remote.name());
    let wrong = |why: String| Error::verification(format!("{what} can't be relied on")).because(why);
    let found = remote.manifest(artifact)?.ok_or_else(|| wrong("it is listed, but isn't there".into()))?;
    let actual = Digest::of(&found.bytes);
    if actual != *artifact {
        return Err(wrong(format!("its content hashes to {actual}")));
    }
    let manifest: Manifest = parse(&what, &found.bytes)?;
    match manifest.subject.as_ref().map(|s| s.digest) {
        Some(is) if is == *subject => {}
        Some(other) => return Err(wrong(format!("its subject is {other}, not {subject}"))),
        None => return Err(wrong(format!("it has no subject, and was listed for {subject}"))),
    }
    let [document] = manifest.layers.as_slice() else { return Err(wrong("it has not exactly one layer".into())) };
    blob(remote, document, LIMIT, trouble)
}

/// A blob of at most `limit` bytes, hashed here.
pub fn blob(remote: &dyn Remote, descriptor: &Descriptor, limit: u64, trouble: Class) -> Result<Vec<u8>> {
    let Descriptor { digest, size, .. } = descriptor;
    if *size > limit {
        let message = format!("{digest} in {} is too large to be read", remote.name());
        return Err(Error::verification(message).because(format!("it has {size} bytes, more than {limit}")));
    }
    let mut bytes = Vec::new();
    let blob = remote.blob(descriptor)?.take(size.saturating_add(1));
    Checked::new(blob, *digest, *size).read_to_end(&mut bytes).map_err(|e| {
        let class = if e.kind() == std::io::ErrorKind::InvalidData { Class::Verification } else { trouble };
        Error::new(class, format!("failed to read {digest} of {}", remote.name())).because(e)
    })?;
    Ok(bytes)
}

/// Attaches `artifact`: its blobs, then its manifest, which the destination must then list for its subject. Gives
/// whether anything was sent; what is listed already stays as it is.
pub fn attach(remote: &dyn Remote, artifact: &Artifact, subject: &Digest, store: &Store) -> Result<bool> {
    let digest = artifact.manifest.descriptor.digest;
    let is_listed = || Ok::<_, Error>(remote.referrers(subject)?.iter().any(|d| d.digest == digest));
    if is_listed()? && remote.manifest(&digest)?.is_some() {
        return Ok(false);
    }
    put_blobs(remote, artifact, store)?;
    remote.put_manifest(&artifact.manifest)?;
    match is_listed()? {
        true => Ok(true),
        false => Err(Error::network(format!("{} does not list {digest} as a referrer of {subject}", remote.name()))),
    }
}

/// Sends the blobs of `artifact` that aren't there, by way of `store`.
pub fn put_blobs(remote: &dyn Remote, artifact: &Artifact, store: &Store) -> Result<()> {
    for blob in [&empty(), &artifact.document] {
        store.put(blob)?;
        if !remote.has_blob(&blob.descriptor)? {
            remote.put_blob(&blob.descriptor, store, &|_| ())?;
        }
    }
    Ok(())
}
