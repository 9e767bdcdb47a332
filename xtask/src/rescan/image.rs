//! Which manifests a rescan is about: every platform of an index, or the one manifest that is named.
//!
//! Takes a reference or a release's record, gives an [`Image`]. Reads manifests and configurations, never a layer.

use crate::error::{Error, Result};
use crate::oci::spec::{Descriptor, ImageConfig, Index, Manifest, PlatformSpec, parse};
use crate::oci::store::DOCUMENT_LIMIT;
use crate::oci::{Digest, Platform, Reference};
use crate::publish::{Remote, attached};
use crate::record::ReleasedImage;

/// Where BuildKit puts provenance: an entry of an index that is no image.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// One image that is out.
pub struct Image {
    /// What it is called where no report says so.
    pub name: String,
    /// Its repository with the registry, as VEX statements name it.
    pub reference: String,
    /// The tag it is asked for by; empty where that is a digest.
    pub tag: String,
    /// Its repository.
    pub remote: Box<dyn Remote>,
    /// Its index, unless a single manifest is meant.
    pub index: Option<Descriptor>,
    /// Its platforms.
    pub parts: Vec<Part>,
}

/// One platform of it.
pub struct Part {
    /// The platform.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// What the release's record says is attached to it; empty where nothing says so.
    pub recorded: Vec<Digest>,
}

impl Image {
    /// The image that `reference` names in its repository.
    pub fn find(remote: Box<dyn Remote>, reference: &Reference, trouble: crate::error::Class) -> Result<Image> {
        let missing = || Error::usage(format!("{reference} does not exist")).hint("check its name and tag");
        let digest = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => *digest,
            (None, Some(tag)) => remote.resolve(tag)?.ok_or_else(missing)?.digest,
            (None, None) => {
                let message = format!("`{reference}` names neither a tag nor a digest");
                return Err(Error::usage(message).hint(format!("{reference}:v1.2.0")));
            }
        };
        let document = remote.manifest(&digest)?.ok_or_else(missing)?;
        let name = reference.repository.rsplit('/').next().unwrap_or(&reference.repository).to_owned();
        let (full, tag) = (reference.name(), reference.tag.clone().unwrap_or_default());
        let what = format!("{}@{digest}", remote.name());
        if document.descriptor.is_index() {
            let parts = parts(&parse(&what, &document.bytes)?, &what)?;
            return Ok(Image { name, reference: full, tag, remote, index: Some(document.descriptor), parts });
        }
        let manifest: Manifest = parse(&what, &document.bytes)?;
        let config = attached::blob(&*remote, &manifest.config, DOCUMENT_LIMIT, trouble)?;
        let ImageConfig { architecture, os, variant, .. } = parse(&format!("the configuration of {what}"), &config)?;
        let platform = known(&PlatformSpec { architecture, os, variant }, &what)?;
        let part = Part { platform, manifest: document.descriptor, recorded: Vec::new() };
        Ok(Image { name, reference: full, tag, remote, index: None, parts: vec![part] })
    }

    /// An image as the record of release `tag` describes it.
    pub fn released(image: &ReleasedImage, tag: &str, remote: Box<dyn Remote>) -> Image {
        let part = |platform: &crate::record::ReleasedPlatform| Part {
            platform: platform.platform.clone(),
            manifest: platform.manifest.clone(),
            recorded: platform.attached().map(|a| a.artifact.digest).collect(),
        };
        Image {
            name: image.name.clone(),
            reference: image.reference.split('@').next().unwrap_or_default().to_owned(),
            tag: tag.to_owned(),
            remote,
            index: Some(image.index.clone()),
            parts: image.platforms.iter().map(part).collect(),
        }
    }
}

/// Every platform of an index. One that can't be scanned is an error: leaving it out would read as "nothing found".
fn parts(index: &Index, what: &str) -> Result<Vec<Part>> {
    let mut found = Vec::new();
    for entry in index.manifests.iter().filter(|entry| !entry.annotations.contains_key(ATTESTATION)) {
        let unnamed = || Error::failed(format!("{what} has {} for no platform", entry.digest));
        let platform = known(entry.platform.as_ref().ok_or_else(unnamed)?, what)?;
        found.push(Part { platform, manifest: crate::publish::referrer::bare(entry), recorded: Vec::new() });
    }
    match found.is_empty() {
        true => Err(Error::failed(format!("{what} has no platform"))),
        false => Ok(found),
    }
}

fn known(spec: &PlatformSpec, what: &str) -> Result<Platform> {
    spec.known().ok_or_else(|| {
        let message = format!("{what} is for {}/{}, which can't be scanned", spec.os, spec.architecture);
        Error::failed(message).hint("name one of its other manifests by digest")
    })
}
