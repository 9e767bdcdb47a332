//! What buildx wrote, brought into the store: an OCI layout becomes a [`BuiltImage`], every blob hashed.
//!
//! Takes a layout and the image's plan. Believes nothing: digests, platforms and configuration are compared with what
//! was asked for, and the program is read out of its layer.

use std::path::Path;

use super::{agree, program_file};
use crate::build::{BuiltImage, BuiltPlatform, image};
use crate::error::{Context, Error, Result};
use crate::oci::Platform;
use crate::oci::layout::Layout;
use crate::oci::spec::{Descriptor, Document, ImageConfig, Index, Manifest, PlatformSpec, parse};
use crate::oci::store::Store;
use crate::plan::{ImagePlan, Plan};

/// Imports the image of the layout at `folder`. Programs are kept below `programs`.
pub(super) fn import(
    folder: &Path,
    plan: &Plan,
    image: &ImagePlan,
    store: &Store,
    programs: &Path,
) -> Result<BuiltImage> {
    let what = format!("what buildx made of image {}", image.name);
    let layout = Layout::open(folder)?;
    let listed = layout.index()?.manifests;
    let [top] = listed.as_slice() else {
        return Err(Error::failed(format!("{what} has {} entries in its index.json, not one", listed.len())));
    };
    let top = held(&layout, top, &what)?;
    let entries = match top.descriptor.is_index() {
        true => parse::<Index>(&what, &top.bytes)?.manifests,
        false => vec![top.descriptor.clone()],
    };
    let platforms = match top.descriptor.is_index() {
        true => in_order(&entries, &plan.platforms, &what)?,
        false => entries.iter().zip(&plan.platforms).collect(),
    };
    if platforms.len() != plan.platforms.len() {
        return Err(Error::failed(format!("{what} is for one platform, and {} were asked for", plan.platforms.len())));
    }
    let one = |(entry, platform): (&Descriptor, &Platform)| {
        let parts = Parts { layout: &layout, image, store, programs, what: &what };
        parts.import(entry, platform)
    };
    let platforms = platforms.into_iter().map(one).collect::<Result<Vec<_>>>()?;
    // For a single platform BuildKit writes no index, and every image here has one.
    let index = if top.descriptor.is_index() { top } else { image::index(image, &platforms)? };
    store.put(&index)?;
    Ok(BuiltImage { plan: image.clone(), index: index.descriptor, platforms })
}

fn held(layout: &Layout, descriptor: &Descriptor, what: &str) -> Result<Document> {
    let document = layout.manifest(&descriptor.digest)?;
    document.ok_or_else(|| Error::verification(format!("{what} lacks {}, which it lists", descriptor.digest)))
}

/// The entries in the order of `wanted`; one more or one less is an error.
fn in_order<'a>(
    entries: &'a [Descriptor],
    wanted: &'a [Platform],
    what: &str,
) -> Result<Vec<(&'a Descriptor, &'a Platform)>> {
    let platform = |entry: &Descriptor| entry.platform.as_ref().and_then(PlatformSpec::known);
    let mut found = Vec::new();
    for wanted in wanted {
        let mut entries = entries.iter().filter(|entry| platform(entry).as_ref() == Some(wanted));
        match (entries.next(), entries.next()) {
            (Some(entry), None) => found.push((entry, wanted)),
            (None, _) => return Err(Error::failed(format!("{what} has nothing for {wanted}"))),
            (Some(_), Some(_)) => return Err(Error::failed(format!("{what} has {wanted} twice"))),
        }
    }
    match entries.len() == wanted.len() {
        true => Ok(found),
        false => Err(Error::failed(format!("{what} has {} entries for {} platforms", entries.len(), wanted.len()))
            .hint("entries of no platform are attestations: leave `attest` out of docker-bake.hcl")),
    }
}

struct Parts<'a> {
    layout: &'a Layout,
    image: &'a ImagePlan,
    store: &'a Store,
    programs: &'a Path,
    what: &'a str,
}

impl Parts<'_> {
    fn import(&self, entry: &Descriptor, platform: &Platform) -> Result<BuiltPlatform> {
        let what = format!("{} for {platform}", self.what);
        let document = held(self.layout, entry, &what)?;
        let manifest: Manifest = parse(&what, &document.bytes)?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let from = self.layout.store().open(blob)?;
            self.store.copy_in(blob, from).map_err(|e| e.within(format!("{what} is damaged")))?;
        }
        self.store.put(&document)?;
        let config: ImageConfig = parse(&what, &self.store.read(&manifest.config)?)?;
        agree::check(&config, self.image, platform)?;
        let (program, program_digest) =
            program_file::extract(&manifest.layers, self.image.program.as_str(), self.store, self.programs, &what)?;
        // What the layer above says of itself is for BuildKit; a platform's descriptor is bare, as its native twin's.
        let descriptor = Descriptor::new(&document.descriptor.media_type, entry.digest, document.descriptor.size);
        Ok(BuiltPlatform {
            platform: platform.clone(),
            manifest: descriptor,
            config: manifest.config,
            layers: manifest.layers,
            program,
            program_digest,
        })
    }
}

/// Forgets a layout once its blobs are in the store.
pub(super) fn forget(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).attempt(|| format!("remove {}", folder.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
