//! Scan: what is known to be wrong with what was built, and whether the policy lets it out.
//!
//! Takes `Built` and its SBOMs, gives [`Scanned`]: the only thing that can be published. A scanner that couldn't run is
//! an error, never "no findings".

use serde::{Deserialize, Serialize};

use crate::build::Built;
use crate::oci::{Digest, Platform};
use crate::sbom::Sboms;

/// The version of [`Report`]'s shape.
pub const SCHEMA: u32 = 1;

/// How bad a finding is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The database doesn't say.
    Unknown,
    /// CVSS below 4.
    Low,
    /// CVSS 4 to 6.9.
    Medium,
    /// CVSS 7 to 8.9.
    High,
    /// CVSS 9 and above.
    Critical,
}

/// One vulnerability in one image platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
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
}

/// A build whose findings are known; made only by this module.
#[derive(Clone, Debug)]
pub struct Scanned {
    built: Built,
    sboms: Sboms,
    report: Report,
}

impl Scanned {
    /// Takes a build as it is, for the reason given; the reason goes into the record.
    pub fn skipped(built: Built, sboms: Sboms, reason: &str) -> Scanned {
        let report = Report {
            schema: SCHEMA,
            skipped: Some(reason.to_owned()),
            scanners: Vec::new(),
            databases: Vec::new(),
            platforms: Vec::new(),
        };
        Scanned { built, sboms, report }
    }

    /// What was scanned.
    pub fn built(&self) -> &Built {
        &self.built
    }

    /// What is in it.
    pub fn sboms(&self) -> &Sboms {
        &self.sboms
    }

    /// What was found.
    pub fn report(&self) -> &Report {
        &self.report
    }
}
