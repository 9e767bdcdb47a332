//! A file of an HTTP server that is no registry: streamed, resumed where the connection was cut, retried.
//!
//! Takes a URL and who may be redirected to, gives a reader. Never sends credentials, never follows a redirect that its
//! caller doesn't allow, never goes on beyond its time. What arrives is checked by whoever reads it.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::RANGE;
use reqwest::{Method, StatusCode, Url};

use super::failure::{Failure, redacted};
use super::patience::Patience;
use super::reply::Reply;
use super::retry::{Clock, Policy, Retrier, SystemClock};
use super::transport::{CUT, Call, Timeouts, Transport, cut};
use crate::error::{Class, Error, Result};
use crate::ui::Ui;

/// Decides whether an answer from the first URL may send us to the second.
pub type Gate<'a> = dyn Fn(&Url, &Url) -> Result<()> + 'a;

/// How files are downloaded.
pub struct Downloads {
    transport: Transport,
    retrier: Retrier,
    longest: Duration,
}

impl Downloads {
    /// With the patience that registries get; one file may take `longest`.
    pub fn new(longest: Duration, ui: &Ui) -> Downloads {
        Downloads::patient(Policy::default(), Arc::new(SystemClock), longest, ui)
    }

    /// With a policy and a clock of the caller's.
    pub fn patient(policy: Policy, clock: Arc<dyn Clock>, longest: Duration, ui: &Ui) -> Downloads {
        let retrier = Retrier { policy, clock, ui: ui.clone() };
        Downloads { transport: Transport::new(Timeouts::default()), retrier, longest }
    }

    /// Opens a file.
    ///
    /// # Errors
    /// Of class network when it can't be had from there, whatever the server says; a server that isn't trusted and a
    /// redirect that isn't allowed have classes of their own.
    pub fn open<'a>(&'a self, url: &Url, gate: &'a Gate<'a>) -> Result<Download<'a>> {
        let clock = &self.retrier.clock;
        let mut download = Download {
            by: self,
            url: url.clone(),
            gate,
            length: None,
            at: 0,
            reply: None,
            patience: Patience::new(&self.retrier),
            deadline: clock.now().checked_add(self.longest),
        };
        let reply = download.retried(Download::answer)?;
        download.length = reply.length();
        download.reply = Some(reply);
        Ok(download)
    }
}

/// A file being downloaded.
pub struct Download<'a> {
    by: &'a Downloads,
    url: Url,
    gate: &'a Gate<'a>,
    length: Option<u64>,
    at: u64,
    reply: Option<Reply>,
    patience: Patience,
    deadline: Option<Instant>,
}

impl Download<'_> {
    /// How long it is, where the server says so.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Calls `step` until it succeeds, fails for good, or has failed too often without getting any further.
    fn retried<T>(&mut self, mut step: impl FnMut(&mut Self) -> std::result::Result<T, Failure>) -> Result<T> {
        loop {
            self.check_time()?;
            match step(self) {
                Ok(value) => return Ok(value),
                Err(failure) => {
                    self.reply = None;
                    self.patience.failed(self.at, failure)?;
                }
            }
        }
    }

    fn check_time(&self) -> Result<()> {
        match self.deadline.is_some_and(|deadline| self.by.retrier.clock.now() > deadline) {
            true => Err(Error::network(format!("failed to GET {}", redacted(&self.url)))
                .because(format!("it took longer than {} s", self.by.longest.as_secs()))),
            false => Ok(()),
        }
    }

    /// Asks for the file from where we are. A server that ignores the range sends the start again, which is skipped.
    fn answer(&mut self) -> std::result::Result<Reply, Failure> {
        let call = Call::new(Method::GET, self.url.clone());
        let call = if self.at > 0 { call.with(RANGE, &format!("bytes={}-", self.at)) } else { call };
        let mut reply = self.by.transport.send_by(&call, None, self.gate)?;
        match reply.status() {
            StatusCode::PARTIAL_CONTENT if self.at > 0 && reply.starts_at(self.at) => Ok(reply),
            StatusCode::OK if self.at == 0 => Ok(reply),
            StatusCode::OK => {
                if reply.length() != self.length {
                    return Err(reply.broken("it changed while it was being downloaded").into());
                }
                let skipped = io::copy(&mut (&mut reply.response).take(self.at), &mut io::sink());
                match skipped {
                    Ok(n) if n == self.at => Ok(reply),
                    _ => Err(Failure::connection(&reply.method, &reply.url, CUT, true)),
                }
            }
            status if status.is_success() => Err(reply.broken(&format!("it answers {status}")).into()),
            _ => {
                let mut failure = reply.failure(self.by.retrier.clock.timestamp());
                failure.error = failure.error.reclass(Class::Network);
                Err(failure)
            }
        }
    }

    fn piece(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Failure> {
        let mut reply = match self.reply.take() {
            Some(reply) => reply,
            None => self.answer()?,
        };
        match reply.response.read(buffer) {
            Ok(0) if self.length.is_some_and(|length| self.at < length) => {
                Err(Failure::connection(&reply.method, &reply.url, CUT, true))
            }
            Ok(n) => {
                self.reply = Some(reply);
                Ok(n)
            }
            Err(e) => Err(cut(&reply.method, &reply.url, &e)),
        }
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.map_or(u64::MAX, |length| length.saturating_sub(self.at));
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let piece = buffer.get_mut(..most).unwrap_or_default();
        let n = self.retried(|download| download.piece(piece)).map_err(io::Error::other)?;
        self.at += n as u64;
        Ok(n)
    }
}
