//! A call that failed: the error a user would see, and whether trying again may help.
//!
//! Takes a reply or an error of the HTTP client. Never holds a query's values or a URL's user part: both may be
//! secrets (a presigned URL is one).

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};

use crate::error::{Class, Error};

/// One failed exchange.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the user is told when nothing helps.
    pub(super) error: Error,
    /// Whether the same call may succeed later.
    pub(super) temporary: bool,
    /// The pause the registry asked for.
    pub(super) retry_after: Option<Duration>,
    /// The registry's answer, where there was one.
    pub(super) status: Option<StatusCode>,
}

impl Failure {
    /// The connection failed before there was a whole answer.
    pub(super) fn connection(method: &Method, url: &Url, cause: &str, temporary: bool) -> Failure {
        let error = Error::network(attempt(method, url)).because(cause);
        let error = if temporary { error.hint(AGAIN) } else { error };
        Failure { error, temporary, retry_after: None, status: None }
    }

    /// The call must not be made or not be made again.
    pub(super) fn permanent(error: Error) -> Failure {
        Failure { error, temporary: false, retry_after: None, status: None }
    }

    /// Something expected of the registry did not come, and may come another time.
    pub(super) fn temporary(error: Error) -> Failure {
        Failure { error, temporary: true, retry_after: None, status: None }
    }

    /// The failure of the last of `tries`.
    pub(super) fn after(mut self, tries: u32) -> Failure {
        self.error = self.error.because(format!("given up after {tries} tries"));
        self
    }

    /// One line for a progress note.
    pub(super) fn headline(&self) -> String {
        let shown = self.error.clone().to_string();
        shown.lines().next().unwrap_or_default().to_owned()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::permanent(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error
    }
}

/// What to do about trouble that may pass.
pub(super) const AGAIN: &str = "run the same command again: what the registry already has is not sent twice";

/// `failed to PUT https://host/path?…`.
pub(super) fn attempt(method: &Method, url: &Url) -> String {
    format!("failed to {method} {}", redacted(url))
}

/// A URL without its user part and without its query's values.
pub(super) fn redacted(url: &Url) -> String {
    let mut shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        let _ = write!(shown, ":{port}");
    }
    shown.push_str(url.path());
    if url.query().is_some() {
        shown.push_str("?…");
    }
    shown
}

/// Whether a status says "later" and not "no": 408, 429, and 5xx but for 501.
pub(super) fn is_temporary(status: StatusCode) -> bool {
    let server = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    server || status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS
}

/// The class of an answer that is no success: refused credentials fail for good, all else is the registry's trouble.
pub(super) fn class(status: StatusCode) -> Class {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Class::Failed,
        _ => Class::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_in_a_message_holds_no_secret() {
        let url = Url::parse("https://user:pass@cdn.example:8443/a/b?X-Amz-Signature=abc&token=t").expect("a URL");
        assert_eq!(redacted(&url), "https://cdn.example:8443/a/b?…");
    }

    #[test]
    fn only_what_may_pass_is_temporary() {
        let temporary = |code| StatusCode::from_u16(code).is_ok_and(is_temporary);
        assert!([408, 429, 500, 502, 503, 504].into_iter().all(temporary));
        assert!(![200, 301, 400, 401, 403, 404, 405, 413, 416, 501].into_iter().any(temporary));
    }
}
