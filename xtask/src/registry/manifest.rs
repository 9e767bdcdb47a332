//! Manifests and indexes: looked up, read, stored (distribution spec, "Pulling manifests" and "Pushing Manifests").
//!
//! Takes tags and digests, gives documents whose bytes were hashed here. Never believes a digest header over the bytes,
//! and never reads more than [`DOCUMENT_LIMIT`].

use std::fmt;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::reply::Reply;
use super::repository::Repository;
use super::transport::{Body, Call};
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::oci::reference::check_tag;
use crate::oci::spec::{Descriptor, Document, media};
use crate::oci::store::DOCUMENT_LIMIT;

/// The kinds of document that are asked for; everything else is refused.
const KINDS: [&str; 4] = [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_LIST];
/// The digest a registry claims for what it serves or has stored.
const DIGEST_HEADER: &str = "docker-content-digest";
/// A registry's word that it will list this manifest as a referrer by itself.
const SUBJECT_HEADER: &str = "oci-subject";

/// What a manifest is asked for by.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A tag.
    Tag(&'a str),
    /// A digest.
    Digest(&'a Digest),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tag(tag) => write!(f, "{tag}"),
            Target::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

/// What a registry said about a manifest it has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whether the registry keeps track of the manifest's subject (`OCI-Subject`); if not, somebody else must.
    pub tracks_subject: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    media_type: Option<String>,
}

impl Repository {
    /// What `target` points at: type, digest and size; `None` when there is no such manifest or repository. The answer
    /// is the registry's word: only [`Repository::manifest`] hashes.
    pub fn resolve(&self, target: Target<'_>) -> Result<Option<Descriptor>> {
        let url = self.manifest_url(target)?;
        if let Some(reply) = self.head(url, Some(&KINDS.join(", ")))? {
            if reply.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if let Some(descriptor) = described(&reply) {
                return self.expect(target, &descriptor.digest).map(|()| Some(descriptor));
            }
        }
        Ok(self.manifest(target)?.map(|document| document.descriptor))
    }

    /// Reads a manifest or index; `None` when it isn't there. Bytes that don't hash to what was asked for, or to what
    /// the registry itself claims, are an error of class verification.
    pub fn manifest(&self, target: Target<'_>) -> Result<Option<Document>> {
        let call = Call::new(Method::GET, self.manifest_url(target)?).with(ACCEPT, &KINDS.join(", "));
        let (reply, bytes) = match self.read_whole(&call)? {
            (status, _) if status.status == StatusCode::NOT_FOUND => return Ok(None),
            whole => whole,
        };
        let digest = Digest::of(&bytes);
        self.expect(target, &digest)?;
        if let Some(claimed) = reply.digest.filter(|claimed| *claimed != digest) {
            let error = Error::verification(format!("{}:{target} is said to be {claimed}", self.name()));
            return Err(error.because(format!("its content hashes to {digest}")));
        }
        let media_type = self.media_type(target, reply.media_type, &bytes)?;
        Ok(Some(Document { descriptor: Descriptor::new(&media_type, digest, bytes.len() as u64), bytes }))
    }

    /// Stores a manifest or index under its digest or a tag. Its blobs and children must be there already.
    pub fn put_manifest(&self, document: &Document, target: Target<'_>) -> Result<Stored> {
        let call = Call::new(Method::PUT, self.manifest_url(target)?);
        let call = call.with(CONTENT_TYPE, &document.descriptor.media_type);
        let reply = self.write(&Call { body: Body::Bytes(&document.bytes), ..call })?;
        if !reply.is_success() {
            return Err(self.refused(reply));
        }
        match claimed(&reply) {
            Some(digest) if digest != document.descriptor.digest => {
                let error =
                    Error::verification(format!("{} stored {} as {digest}", self.name(), document.descriptor.digest));
                Err(error.hint("something between here and the registry changes what is sent"))
            }
            _ => Ok(Stored { tracks_subject: reply.header(SUBJECT_HEADER).is_some() }),
        }
    }

    fn manifest_url(&self, target: Target<'_>) -> Result<reqwest::Url> {
        if let Target::Tag(tag) = target {
            check_tag(tag).map_err(Error::usage)?;
        }
        self.url(&format!("manifests/{target}"))
    }

    /// Reads a document whole, again from the start when it was cut.
    fn read_whole(&self, call: &Call<'_>) -> Result<(Head, Vec<u8>)> {
        let whole = self.client.retrier().run(|| {
            let reply = self.read(call)?;
            let head = Head {
                status: reply.status(),
                digest: claimed(&reply),
                media_type: reply.media_type().map(Into::into),
            };
            match head.status {
                StatusCode::NOT_FOUND => Ok((head, Vec::new())),
                status if status.is_success() => Ok((head, reply.bytes(DOCUMENT_LIMIT)?)),
                _ => Err(self.client.refused(&self.host, reply)),
            }
        });
        Ok(whole?)
    }

    fn expect(&self, target: Target<'_>, digest: &Digest) -> Result<()> {
        match target {
            Target::Digest(asked) if asked != digest => {
                let error = Error::verification(format!("{}@{asked} is not what was asked for", self.name()));
                Err(error.because(format!("the registry serves {digest}")))
            }
            _ => Ok(()),
        }
    }

    /// The type in the header, unless that is a generic one; a document that names another type is refused, because
    /// two readers could take it for two different things (image spec, CVE-2021-41190).
    fn media_type(&self, target: Target<'_>, header: Option<String>, bytes: &[u8]) -> Result<String> {
        let typed = serde_json::from_slice(bytes).unwrap_or(Typed { media_type: None });
        let header = header.filter(|header| KINDS.contains(&header.as_str()));
        let what = || format!("{}:{target}", self.name());
        match (header, typed.media_type) {
            (Some(header), Some(body)) if header != body => {
                Err(Error::verification(format!("{} is served as {header} and calls itself {body}", what())))
            }
            (Some(media_type), _) | (None, Some(media_type)) => Ok(media_type),
            (None, None) => Err(Error::verification(format!("{} is neither a manifest nor an index", what()))),
        }
    }
}

/// What is kept of an answer whose body is read.
struct Head {
    status: StatusCode,
    digest: Option<Digest>,
    media_type: Option<String>,
}

/// The digest a registry claims, where it is one we can compare.
fn claimed(reply: &Reply) -> Option<Digest> {
    reply.header(DIGEST_HEADER)?.parse().ok()
}

/// A descriptor from an answer to HEAD, where it says everything.
fn described(reply: &Reply) -> Option<Descriptor> {
    let media_type = reply.media_type().filter(|media| KINDS.contains(media))?;
    Some(Descriptor::new(media_type, claimed(reply)?, reply.length()?))
}
