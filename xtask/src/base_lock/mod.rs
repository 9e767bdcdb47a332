//! Base images by digest: what release.toml names, what its tags name now, how old that is, and what is newer.
//!
//! Takes release.toml's text and registries, gives [`State`]s and new text. Reads manifests only; never pulls a layer,
//! and never changes a digest that it wasn't asked to change.

mod newer;
mod table;

use std::io::Read;

use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::oci::spec::{Descriptor, ImageConfig, Index, Manifest, annotation, parse};
use crate::oci::store::DOCUMENT_LIMIT;
use crate::oci::{Digest, Reference};
use crate::pool;
use crate::remote::Remote;

pub use table::{Entry, entries, rewrite};

/// How many registries are asked at the same time.
const ASKED_AT_ONCE: usize = 4;

/// Opens the repository of an image.
pub type Open<'a> = dyn Fn(&Reference) -> Result<Box<dyn Remote>> + Sync + 'a;

/// What is known of one base image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Its key in release.toml.
    pub key: String,
    /// Its name and tag.
    pub name: String,
    /// The digest in release.toml.
    pub locked: Option<Digest>,
    /// What the tag names now; `None` when there is no tag to follow.
    pub current: Option<Digest>,
    /// When the locked image was made, else the current one, as its maker says (RFC 3339).
    pub created: Option<String>,
    /// The highest tag of the same kind above this one.
    pub newer: Option<String>,
}

impl State {
    /// Whether the digest in release.toml is what the tag names; always so without a tag.
    pub fn is_current(&self) -> bool {
        self.locked.is_some() && (self.current.is_none() || self.locked == self.current)
    }
}

/// Asks the registries about every entry.
pub fn survey(entries: &[Entry], open: &Open<'_>) -> Result<Vec<State>> {
    pool::map(entries, ASKED_AT_ONCE, |entry| {
        state(entry, &*open(&entry.reference)?).map_err(|e| e.within(format!("failed to look up {}", entry.key)))
    })
}

fn state(entry: &Entry, remote: &dyn Remote) -> Result<State> {
    let Reference { tag, digest: locked, .. } = &entry.reference;
    let current = match tag {
        Some(tag) => Some(remote.resolve(tag)?.map(|found| found.digest).ok_or_else(|| no_tag(entry, tag))?),
        None => None,
    };
    let created = match locked.as_ref().or(current.as_ref()) {
        Some(digest) => created(remote, digest)?,
        None => None,
    };
    let newer = match tag.as_deref().filter(|tag| newer::is_version(tag)) {
        Some(tag) => newer::above(tag, &remote.tags()?),
        None => None,
    };
    let name = Reference { digest: None, ..entry.reference.clone() }.to_string();
    Ok(State { key: entry.key.clone(), name, locked: *locked, current, created, newer })
}

fn no_tag(entry: &Entry, tag: &str) -> Error {
    Error::failed(format!("{} has no tag {tag}", entry.reference.name()))
        .hint(format!("correct {} in release.toml", entry.key))
}

/// When an image was made: the index's own word, else the configuration of its first platform.
fn created(remote: &dyn Remote, digest: &Digest) -> Result<Option<String>> {
    let what = format!("{}@{digest}", remote.name());
    let gone = || Error::failed(format!("{what} is not in the registry any more")).hint("cargo xtask base update");
    let document = remote.manifest(digest)?.ok_or_else(gone)?;
    let manifest = match document.descriptor.is_index() {
        true => {
            let index: Index = parse(&what, &document.bytes)?;
            if let Some(created) = index.annotations.get(annotation::CREATED) {
                return Ok(Some(created.clone()));
            }
            let Some(first) = index.manifests.first() else { return Ok(None) };
            remote.manifest(&first.digest)?.ok_or_else(gone)?
        }
        false => document,
    };
    let manifest: Manifest = parse(&what, &manifest.bytes)?;
    let config: ImageConfig = parse(&what, &small(remote, &manifest.config)?)?;
    Ok(config.created)
}

fn small(remote: &dyn Remote, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    remote
        .blob(descriptor)?
        .take(DOCUMENT_LIMIT)
        .read_to_end(&mut bytes)
        .attempt(|| format!("read {} of {}", descriptor.digest, remote.name()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
