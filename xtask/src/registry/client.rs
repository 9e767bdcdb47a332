//! The client: transport, credentials and patience, shared by every repository.
//!
//! Takes [`Options`], gives [`Repository`] handles. Cheap to clone; used from many threads at once. Opens nothing before
//! the first call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Method, StatusCode};

use super::auth::Auth;
use super::credentials::Credentials;
use super::failure::{Failure, is_temporary};
use super::host::Host;
use super::reply::Reply;
use super::repository::Repository;
use super::retry::{Clock, Policy, Retrier, SystemClock};
use super::transport::{Call, Timeouts, Transport};
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::ui::Ui;

/// The piece that a blob is cut into where a registry refuses it whole.
const CHUNK: u64 = 16 << 20;

/// How a [`Client`] behaves.
#[derive(Clone)]
pub struct Options {
    /// Who is asking.
    pub credentials: Credentials,
    /// Hosts (`host[:port]`) that are talked to without TLS, besides this machine.
    pub plain_http: BTreeSet<String>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to try.
    pub policy: Policy,
    /// The length of a chunk in bytes, where an upload must be chunked.
    pub chunk: u64,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where retries are noted.
    pub ui: Ui,
}

impl Options {
    /// The defaults, on the machine's own clock.
    pub fn new(credentials: Credentials, ui: Ui) -> Options {
        Options {
            credentials,
            plain_http: BTreeSet::new(),
            timeouts: Timeouts::default(),
            policy: Policy::default(),
            chunk: CHUNK,
            clock: Arc::new(SystemClock),
            ui,
        }
    }
}

/// A registry client.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    auth: Auth,
    retrier: Retrier,
    plain: BTreeSet<String>,
    chunk: u64,
    fallback: Mutex<BTreeMap<Digest, Arc<Mutex<()>>>>,
}

impl Client {
    /// Makes a client; no connection is opened yet.
    pub fn new(options: Options) -> Client {
        let retrier = Retrier { policy: options.policy, clock: options.clock, ui: options.ui };
        let shared = Shared {
            transport: Transport::new(options.timeouts),
            auth: Auth::new(options.credentials, options.plain_http.clone(), retrier.clone()),
            retrier,
            plain: options.plain_http,
            chunk: options.chunk.max(1),
            fallback: Mutex::default(),
        };
        Client { shared: Arc::new(shared) }
    }

    /// The repository `path` at `host` (`host[:port]`); an error when either is malformed, nothing is asked yet.
    pub fn repository(&self, host: &str, path: &str) -> Result<Repository> {
        Repository::new(self.clone(), self.host(host)?, path)
    }

    /// Whether a registry answers at `host` and lets us in (distribution spec, "Determining Support").
    pub fn ping(&self, host: &str) -> Result<()> {
        let host = self.host(host)?;
        let url = host.base.join("v2/").map_err(|e| Error::usage(e.to_string()))?;
        let reply = self.call(&host, "", &Call::new(Method::GET, url))?;
        match reply.is_success() {
            true => Ok(()),
            false => Err(self.refused(&host, reply).into()),
        }
    }

    fn host(&self, name: &str) -> Result<Host> {
        Host::new(name, &self.shared.plain)
    }

    pub(super) fn retrier(&self) -> &Retrier {
        &self.shared.retrier
    }

    pub(super) fn chunk(&self) -> u64 {
        self.shared.chunk
    }

    /// To be held while the fallback tag of `subject` is rewritten: two threads of this process must not overwrite each
    /// other.
    pub(super) fn fallback(&self, subject: &Digest) -> Arc<Mutex<()>> {
        let mut all = self.shared.fallback.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(*subject).or_default())
    }

    /// Sends `call` until there is an answer that is no temporary failure. `scope` is what a token must allow, space
    /// separated.
    pub(super) fn call(&self, host: &Host, scope: &str, call: &Call<'_>) -> Result<Reply> {
        let reply = self.retrier().run(|| {
            let reply = self.once(host, scope, call)?;
            match is_temporary(reply.status()) {
                true => Err(self.refused(host, reply)),
                false => Ok(reply),
            }
        });
        reply.map_err(Error::from)
    }

    /// Sends `call` once, and once more when it took a new token to be let in. Any status is an answer.
    pub(super) fn once(&self, host: &Host, scope: &str, call: &Call<'_>) -> std::result::Result<Reply, Failure> {
        let Shared { transport, auth, .. } = self.shared.as_ref();
        if !host.owns(&call.url) {
            return transport.send(call, None);
        }
        let used = auth.header(transport, host, scope)?;
        let reply = transport.send(call, used.as_ref())?;
        if reply.status() != StatusCode::UNAUTHORIZED || !host.owns(&reply.url) {
            return Ok(reply);
        }
        auth.learn(host, scope, reply.response.headers(), used.as_ref())?;
        let fresh = auth.header(transport, host, scope)?;
        if fresh.is_none() || fresh == used {
            return Ok(reply);
        }
        transport.send(call, fresh.as_ref())
    }

    /// An answer that is no success, with the remedy where credentials or TLS are the trouble.
    pub(super) fn refused(&self, host: &Host, reply: Reply) -> Failure {
        let ours = host.owns(&reply.url);
        let failure = reply.failure(self.retrier().clock.timestamp());
        match failure.status {
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) if ours => {
                Failure { error: failure.error.hint(self.shared.auth.hint(&host.name)), ..failure }
            }
            Some(StatusCode::BAD_REQUEST) if ours && host.base.scheme() == "http" => {
                let hint = format!("{} was asked without TLS; if it wants TLS, write no loopback address", host.name);
                Failure { error: failure.error.hint(hint), ..failure }
            }
            _ => failure,
        }
    }
}
