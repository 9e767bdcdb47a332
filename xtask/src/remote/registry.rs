//! A registry as a place to publish to.
//!
//! Takes the verbs of [`Remote`], makes them calls of the registry client. Knows the repositories of the same release,
//! so that a layer they share is mounted and not sent again.

use std::io::Read;

use super::{Destination, Remote};
use crate::config::{self, Prefix};
use crate::error::{Error, Result};
use crate::oci::spec::{Descriptor, Document};
use crate::oci::store::Store;
use crate::oci::{Digest, Reference};
use crate::pool;
use crate::registry::{Client, Credentials, Options, Policy, Repository, Target};
use crate::ui::Ui;

/// How many repositories are asked about at the same time.
const ASKED_AT_ONCE: usize = 4;
/// From this size on, asking the other repositories for a blob costs less than sending it.
const MOUNTED_FROM: u64 = 128 << 10;

/// A registry and the path below which a release's repositories are.
pub struct RegistryDestination {
    client: Client,
    prefix: Prefix,
    siblings: Vec<String>,
}

impl RegistryDestination {
    /// The registry at `prefix`, asked with this machine's credentials. A blob that one of `repositories` has is
    /// mounted into another. No connection is opened yet.
    pub fn open(prefix: &Prefix, repositories: &[config::Repository], ui: &Ui) -> RegistryDestination {
        let credentials = Credentials::from_env(Some(prefix.split().0), ui.clone());
        RegistryDestination::new(Client::new(Options::new(credentials, ui.clone())), prefix, repositories)
    }

    /// The same, asked by a client of the caller's.
    pub fn new(client: Client, prefix: &Prefix, repositories: &[config::Repository]) -> RegistryDestination {
        let siblings = repositories.iter().map(|repository| prefix.path(repository)).collect();
        RegistryDestination { client, prefix: prefix.clone(), siblings }
    }
}

impl Destination for RegistryDestination {
    fn remote(&self, repository: &config::Repository) -> Result<Box<dyn Remote>> {
        let (host, _) = self.prefix.split();
        let path = self.prefix.path(repository);
        Ok(Box::new(RegistryRemote::new(&self.client, host, &path, &self.siblings)?))
    }

    fn describe(&self) -> String {
        self.prefix.to_string()
    }

    fn is_registry(&self) -> bool {
        true
    }

    /// Whether the registry answers, and whether every repository may be pushed to.
    fn check(&self) -> Vec<Error> {
        let (host, _) = self.prefix.split();
        if let Err(error) = self.client.ping(host) {
            return vec![error.within(format!("{} can't be used", self.prefix))];
        }
        let refused = |path: &String| {
            let checked = self.client.repository(host, path).and_then(|repository| repository.check_push());
            Ok(checked.err().map(|error| error.within(format!("{host}/{path} can't be pushed to"))))
        };
        let refused = pool::map(&self.siblings, ASKED_AT_ONCE, refused).unwrap_or_else(|error| vec![Some(error)]);
        refused.into_iter().flatten().collect()
    }
}

/// The repository of `reference`, to read from. The credentials of a release's destination are not for it.
pub fn open(reference: &Reference, ui: &Ui) -> Result<Box<dyn Remote>> {
    open_with(reference, Policy::default(), ui)
}

/// The same, with the caller's patience.
pub fn open_with(reference: &Reference, policy: Policy, ui: &Ui) -> Result<Box<dyn Remote>> {
    let options = Options { policy, ..Options::new(Credentials::from_env(None, ui.clone()), ui.clone()) };
    let client = Client::new(options);
    let unnamed = || Error::usage(format!("`{reference}` names no registry"));
    let host = reference.registry.as_deref().ok_or_else(unnamed)?;
    Ok(Box::new(RegistryRemote::new(&client, host, &reference.repository, &[])?))
}

/// One repository at a registry.
pub struct RegistryRemote {
    repository: Repository,
    siblings: Vec<(String, Repository)>,
}

impl RegistryRemote {
    /// The repository `path` at `host` (`host[:port]`). `mount_from` are the paths of repositories at the same host
    /// that may already hold a blob.
    pub fn new(client: &Client, host: &str, path: &str, mount_from: &[String]) -> Result<RegistryRemote> {
        let others = mount_from.iter().filter(|other| *other != path);
        let siblings =
            others.map(|other| Ok((other.clone(), client.repository(host, other)?))).collect::<Result<_>>()?;
        Ok(RegistryRemote { repository: client.repository(host, path)?, siblings })
    }

    /// The first sibling that has the blob, of what is large enough to ask. One that cannot be asked has nothing to mount,
    /// which is no failure.
    fn holder(&self, descriptor: &Descriptor) -> Option<&str> {
        let holds = |sibling: &&(String, Repository)| {
            descriptor.size >= MOUNTED_FROM && sibling.1.has_blob(descriptor).unwrap_or(false)
        };
        self.siblings.iter().find(holds).map(|(path, _)| path.as_str())
    }
}

impl Remote for RegistryRemote {
    fn name(&self) -> String {
        self.repository.name()
    }

    fn resolve(&self, tag: &str) -> Result<Option<Descriptor>> {
        self.repository.resolve(Target::Tag(tag))
    }

    fn tags(&self) -> Result<Vec<String>> {
        self.repository.tags()
    }

    fn manifest(&self, digest: &Digest) -> Result<Option<Document>> {
        self.repository.manifest(Target::Digest(digest))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.repository.blob(descriptor)?))
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        self.repository.has_blob(descriptor)
    }

    fn put_blob(&self, descriptor: &Descriptor, store: &Store, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
        self.repository.upload(descriptor, store, self.holder(descriptor), progress).map(|_| ())
    }

    fn put_manifests(&self, documents: &[Document]) -> Result<()> {
        self.repository.attach(documents)
    }

    fn set_tag(&self, tag: &str, document: &Document) -> Result<()> {
        self.repository.put_manifest(document, Target::Tag(tag)).map(|_| ())
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        self.repository.referrers(subject, None)
    }
}
