//! SBOM: what is in each image, from the program's own build information and the base's package databases, as CycloneDX
//! 1.6 and SPDX 2.3 JSON.
//!
//! Takes [`Built`], gives [`Sboms`]. Deterministic: no clock, no random serial. Starts no process and opens no socket.
//! What was built has to agree on its version, or nothing is described.

mod agreement;
pub mod buildinfo;
mod cyclonedx;
#[cfg(test)]
pub(crate) mod fixture;
mod inventory;
mod licenses;
mod modinfo;
pub mod purl;
mod spdx;
mod system;
mod uuid;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use buildinfo::BuildInfo;
use inventory::{Inventory, Parts};
use licenses::Licenses;
use system::System;

use crate::build::{Built, BuiltImage, BuiltPlatform};
use crate::config::Base;
use crate::error::{Error, Result};
use crate::oci::store::Store;
use crate::oci::{Digest, Platform};
use crate::plan::Plan;
use crate::pool;
use crate::ui::Ui;

/// The formats that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// CycloneDX 1.6 JSON.
    CycloneDx,
    /// SPDX 2.3 JSON.
    Spdx,
}

impl Format {
    /// The registered media type, also the referrer's artifact type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::CycloneDx => "application/vnd.cyclonedx+json",
            Format::Spdx => "application/spdx+json",
        }
    }

    /// The file name's ending.
    pub fn extension(self) -> &'static str {
        match self {
            Format::CycloneDx => "cdx.json",
            Format::Spdx => "spdx.json",
        }
    }
}

/// One document about one image platform.
#[derive(Clone, Debug)]
pub struct Sbom {
    /// The image's name in the table.
    pub image: String,
    /// Its platform.
    pub platform: Platform,
    /// The manifest it describes.
    pub manifest: Digest,
    /// Its format.
    pub format: Format,
    /// The document.
    pub bytes: Vec<u8>,
}

/// Two documents for each image and platform.
#[derive(Clone, Debug)]
pub struct Sboms {
    /// In the order of the build: image, platform, format.
    pub documents: Vec<Sbom>,
}

/// Where it is looked up what programs don't say.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    /// Has the images' blobs.
    pub store: &'a Store,
    /// Remembers between runs what was read out of bases and modules.
    pub notes: &'a Path,
    /// The Go module cache, for licenses.
    pub modules: Option<PathBuf>,
    /// The Go module that was built, where it is known.
    pub module: Option<&'a Path>,
}

/// Describes every image platform in every format.
///
/// Fails when a program has no Go build information, and with class verification when it is built for another platform
/// than its image, or when program, label and release don't agree on the version.
pub fn generate(built: &Built, sources: &Sources<'_>, ui: &Ui) -> Result<Sboms> {
    let step = ui.step("describe the images");
    let licenses = Licenses::new(sources.modules.clone(), sources.notes.join("licenses"));
    let work: Vec<_> =
        built.images.iter().flat_map(|image| image.platforms.iter().map(move |platform| (image, platform))).collect();
    let described = pool::map(&work, pool::cores(), |(image, platform)| {
        Job { plan: &built.plan, image, platform, sources, licenses: &licenses }.describe()
    })?;
    let (documents, warnings): (Vec<_>, Vec<_>) = described.into_iter().unzip();
    let documents: Vec<Sbom> = documents.into_iter().flatten().collect();
    step.done(&format!("in {} documents", documents.len()));
    warnings.into_iter().flatten().collect::<BTreeSet<String>>().iter().for_each(|warning| ui.warn(warning));
    if licenses.absent() > 0 {
        ui.warn(&format!(
            "the Go module cache lacks {} modules, so their licenses are not stated: run `go mod download` in the source",
            licenses.absent()
        ));
    }
    Ok(Sboms { documents })
}

/// One image platform to be described.
struct Job<'a> {
    plan: &'a Plan,
    image: &'a BuiltImage,
    platform: &'a BuiltPlatform,
    sources: &'a Sources<'a>,
    licenses: &'a Licenses,
}

impl Job<'_> {
    /// Its documents, and what a person should know about them.
    fn describe(&self) -> Result<([Sbom; 2], Vec<String>)> {
        let Job { image, platform, .. } = *self;
        self.documents()
            .map_err(|e| e.within(format!("failed to describe {} for {}", image.plan.name, platform.platform)))
    }

    fn documents(&self) -> Result<([Sbom; 2], Vec<String>)> {
        let Job { plan, image, platform, sources, licenses } = *self;
        let info = buildinfo::read(&platform.program)?;
        check_platform(&info, &platform.platform)?;
        let unsaid = agreement::check(plan, &image.plan, platform, &info, sources)?;
        let system = self.system()?;
        let parts = Parts { plan, image, platform, info: &info, system: &system };
        let inventory = Inventory::new(&parts, licenses)?;
        let sbom = |format, bytes| Sbom {
            image: image.plan.name.clone(),
            platform: platform.platform.clone(),
            manifest: platform.manifest.digest,
            format,
            bytes,
        };
        let documents =
            [sbom(Format::CycloneDx, cyclonedx::write(&inventory)?), sbom(Format::Spdx, spdx::write(&inventory)?)];
        let unread = system.unread.iter().map(|path| {
            format!(
                "the base {} has its packages in {path}: its packages are not listed, and no SBOM or scan \
                made from one knows them",
                image.plan.base
            )
        });
        Ok((documents, unsaid.into_iter().chain(unread).collect()))
    }

    /// What the base brings with it. The layers above it are looked at too: what they hide is not in the image.
    fn system(&self) -> Result<System> {
        let Job { image, platform, sources, .. } = *self;
        if image.plan.base == Base::Scratch {
            return Ok(System::default());
        }
        let what = format!("image {}", image.plan.name);
        system::read(&platform.layers, sources.store, &sources.notes.join("systems"), &what)
    }
}

/// An amd64 program in an arm64 image is a mistake that nothing else notices before the image runs.
fn check_platform(info: &BuildInfo, platform: &Platform) -> Result<()> {
    for (setting, wanted) in [("GOOS", platform.os()), ("GOARCH", platform.architecture())] {
        match info.settings.get(setting) {
            Some(actual) if actual != wanted => {
                return Err(Error::verification(format!("its program is built with {setting}={actual}, not {wanted}")));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
