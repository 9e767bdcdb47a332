//! Repositories of images, wherever they are: one trait for registries and for layouts on disk.
//!
//! Takes and gives descriptors, documents and streams, all checked against their digests. Never decides what is
//! published or when: that is [`crate::publish`]'s.

pub mod layout;
pub mod registry;

use std::io::Read;

use crate::config::Repository;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::oci::spec::{Descriptor, Document};
use crate::oci::store::Store;

pub use layout::LayoutDestination;
pub use registry::RegistryDestination;

/// Where a release goes: all its repositories.
pub trait Destination: Sync {
    /// One repository, which need not exist yet.
    fn remote(&self, repository: &Repository) -> Result<Box<dyn Remote>>;
    /// `ghcr.io/owner`, or `oci:` and the folder; for messages and records.
    fn describe(&self) -> String;
    /// Whether it is reached over a network, so that a failure may pass.
    fn is_registry(&self) -> bool;
    /// Everything that already now would keep a release from being published, each failure with its remedy; nothing is
    /// stored by asking.
    fn check(&self) -> Vec<Error> {
        Vec::new()
    }
}

/// One repository at a destination: what a registry or a layout on disk can do with it.
pub trait Remote: Sync {
    /// `ghcr.io/owner/goverse-node`, or the layout's folder; for messages and records.
    fn name(&self) -> String;
    /// What a tag points at; `None` when there is no such tag or repository.
    fn resolve(&self, tag: &str) -> Result<Option<Descriptor>>;
    /// All tags; none when there is no such repository.
    fn tags(&self) -> Result<Vec<String>>;
    /// A manifest or index by digest, checked; `None` when it isn't there.
    fn manifest(&self, digest: &Digest) -> Result<Option<Document>>;
    /// Opens a blob; reading to its end checks it.
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>>;
    /// Whether a blob is there.
    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool>;
    /// Uploads a blob of `store`, streamed. Whether it is there already, [`Remote::has_blob`] tells. `progress` is told of
    /// bytes sent.
    fn put_blob(&self, descriptor: &Descriptor, store: &Store, progress: &(dyn Fn(u64) + Sync)) -> Result<()>;
    /// Stores manifests and indexes under their digests; those with a `subject` can then be found by
    /// [`Remote::referrers`].
    fn put_manifests(&self, documents: &[Document]) -> Result<()>;
    /// Stores one.
    fn put_manifest(&self, document: &Document) -> Result<()> {
        self.put_manifests(std::slice::from_ref(document))
    }
    /// Makes `tag` point at a manifest that is there.
    fn set_tag(&self, tag: &str, document: &Document) -> Result<()>;
    /// What refers to `subject` (distribution spec, "Listing referrers").
    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>>;
}
