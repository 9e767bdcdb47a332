//! Destinations that something happens to, for tests: the process dies, the registry lies, another release comes in
//! between. Wraps a layout, so that what is really there can be looked at.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{Destination, Remote};
use crate::config::Repository;
use crate::error::{Class, Error, Result};
use crate::oci::Digest;
use crate::oci::spec::{Descriptor, Document};
use crate::oci::store::Store;
use crate::remote::LayoutDestination;

/// What happens; by default nothing.
pub(crate) trait Meddler: Send + Sync + 'static {
    /// Stands before every operation, which begins with its verb; an error is the operation's.
    fn before(&self, _repository: &str, _operation: &str) -> Result<()> {
        Ok(())
    }
    fn manifest(&self, _repository: &str, found: Option<Document>) -> Option<Document> {
        found
    }
    fn blob(&self, _repository: &str, content: Vec<u8>) -> Vec<u8> {
        content
    }
    fn has_blob(&self, there: bool) -> bool {
        there
    }
    fn referrers(&self, found: Vec<Descriptor>) -> Vec<Descriptor> {
        found
    }
}

/// A destination that is meddled with.
pub(crate) struct Meddled<M> {
    inner: LayoutDestination,
    meddler: Arc<M>,
}

impl<M: Meddler> Meddled<M> {
    pub(crate) fn new(inner: &LayoutDestination, meddler: M) -> Meddled<M> {
        Meddled { inner: inner.clone(), meddler: Arc::new(meddler) }
    }

    pub(crate) fn meddler(&self) -> &M {
        &self.meddler
    }
}

impl<M: Meddler> Destination for Meddled<M> {
    fn remote(&self, repository: &Repository) -> Result<Box<dyn Remote>> {
        let (inner, meddler) = (self.inner.remote(repository)?, Arc::clone(&self.meddler));
        Ok(Box::new(MeddledRemote { inner, meddler, repository: repository.to_string() }))
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn is_registry(&self) -> bool {
        true
    }
}

struct MeddledRemote<M> {
    inner: Box<dyn Remote>,
    meddler: Arc<M>,
    repository: String,
}

impl<M: Meddler> MeddledRemote<M> {
    fn before(&self, operation: &str) -> Result<()> {
        self.meddler.before(&self.repository, operation)
    }
}

impl<M: Meddler> Remote for MeddledRemote<M> {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn resolve(&self, tag: &str) -> Result<Option<Descriptor>> {
        self.before(&format!("resolve {tag}"))?;
        self.inner.resolve(tag)
    }

    fn tags(&self) -> Result<Vec<String>> {
        self.before("tags")?;
        self.inner.tags()
    }

    fn manifest(&self, digest: &Digest) -> Result<Option<Document>> {
        self.before(&format!("manifest {digest}"))?;
        Ok(self.meddler.manifest(&self.repository, self.inner.manifest(digest)?))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.before(&format!("blob {}", descriptor.digest))?;
        let mut content = Vec::new();
        // What is damaged is passed on, for the caller to find.
        let _ = self.inner.blob(descriptor)?.read_to_end(&mut content);
        Ok(Box::new(std::io::Cursor::new(self.meddler.blob(&self.repository, content))))
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        self.before(&format!("has_blob {}", descriptor.digest))?;
        Ok(self.meddler.has_blob(self.inner.has_blob(descriptor)?))
    }

    fn put_blob(&self, descriptor: &Descriptor, store: &Store, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
        self.before(&format!("put_blob {}", descriptor.digest))?;
        self.inner.put_blob(descriptor, store, progress)
    }

    fn put_manifests(&self, documents: &[Document]) -> Result<()> {
        for document in documents {
            self.before(&format!("put_manifest {}", document.descriptor.digest))?;
            self.inner.put_manifest(document)?;
        }
        Ok(())
    }

    fn set_tag(&self, tag: &str, document: &Document) -> Result<()> {
        self.before(&format!("set_tag {tag}"))?;
        self.inner.set_tag(tag, document)
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        self.before(&format!("referrers {subject}"))?;
        Ok(self.meddler.referrers(self.inner.referrers(subject)?))
    }
}

/// Only looks on.
#[derive(Default)]
pub(crate) struct Watch {
    calls: Mutex<Vec<(String, String)>>,
}

impl Watch {
    /// Repository and operation, in the order in which they began.
    pub(crate) fn calls(&self) -> Vec<(String, String)> {
        self.calls.lock().unwrap().clone()
    }
}

impl Meddler for Watch {
    fn before(&self, repository: &str, operation: &str) -> Result<()> {
        self.calls.lock().unwrap().push((repository.to_owned(), operation.to_owned()));
        Ok(())
    }
}

/// From the operation with this number on, counted from 0, nothing is done any more.
pub(crate) struct Death {
    at: usize,
    seen: AtomicUsize,
}

impl Death {
    pub(crate) fn at(at: usize) -> Death {
        Death { at, seen: AtomicUsize::new(0) }
    }
}

impl Meddler for Death {
    fn before(&self, _: &str, operation: &str) -> Result<()> {
        match self.seen.fetch_add(1, Ordering::Relaxed) < self.at {
            true => Ok(()),
            false => Err(Error::new(Class::Network, format!("the line went dead before {operation}"))),
        }
    }
}

/// Something else happens before each operation; it is told the operation's number, counted from 0.
pub(crate) struct Meanwhile<F> {
    seen: AtomicUsize,
    happen: F,
}

impl<F: Fn(usize)> Meanwhile<F> {
    pub(crate) fn new(happen: F) -> Meanwhile<F> {
        Meanwhile { seen: AtomicUsize::new(0), happen }
    }
}

impl<F: Fn(usize) + Send + Sync + 'static> Meddler for Meanwhile<F> {
    fn before(&self, _: &str, _: &str) -> Result<()> {
        (self.happen)(self.seen.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}
