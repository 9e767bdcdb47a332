//! SBOM: what is in each image, from the program's own build information, as CycloneDX 1.6 and SPDX 2.3 JSON.
//!
//! Takes [`Built`](crate::build::Built), gives [`Sboms`]. Deterministic: no clock, no random serial.

use crate::oci::{Digest, Platform};

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
