//! What the registry holds, and what was asked of it.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use xtask::oci::Digest;

use super::faults::Faults;
use super::lock;

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// The `Host` it was sent to.
    pub(crate) host: String,
    /// Whether it carried `Authorization`.
    pub(crate) authorization: bool,
    pub(crate) user_agent: String,
    /// `Range` or `Content-Range`.
    pub(crate) range: Option<String>,
    /// Bytes of its body that the handler read.
    pub(crate) received: u64,
    /// 0 when the connection was cut or left hanging.
    pub(crate) status: u16,
}

/// What one repository holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) blobs: BTreeMap<Digest, Arc<Vec<u8>>>,
    /// Media type and bytes.
    pub(crate) manifests: BTreeMap<Digest, (String, Arc<Vec<u8>>)>,
    pub(crate) tags: BTreeMap<String, Digest>,
}

/// Everything held, by repository.
pub(crate) type Snapshot = BTreeMap<String, Contents>;

/// An upload under way.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) repository: String,
    pub(super) bytes: Vec<u8>,
    /// Goes up with every request: an upload URL is good once.
    pub(super) step: u64,
}

/// A token that was given out.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) scopes: String,
    pub(super) uses: Option<u32>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) repositories: Mutex<Snapshot>,
    pub(super) uploads: Mutex<BTreeMap<u64, Upload>>,
    pub(super) tokens: Mutex<BTreeMap<String, Token>>,
    pub(super) next: Mutex<u64>,
    pub(super) faults: Mutex<Faults>,
    pub(super) log: Mutex<Vec<Entry>>,
    pub(super) storage: Mutex<String>,
    pub(super) connections: Mutex<Vec<TcpStream>>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

impl State {
    pub(super) fn stop(&self) {
        *lock(&self.stopped) = true;
        self.stop.notify_all();
    }

    pub(super) fn stopped(&self) -> bool {
        *lock(&self.stopped)
    }

    pub(super) fn wait_for_stop(&self) {
        let waited = self.stop.wait_while(lock(&self.stopped), |stopped| !*stopped);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        lock(&self.repositories).clone()
    }

    pub(super) fn number(&self) -> u64 {
        let mut next = lock(&self.next);
        *next += 1;
        *next
    }

    pub(super) fn seed_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        lock(&self.repositories).entry(repository.into()).or_default().blobs.insert(digest, Arc::new(bytes.to_vec()));
        digest
    }

    pub(super) fn seed_manifest(&self, repository: &str, media_type: &str, bytes: &[u8], tag: Option<&str>) -> Digest {
        let digest = Digest::of(bytes);
        let mut repositories = lock(&self.repositories);
        let contents = repositories.entry(repository.into()).or_default();
        contents.manifests.insert(digest, (media_type.into(), Arc::new(bytes.to_vec())));
        contents.tags.extend(tag.map(|tag| (tag.to_owned(), digest)));
        digest
    }
}
