//! Scan: what is known to be wrong with what was built, and whether the policy lets it out.
//!
//! Takes `Built` and its SBOMs, gives [`Scanned`]: the only thing that can be published. A scanner that couldn't run is
//! an error, never "no findings". Whether findings stop the run depends on where it goes: [`Scanned::gate`] is asked
//! before a registry, [`show`] tells the rest.

pub(crate) mod clock;
pub mod govulncheck;
mod linked;
mod merge;
mod osv;
pub mod policy;
mod stream;
mod table;
pub mod trivy;
pub mod vulndb;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::build::{Built, BuiltImage, BuiltPlatform};
pub use crate::config::Severity;
use crate::config::{Base, When};
use crate::error::{Class, Context, Error, Item, Result};
use crate::go::Go;
use crate::oci::{Digest, Platform};
use crate::pool;
use crate::sbom::Sboms;
use crate::tools::Toolbox;
use crate::ui::Ui;

use self::govulncheck::Govulncheck;
use self::trivy::{Hit, Trivy};
use self::vulndb::VulnDb;

pub use self::table::{Row, show};

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
}

impl Report {
    /// The report as it is kept: the same findings give the same bytes.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).attempt(|| "write the scan report".into())?;
        bytes.push(b'\n');
        Ok(bytes)
    }
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
            files: Vec::new(),
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

    /// What the policy fails, each once with the places it was found in, worst first.
    pub fn violations(&self) -> Vec<Row<'_>> {
        let mut rows = table::rows(&self.report);
        rows.retain(|row| row.finding.violation.is_some());
        rows
    }

    /// Refuses what the policy fails; a scan that was skipped on purpose passes.
    ///
    /// # Errors
    /// [`Class::Findings`], with every violation and the upgrade that mends it.
    pub fn gate(&self) -> Result<()> {
        let violations = self.violations();
        if violations.is_empty() {
            return Ok(());
        }
        let items = violations.iter().map(|row| Item { what: row.to_string(), fix: row.finding.fix.clone() }).collect();
        let count = match violations.len() {
            1 => "1 finding is".to_owned(),
            many => format!("{many} findings are"),
        };
        Err(Error::new(Class::Findings, format!("{count} above the policy")).items(items).hint(
            match policy::fixes(violations.iter().map(|row| row.finding)) {
                fixes if fixes.is_empty() => "no fix is out yet; [scan] in release.toml is the policy".to_owned(),
                fixes => fixes.join("; "),
            },
        ))
    }
}

/// How to scan.
pub struct Options<'a> {
    /// The root of this repository.
    pub root: &'a Path,
    /// Use only what is on disk.
    pub offline: bool,
    /// Where Trivy is got from.
    pub toolbox: &'a Toolbox<'a>,
    /// Where programs are installed.
    pub tools_folder: &'a Path,
    /// Where databases and results are kept.
    pub cache_folder: &'a Path,
}

/// Gives the OCI layout on disk that has an image's blobs.
pub type LayoutOf<'a> = dyn Fn(&BuiltImage) -> Result<PathBuf> + 'a;

/// Scans every program with govulncheck, and every image with Trivy where that is to be used.
///
/// Programs are scanned in parallel, equal ones once. Findings are no error here: see [`Scanned::gate`].
///
/// # Errors
/// When any scanner couldn't do all of its work.
pub fn scan(
    built: Built,
    sboms: Sboms,
    options: &Options<'_>,
    go: &Go,
    layout_of: &LayoutOf<'_>,
    ui: &Ui,
) -> Result<Scanned> {
    let plan = &built.plan;
    let db = VulnDb::open(go, options.cache_folder, plan.scan.refresh_hours, options.offline, ui)?;
    let mut databases = vec![db.database()];
    let scanner =
        Govulncheck::install(go, &plan.tools.govulncheck, options.tools_folder, options.cache_folder, db, ui)?;
    let mut scanners = vec![scanner.name()];
    let trivy = installed(plan, options, ui)?;
    let step = ui.step("scan");
    let by_program = scan_programs(&built, |program| scanner.scan(&program.program, &program.program_digest, ui))?;
    let (mut by_manifest, mut files) = (None, Vec::new());
    if let Some(trivy) = trivy {
        databases.push(trivy.database());
        scanners.push(trivy.name());
        let scan = |layout: &Path, platform: &BuiltPlatform| trivy.scan(layout, platform, None, ui);
        by_manifest = Some(scan_images(&built, layout_of, scan)?);
        let hits = trivy.scan_repository(options.root, &plan.scan.trivy, ui)?;
        files = merge::merge(Vec::new(), hits, "", &plan.scan);
    }
    let platforms = assemble(&built, &by_program, by_manifest.as_ref())?;
    step.done(&format!("by {}", scanners.join(" and ")));
    let report = Report { schema: SCHEMA, skipped: None, scanners, databases, platforms, files };
    Ok(Scanned { built, sboms, report })
}

fn installed(plan: &crate::plan::Plan, options: &Options<'_>, ui: &Ui) -> Result<Option<Trivy>> {
    let config = &plan.scan.trivy;
    if config.when == When::Never {
        return Ok(None);
    }
    let program = match config.when {
        When::Always => Some(options.toolbox.get(trivy::NAME, ui)?),
        _ if plan.tools.pin(trivy::NAME).is_none() => None,
        _ => options.toolbox.installed(trivy::NAME, ui)?,
    };
    if let Some(program) = program {
        let options = trivy::Options {
            root: options.root,
            cache: options.cache_folder,
            config,
            refresh_hours: plan.scan.refresh_hours,
            offline: options.offline,
        };
        return Trivy::open(&program, &options, ui).map(Some);
    }
    match plan.images.iter().all(|image| image.base == Base::Scratch) {
        true => ui.note("trivy is not installed (cargo xtask tools install trivy): findings have no severities"),
        false => ui.warn(
            "trivy is not installed (cargo xtask tools install trivy): the packages of the base image are not scanned",
        ),
    }
    Ok(None)
}

fn scan_programs(
    built: &Built,
    scan: impl Fn(&BuiltPlatform) -> Result<Vec<Finding>> + Sync,
) -> Result<BTreeMap<Digest, Vec<Finding>>> {
    let programs: BTreeMap<Digest, &BuiltPlatform> =
        built.images.iter().flat_map(|i| &i.platforms).map(|p| (p.program_digest, p)).collect();
    let programs: Vec<_> = programs.into_values().collect();
    let found = pool::map(&programs, pool::cores(), |program| scan(program))?;
    Ok(programs.into_iter().map(|p| p.program_digest).zip(found).collect())
}

/// All platforms of all images, in parallel; one that couldn't be scanned is the result.
fn scan_images(
    built: &Built,
    layout_of: &LayoutOf<'_>,
    scan: impl Fn(&Path, &BuiltPlatform) -> Result<Vec<Hit>> + Sync,
) -> Result<BTreeMap<Digest, Vec<Hit>>> {
    let mut jobs = Vec::new();
    for image in &built.images {
        let layout = layout_of(image)?;
        jobs.extend(image.platforms.iter().map(|platform| (&image.plan.name, layout.clone(), platform)));
    }
    let found = pool::map(&jobs, pool::cores(), |(name, layout, platform)| {
        let within = |e: Error| e.within(format!("failed to scan {name} for {}", platform.platform));
        Ok((platform.manifest.digest, scan(layout, platform).map_err(within)?))
    })?;
    Ok(found.into_iter().collect())
}

/// Every platform of every image gets a report; that one was not scanned by an engine that is used is an error.
fn assemble(
    built: &Built,
    by_program: &BTreeMap<Digest, Vec<Finding>>,
    by_manifest: Option<&BTreeMap<Digest, Vec<Hit>>>,
) -> Result<Vec<PlatformReport>> {
    let mut reports = Vec::new();
    for image in &built.images {
        for platform in &image.platforms {
            let (name, manifest) = (&image.plan.name, platform.manifest.digest);
            let go = by_program.get(&platform.program_digest).cloned();
            let unseen = || Error::failed(format!("{name} for {} was not scanned", platform.platform));
            let go = go.ok_or_else(unseen)?;
            let hits = by_manifest.map(|found| found.get(&manifest).cloned().ok_or_else(unseen)).transpose()?;
            let hits = hits.unwrap_or_default();
            let findings = merge::merge(go, hits, image.plan.program.as_str(), &built.plan.scan);
            reports.push(PlatformReport {
                image: name.clone(),
                platform: platform.platform.clone(),
                manifest,
                findings,
            });
        }
    }
    Ok(reports)
}

#[cfg(test)]
mod tests;
