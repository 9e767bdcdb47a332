//! A registry in this process, with faults: the OCI distribution spec 1.1 over plain HTTP/1.1 on 127.0.0.1.
//!
//! `Registry::start()` serves until it is dropped. `fault(|f| …)` makes it misbehave, `log()` tells what was asked of
//! it, `snapshot()` what it holds. It is as strict as the spec lets a registry be: blobs must hash to their names, a
//! manifest's blobs and children must be there, tokens must cover what is asked. It never sleeps; where it hangs, it
//! hangs until it is dropped.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part of the registry")]

mod access;
mod api;
mod faults;
mod http;
mod state;

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use xtask::oci::Digest;

pub(crate) use faults::{Access, Cut, Faults, Refusal};
pub(crate) use state::{Entry, Snapshot};

use state::State;

/// A running registry.
pub(crate) struct Registry {
    state: Arc<State>,
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl Registry {
    /// Serves an empty registry on a free port.
    pub(crate) fn start() -> Registry {
        let mut registry = Registry { state: Arc::new(State::default()), addresses: Vec::new(), threads: Vec::new() };
        // The second address stands for a storage service: the same content, another origin, no access control.
        registry.listen();
        registry.listen();
        let storage = registry.storage();
        lock(&registry.state.storage).clone_from(&storage);
        registry
    }

    #[expect(clippy::panic, reason = "a test without a registry can only fail")]
    fn listen(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| panic!("no free port: {e}"));
        self.addresses.push(listener.local_addr().unwrap_or_else(|e| panic!("no address: {e}")));
        let state = Arc::clone(&self.state);
        self.threads.push(std::thread::spawn(move || accept(&listener, &state)));
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn addr(&self) -> String {
        self.addresses.first().map(ToString::to_string).unwrap_or_default()
    }

    /// `127.0.0.1:PORT` of the storage service that blobs are redirected to by some faults.
    pub(crate) fn storage(&self) -> String {
        self.addresses.last().map(ToString::to_string).unwrap_or_default()
    }

    /// Changes how it misbehaves.
    pub(crate) fn fault(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.state.faults));
    }

    /// Everything asked so far, in the order of answering.
    pub(crate) fn log(&self) -> Vec<Entry> {
        lock(&self.state.log).clone()
    }

    /// Forgets what was asked so far.
    pub(crate) fn clear_log(&self) {
        lock(&self.state.log).clear();
    }

    /// What it holds.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.state.snapshot()
    }

    /// How many uploads are under way.
    pub(crate) fn uploads(&self) -> usize {
        lock(&self.state.uploads).len()
    }

    /// Puts a blob in without asking.
    pub(crate) fn seed_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        self.state.seed_blob(repository, bytes)
    }

    /// Puts a manifest in without asking or checking, under its digest and maybe a tag.
    pub(crate) fn seed_manifest(&self, repository: &str, media_type: &str, bytes: &[u8], tag: Option<&str>) -> Digest {
        self.state.seed_manifest(repository, media_type, bytes, tag)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.state.stop();
        for address in &self.addresses {
            // Wakes the thread that accepts; when it is gone already there is nobody to wake.
            drop(TcpStream::connect(address));
        }
        for thread in self.threads.drain(..) {
            // A panic of the registry's shows as a failure of the client under test.
            drop(thread.join());
        }
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut threads = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if state.stopped() {
            break;
        }
        if let Ok(copy) = stream.try_clone() {
            lock(&state.connections).push(copy);
        }
        let state = Arc::clone(state);
        threads.push(std::thread::spawn(move || http::serve(&stream, &state)));
    }
    for stream in lock(&state.connections).drain(..) {
        // A connection that is closed already cannot be closed again.
        drop(stream.shutdown(Shutdown::Both));
    }
    for thread in threads {
        drop(thread.join());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
