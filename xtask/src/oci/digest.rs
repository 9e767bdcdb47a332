//! SHA-256 digests (OCI image spec, descriptor.md "Digests").
//!
//! Takes bytes or streams, gives a [`Digest`]. Other algorithms are refused: nothing here writes them.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// A SHA-256 digest, shown as `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest and length of everything in `reader`, streamed.
    pub fn of_reader(mut reader: impl Read) -> io::Result<(Digest, u64)> {
        let mut hasher = Hasher::new(io::sink());
        let mut buffer = vec![0; 128 << 10];
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            hasher.write_all(buffer.get(..n).unwrap_or_default())?;
        }
        let (_, digest, size) = hasher.finish();
        Ok((digest, size))
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The first 12 hex digits, for tables and progress lines.
    pub fn short(&self) -> String {
        self.hex().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Digest, Error> {
        let bad = || Error::usage(format!("`{text}` is not a digest")).hint("a digest is `sha256:` and 64 hex digits");
        let hex = text.strip_prefix("sha256:").filter(|h| h.len() == 64).ok_or_else(bad)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            if pair.iter().any(u8::is_ascii_uppercase) {
                return Err(bad());
            }
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Digest, Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// Passes bytes on while hashing and counting them.
pub struct Hasher<W> {
    inner: W,
    state: Sha256,
    size: u64,
}

impl<W> Hasher<W> {
    /// Hashes what is written to `inner`.
    pub fn new(inner: W) -> Hasher<W> {
        Hasher { inner, state: Sha256::new(), size: 0 }
    }

    /// The inner writer, the digest, and the number of bytes.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest(self.state.finalize().into()), self.size)
    }
}

impl<W: Write> Write for Hasher<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.state.update(bytes.get(..n).unwrap_or_default());
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a blob and fails at its end unless size and digest are the expected ones: a truncated, padded or altered
/// stream is an error, never data.
pub struct Checked<R> {
    inner: R,
    state: Option<Sha256>,
    left: u64,
    expected: Digest,
}

impl<R: Read> Checked<R> {
    /// Expects `size` bytes that hash to `expected`.
    pub fn new(inner: R, expected: Digest, size: u64) -> Checked<R> {
        Checked { inner, state: Some(Sha256::new()), left: size, expected }
    }

    fn end(&mut self) -> io::Result<usize> {
        let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        let Some(state) = self.state.take() else { return Ok(0) };
        if self.left > 0 {
            return invalid(format!("{} ends {} bytes early", self.expected, self.left));
        }
        let actual = Digest(state.finalize().into());
        if actual != self.expected {
            return invalid(format!("the content of {} hashes to {actual}", self.expected));
        }
        Ok(0)
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if n == 0 && !buffer.is_empty() {
            return self.end();
        }
        let Some(left) = self.left.checked_sub(n as u64) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is longer than its descriptor says", self.expected),
            ));
        };
        self.left = left;
        if let Some(state) = &mut self.state {
            state.update(buffer.get(..n).unwrap_or_default());
        }
        Ok(n)
    }
}

/// What an error of reading through [`Checked`] means, under the headline `what`: altered content is of class verification, a
/// connection that stays broken of class network.
pub fn read_error(what: &str, error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(inner) => inner.clone().within(what),
        None if error.kind() == io::ErrorKind::InvalidData => Error::verification(what).because(error),
        None => Error::network(what).because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-2, appendix B.1.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_standard_vector() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        assert_eq!(ABC.parse::<Digest>().map(|d| d.to_string()).ok().as_deref(), Some(ABC));
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for bad in
            ["", "sha256:", "sha512:00", &ABC[..70], &ABC.to_uppercase(), &ABC.replace("ba", "BA"), &format!("{ABC}0")]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_checked_stream_is_an_error_when_short_long_or_altered() {
        let read = |bytes: &[u8], size| {
            let mut out = Vec::new();
            Checked::new(bytes, Digest::of(b"abc"), size).read_to_end(&mut out).map(|_| out)
        };
        assert_eq!(read(b"abc", 3).ok().as_deref(), Some(&b"abc"[..]));
        for (bytes, size) in [(&b"ab"[..], 3), (b"abcd", 3), (b"abd", 3), (b"abc", 4), (b"", 3)] {
            assert!(read(bytes, size).is_err(), "{bytes:?} as {size}");
        }
    }
}
