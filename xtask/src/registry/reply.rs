//! A registry's answer: status, headers, and a body that is read with a limit.
//!
//! Never trusts a length it is told.

use std::io::Read;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::blocking::Response;
use reqwest::header::{AsHeaderName, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::failure::{AGAIN, Failure, attempt, class, is_temporary};
use super::retry::retry_after;
use super::transport::cut;
use crate::error::{Error, Result};

/// The most that is read of an answer that says why something failed.
const ERROR_LIMIT: u64 = 64 << 10;
/// The most of one message of a registry's that is shown.
const MESSAGE_LIMIT: usize = 300;

/// One answer, after redirects.
pub(super) struct Reply {
    pub(super) method: Method,
    /// Where the answer came from.
    pub(super) url: Url,
    pub(super) response: Response,
}

/// The body of a failed call (distribution spec, "Error codes").
#[derive(Deserialize)]
struct Codes {
    #[serde(default)]
    errors: Vec<Code>,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Reply {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn is_success(&self) -> bool {
        self.status().is_success()
    }

    /// A header as text, where it is text.
    pub(super) fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// The length the registry announces; for an answer to HEAD, the length of what GET would give.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    /// The media type without its parameters.
    pub(super) fn media_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE)?.split(';').next().map(str::trim).filter(|media| !media.is_empty())
    }

    /// `Location`, absolute; the spec allows relative ones.
    pub(super) fn location(&self) -> Option<Url> {
        self.url.join(self.header(LOCATION)?).ok()
    }

    /// Whether `Content-Range: bytes START-END/SIZE` starts at `at`.
    pub(super) fn starts_at(&self, at: u64) -> bool {
        let range = self.header(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
        range.and_then(|range| range.split('-').next()).and_then(|start| start.parse().ok()) == Some(at)
    }

    /// The pause asked for.
    pub(super) fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        retry_after(self.header(RETRY_AFTER)?, now)
    }

    /// The whole body, refusing more than `limit` bytes.
    pub(super) fn bytes(self, limit: u64) -> std::result::Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let broken = |e: std::io::Error| cut(&self.method, &self.url, &e);
        self.response.take(limit + 1).read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 > limit {
            let error = Error::network(attempt(&self.method, &self.url));
            return Err(Failure::permanent(error.because(format!("the answer is larger than {limit} bytes"))));
        }
        Ok(bytes)
    }

    /// An answer that is no success, as a failure with what the registry said.
    pub(super) fn failure(self, now: Timestamp) -> Failure {
        let status = self.status();
        let (temporary, retry_after) = (is_temporary(status), self.retry_after(now));
        let mut error = Error::new(class(status), attempt(&self.method, &self.url)).because(status);
        if temporary {
            error = error.hint(AGAIN);
        }
        let error = self.said().into_iter().fold(error, Error::because);
        Failure { error, temporary, retry_after, status: Some(status) }
    }

    /// An answer that breaks the spec in a way nothing can be done about.
    pub(super) fn broken(&self, why: &str) -> Error {
        Error::network(attempt(&self.method, &self.url)).because(why)
    }

    fn said(self) -> Vec<String> {
        let mut body = Vec::new();
        // The status already says that it failed; a body that cannot be read adds nothing.
        let _ = self.response.take(ERROR_LIMIT).read_to_end(&mut body);
        let codes = serde_json::from_slice(&body).unwrap_or(Codes { errors: Vec::new() });
        codes.errors.iter().map(|e| shown(&format!("{} {}", e.code, e.message))).filter(|s| !s.is_empty()).collect()
    }
}

/// Text of a stranger's, made fit for a terminal.
fn shown(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LIMIT).collect();
    clean.trim().to_owned()
}

/// Reads JSON of a registry's; `what` names it in the error.
pub(super) fn json<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::network(format!("{what} is not the JSON it should be")).because(e))
}
