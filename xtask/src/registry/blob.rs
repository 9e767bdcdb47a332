//! Blobs read: streamed, resumed where the connection was cut, checked at their end (distribution spec, "Pulling
//! blobs").
//!
//! Takes descriptors, gives readers. Never holds more than the caller's buffer.

use std::io::{self, Read};

use reqwest::header::RANGE;
use reqwest::{Method, StatusCode};

use super::failure::Failure;
use super::patience::Patience;
use super::reply::Reply;
use super::repository::Repository;
use super::transport::{CUT, Call, cut};
use crate::error::{Class, Error, Result};
use crate::oci::digest::Checked;
use crate::oci::spec::Descriptor;

impl Repository {
    /// Whether a blob is there. One of another size under the same digest is an error of class verification.
    pub fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        let url = self.url(&format!("blobs/{}", descriptor.digest))?;
        let reply = match self.head(url.clone(), None)? {
            Some(reply) => reply,
            // The body is never read: the answer is dropped with its connection.
            None => self.read(&Call::new(Method::GET, url))?,
        };
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        if !reply.is_success() {
            return Err(self.refused(reply));
        }
        self.check_length(descriptor, &reply).map(|()| true)
    }

    /// Opens a blob. Reading to its end checks size and digest; a cut connection is resumed where it was cut.
    /// [`read_error`](crate::oci::digest::read_error) tells what a read's error means.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        let patience = Patience::new(self.client.retrier());
        let mut body =
            Resumed { repository: self.clone(), descriptor: descriptor.clone(), at: 0, reply: None, patience };
        body.reply = Some(body.open()?);
        Ok(Blob(Checked::new(body, descriptor.digest, descriptor.size)))
    }

    fn check_length(&self, descriptor: &Descriptor, reply: &Reply) -> Result<()> {
        match reply.length() {
            Some(length) if length != descriptor.size => {
                let error = Error::verification(format!("{}@{} has {length} bytes", self.name(), descriptor.digest));
                Err(error.because(format!("its descriptor says {}", descriptor.size)))
            }
            _ => Ok(()),
        }
    }
}

/// A blob being read.
pub struct Blob(Checked<Resumed>);

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

struct Resumed {
    repository: Repository,
    descriptor: Descriptor,
    at: u64,
    reply: Option<Reply>,
    patience: Patience,
}

impl Resumed {
    /// Asks for the blob from `at` on. A registry that ignores the range sends the start again, which is skipped.
    fn open(&self) -> Result<Reply> {
        let url = self.repository.url(&format!("blobs/{}", self.descriptor.digest))?;
        let call = Call::new(Method::GET, url);
        let call = if self.at > 0 { call.with(RANGE, &format!("bytes={}-", self.at)) } else { call };
        let mut reply = self.repository.read(&call)?;
        match reply.status() {
            StatusCode::PARTIAL_CONTENT if reply.starts_at(self.at) => Ok(reply),
            StatusCode::PARTIAL_CONTENT => Err(reply.broken("it sends another range than the one asked for")),
            StatusCode::OK => {
                self.repository.check_length(&self.descriptor, &reply)?;
                let skipped = io::copy(&mut (&mut reply.response).take(self.at), &mut io::sink());
                match skipped {
                    Ok(n) if n == self.at => Ok(reply),
                    _ => Err(reply.broken("it was cut again before the place it was first cut at")),
                }
            }
            StatusCode::NOT_FOUND => {
                let (digest, name) = (self.descriptor.digest, self.repository.name());
                Err(Error::verification(format!("blob {digest} is not in {name}")))
            }
            _ => Err(self.repository.refused(reply)),
        }
    }

    fn attempt(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Failure> {
        let reply = match self.reply.take() {
            Some(reply) => self.reply.insert(reply),
            None => {
                let reply = self.open()?;
                self.reply.insert(reply)
            }
        };
        match reply.response.read(buffer) {
            Ok(0) => Err(Failure::connection(&reply.method, &reply.url, CUT, true)),
            Ok(n) => Ok(n),
            Err(e) => Err(cut(&reply.method, &reply.url, &e)),
        }
    }
}

impl Read for Resumed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.descriptor.size - self.at).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        loop {
            match self.attempt(buffer.get_mut(..most).unwrap_or_default()) {
                Ok(n) => {
                    self.at += n as u64;
                    return Ok(n);
                }
                Err(failure) => {
                    self.reply = None;
                    self.patience.failed(self.at, failure).map_err(|failure| carried(failure.error))?;
                }
            }
        }
    }
}

/// An error as a reader can give it: its kind tells those who see no more of it whether content is at fault.
fn carried(error: Error) -> io::Error {
    let kind = if error.class() == Class::Verification { io::ErrorKind::InvalidData } else { io::ErrorKind::Other };
    io::Error::new(kind, error)
}
