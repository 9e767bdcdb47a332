//! One repository at one registry: the names of its URLs and scopes, and the calls every verb makes.
//!
//! Takes verbs, gives answers. The verbs themselves are in `manifest`, `blob`, `upload`, `referrers` and `pages`.

use reqwest::{Method, StatusCode, Url};

use super::client::Client;
use super::host::Host;
use super::reply::Reply;
use super::transport::Call;
use crate::error::{Error, Result};
use crate::oci::reference::check_repository;

/// A repository; cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pub(super) client: Client,
    pub(super) host: Host,
    path: String,
}

impl Repository {
    pub(super) fn new(client: Client, host: Host, path: &str) -> Result<Repository> {
        check_repository(path).map_err(Error::usage)?;
        let path = host.repository(path);
        Ok(Repository { client, host, path })
    }

    /// `host/path`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host.name, self.path)
    }

    /// `/v2/PATH/tail`; `tail` is made of checked tags, digests and fixed words.
    pub(super) fn url(&self, tail: &str) -> Result<Url> {
        let joined = self.host.base.join(&format!("v2/{}/{tail}", self.path));
        joined.map_err(|e| Error::usage(format!("`{}` has no URL", self.name())).because(e))
    }

    pub(super) fn pull_scope(&self) -> String {
        format!("repository:{}:pull", self.path)
    }

    pub(super) fn push_scope(&self) -> String {
        format!("repository:{}:pull,push", self.path)
    }

    /// Asks for something, with retries.
    pub(super) fn read(&self, call: &Call<'_>) -> Result<Reply> {
        self.client.call(&self.host, &self.pull_scope(), call)
    }

    /// Changes something, with retries.
    pub(super) fn write(&self, call: &Call<'_>) -> Result<Reply> {
        self.client.call(&self.host, &self.push_scope(), call)
    }

    /// The error of an answer that is no success.
    pub(super) fn refused(&self, reply: Reply) -> Error {
        self.client.refused(&self.host, reply).into()
    }

    /// Asks whether something is there by HEAD. `None` when the registry does not know HEAD here, so that the caller
    /// must ask another way.
    pub(super) fn head(&self, url: Url, accept: Option<&str>) -> Result<Option<Reply>> {
        let call = Call::new(Method::HEAD, url);
        let call = match accept {
            Some(accept) => call.with(reqwest::header::ACCEPT, accept),
            None => call,
        };
        let reply = self.read(&call)?;
        match reply.status() {
            StatusCode::NOT_FOUND => Ok(Some(reply)),
            status if status.is_success() => Ok(Some(reply)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.refused(reply)),
            _ => Ok(None),
        }
    }
}
