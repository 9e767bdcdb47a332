//! The referrers tag scheme: an index under the tag `sha256-HEX` (distribution spec, "Referrers Tag Schema").
//!
//! Takes a subject and an entry, rewrites the index. Entries of others stay byte for byte what they were. The spec
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

    /// Adds `entry` to the fallback tag, unless it is there.
    pub(super) fn add_fallback_referrer(&self, subject: &Digest, entry: &Descriptor) -> Result<()> {
        let tag_lock = self.client.fallback(subject);
        let _alone = tag_lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let added = self.client.retrier().run(|| {
            let listed = self.fallback_index(subject)?;
            if listed.as_ref().is_some_and(|listed| listed.has(&entry.digest)) {
                return Ok(());
            }
            let document = listed.unwrap_or_else(Listed::empty).with(entry)?;
            self.put_manifest(&document, Target::Tag(&tag(subject)))?;
            match self.fallback_index(subject)?.is_some_and(|listed| listed.has(&entry.digest)) {
                true => Ok(()),
                false => Err(Failure::temporary(Error::network(format!(
                    "{}:{} changed while {} was added to it",
                    self.name(),
                    tag(subject),
                    entry.digest
                )))),
            }
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

    /// With one entry more, sorted by digest so that every order of adding ends in the same index.
    fn with(mut self, entry: &Descriptor) -> Result<Document> {
        let value =
            serde_json::to_value(entry).map_err(|e| Error::failed("failed to serialise a descriptor").because(e))?;
        self.manifests.push(value);
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
