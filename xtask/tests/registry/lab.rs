//! A registry, a store and a client on a clock that only moves when somebody sleeps.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use xtask::error::{Class, Error};
use xtask::oci::spec::{Annotations, Descriptor, Document, Manifest, media};
use xtask::oci::store::Store;
use xtask::registry::{Client, Clock, Credentials, Options, Repository, Timeouts};
use xtask::ui::Ui;

use crate::common::{Entry, Registry};

/// The repository that the tests use.
pub(crate) const REPOSITORY: &str = "team/app";

/// A clock that is moved by sleeping alone.
pub(crate) struct TestClock {
    start: Instant,
    slept: Mutex<Vec<Duration>>,
}

impl TestClock {
    fn new() -> TestClock {
        TestClock { start: Instant::now(), slept: Mutex::default() }
    }

    fn slept(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.slept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.start + self.slept().iter().sum::<Duration>()
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn sleep(&self, pause: Duration) {
        self.slept().push(pause);
    }
}

/// Everything a test needs.
pub(crate) struct Lab {
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    pub(crate) folder: tempfile::TempDir,
    clock: Arc<TestClock>,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path().join("store"));
        Lab { registry: Registry::start(), store, folder, clock: Arc::new(TestClock::new()) }
    }

    /// A client without credentials, changed by `change`.
    pub(crate) fn client(&self, change: impl FnOnce(&mut Options)) -> Client {
        let mut options = Options::new(Credentials::none(Ui::silent()), Ui::silent());
        options.clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        change(&mut options);
        Client::new(options)
    }

    /// The repository, asked by such a client.
    pub(crate) fn repository_by(&self, change: impl FnOnce(&mut Options)) -> Repository {
        self.open(&self.client(change), REPOSITORY)
    }

    /// The repository, asked without credentials.
    pub(crate) fn repository(&self) -> Repository {
        self.repository_by(|_| ())
    }

    /// Any repository.
    pub(crate) fn open(&self, client: &Client, path: &str) -> Repository {
        client.repository(&self.registry.addr(), path).expect("a repository")
    }

    /// The pauses made so far.
    pub(crate) fn pauses(&self) -> Vec<Duration> {
        self.clock.slept().clone()
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.sleep(time);
    }

    /// A blob of the store.
    pub(crate) fn blob(&self, bytes: &[u8]) -> Descriptor {
        let mut blob = self.store.create().expect("a blob");
        blob.write_all(bytes).expect("a blob");
        let (digest, size) = blob.commit().expect("a blob");
        Descriptor::new(media::LAYER_TAR, digest, size)
    }

    /// What the registry holds of a blob.
    pub(crate) fn stored(&self, descriptor: &Descriptor) -> Option<Vec<u8>> {
        let snapshot = self.registry.snapshot();
        snapshot.get(REPOSITORY)?.blobs.get(&descriptor.digest).map(|bytes| bytes.to_vec())
    }

    /// Uploads a blob; gives how many bytes its progress added up to.
    pub(crate) fn upload(&self, repository: &Repository, descriptor: &Descriptor) -> Result<u64, Error> {
        let sent = Mutex::new(0);
        let progress = |bytes| *sent.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
        repository.upload(descriptor, &self.store, None, &progress)?;
        Ok(sent.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// A manifest whose config is at the registry already; `subject` makes it a referrer.
    pub(crate) fn manifest(&self, name: &str, subject: Option<Descriptor>) -> Document {
        let config = format!(r#"{{"name":"{name}"}}"#);
        self.registry.seed_blob(REPOSITORY, config.as_bytes());
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.into(),
            artifact_type: subject.is_some().then(|| format!("application/vnd.test.{name}")),
            config: Descriptor::of(media::CONFIG, config.as_bytes()),
            layers: Vec::new(),
            subject,
            annotations: Annotations::from([("name".to_owned(), name.to_owned())]),
        };
        Document::new(media::MANIFEST, &manifest).expect("a manifest")
    }

    /// What was asked, as `METHOD path`, with `{digest}` and upload numbers left out.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.registry.log().iter().map(brief).collect()
    }

    /// Requests of one method.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.registry.log().iter().filter(|entry| entry.method == method).count()
    }
}

fn brief(entry: &Entry) -> String {
    let path = entry.target.split('?').next().unwrap_or_default();
    let tail = path.strip_prefix(&format!("/v2/{REPOSITORY}/")).unwrap_or(path);
    let kind =
        if tail.starts_with("blobs/uploads/") { "upload" } else { tail.split("/sha256:").next().unwrap_or(tail) };
    format!("{} {kind}", entry.method)
}

/// Timeouts so short that a test may wait for them.
pub(crate) fn impatient(options: &mut Options) {
    let short = Duration::from_millis(200);
    options.timeouts = Timeouts { connect: short, answer: short, slowest: u64::MAX };
    options.policy.tries = 2;
}

/// Bytes without a pattern that a shifted copy would match.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Reads to the end.
pub(crate) fn read(mut from: impl Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    match from.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(e) => Err(xtask::registry::read_error("failed to read a blob", &e)),
    }
}

/// The error's class and text.
#[track_caller]
pub(crate) fn fails<T>(result: Result<T, Error>, class: Class, parts: &[&str]) {
    let Err(error) = result else { panic!("it should have failed") };
    let text = error.to_string();
    assert_eq!(error.class(), class, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
