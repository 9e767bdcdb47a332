//! `[tools]`: the programs that are run, each at one exact version, and the checksums of what their publishers offer.
//!
//! Takes versions and checksums as a person or `cargo xtask tools lock` wrote them, gives [`Tools`]. Never lets a
//! release in that is known to be hijacked.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use semver::Version;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::types::{self, string_type};
use crate::error::{Error, Result};
use crate::oci::Digest;

/// Trivy's releases that were hijacked, program and checksums alike (CVE-2026-33634).
const HIJACKED: [Version; 3] = [Version::new(0, 69, 4), Version::new(0, 69, 5), Version::new(0, 69, 6)];

/// Why `version` of the program `name` must never be run, where that is known.
pub fn hijacked(name: &str, version: &Version) -> Option<&'static str> {
    let bare = Version::new(version.major, version.minor, version.patch);
    (name == "trivy" && HIJACKED.contains(&bare)).then_some("a hijacked release (CVE-2026-33634)")
}

/// `[tools]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tools {
    /// The Go toolchain.
    #[serde(deserialize_with = "types::version")]
    pub go: Version,
    /// `google.golang.org/protobuf/cmd/protoc-gen-go`
    #[serde(deserialize_with = "types::version")]
    pub protoc_gen_go: Version,
    /// `google.golang.org/grpc/cmd/protoc-gen-go-grpc`
    #[serde(deserialize_with = "types::version")]
    pub protoc_gen_go_grpc: Version,
    /// `golang.org/x/vuln/cmd/govulncheck`
    #[serde(deserialize_with = "types::version")]
    pub govulncheck: Version,
    /// Scans images.
    #[serde(default, deserialize_with = "trivy", skip_serializing_if = "Option::is_none")]
    pub trivy: Option<PinnedTool>,
    /// Signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign: Option<PinnedTool>,
    /// Builds from Dockerfiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildx: Option<PinnedTool>,
    /// Reads registries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crane: Option<PinnedTool>,
    /// Reads registries, referrers above all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oras: Option<PinnedTool>,
    /// Renders overlays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<PinnedTool>,
    /// Renders charts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<PinnedTool>,
    /// Checks workflows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actionlint: Option<PinnedTool>,
    /// Checks manifests against Kubernetes' schemas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubectl_validate: Option<PinnedTool>,
    /// Lists what is in an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syft: Option<PinnedTool>,
}

impl Tools {
    /// What every release needs, and nothing else.
    pub fn new(go: Version, protoc_gen_go: Version, protoc_gen_go_grpc: Version, govulncheck: Version) -> Tools {
        Tools {
            go,
            protoc_gen_go,
            protoc_gen_go_grpc,
            govulncheck,
            trivy: None,
            cosign: None,
            buildx: None,
            crane: None,
            oras: None,
            kustomize: None,
            helm: None,
            actionlint: None,
            kubectl_validate: None,
            syft: None,
        }
    }

    /// How the program `name` is pinned; `None` when it is not, or is no program of this table.
    pub fn pin(&self, name: &str) -> Option<PinnedTool> {
        let bare = |version: &Version| Some(PinnedTool::from(version.clone()));
        match name {
            "protoc-gen-go" => bare(&self.protoc_gen_go),
            "protoc-gen-go-grpc" => bare(&self.protoc_gen_go_grpc),
            "govulncheck" => bare(&self.govulncheck),
            "trivy" => self.trivy.clone(),
            "cosign" => self.cosign.clone(),
            "buildx" => self.buildx.clone(),
            "crane" => self.crane.clone(),
            "oras" => self.oras.clone(),
            "kustomize" => self.kustomize.clone(),
            "helm" => self.helm.clone(),
            "actionlint" => self.actionlint.clone(),
            "kubectl-validate" => self.kubectl_validate.clone(),
            "syft" => self.syft.clone(),
            _ => None,
        }
    }
}

/// One program: `"1.2.3"`, or a table of its version and checksums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinnedTool {
    /// The version, without `v`.
    pub version: Version,
    /// The SHA-256 of what its publisher offers, by machine: an archive or the program itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<Machine, Checksum>,
}

impl From<Version> for PinnedTool {
    fn from(version: Version) -> PinnedTool {
        PinnedTool { version, sha256: BTreeMap::new() }
    }
}

impl<'de> Deserialize<'de> for PinnedTool {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<PinnedTool, D::Error> {
        from.deserialize_any(Either)
    }
}

/// Takes a text or a table, each with its own errors and their places: an untagged enum has neither.
struct Either;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "types::version")]
    version: Version,
    #[serde(default)]
    sha256: BTreeMap<Machine, Checksum>,
}

impl<'de> Visitor<'de> for Either {
    type Value = PinnedTool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version such as \"1.2.3\", or a table with `version` and `sha256`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<PinnedTool, E> {
        types::exact_version(text).map(PinnedTool::from).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<PinnedTool, A::Error> {
        let Table { version, sha256 } = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(PinnedTool { version, sha256 })
    }
}

fn trivy<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<PinnedTool>, D::Error> {
    let pinned = PinnedTool::deserialize(from)?;
    match hijacked("trivy", &pinned.version) {
        Some(why) => Err(D::Error::custom(format!("Trivy {} is {why}: name another version", pinned.version))),
        None => Ok(Some(pinned)),
    }
}

/// A SHA-256 as publishers' lists have it: 64 lower-case hex digits, nothing before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(pub Digest);

impl FromStr for Checksum {
    type Err = Error;
    fn from_str(text: &str) -> Result<Checksum> {
        let digest = format!("sha256:{text}").parse();
        let bad = |_| Error::usage(format!("`{text}` is not a SHA-256 checksum: it has 64 lower-case hex digits"));
        digest.map(Checksum).map_err(bad)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}
string_type!(Checksum);

/// A machine that a release can be made on, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Machine {
    /// `linux/amd64`
    LinuxAmd64,
    /// `linux/arm64`
    LinuxArm64,
    /// `darwin/amd64`
    DarwinAmd64,
    /// `darwin/arm64`
    DarwinArm64,
}

impl Machine {
    /// Every one, in the order of the table.
    pub const ALL: [Machine; 4] =
        [Machine::LinuxAmd64, Machine::LinuxArm64, Machine::DarwinAmd64, Machine::DarwinArm64];

    /// As the table has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Machine::LinuxAmd64 => "linux/amd64",
            Machine::LinuxArm64 => "linux/arm64",
            Machine::DarwinAmd64 => "darwin/amd64",
            Machine::DarwinArm64 => "darwin/arm64",
        }
    }
}

impl FromStr for Machine {
    type Err = Error;
    fn from_str(text: &str) -> Result<Machine> {
        let names = || Machine::ALL.map(Machine::as_str).join(", ");
        let bad = || Error::usage(format!("`{text}` is not a machine that tools are kept for: {}", names()));
        Machine::ALL.into_iter().find(|machine| machine.as_str() == text).ok_or_else(bad)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
string_type!(Machine);
