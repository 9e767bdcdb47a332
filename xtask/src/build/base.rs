//! Base images: the platform of an image that is named by digest, its layers in the store, and what must be known of
//! its files.
//!
//! Takes a repository and a digest, gives a [`Base`]. Never follows a tag, and never takes another platform for the
//! one asked for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::MERGED;
use crate::error::{Context, Error, Result};
use crate::oci::rootfs::{self, Found, Want};
use crate::oci::spec::{Descriptor, History, ImageConfig, Index, Manifest, PlatformSpec, media, parse};
use crate::oci::store::Store;
use crate::oci::{Digest, Platform};
use crate::plan::Plan;
use crate::remote::Remote;
use crate::{config, fs};

/// What an image stands on, for one platform.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Base {
    /// Layers, lowest first, in OCI media types; their blobs are in the store.
    pub layers: Vec<Descriptor>,
    /// Their uncompressed digests.
    pub diff_ids: Vec<Digest>,
    /// How they came about.
    pub history: Vec<History>,
    /// `NAME=value`
    pub env: Vec<String>,
    /// Files that the system layer adds to, by path without the leading slash.
    files: BTreeMap<String, String>,
}

impl Base {
    /// A file's content, when the base has it.
    pub(super) fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }
}

/// Opens the repository that a base image is in.
pub type OpenBase<'a> = dyn Fn(&config::Base) -> Result<(Box<dyn Remote>, Digest)> + Sync + 'a;

/// Each base that the plan names, once, by how it is written; `notes` is the folder of what [`fetch`] remembers.
pub(super) fn fetch_all(
    plan: &Plan,
    platform: &Platform,
    open: &OpenBase<'_>,
    store: &Store,
    notes: &Path,
) -> Result<BTreeMap<String, Base>> {
    let mut bases = BTreeMap::new();
    for image in &plan.images {
        if image.base != config::Base::Scratch && !bases.contains_key(&image.base.to_string()) {
            let (remote, digest) = open(&image.base)?;
            let note = notes.join(format!("{}-{}.json", digest.hex(), platform.slug()));
            bases.insert(image.base.to_string(), fetch(&*remote, &digest, platform, store, &note)?);
        }
    }
    Ok(bases)
}

/// Brings the image `digest` of `remote` for `platform` into the store. `note` is a file that remembers what was read
/// out of it, so that a base is unpacked once.
fn fetch(remote: &dyn Remote, digest: &Digest, platform: &Platform, store: &Store, note: &Path) -> Result<Base> {
    let known = std::fs::read(note).ok().and_then(|bytes| serde_json::from_slice::<Base>(&bytes).ok());
    if let Some(base) = known.filter(|base| base.layers.iter().all(|layer| store.has(&layer.digest, layer.size))) {
        return Ok(base);
    }
    let base = pull(remote, digest, platform, store)?;
    fs::write(note, &serde_json::to_vec(&base).attempt(|| "describe a base image".into())?)?;
    Ok(base)
}

fn pull(remote: &dyn Remote, digest: &Digest, platform: &Platform, store: &Store) -> Result<Base> {
    let what = format!("base image {}@{digest}", remote.name());
    let document = remote
        .manifest(digest)?
        .ok_or_else(|| Error::failed(format!("{what} does not exist")).hint("check base in release.toml"))?;
    let manifest = match document.descriptor.is_index() {
        true => {
            let index: Index = parse(&what, &document.bytes)?;
            let chosen = choose(&index, platform, &what)?;
            let document = remote.manifest(&chosen.digest)?;
            document.ok_or_else(|| Error::failed(format!("{what} lists {} but does not have it", chosen.digest)))?
        }
        false => document,
    };
    let manifest: Manifest = parse(&what, &manifest.bytes)?;
    store.copy_in(&manifest.config, remote.blob(&manifest.config)?)?;
    let config: ImageConfig = parse(&what, &store.read(&manifest.config)?)?;
    check_platform(&config, platform, &what)?;
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(Error::failed(format!(
            "{what} has {} layers but {} diff ids",
            manifest.layers.len(),
            config.rootfs.diff_ids.len()
        )));
    }
    for layer in &manifest.layers {
        if !store.has(&layer.digest, layer.size) {
            store.copy_in(layer, remote.blob(layer)?).map_err(|e| e.within(format!("failed to fetch {what}")))?;
        }
    }
    Ok(Base {
        files: merged(&manifest.layers, store, &what)?,
        layers: manifest.layers.into_iter().map(in_oci_terms).collect(),
        diff_ids: config.rootfs.diff_ids,
        history: config.history,
        env: config.config.env,
    })
}

/// The manifest of exactly this platform: operating system, architecture *and* variant.
fn choose<'a>(index: &'a Index, platform: &Platform, what: &str) -> Result<&'a Descriptor> {
    let is = |spec: &PlatformSpec| spec.known().as_ref() == Some(platform);
    let found = index.manifests.iter().find(|m| m.platform.as_ref().is_some_and(is));
    found.ok_or_else(|| {
        let known: Vec<_> =
            index.manifests.iter().filter_map(|m| m.platform.as_ref()?.known()).map(|p| p.to_string()).collect();
        Error::failed(format!("{what} has no image for {platform}"))
            .hint(format!("it has {}; choose another base or other platforms", known.join(", ")))
    })
}

fn check_platform(config: &ImageConfig, platform: &Platform, what: &str) -> Result<()> {
    let said = config.platform();
    // Docker's arm images often leave the variant out of the config though their index has it.
    let same = said.known().as_ref() == Some(platform)
        || (said.variant.is_none() && said.architecture == platform.architecture() && said.os == platform.os());
    match same {
        true => Ok(()),
        false => Err(Error::failed(format!("{what} says it is {platform}, but its configuration is for {said}"))),
    }
}

fn in_oci_terms(mut layer: Descriptor) -> Descriptor {
    if layer.media_type == media::DOCKER_LAYER {
        layer.media_type = media::LAYER_GZIP.into();
    }
    layer
}

/// The text of files that the system layer adds to.
fn merged(layers: &[Descriptor], store: &Store, what: &str) -> Result<BTreeMap<String, String>> {
    let want = |path: &str| MERGED.contains(&path).then_some(Want::Content);
    let text = |(path, found): (String, Found)| match found {
        Found::Content(bytes) => Some((path, String::from_utf8_lossy(&bytes).into_owned())),
        Found::Present | Found::Link => None,
    };
    Ok(rootfs::read(layers, store, &want, what)?.into_iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variant_decides_between_two_arms() {
        let entry = |digest: &[u8], variant: &str| {
            let platform =
                PlatformSpec { architecture: "arm".into(), os: "linux".into(), variant: Some(variant.into()) };
            Descriptor { platform: Some(platform), ..Descriptor::of(media::MANIFEST, digest) }
        };
        let index = Index {
            schema_version: 2,
            media_type: None,
            manifests: vec![entry(b"6", "v6"), entry(b"7", "v7")],
            annotations: Default::default(),
        };
        let chosen = choose(&index, &"linux/arm/v7".parse().unwrap(), "base").unwrap();
        assert_eq!(chosen.digest, Digest::of(b"7"));
        let err = choose(&index, &"linux/arm64".parse().unwrap(), "base").unwrap_err().to_string();
        assert!(err.contains("no image for linux/arm64") && err.contains("linux/arm/v6, linux/arm/v7"), "{err}");
    }
}
