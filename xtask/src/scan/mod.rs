//! Scan: what is known to be wrong with what was built, and whether the policy lets it out.
//!
//! Takes `Built` and its SBOMs, gives [`Scanned`]: the only thing that can be published. A scanner that couldn't run is
//! an error, never "no findings". Whether findings stop the run depends on where it goes: [`Scanned::gate`] is asked
//! before a registry, [`show`] tells the rest.

mod aside;
pub(crate) mod clock;
pub mod extract;
pub mod govulncheck;
mod ignore;
pub mod junit;
mod linked;
mod merge;
mod osv;
pub mod policy;
pub mod released;
mod report;
pub mod sarif;
mod stream;
mod table;
pub mod trivy;
mod trivyignore;
pub mod vex;
pub mod vulndb;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::build::{Built, BuiltImage, BuiltPlatform};
pub use crate::config::Severity;
use crate::config::{self, Base, When};
use crate::error::{Class, Error, Item, Result};
use crate::go::Go;
use crate::oci::{Digest, Platform};
use crate::plan::Plan;
use crate::pool;
use crate::sbom::Sboms;
use crate::tools::Toolbox;
use crate::ui::Ui;

use self::aside::Policy;
use self::govulncheck::{Govulncheck, ScannedProgram};
use self::ignore::Extent;
use self::merge::Checked;
use self::trivy::{Hit, Trivy};
use self::vex::Subject;
use self::vulndb::VulnDb;

pub use self::ignore::Lapsed;
pub use self::report::{Database, Finding, Kind, PlatformReport, Report, SCHEMA};
use self::report::{is_same, names};
pub use self::table::{Row, show};

/// A build whose findings are known; made only by this module.
#[derive(Clone, Debug)]
pub struct Scanned {
    built: Built,
    sboms: Sboms,
    report: Report,
    extracts: Arc<BTreeMap<Digest, Vec<u8>>>,
}

impl Scanned {
    /// Takes a build as it is, for the reason given; the reason goes into the record.
    pub fn skipped(built: Built, sboms: Sboms, reason: &str) -> Scanned {
        let report = Report { skipped: Some(reason.to_owned()), ..Report::default() };
        Scanned { built, sboms, report, extracts: Arc::default() }
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

    /// What a later scan needs to know of a program, an [`extract::Extract`] packed; `None` when nothing was scanned.
    pub fn extract(&self, program: &Digest) -> Option<&[u8]> {
        self.extracts.get(program).map(Vec::as_slice)
    }

    /// [`Report::violations`]
    pub fn violations(&self) -> Vec<Row<'_>> {
        self.report.violations()
    }

    /// One OpenVEX document an image platform and one an image: what govulncheck has shown about the programs. None of
    /// a scan that was skipped.
    pub fn vex(&self) -> Result<Vec<VexDocument>> {
        let by_trivy = by_trivy(&self.report.scanners);
        let mut documents = Vec::new();
        for image in &self.built.images {
            let mut parts = Vec::new();
            for platform in &image.platforms {
                let subject = subject(&self.built.plan, image, platform, by_trivy);
                let part = self.report.platforms.iter().find(|part| part.manifest == subject.manifest);
                parts.extend(part.map(|part| (part, subject)));
            }
            let mut add = |platform, about, parts: &[_]| -> Result<()> {
                let bytes = vex::write::document(&self.report, parts)?;
                documents.push(VexDocument { image: image.plan.name.clone(), platform, about, bytes });
                Ok(())
            };
            for part in &parts {
                add(Some(part.1.platform.clone()), part.1.manifest, std::slice::from_ref(part))?;
            }
            if !parts.is_empty() {
                add(None, image.index.digest, &parts)?;
            }
        }
        Ok(documents)
    }

    /// [`Report::gate`]
    pub fn gate(&self) -> Result<()> {
        self.report.gate()
    }

    /// A build of which this was found.
    #[cfg(test)]
    pub(crate) fn for_tests(
        built: Built,
        sboms: Sboms,
        report: Report,
        extracts: BTreeMap<Digest, Vec<u8>>,
    ) -> Scanned {
        Scanned { built, sboms, report, extracts: Arc::new(extracts) }
    }
}

impl Report {
    /// What the policy fails, each once with the places it was found in, worst first.
    pub fn violations(&self) -> Vec<Row<'_>> {
        let mut rows = table::rows(self);
        rows.retain(|row| row.finding.violation.is_some());
        rows
    }

    /// Refuses what the policy fails; a scan that was skipped on purpose passes.
    ///
    /// # Errors
    /// [`Class::Findings`], with every violation and the upgrade that mends it, and every ignore that has lapsed.
    pub fn gate(&self) -> Result<()> {
        let violations = self.violations();
        let lapsed = &self.lapsed;
        if violations.is_empty() && lapsed.is_empty() {
            return Ok(());
        }
        let found = violations.iter().map(|row| Item { what: row.to_string(), fix: row.finding.fix.clone() });
        let old = lapsed.iter().map(|l| Item { what: l.to_string(), fix: Some("take it out, or renew it".into()) });
        let items = found.chain(old).collect();
        let what = match (violations.len(), lapsed.len()) {
            (0, 1) => "1 ignore no longer holds".to_owned(),
            (0, many) => format!("{many} ignores no longer hold"),
            (1, _) => "1 finding is above the policy".to_owned(),
            (many, _) => format!("{many} findings are above the policy"),
        };
        let hint = match policy::fixes(violations.iter().map(|row| row.finding)) {
            _ if violations.is_empty() => "each line says where it is written".to_owned(),
            fixes if fixes.is_empty() => "no fix is out yet; [scan] in release.toml is the policy".to_owned(),
            fixes => fixes.join("; "),
        };
        Err(Error::new(Class::Findings, what).items(items).hint(hint))
    }
}

/// What is known about the reach of vulnerabilities in an image or one platform of it, as OpenVEX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VexDocument {
    /// The image's name in the table.
    pub image: String,
    /// The platform it is about; `None` for all.
    pub platform: Option<Platform>,
    /// The manifest or index it is about.
    pub about: Digest,
    /// The document.
    pub bytes: Vec<u8>,
}

impl VexDocument {
    /// `gate-linux-amd64`, or `gate` for all platforms.
    pub fn title(&self) -> String {
        let platform = self.platform.iter().map(|platform| format!("-{}", platform.slug())).collect::<String>();
        format!("{}{platform}", self.image)
    }
}

/// How to scan.
pub struct Options<'a> {
    /// The root of this repository.
    pub root: &'a Path,
    /// Whether all images and platforms of release.toml are scanned, so that an ignore that nothing needs is one.
    pub complete: bool,
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
    // What people wrote comes first: a mistake in it is told before anything takes time.
    let policy = Policy::read(options.root, &plan.scan, clock::today())?;
    let db = VulnDb::open(go, options.cache_folder, plan.scan.refresh_hours, options.offline, ui)?;
    let mut databases = vec![db.database()];
    let scanner =
        Govulncheck::install(go, &plan.tools.govulncheck, options.tools_folder, options.cache_folder, db, ui)?;
    let mut scanners = vec![scanner.name()];
    let has_base = plan.images.iter().any(|image| image.base != Base::Scratch);
    let trivy = installed(&plan.scan, has_base, options, ui)?;
    let step = ui.step("scan");
    let (mut by_program, mut extracts) = (BTreeMap::new(), BTreeMap::new());
    let programs = scan_programs(&built, |program| scanner.scan(&program.program, &program.program_digest, ui))?;
    for (program, ScannedProgram { findings, extract }) in programs {
        by_program.insert(program, findings);
        extracts.insert(program, extract);
    }
    let (mut by_manifest, mut files) = (None, Vec::new());
    if let Some(trivy) = trivy {
        databases.push(trivy.database());
        scanners.push(trivy.name());
        let scan = |layout: &Path, platform: &BuiltPlatform| trivy.scan(layout, platform, None, ui);
        by_manifest = Some(scan_images(&built, layout_of, scan)?);
        let hits = trivy.scan_repository(options.root, &plan.scan.trivy, ui)?;
        files = merge::merge(Vec::new(), hits, Checked::Modules);
    }
    let extent = Extent { all_images: options.complete, by_trivy: by_trivy(&scanners) };
    let mut used = BTreeSet::new();
    policy.apply(&mut files, None, &mut used);
    let platforms = assemble(&built, &by_program, by_manifest.as_ref(), &policy, extent, &mut used)?;
    let lapsed = policy.lapsed(&used, extent);
    step.done(&format!("by {}", scanners.join(" and ")));
    let report = Report { scanners, databases, platforms, files, lapsed, ..Report::default() };
    Ok(Scanned { built, sboms, report, extracts: Arc::new(extracts) })
}

/// Trivy, where it is to be used; `packages` tells whether there is something that only it looks at.
fn installed(policy: &config::Scan, packages: bool, options: &Options<'_>, ui: &Ui) -> Result<Option<Trivy>> {
    let mut config = policy.trivy.clone();
    // A policy about licences holds only where they are looked at.
    config.licences |= policy.names_licences();
    if config.when == When::Never {
        return Ok(None);
    }
    let program = match config.when {
        When::Always => Some(options.toolbox.get(trivy::NAME, ui)?),
        _ if !options.toolbox.has(trivy::NAME) => None,
        _ => options.toolbox.installed(trivy::NAME, ui)?,
    };
    if let Some(program) = program {
        let options = trivy::Options {
            root: options.root,
            cache: options.cache_folder,
            config: &config,
            refresh_hours: policy.refresh_hours,
            offline: options.offline,
        };
        return Trivy::open(&program, &options, ui).map(Some);
    }
    match packages {
        false => ui.note("trivy is not installed (cargo xtask tools install trivy): findings have no severities"),
        true => ui.warn(
            "trivy is not installed (cargo xtask tools install trivy): the packages of the base image are not scanned",
        ),
    }
    Ok(None)
}

fn scan_programs<T: Send>(
    built: &Built,
    scan: impl Fn(&BuiltPlatform) -> Result<T> + Sync,
) -> Result<BTreeMap<Digest, T>> {
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
    policy: &Policy<'_>,
    extent: Extent,
    used: &mut BTreeSet<String>,
) -> Result<Vec<PlatformReport>> {
    let mut reports = Vec::new();
    for image in &built.images {
        for platform in &image.platforms {
            let (name, manifest) = (&image.plan.name, platform.manifest.digest);
            let go = by_program.get(&platform.program_digest).cloned();
            let unseen = || Error::failed(format!("{name} for {} was not scanned", platform.platform));
            let go = go.ok_or_else(unseen)?;
            let hits = by_manifest.map(|found| found.get(&manifest).cloned().ok_or_else(unseen)).transpose()?;
            let mut findings =
                merge::merge(go, hits.unwrap_or_default(), Checked::Program(image.plan.program.as_str()));
            policy.apply(&mut findings, Some(&subject(&built.plan, image, platform, extent.by_trivy)), used);
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

/// Whether Trivy is among the scanners.
fn by_trivy(scanners: &[String]) -> bool {
    scanners.iter().any(|name| name.starts_with(trivy::NAME))
}

fn subject<'a>(plan: &'a Plan, image: &'a BuiltImage, platform: &'a BuiltPlatform, by_trivy: bool) -> Subject<'a> {
    Subject {
        image: &image.plan.name,
        reference: image.plan.reference.clone(),
        tag: &plan.tags.version,
        index: image.index.digest,
        manifest: platform.manifest.digest,
        platform: &platform.platform,
        program: image.plan.program.as_str(),
        others_known: image.plan.base == Base::Scratch || by_trivy,
    }
}

#[cfg(test)]
mod tests;
