//! Blobs sent: mounted, sent whole, or in chunks; continued where the connection was cut (distribution spec, "Pushing
//! blobs").
//!
//! Takes a blob of a store, streams it. Never holds a blob in memory, never sends what the registry already has of it
//! when the registry says how much that is, and never sends a blob that does not hash to its name.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::failure::Failure;
use super::patience::Patience;
use super::reply::Reply;
use super::repository::Repository;
use super::stream::Source;
use super::transport::{Body, Call, check_downgrade};
use crate::error::{Class, Context, Error, Result};
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;

/// The type of a blob on its way, whatever it is.
const OCTETS: &str = "application/octet-stream";
/// How much of a file is read at once.
const BUFFER: usize = 128 << 10;
/// Chunks are not made smaller than this, however often a registry calls them too large.
const SMALLEST_CHUNK: u64 = 256 << 10;
/// After so many cut attempts to send a blob in one piece, it is sent in chunks.
const WHOLE_TRIES: u32 = 2;

/// How a blob came to be in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The registry had it in the other repository, so nothing was sent.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

impl Repository {
    /// Puts a blob of `store` here: mounted from the repository `from` of the same registry where the registry does
    /// that, else uploaded. `progress` is told how many bytes more have been sent; bytes sent twice count once.
    pub fn upload(
        &self,
        descriptor: &Descriptor,
        store: &Store,
        from: Option<&str>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Sent> {
        let (session, least) = match from.map(|from| self.mount(descriptor, from)).transpose()? {
            Some(Mount::Done) => return Ok(Sent::Mounted),
            Some(Mount::Session(url, least)) => (Some(url), least),
            Some(Mount::Refused) | None => (None, 0),
        };
        let source = Stored { store, descriptor, progress, furthest: AtomicU64::new(0) };
        let chunk = self.client.chunk().max(least);
        let state = State { session, offset: 0, chunk, chunked: false, resumable: true, cuts: 0 };
        Upload { repository: self, descriptor, source: &source, state }.run()?;
        Ok(Sent::Uploaded)
    }

    /// Asks whether blobs may be pushed here, by starting an upload and ending it at once: a token server grants less
    /// than it was asked for without a word, so that a token alone proves nothing.
    pub fn check_push(&self) -> Result<()> {
        let (session, _) = self.begin()?;
        // The spec has no way to end an upload; a registry that knows none forgets it by itself.
        let _ = self.client.once(&self.host, &self.push_scope(), &Call::new(Method::DELETE, session));
        Ok(())
    }

    /// Starts an upload; gives its URL and the smallest chunk it takes.
    fn begin(&self) -> Result<(Url, u64)> {
        let reply = self.write(&Call::new(Method::POST, self.url("blobs/uploads/")?))?;
        if reply.status() != StatusCode::ACCEPTED {
            return Err(self.refused(reply));
        }
        let session = location(&reply)?.ok_or_else(|| reply.broken("it starts an upload without saying where"))?;
        Ok((session, least_chunk(&reply)))
    }

    /// Asks for a mount (distribution spec, "Mounting a blob from another repository"). A registry that will not mount
    /// starts an upload instead; one that refuses the question is asked no further.
    fn mount(&self, descriptor: &Descriptor, from: &str) -> Result<Mount> {
        let mut url = self.url("blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &descriptor.digest.to_string()).append_pair("from", from);
        let scope = format!("{} repository:{from}:pull", self.push_scope());
        match self.client.call(&self.host, &scope, &Call::new(Method::POST, url)) {
            Ok(reply) if reply.status() == StatusCode::CREATED => Ok(Mount::Done),
            Ok(reply) if reply.status() == StatusCode::ACCEPTED => {
                Ok(location(&reply)?.map_or(Mount::Refused, |url| Mount::Session(url, least_chunk(&reply))))
            }
            Ok(_) => Ok(Mount::Refused),
            Err(error) if error.class() == Class::Network => Err(error),
            // A token server may refuse the other repository; this one alone is all an upload needs.
            Err(_) => Ok(Mount::Refused),
        }
    }
}

enum Mount {
    Done,
    Session(Url, u64),
    Refused,
}

/// The blob of a store as something to send.
struct Stored<'a> {
    store: &'a Store,
    descriptor: &'a Descriptor,
    progress: &'a (dyn Fn(u64) + Sync),
    furthest: AtomicU64,
}

impl Source for Stored<'_> {
    /// The whole blob is hashed again while it is sent; a part of one can't be, so there the registry's check stands.
    fn open(&self, from: u64) -> Result<Box<dyn Read + Send>> {
        if from == 0 {
            return Ok(Box::new(BufReader::with_capacity(BUFFER, self.store.open(self.descriptor)?)));
        }
        let path = self.store.path(&self.descriptor.digest);
        let mut file = File::open(&path).attempt(|| format!("open blob {}", path.display()))?;
        file.seek(SeekFrom::Start(from)).attempt(|| format!("read blob {}", path.display()))?;
        Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
    }

    fn reached(&self, position: u64) {
        let before = self.furthest.fetch_max(position, Ordering::Relaxed);
        if position > before {
            (self.progress)(position - before);
        }
    }
}

/// How far an upload has come.
struct State {
    session: Option<Url>,
    /// Bytes the registry has of this session.
    offset: u64,
    chunk: u64,
    chunked: bool,
    /// Whether the registry can tell how much it has and take the rest.
    resumable: bool,
    cuts: u32,
}

struct Upload<'a> {
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    source: &'a Stored<'a>,
    state: State,
}

/// Why a step did not succeed.
enum Trouble {
    /// Something may have arrived; ask how much, and go on from there.
    Cut(Failure),
    /// This way of sending is not accepted.
    Refused(Failure),
    /// Nothing helps.
    Final(Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        match failure.temporary {
            true => Trouble::Cut(failure),
            false => Trouble::Final(failure.into()),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Final(error)
    }
}

type Step = std::result::Result<bool, Trouble>;

impl Upload<'_> {
    fn run(mut self) -> Result<()> {
        let mut patience = Patience::new(self.repository.client.retrier());
        loop {
            match self.step() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Refused(failure)) => self.send_otherwise(failure)?,
                Err(Trouble::Cut(failure)) => {
                    patience.failed(self.state.offset, failure)?;
                    self.recover();
                    // The last answer may have been lost on a blob that arrived.
                    if self.state.session.is_none() && self.repository.has_blob(self.descriptor)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// One request; true when the blob is there.
    fn step(&mut self) -> Step {
        let Some(session) = self.state.session.clone() else { return self.start() };
        let left = self.descriptor.size.saturating_sub(self.state.offset);
        match (left, self.state.offset, self.state.chunked) {
            (0, _, _) => self.finish(session, Body::None),
            (_, 0, false) => self.finish(session, self.body(left)),
            (_, _, false) => self.patch(session, left),
            (_, _, true) => self.patch(session, left.min(self.state.chunk)),
        }
    }

    fn body(&self, length: u64) -> Body<'_> {
        let (from, size) = (self.state.offset, self.descriptor.size);
        Body::Stream { source: self.source, from, length, to_end: from + length == size }
    }

    fn start(&mut self) -> Step {
        let (session, least) = self.repository.begin()?;
        self.state.chunk = self.state.chunk.max(least);
        (self.state.session, self.state.offset) = (Some(session), 0);
        Ok(false)
    }

    /// Ends the session with PUT: with the whole blob as its body, or with nothing when all of it is there.
    fn finish(&self, mut session: Url, body: Body<'_>) -> Step {
        session.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        let call = Call::new(Method::PUT, session).with(CONTENT_TYPE, OCTETS);
        let reply = self.once(&Call { body, ..call })?;
        match reply.is_success() {
            true => Ok(true),
            false => Err(self.trouble(reply)),
        }
    }

    fn patch(&mut self, session: Url, length: u64) -> Step {
        let end = self.state.offset + length;
        let range = format!("{}-{}", self.state.offset, end.saturating_sub(1));
        let call = Call::new(Method::PATCH, session.clone()).with(CONTENT_TYPE, OCTETS).with(CONTENT_RANGE, &range);
        let reply = self.once(&Call { body: self.body(length), ..call })?;
        if !reply.is_success() {
            return Err(self.trouble(reply));
        }
        (self.state.session, self.state.offset) = (Some(location(&reply)?.unwrap_or(session)), end);
        Ok(false)
    }

    fn once(&self, call: &Call<'_>) -> std::result::Result<Reply, Failure> {
        self.repository.client.once(&self.repository.host, &self.repository.push_scope(), call)
    }

    fn trouble(&self, reply: Reply) -> Trouble {
        let status = reply.status();
        let failure = self.repository.client.refused(&self.repository.host, reply);
        match status {
            // The session is gone, or stands elsewhere than we think.
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => {
                Trouble::Cut(Failure { temporary: true, ..failure })
            }
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Trouble::Refused(failure)
            }
            _ => failure.into(),
        }
    }

    /// After a refusal: chunks for a whole, smaller chunks for chunks too large, and the whole again where it was only
    /// the rest after a cut that was refused.
    fn send_otherwise(&mut self, failure: Failure) -> Result<()> {
        let state = &mut self.state;
        let smaller = state.chunk / 4;
        let too_large = failure.status == Some(StatusCode::PAYLOAD_TOO_LARGE);
        match (state.chunked, state.offset) {
            (false, 0) => state.chunked = true,
            (false, _) if state.resumable => state.resumable = false,
            (true, _) if too_large && smaller >= SMALLEST_CHUNK => state.chunk = smaller,
            _ => return Err(failure.into()),
        }
        (state.session, state.offset) = (None, 0);
        Ok(())
    }

    /// Finds out how much of a cut upload has arrived; whatever is unclear means a new session.
    fn recover(&mut self) {
        self.state.cuts += 1;
        let whole = !self.state.chunked;
        self.state.chunked |= whole && self.state.resumable && self.state.cuts >= WHOLE_TRIES;
        let session = self.state.session.take().filter(|_| self.state.resumable);
        self.state.offset = 0;
        let Some(session) = session else { return };
        let Ok(reply) = self.repository.write(&Call::new(Method::GET, session.clone())) else { return };
        let received = reply.header(RANGE).map_or(Some(0), received);
        let next = location(&reply).ok().flatten().unwrap_or(session);
        if let Some(offset) = received.filter(|offset| reply.is_success() && *offset <= self.descriptor.size) {
            (self.state.session, self.state.offset) = (Some(next), offset);
        }
    }
}

/// How many bytes `Range: 0-END` says are there. `0-0` is what registries write for nothing; were it one byte, sending
/// that byte again would be refused and a new session started.
fn received(range: &str) -> Option<u64> {
    let (start, end) = range.trim_start_matches("bytes=").split_once('-')?;
    match (start, end.parse::<u64>().ok()?) {
        ("0", 0) => Some(0),
        ("0", end) => end.checked_add(1),
        _ => None,
    }
}

/// The smallest chunk the registry takes, in bytes; 0 when it doesn't say.
fn least_chunk(reply: &Reply) -> u64 {
    reply.header("oci-chunk-min-length").and_then(|least| least.parse().ok()).unwrap_or(0)
}

/// `Location`, unless it would give up TLS.
fn location(reply: &Reply) -> Result<Option<Url>> {
    reply.location().map(|url| check_downgrade(&reply.url, &url).map(|()| url)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_how_much_has_arrived() {
        assert_eq!([received("0-1023"), received("bytes=0-1023"), received("0-0")], [Some(1024), Some(1024), Some(0)]);
        assert_eq!([received("5-9"), received("0-"), received("x"), received("")], [None; 4]);
    }
}
