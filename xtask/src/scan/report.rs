//! The report: everything that was found, as data.
//!
//! Takes nothing and decides nothing: scanners fill findings in, the policy judges them, tables, SARIF and JUnit are
//! derived from what stands here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ignore::Lapsed;
use crate::config::Severity;
use crate::error::{Context, Error, Result};
use crate::oci::spec::parse;
use crate::oci::{Digest, Platform};

/// The version of [`Report`]'s shape.
pub const SCHEMA: u32 = 1;

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A known vulnerability of a package.
    #[default]
    Vulnerability,
    /// A secret in a file.
    Secret,
    /// A setting of a Dockerfile or manifest that invites harm.
    Misconfiguration,
    /// A licence that the policy names.
    Licence,
}

/// One thing found in one image platform, or in a file of this repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind of thing it is.
    #[serde(default)]
    pub kind: Kind,
    /// `GO-2025-3503`, `CVE-2025-22870`.
    pub id: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Which scanner found it.
    pub scanner: String,
    /// How bad it is.
    pub severity: Severity,
    /// The module or package, `golang.org/x/net`, `stdlib`.
    pub package: String,
    /// The version found.
    pub version: String,
    /// The version that mends it.
    pub fixed: Option<String>,
    /// Whether a vulnerable symbol is linked into the program; `None` when the scanner can't tell.
    pub reachable: Option<bool>,
    /// One line about it.
    pub summary: String,
    /// The command or edit that mends it.
    pub fix: Option<String>,
    /// The file it is in, with `:LINE` where that is known; in an image without the first `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Why it doesn't count, and who says so: a VEX statement or an ignore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<String>,
    /// Why the policy fails it; `None` when it passes.
    pub violation: Option<String>,
}

/// What was found in one image platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformReport {
    /// The image's name in the table.
    pub image: String,
    /// Its platform.
    pub platform: Platform,
    /// The manifest that was scanned.
    pub manifest: Digest,
    /// Sorted by severity, worst first, then by id.
    pub findings: Vec<Finding>,
}

/// A vulnerability database that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// `golang.org/x/vulndb`, `trivy-db`.
    pub name: String,
    /// Its version, such as a module pseudo-version.
    pub version: String,
    /// When it was made, RFC 3339.
    pub updated: String,
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: u32,
    /// Why nothing was scanned, when that was asked for.
    pub skipped: Option<String>,
    /// Scanners that ran, with their versions.
    pub scanners: Vec<String>,
    /// Databases that were used.
    pub databases: Vec<Database>,
    /// In the order of the build.
    pub platforms: Vec<PlatformReport>,
    /// What was found in Dockerfiles and manifests of this repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Finding>,
    /// Ignores that have expired or that nothing needs any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lapsed: Vec<Lapsed>,
}

impl Default for Report {
    fn default() -> Report {
        Report {
            schema: SCHEMA,
            skipped: None,
            scanners: Vec::new(),
            databases: Vec::new(),
            platforms: Vec::new(),
            files: Vec::new(),
            lapsed: Vec::new(),
        }
    }
}

impl Report {
    /// Every finding, also those of files.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.platforms.iter().flat_map(|part| &part.findings).chain(&self.files)
    }

    /// The report as it is kept: the same findings give the same bytes.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).attempt(|| "write the scan report".into())?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a report; `what` names it in errors. One of a newer schema is refused, not guessed at.
    pub fn parse(what: &str, bytes: &[u8]) -> Result<Report> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let Version { schema } = parse(what, bytes)?;
        if schema > SCHEMA {
            let message = format!("{what} has schema {schema}, newer than the {SCHEMA} this program knows");
            return Err(Error::failed(message).hint("use the xtask of a newer revision of this repository"));
        }
        parse(what, bytes)
    }

    /// What it says about one image platform, and nothing else; `None` when that was not scanned.
    pub fn of(&self, manifest: &Digest) -> Option<Report> {
        let platforms: Vec<_> = self.platforms.iter().filter(|p| p.manifest == *manifest).cloned().collect();
        let (files, lapsed) = (Vec::new(), Vec::new());
        (!platforms.is_empty()).then(|| Report { platforms, files, lapsed, ..self.clone() })
    }
}

/// All names of a finding.
pub(super) fn names(finding: &Finding) -> BTreeSet<&str> {
    finding.aliases.iter().chain([&finding.id]).map(String::as_str).collect()
}

/// Whether two findings are about the same flaw of the same package.
pub(super) fn is_same(one: &Finding, other: &Finding) -> bool {
    (one.kind, &one.package) == (other.kind, &other.package) && !names(one).is_disjoint(&names(other))
}
