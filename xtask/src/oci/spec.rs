//! The JSON documents of the OCI image spec 1.1: descriptor, manifest, index, config.
//!
//! Maps are sorted and fields stand in one order, so that equal values give equal bytes. Reading accepts the Docker
//! schema 2 media types too, because base images still come that way; writing never uses them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Digest, Platform};
use crate::error::{Error, Result};

/// Sorted string pairs: labels and annotations.
pub type Annotations = BTreeMap<String, String>;

/// Media types of the OCI image spec, media-types.md.
pub mod media {
    /// An image manifest or artifact manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A gzip layer.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A zstd layer.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// An uncompressed layer.
    pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    /// The empty JSON object that artifacts have for a config.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// Docker's manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's gzip layer.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}

/// Annotation keys of the OCI image spec, annotations.md.
pub mod annotation {
    /// A tag, in a layout's `index.json`.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// RFC 3339 time.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// A file name for an artifact's layer.
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// The version of what is packed.
    pub const VERSION: &str = "org.opencontainers.image.version";
    /// Who distributes it.
    pub const VENDOR: &str = "org.opencontainers.image.vendor";
    /// The licenses of what is packed, an SPDX license expression.
    pub const LICENSES: &str = "org.opencontainers.image.licenses";
    /// What it is, for people.
    pub const DESCRIPTION: &str = "org.opencontainers.image.description";
    /// Its page.
    pub const URL: &str = "org.opencontainers.image.url";
    /// Where its source is.
    pub const SOURCE: &str = "org.opencontainers.image.source";
    /// Who answers for it.
    pub const AUTHORS: &str = "org.opencontainers.image.authors";
}

/// A typed, sized, content-addressed pointer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The platform, for an index's entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformSpec>,
    /// For an artifact, what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Descriptor {
    /// Points at `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Points at a blob known by digest and size.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            artifact_type: None,
            annotations: Annotations::new(),
        }
    }

    /// Whether it points at an index of manifests.
    pub fn is_index(&self) -> bool {
        self.media_type == media::INDEX || self.media_type == media::DOCKER_LIST
    }
}

/// A platform as an index writes it; unlike [`Platform`] it may be one that Go or this project doesn't know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformSpec {
    /// CPU architecture.
    pub architecture: String,
    /// Operating system.
    pub os: String,
    /// CPU variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl From<&Platform> for PlatformSpec {
    fn from(p: &Platform) -> PlatformSpec {
        PlatformSpec { architecture: p.architecture().into(), os: p.os().into(), variant: p.variant().map(Into::into) }
    }
}

impl PlatformSpec {
    /// The known platform this is, in normal form.
    pub fn known(&self) -> Option<Platform> {
        self.to_string().parse().ok()
    }
}

/// `linux/arm/v7`
impl fmt::Display for PlatformSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// An image manifest, or with `artifact_type` an artifact's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u8,
    /// What this document is.
    pub media_type: String,
    /// For an artifact, what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// For a referrer, what it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// An image index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u8,
    /// What this document is; absent in some layouts' `index.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// One manifest a platform, or anything in a layout.
    pub manifests: Vec<Descriptor>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// An image configuration (config.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// CPU architecture.
    pub architecture: String,
    /// Operating system.
    pub os: String,
    /// CPU variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How to run it.
    #[serde(default)]
    pub config: Execution,
    /// The layers' uncompressed digests.
    pub rootfs: RootFs,
    /// How the layers came about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// The parts of a manifest or index that make it a referrer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// What it refers to.
    pub subject: Option<Descriptor>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: Annotations,
}

impl Referrer {
    /// What a list of referrers says of `document`, which this was read from: its artifact type, or for an image the type
    /// of its config, and its annotations (distribution spec, "Listing Referrers").
    pub fn entry(&self, document: &Document) -> Descriptor {
        let config = self.config.as_ref().map(|config| config.media_type.clone());
        let artifact_type = self.artifact_type.clone().filter(|artifact| !artifact.is_empty()).or(config);
        Descriptor { artifact_type, annotations: self.annotations.clone(), ..document.descriptor.clone() }
    }
}

impl ImageConfig {
    /// The platform it says it is for.
    pub fn platform(&self) -> PlatformSpec {
        PlatformSpec { architecture: self.architecture.clone(), os: self.os.clone(), variant: self.variant.clone() }
    }
}

/// How a container runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// `uid:gid`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `port/protocol`, each with an empty object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and its fixed arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Default arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub labels: Annotations,
    /// The signal that asks for a graceful end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

/// `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The layers as the runtime stacks them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Uncompressed digests, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// One step of an image's making.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// A document as the exact bytes that are stored and hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Points at the bytes.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Document {
    /// Serialises `value` compactly; equal values give equal bytes.
    pub fn new(media_type: &str, value: &impl Serialize) -> Result<Document> {
        let bytes = serde_json::to_vec(value)
            .map_err(|e| Error::failed(format!("failed to serialise a {media_type}")).because(e))?;
        Ok(Document { descriptor: Descriptor::of(media_type, &bytes), bytes })
    }
}

/// Reads a document of type `T`; `what` names it in the error (class verification: somebody handed us bad data).
pub fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::verification(format!("{what} is not valid JSON of its type")).because(e))
}
