//! A destination on disk: a folder with one OCI layout a repository, `dist/oci/goverse-node/{oci-layout,index.json,blobs}`.
//!
//! Takes what a registry takes, and gives it back the same way. Blobs are hard links into the build's store where the
//! file system can, so nothing is copied. Reading makes no folder.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Destination, Remote};
use crate::config::Repository;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::oci::layout::Layout;
use crate::oci::spec::{Descriptor, Document};
use crate::oci::store::Store;

/// A folder of layouts.
#[derive(Clone, Debug)]
pub struct LayoutDestination {
    root: PathBuf,
    shown: PathBuf,
}

impl LayoutDestination {
    /// The destination at `root`; nothing is made until something is published.
    pub fn new(root: impl Into<PathBuf>) -> LayoutDestination {
        let root = root.into();
        LayoutDestination { shown: root.clone(), root }
    }

    /// The destination at `base`/`path`, in messages and records `path`: a record says nothing of this machine.
    pub fn below(base: &Path, path: &Path) -> LayoutDestination {
        LayoutDestination { root: base.join(path), shown: path.to_owned() }
    }
}

impl Destination for LayoutDestination {
    fn remote(&self, repository: &Repository) -> Result<Box<dyn Remote>> {
        let (root, shown) = (self.root.join(repository.as_str()), self.shown.join(repository.as_str()));
        Ok(Box::new(LayoutRemote { root, shown }))
    }

    fn describe(&self) -> String {
        format!("oci:{}", self.shown.display())
    }

    fn is_registry(&self) -> bool {
        false
    }
}

/// The repository that is the layout at `root`, which must be there.
pub fn open(root: &Path) -> Result<Box<dyn Remote>> {
    Layout::open(root)?;
    Ok(Box::new(LayoutRemote { root: root.to_owned(), shown: root.to_owned() }))
}

/// One repository: a layout that may not exist yet.
struct LayoutRemote {
    root: PathBuf,
    shown: PathBuf,
}

impl LayoutRemote {
    /// What `read` gives of the layout, or the default where there is none.
    fn read<T: Default>(&self, read: impl FnOnce(&Layout) -> Result<T>) -> Result<T> {
        Layout::find(&self.root)?.map_or_else(|| Ok(T::default()), |layout| read(&layout))
    }
}

impl Remote for LayoutRemote {
    fn name(&self) -> String {
        self.shown.display().to_string()
    }

    fn resolve(&self, tag: &str) -> Result<Option<Descriptor>> {
        self.read(|layout| layout.resolve(tag))
    }

    fn tags(&self) -> Result<Vec<String>> {
        self.read(Layout::tags)
    }

    fn manifest(&self, digest: &Digest) -> Result<Option<Document>> {
        self.read(|layout| layout.manifest(digest))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let store = Store::new(&self.root);
        match store.path(&descriptor.digest).exists() {
            true => Ok(Box::new(store.open(descriptor)?)),
            false => Err(Error::verification(format!("blob {} is not in {}", descriptor.digest, self.name()))),
        }
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        Ok(Store::new(&self.root).has(&descriptor.digest, descriptor.size))
    }

    fn put_blob(&self, descriptor: &Descriptor, store: &Store, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
        let layout = Layout::create(&self.root)?;
        if layout.store().has(&descriptor.digest, descriptor.size) {
            return Ok(());
        }
        if !store.has(&descriptor.digest, descriptor.size) {
            let at = store.path(&descriptor.digest);
            let message = format!("failed to publish blob {}: {} has not all of it", descriptor.digest, at.display());
            return Err(Error::failed(message).hint("remove that file if it is there, and build again"));
        }
        store.link_to(descriptor, layout.store())?;
        progress(descriptor.size);
        Ok(())
    }

    fn put_manifests(&self, documents: &[Document]) -> Result<()> {
        Layout::create(&self.root)?.add_manifests(documents)
    }

    fn set_tag(&self, tag: &str, document: &Document) -> Result<()> {
        Layout::create(&self.root)?.set_tag(tag, document)
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        self.read(|layout| layout.referrers(subject))
    }
}
