//! Scanning again what has been released: by what is known of its programs, against the databases of now.
//!
//! Takes image platforms with their [`Evidence`] and the findings that were known of them, gives a [`Report`] judged by
//! the policy of now. Whatever goes wrong is an error, never "no findings". An image doesn't change once it is out: what
//! nobody looks for here stays (a secret, or a package where there is no Trivy), and so does a severity.

use std::collections::BTreeSet;
use std::path::PathBuf;

use semver::Version;

use super::aside::Policy;
use super::extract::{Extract, Modules};
use super::govulncheck::{self, Govulncheck};
use super::ignore::Extent;
use super::merge::Checked;
use super::trivy::{self, Trivy};
use super::vulndb::VulnDb;
use super::{Finding, Kind, Options, PlatformReport, Report, clock, is_same, merge, vex};
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
    /// What govulncheck looks at.
    pub evidence: Evidence,
    /// What Trivy looks at.
    pub sboms: Vec<Sbom>,
    /// What the last report said.
    pub known: Vec<Finding>,
}

/// An SBOM that is attached.
#[derive(Clone, Debug)]
pub struct Sbom {
    /// Its name in errors.
    pub name: String,
    /// The document.
    pub bytes: Vec<u8>,
    /// Whether it lists packages of an operating system.
    pub packages: bool,
}

/// Scans `subjects`, side by side, with govulncheck at `version`, and their SBOMs with Trivy where that is to be used.
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
    let packages = subjects.iter().flat_map(|subject| &subject.sboms).any(|sbom| sbom.packages);
    let trivy = super::installed(policy, packages, options, ui)?;
    let (mut scanners, mut databases) = (vec![scanner.name()], databases);
    scanners.extend(trivy.as_ref().map(Trivy::name));
    databases.extend(trivy.as_ref().map(Trivy::database));
    let step = ui.step("scan");
    let found = pool::map(subjects, pool::cores(), |subject| look(subject, &scanner, trivy.as_ref(), ui))?;
    let mut used = BTreeSet::new();
    let report = |(subject, mut findings): (&Subject, Vec<Finding>)| {
        judge.apply(&mut findings, Some(&subject.as_product()), &mut used);
        let (image, platform) = (subject.image.clone(), subject.platform.clone());
        PlatformReport { image, platform, manifest: subject.manifest, findings }
    };
    let platforms = subjects.iter().zip(found).map(report).collect();
    // An ignore that nothing needs here may be needed by the next release: only those that have expired are told.
    let lapsed = judge.lapsed(&used, Extent { all_images: false, by_trivy: trivy.is_some() });
    step.done(&format!("by {}", scanners.join(" and ")));
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

/// What is found by now, and what of `known` nobody has looked for; yet to be judged.
fn look(subject: &Subject, scanner: &Govulncheck, trivy: Option<&Trivy>, ui: &Ui) -> Result<Vec<Finding>> {
    let all = match &subject.evidence {
        Evidence::Modules(modules) => vec![scanner.scan_modules(modules, &subject.platform, ui)?],
        Evidence::Extracts(extracts) => {
            extracts.iter().map(|extract| scanner.scan_extract(extract, ui)).collect::<Result<_>>()?
        }
        Evidence::Programs(programs) => {
            let scanned = programs.iter().map(|(path, digest)| scanner.scan(path, digest, ui));
            scanned.map(|scanned| scanned.map(|program| program.findings)).collect::<Result<_>>()?
        }
    };
    let mut hits = Vec::new();
    if let Some(trivy) = trivy {
        for Sbom { name, bytes, .. } in &subject.sboms {
            hits.extend(trivy.scan_sbom(name, bytes, ui)?);
        }
    }
    let found = merge::merge(all.into_iter().flatten().collect(), hits, Checked::Modules);
    Ok(carry(found, &subject.known, trivy.is_some() && !subject.sboms.is_empty()))
}

/// `found`, and what of `known` nobody has looked for.
fn carry(mut found: Vec<Finding>, known: &[Finding], by_trivy: bool) -> Vec<Finding> {
    for old in known {
        let mut same = found.iter_mut().filter(|new| new.is_same(old)).peekable();
        if same.peek().is_none() && !was_looked_for(old, by_trivy) {
            found.push(Finding { set_aside: None, violation: None, ..old.clone() });
            continue;
        }
        same.for_each(|new| new.severity = new.severity.max(old.severity));
    }
    found
}

/// An SBOM has packages: secrets, settings and files of an image are not in it.
fn was_looked_for(old: &Finding, by_trivy: bool) -> bool {
    let by = |name| old.scanner.split(", ").any(|scanner| scanner == name);
    by(govulncheck::NAME) || (by_trivy && old.kind == Kind::Vulnerability && by(trivy::NAME))
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
        let secret = Finding { kind: Kind::Secret, ..trivy("aws-key", "etc/key", Severity::Critical) };
        let known = [gone, both, package.clone(), renamed, secret.clone()];
        let found = Finding { severity: Severity::Critical, ..found };
        let stays = |old: Finding| Finding { violation: None, ..old };
        let without_trivy = carry(vec![found.clone()], &known, false);
        assert_eq!(without_trivy, [found.clone(), stays(package), stays(secret.clone())]);
        assert_eq!(carry(vec![found.clone()], &known, true), [found, stays(secret)], "no SBOM has secrets in it");
    }
}
