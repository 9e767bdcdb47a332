//! One exchange with a registry: a request, its redirects, an answer.
//!
//! Takes a [`Call`], gives a [`Reply`] whatever its status. Never sends `Authorization` to another origin than the one
//! it was made for, never goes from https to http, never waits longer than its [`Timeouts`] say. This is the only
//! module that opens a socket.

use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use reqwest::blocking::{Body as HttpBody, Client as Http, Request, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::download::Gate;
use super::failure::{Failure, attempt, redacted};
use super::host::is_loopback_url;
use super::reply::Reply;
use super::stream::{Metered, Source};
use crate::error::Error;

/// The most redirects that are followed for one call.
const REDIRECTS: usize = 5;

/// The cause of a transfer that ended too early.
pub(super) const CUT: &str = "the connection was cut";

const USER_AGENT: &str = concat!("goverse-xtask/", env!("CARGO_PKG_VERSION"));

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For an answer once a request is sent, and for each further piece of its body.
    pub answer: Duration,
    /// The slowest upload that is still waited for, in bytes a second; a body of N bytes has `answer + N / slowest`.
    pub slowest: u64,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Duration::from_secs(10), answer: Duration::from_secs(120), slowest: 32 << 10 }
    }
}

/// A request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body<'a>,
}

/// What a request carries.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// Nothing.
    None,
    /// A document, held in memory.
    Bytes(&'a [u8]),
    /// `length` bytes of a source from `from` on; `to_end` when the source ends there.
    Stream { source: &'a dyn Source, from: u64, length: u64, to_end: bool },
}

impl Call<'_> {
    /// A request without a body.
    pub(super) fn new(method: Method, url: Url) -> Call<'static> {
        Call { method, url, headers: HeaderMap::new(), body: Body::None }
    }

    /// Adds a header of a known form.
    pub(super) fn with(mut self, name: impl reqwest::header::IntoHeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// The HTTP clients, each made when it is first needed: reading the system's certificates takes longer than talking to
/// a registry on this machine.
pub(super) struct Transport {
    timeouts: Timeouts,
    local: OnceLock<Result<Http, String>>,
    outer: OnceLock<Result<Http, String>>,
}

impl Transport {
    pub(super) fn new(timeouts: Timeouts) -> Transport {
        Transport { timeouts, local: OnceLock::new(), outer: OnceLock::new() }
    }

    /// Sends `call` with `authorization`, and follows redirects.
    pub(super) fn send(&self, call: &Call<'_>, authorization: Option<&HeaderValue>) -> Result<Reply, Failure> {
        self.send_by(call, authorization, &check_downgrade)
    }

    /// The same, but `gate` decides whether one URL may send us to another.
    pub(super) fn send_by(
        &self,
        call: &Call<'_>,
        authorization: Option<&HeaderValue>,
        gate: &Gate<'_>,
    ) -> Result<Reply, Failure> {
        let mut url = call.url.clone();
        for _ in 0..=REDIRECTS {
            let authorization = authorization.filter(|_| url.origin() == call.url.origin());
            let response = self.exchange(call, &url, authorization)?;
            let reply = Reply { method: call.method.clone(), url, response };
            match next(&reply, gate)? {
                Some(target) => url = target,
                None => return Ok(reply),
            }
        }
        let error = Error::network(attempt(&call.method, &call.url));
        Err(error.because(format!("it redirects more than {REDIRECTS} times")).into())
    }

    fn exchange(&self, call: &Call<'_>, url: &Url, authorization: Option<&HeaderValue>) -> Result<Response, Failure> {
        let http = self.http(url)?;
        let mut request = Request::new(call.method.clone(), url.clone());
        request.headers_mut().extend(call.headers.clone());
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        match call.body {
            Body::None if matches!(call.method, Method::GET | Method::HEAD) => self.execute(http, request),
            Body::None => {
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
                self.execute(http, request)
            }
            Body::Bytes(bytes) => {
                *request.body_mut() = Some(bytes.to_vec().into());
                self.execute(http, request)
            }
            Body::Stream { source, from, length, to_end } => self.stream(http, request, source, (from, length, to_end)),
        }
    }

    fn execute(&self, http: &Http, request: Request) -> Result<Response, Failure> {
        let (method, url) = (request.method().clone(), request.url().clone());
        http.execute(request).map_err(|e| broken(&method, &url, &e))
    }

    /// Sends a body from a thread of its own, while this one passes its progress on.
    fn stream(
        &self,
        http: &Http,
        mut request: Request,
        source: &dyn Source,
        (from, length, to_end): (u64, u64, bool),
    ) -> Result<Response, Failure> {
        let (sender, reports) = mpsc::channel();
        let reader = Metered::new(source.open(from)?, length, to_end, sender);
        *request.timeout_mut() =
            Some(self.timeouts.answer + Duration::from_secs(length / self.timeouts.slowest.max(1)));
        *request.body_mut() = Some(HttpBody::sized(reader, length));
        let mut unreadable = None;
        let answer = std::thread::scope(|scope| {
            let sending = scope.spawn(|| self.execute(http, request));
            let mut position = from;
            for report in reports {
                match report {
                    Ok(n) => {
                        position += n;
                        source.reached(position);
                    }
                    Err(why) => unreadable = Some(why),
                }
            }
            sending.join()
        });
        if let Some(why) = unreadable {
            return Err(Error::verification("failed to read what is being uploaded").because(why).into());
        }
        answer.unwrap_or_else(|_| Err(Error::failed("the thread of an upload ended").into()))
    }

    fn http(&self, url: &Url) -> Result<&Http, Failure> {
        let local = url.scheme() == "http" && is_loopback_url(url);
        let http = if local {
            self.local.get_or_init(|| self.build(true))
        } else {
            self.outer.get_or_init(|| self.build(false))
        };
        http.as_ref().map_err(|why| Error::failed("failed to set up the HTTP client").because(why).into())
    }

    fn build(&self, local: bool) -> Result<Http, String> {
        let builder = Http::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(self.timeouts.connect)
            .timeout(self.timeouts.answer)
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tls_backend_preconfigured(tls(local).map_err(|e| e.to_string())?);
        // What is on this machine is not behind a proxy, whatever HTTP_PROXY says.
        let builder = if local { builder.no_proxy() } else { builder };
        builder.build().map_err(|e| chain(&e))
    }
}

/// The system's certificates and rustls with ring; a client for plain http trusts nobody.
fn tls(local: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(match local {
        true => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
        false => builder.with_platform_verifier()?.with_no_client_auth(),
    })
}

/// Where a redirect leads, if this is one that may be followed.
fn next(reply: &Reply, gate: &Gate<'_>) -> Result<Option<Url>, Failure> {
    let keeps_method = matches!(reply.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let reading = matches!(reply.method, Method::GET | Method::HEAD);
    let moved = matches!(reply.status(), StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER);
    let followed = keeps_method || (moved && reading);
    if !followed {
        return Ok(None);
    }
    let target = reply.location().ok_or_else(|| reply.broken("it redirects to nowhere"))?;
    gate(&reply.url, &target)?;
    Ok(Some(target))
}

/// Refuses to go on at `target` when that would give up TLS, or leave HTTP altogether.
pub(super) fn check_downgrade(from: &Url, target: &Url) -> Result<(), Error> {
    let kept = target.scheme() == "https" || (target.scheme() == "http" && from.scheme() == "http");
    if kept {
        return Ok(());
    }
    let error = Error::network(format!("{} leads from {} to {}", redacted(from), from.scheme(), target.scheme()));
    Err(error.hint("a registry behind a TLS proxy must be told so: the proxy sets X-Forwarded-Proto"))
}

/// An error of the HTTP client's. All may pass but for a server that is not trusted.
fn broken(method: &Method, url: &Url, error: &reqwest::Error) -> Failure {
    if !sources(error).any(is_untrusted) {
        return Failure::connection(method, url, &chain(error), !error.is_builder());
    }
    let error = Error::failed(attempt(method, url)).because(chain(error));
    error.hint("add the authority of its certificate to this system's, or name its file in SSL_CERT_FILE").into()
}

fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    // An io::Error's `source` skips the error it wraps, which may be another io::Error.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match (wrapped, error.downcast_ref()) {
        (Some(wrapped), _) => is_untrusted(wrapped),
        (None, tls) => matches!(tls, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::PeerIncompatible(_))),
    }
}

fn sources<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |e| e.source())
}

/// An error of reading an answer's body, or one that a body's reader passed on.
pub(super) fn cut(method: &Method, url: &Url, error: &std::io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    Failure::connection(method, url, &inner.map_or_else(|| error.to_string(), chain), true)
}

/// The causes of an error without the client's own headline, which repeats the whole URL.
fn chain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".into();
    }
    // What lies below says which part of the client noticed, and nothing of the network.
    if error.is_body() || error.is_decode() {
        return CUT.into();
    }
    let causes: Vec<String> = sources(error).skip(1).map(ToString::to_string).collect();
    if causes.is_empty() { "the connection failed".into() } else { causes.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_not_trusted_however_deep_that_is_said() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(is_untrusted(&std::io::Error::other(std::io::Error::other(tls))));
        assert!(!is_untrusted(&std::io::Error::other(std::io::Error::from(std::io::ErrorKind::ConnectionReset))));
        assert!(!is_untrusted(&rustls::Error::General("cut".into())));
    }

    #[test]
    fn tls_is_never_given_up() {
        let refused = |from: &str, to: &str| {
            let (from, to) = (Url::parse(from).expect("a URL"), Url::parse(to).expect("a URL"));
            check_downgrade(&from, &to).is_err()
        };
        assert!(refused("https://r.example/v2/", "http://r.example/v2/"));
        assert!(refused("https://r.example/v2/", "http://localhost/v2/"));
        assert!(refused("http://localhost/v2/", "file:///etc/passwd"));
        assert!(!refused("https://r.example/v2/", "https://cdn.example/x"));
        assert!(!refused("http://localhost:5000/v2/", "http://localhost:5001/x"));
    }
}
