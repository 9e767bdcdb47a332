//! SBOM: what is in each image, from the program's own build information, as CycloneDX 1.6 and SPDX 2.3 JSON.
//!
//! Takes [`Built`], gives [`Sboms`]. Deterministic: no clock, no random serial. Starts no process and opens no socket;
//! reads a few KiB of each program.

pub mod buildinfo;
mod cyclonedx;
#[cfg(test)]
pub(crate) mod fixture;
mod inventory;
mod modinfo;
pub mod purl;
mod spdx;
mod uuid;

use buildinfo::BuildInfo;
use inventory::Inventory;

use crate::build::{Built, BuiltImage, BuiltPlatform};
use crate::error::{Error, Result};
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

/// Describes every image platform in every format.
///
/// Fails when a program has no Go build information, and with class verification when it is built for another platform
/// than its image.
pub fn generate(built: &Built, ui: &Ui) -> Result<Sboms> {
    let step = ui.step("describe the images");
    let work: Vec<_> =
        built.images.iter().flat_map(|image| image.platforms.iter().map(move |platform| (image, platform))).collect();
    let documents: Vec<Sbom> =
        pool::map(&work, pool::cores(), |(image, platform)| describe(&built.plan, image, platform))?
            .into_iter()
            .flatten()
            .collect();
    step.done(&format!("in {} documents", documents.len()));
    Ok(Sboms { documents })
}

fn describe(plan: &Plan, image: &BuiltImage, platform: &BuiltPlatform) -> Result<[Sbom; 2]> {
    let about = |e: Error| e.within(format!("failed to describe {} for {}", image.plan.name, platform.platform));
    let info = buildinfo::read(&platform.program).map_err(about)?;
    check_platform(&info, &platform.platform).map_err(about)?;
    let inventory = Inventory::new(plan, image, platform, &info).map_err(about)?;
    let sbom = |format, bytes| Sbom {
        image: image.plan.name.clone(),
        platform: platform.platform.clone(),
        manifest: platform.manifest.digest,
        format,
        bytes,
    };
    Ok([
        sbom(Format::CycloneDx, cyclonedx::write(&inventory).map_err(about)?),
        sbom(Format::Spdx, spdx::write(&inventory).map_err(about)?),
    ])
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
