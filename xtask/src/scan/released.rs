//! Scanning again what has been released: by what is known of its programs, against the databases of now.
//!
//! Takes image platforms with their [`Evidence`] and the findings that were known of them, gives a [`Report`] judged by
//! the policy of now. Whatever goes wrong is an error, never "no findings". An image doesn't change once it is out: a
//! finding of a scanner that isn't used here stays, and a severity that only such a scanner gives stays too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use semver::Version;

use super::aside::Policy;
use super::extract::{Extract, Modules};
use super::govulncheck::{self, Govulncheck};
use super::ignore::Extent;
use super::vulndb::VulnDb;
use super::{Finding, PlatformReport, Report, clock, is_same, merge, vex};
use crate::config;
use crate::error::Result;
use crate::go::Go;
use crate::oci::{Digest, Platform};
use crate::pool;
use crate::ui::Ui;

/// What an image platform is scanned by, best first.
#[derive(Debug)]
pub enum Evidence {
    /// Extracts of its programs.
    Extracts(Vec<Extract>),
    /// The modules that its SBOM names: what of them is linked is not known.
    Modules(Modules),
    /// Its Go programs, pulled.
    Programs(Vec<(PathBuf, Digest)>),
}

/// One image platform that is out.
#[derive(Debug)]
pub struct Subject {
    /// The image's name.
    pub image: String,
    /// Its repository with the registry.
    pub reference: String,
    /// The tag it was asked for by; empty where that was a digest.
    pub tag: String,
    /// The index it is in.
    pub index: Option<Digest>,
    /// Its platform.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Digest,
    /// What it is scanned by.
    pub evidence: Evidence,
    /// What the last report said.
    pub known: Vec<Finding>,
}

/// Where things are kept.
pub struct Options<'a> {
    /// The root of this repository, which has the policy's documents.
    pub root: &'a Path,
    /// Use only what is on disk.
    pub offline: bool,
    /// Where programs are installed.
    pub tools_folder: &'a Path,
    /// Where databases and results are kept.
    pub cache_folder: &'a Path,
}

/// Scans `subjects`, side by side, with govulncheck at `version`.
pub fn rescan(
    subjects: &[Subject],
    policy: &config::Scan,
    version: &Version,
    options: &Options<'_>,
    go: &Go,
    ui: &Ui,
) -> Result<Report> {
    // What people wrote comes first: a mistake in it is told before anything takes time.
    let judge = Policy::read(options.root, policy, clock::today())?;
    let db = VulnDb::open(go, options.cache_folder, policy.refresh_hours, options.offline, ui)?;
    let databases = vec![db.database()];
    let scanner = Govulncheck::install(go, version, options.tools_folder, options.cache_folder, db, ui)?;
    let step = ui.step("scan");
    let found = pool::map(subjects, pool::cores(), |subject| look(subject, &scanner, ui))?;
    let mut used = BTreeSet::new();
    let report = |(subject, found): (&Subject, Vec<Finding>)| {
        let mut findings = merge::merge(carry(found, &subject.known), Vec::new(), "");
        judge.apply(&mut findings, Some(&subject.as_product()), &mut used);
        let (image, platform) = (subject.image.clone(), subject.platform.clone());
        PlatformReport { image, platform, manifest: subject.manifest, findings }
    };
    let platforms = subjects.iter().zip(found).map(report).collect();
    // An ignore that nothing needs here may be needed by the next release: only those that have expired are told.
    let lapsed = judge.lapsed(&used, Extent { all_images: false, by_trivy: false });
    step.done(&format!("by {}", scanner.name()));
    let scanners = vec![scanner.name()];
    Ok(Report { scanners, databases, platforms, lapsed, ..Report::default() })
}

impl Subject {
    /// As VEX statements and ignores mean it.
    fn as_product(&self) -> vex::Subject<'_> {
        vex::Subject {
            image: &self.image,
            reference: self.reference.clone(),
            tag: &self.tag,
            index: self.index.unwrap_or(self.manifest),
            manifest: self.manifest,
            platform: &self.platform,
            program: "",
            others_known: false,
        }
    }
}

fn look(subject: &Subject, scanner: &Govulncheck, ui: &Ui) -> Result<Vec<Finding>> {
    let all = match &subject.evidence {
        Evidence::Modules(modules) => vec![scanner.scan_modules(modules, &subject.platform, ui)?],
        Evidence::Extracts(extracts) => {
            extracts.iter().map(|extract| scanner.scan_extract(extract, ui)).collect::<Result<_>>()?
        }
        Evidence::Programs(programs) => {
            programs.iter().map(|(path, digest)| scanner.scan(path, digest, ui)).collect::<Result<_>>()?
        }
    };
    Ok(all.into_iter().flatten().collect())
}

/// `found`, and what of `known` nobody has looked for; yet to be judged.
fn carry(mut found: Vec<Finding>, known: &[Finding]) -> Vec<Finding> {
    for old in known {
        let mut same = found.iter_mut().filter(|new| new.is_same(old)).peekable();
        if same.peek().is_none() && !was_looked_for(old) {
            found.push(Finding { set_aside: None, violation: None, ..old.clone() });
            continue;
        }
        same.for_each(|new| new.severity = new.severity.max(old.severity));
    }
    found
}

fn was_looked_for(old: &Finding) -> bool {
    old.scanner.split(", ").any(|scanner| scanner == govulncheck::NAME)
}

impl Finding {
    /// Whether two findings in one image platform are the same thing, whatever is known of it by now.
    pub fn is_same(&self, other: &Finding) -> bool {
        is_same(self, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Severity;
    use crate::scan::tests::finding;

    #[test]
    fn what_only_another_scanner_finds_stays_and_what_is_found_no_more_goes() {
        let trivy = |id: &str, package: &str, severity| Finding {
            scanner: "trivy".into(),
            severity,
            violation: Some("severity high".into()),
            ..finding(id, package)
        };
        let gone = finding("GO-1", "m");
        let both = Finding { scanner: "govulncheck, trivy".into(), ..finding("GO-2", "m") };
        let package = trivy("CVE-1", "musl", Severity::High);
        let renamed = trivy("CVE-3", "m", Severity::Critical);
        let found = Finding { aliases: vec!["CVE-3".into()], ..finding("GO-3", "m") };
        let carried = carry(vec![found.clone()], &[gone, both, package.clone(), renamed]);
        let wanted = [Finding { severity: Severity::Critical, ..found }, Finding { violation: None, ..package }];
        assert_eq!(carried, wanted);
    }
}
