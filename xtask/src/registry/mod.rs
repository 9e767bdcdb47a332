//! A client of the OCI distribution spec 1.1: blocking, streamed, resumable, retried.
//!
//! Takes a registry's host, a repository and content-addressed documents and blobs; gives what the registry holds,
//! checked against its digest. Never keeps a blob in memory, never sends credentials to a host they are not for, never
//! waits without a limit, and never follows a redirect from https to http. docs/registry-client.md says why it is our
//! own.

mod auth;
mod blob;
mod challenge;
mod client;
mod credentials;
mod docker_config;
mod download;
mod failure;
mod fallback;
mod host;
mod manifest;
mod pages;
mod patience;
mod referrers;
mod reply;
mod repository;
mod retry;
mod secret;
mod stream;
mod transport;
mod upload;

pub use crate::oci::digest::read_error;
pub use blob::Blob;
pub use client::{Client, Options};
pub use credentials::{Credential, Credentials, Lookup};
pub use download::{Download, Downloads, Gate};
pub(crate) use host::is_loopback_url;
pub use manifest::{Stored, Target};
pub use repository::Repository;
pub use retry::{Clock, Policy, SystemClock};
pub use secret::Secret;
pub use transport::Timeouts;
pub use upload::Sent;

pub use reqwest::Url;
