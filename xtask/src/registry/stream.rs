//! A request body that is read while it is sent.
//!
//! Takes a [`Source`], gives a reader for the HTTP client. The client wants a body that borrows nothing, so positions
//! travel by a channel to the thread that waits, and only that thread talks to the source.

use std::io::{self, Read};
use std::sync::mpsc::Sender;

use crate::error::Result;

/// Bytes that can be read again from any position, because a cut connection means sending them again.
pub(super) trait Source: Sync {
    /// Opens the bytes from `from` on.
    fn open(&self, from: u64) -> Result<Box<dyn Read + Send>>;
    /// Told how far the sending has come, in bytes from the start of the source.
    fn reached(&self, position: u64);
}

/// What the sending thread reports: bytes handed over, or why the source could not be read.
pub(super) type Report = std::result::Result<u64, String>;

/// Reads `left` bytes and reports each step. The last bytes are handed over only when the source agrees that it is
/// complete, so that a damaged file never arrives as a whole blob.
pub(super) struct Metered {
    inner: Box<dyn Read + Send>,
    left: u64,
    to_end: bool,
    reports: Sender<Report>,
}

impl Metered {
    /// Reads `left` bytes; `to_end` says that nothing may follow them.
    pub(super) fn new(inner: Box<dyn Read + Send>, left: u64, to_end: bool, reports: Sender<Report>) -> Metered {
        Metered { inner, left, to_end, reports }
    }

    fn step(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        if n == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("it ends {} bytes early", self.left)));
        }
        self.left -= n as u64;
        if self.left == 0 && self.to_end && self.inner.read(&mut [0])? > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than it should be"));
        }
        Ok(n)
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.step(buffer);
        // Nobody listens once the waiting thread has given up; the bytes then go nowhere either.
        let _ = self.reports.send(step.as_ref().map(|n| *n as u64).map_err(ToString::to_string));
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn read(bytes: &'static [u8], left: u64, to_end: bool) -> (io::Result<Vec<u8>>, Vec<Report>) {
        let (sender, reports) = channel();
        let mut out = Vec::new();
        let mut body = Metered::new(Box::new(bytes), left, to_end, sender);
        let mut result = Ok(());
        while (out.len() as u64) < left && result.is_ok() {
            let mut buffer = [0; 2];
            result = body.read(&mut buffer).map(|n| out.extend_from_slice(&buffer[..n]));
        }
        drop(body);
        (result.map(|()| out), reports.into_iter().collect())
    }

    #[test]
    fn every_step_is_reported() {
        let (read, reports) = read(b"abcde", 5, true);
        assert_eq!((read.ok().as_deref(), reports), (Some(&b"abcde"[..]), vec![Ok(2), Ok(2), Ok(1)]));
    }

    #[test]
    fn a_source_of_another_length_is_an_error_before_its_last_byte_is_out() {
        assert!(read(b"abc", 5, true).0.is_err());
        assert!(read(b"abcdef", 5, true).0.is_err());
        assert_eq!(read(b"abcdef", 5, false).0.ok().as_deref(), Some(&b"abcde"[..]));
    }
}
