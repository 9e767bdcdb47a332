//! The referrers tag scheme: an index under the tag `sha256-HEX` (distribution spec, "Referrers Tag Schema").
//!
//! Takes a subject and entries, rewrites the index. Entries of others stay byte for byte what they were. The spec
//! has no compare-and-swap, so another process may overwrite what was written: it is read back and written again, a
//! bounded number of times.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::manifest::Target;
use super::repository::Repository;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::oci::spec::{Descriptor, Document, media, parse};

/// The index as whoever wrote it last left it.
#[derive(Clone, Serialize, Deserialize)]
struct Listed {
    #[serde(flatten)]
    rest: Map<String, Value>,
    manifests: Vec<Value>,
}

impl Repository {
    /// The entries of the fallback tag; none when there is no such tag.
    pub(super) fn fallback_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let what = || format!("{}:{}", self.name(), tag(subject));
        let entries = self.fallback_index(subject)?.map(|listed| listed.manifests).unwrap_or_default();
        let read = |entry| {
            serde_json::from_value(entry)
                .map_err(|e| Error::verification(format!("{} has a bad entry", what())).because(e))
        };
        entries.into_iter().map(read).collect()
    }

    /// Adds what isn't there of `entries` to the fallback tag, all at once.
    pub(super) fn add_fallback_referrers(&self, subject: &Digest, entries: &[Descriptor]) -> Result<()> {
        let tag_lock = self.client.fallback(subject);
        let _alone = tag_lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let added = self.client.retrier().run(|| {
            let listed = self.fallback_index(subject)?;
            let listed = listed.unwrap_or_else(Listed::empty);
            if listed.missing(entries).is_none() {
                return Ok(());
            }
            self.put_manifest(&listed.with(entries)?, Target::Tag(&tag(subject)))?;
            let listed = self.fallback_index(subject)?.unwrap_or_else(Listed::empty);
            listed.missing(entries).map_or(Ok(()), |lost| {
                Err(Failure::temporary(Error::network(format!(
                    "{}:{} changed while {} was added to it",
                    self.name(),
                    tag(subject),
                    lost.digest
                ))))
            })
        });
        Ok(added?)
    }

    fn fallback_index(&self, subject: &Digest) -> Result<Option<Listed>> {
        let tag = tag(subject);
        let Some(document) = self.manifest(Target::Tag(&tag))? else { return Ok(None) };
        if !document.descriptor.is_index() {
            return Err(Error::verification(format!("{}:{tag} is not an index", self.name())));
        }
        parse(&format!("{}:{tag}", self.name()), &document.bytes).map(Some)
    }
}

impl Listed {
    fn empty() -> Listed {
        let rest = [("schemaVersion".to_owned(), json!(2)), ("mediaType".to_owned(), json!(media::INDEX))];
        Listed { manifests: Vec::new(), rest: rest.into_iter().collect() }
    }

    fn has(&self, digest: &Digest) -> bool {
        self.manifests.iter().any(|entry| digest_of(entry) == digest.to_string())
    }

    /// The first of `entries` that isn't there.
    fn missing<'a>(&self, entries: &'a [Descriptor]) -> Option<&'a Descriptor> {
        entries.iter().find(|entry| !self.has(&entry.digest))
    }

    /// With what it lacks of `entries`, sorted by digest so that every order of adding ends in the same index.
    fn with(mut self, entries: &[Descriptor]) -> Result<Document> {
        for entry in entries {
            if !self.has(&entry.digest) {
                let value = serde_json::to_value(entry);
                self.manifests.push(value.map_err(|e| Error::failed("failed to serialise a descriptor").because(e))?);
            }
        }
        self.manifests.sort_by(|a, b| digest_of(a).cmp(digest_of(b)));
        self.rest.insert("mediaType".into(), json!(media::INDEX));
        Document::new(media::INDEX, &self)
    }
}

fn digest_of(entry: &Value) -> &str {
    entry.get("digest").and_then(Value::as_str).unwrap_or_default()
}

fn tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}
