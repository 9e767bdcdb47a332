//! What refers to a manifest: SBOMs, reports, signatures (distribution spec, "Listing Referrers").
//!
//! Takes a subject's digest, gives descriptors. Falls back on the tag scheme where a registry has no such list, and
//! keeps that tag up to date where a registry does not say that it tracks subjects.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::manifest::Target;
use super::reply::json;
use super::repository::Repository;
use crate::error::Result;
use crate::oci::Digest;
use crate::oci::spec::{Descriptor, Document, Referrer, media};

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

impl Repository {
    /// Everything that refers to `subject`, or what of it is of `artifact_type`; sorted by digest.
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        let mut url = self.url(&format!("referrers/{subject}"))?;
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        let mut found = Vec::new();
        match self.pages(url, media::INDEX)? {
            Ok(pages) if pages.iter().all(|page| page.media_type == media::INDEX) => {
                for page in pages {
                    let list: List = json(&format!("the list of {subject}'s referrers"), &page.bytes)?;
                    let filtered = page.filters.split(',').any(|filter| filter.trim().starts_with("artifactType"));
                    let wanted = |d: &Descriptor| filtered || is_of(d, artifact_type);
                    found.extend(list.manifests.into_iter().filter(wanted));
                }
            }
            Err(reply) if matches!(reply.status().as_u16(), 401 | 403) => return Err(self.refused(reply)),
            // No such list, or a page that only looks like an answer.
            _ => found.extend(self.fallback_referrers(subject)?.into_iter().filter(|d| is_of(d, artifact_type))),
        }
        found.sort_by_key(|descriptor| descriptor.digest);
        found.dedup_by_key(|descriptor| descriptor.digest);
        Ok(found)
    }

    /// Stores manifests and indexes under their digests, and sees to it that those with a subject are found from there.
    pub fn attach(&self, documents: &[Document]) -> Result<()> {
        let mut untracked: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
        for document in documents {
            let stored = self.put_manifest(document, Target::Digest(&document.descriptor.digest))?;
            let referrer: Referrer = json(&document.descriptor.digest.to_string(), &document.bytes)?;
            if let Some(subject) = referrer.subject.as_ref().filter(|_| !stored.tracks_subject) {
                untracked.entry(subject.digest).or_default().push(referrer.entry(document));
            }
        }
        untracked.iter().try_for_each(|(subject, entries)| self.add_fallback_referrers(subject, entries))
    }
}

fn is_of(descriptor: &Descriptor, artifact_type: Option<&str>) -> bool {
    artifact_type.is_none() || descriptor.artifact_type.as_deref() == artifact_type
}
