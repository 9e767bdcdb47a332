//! How a report differs from the one before.
//!
//! Takes two reports about one image platform, gives a [`Change`]. A finding is the same when it is about the same
//! package under one of the same names, whatever is known of its severity and reach by now. Pure.

use serde::Serialize;

use crate::oci::{Digest, Platform};
use crate::scan::{Database, Finding, PlatformReport, Report};

/// What has changed for one image platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The image.
    pub image: String,
    /// Its platform.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Digest,
    /// The databases of the report before; `None` when there is none, so that everything is new.
    pub since: Option<Vec<Database>>,
    /// Findings that the report before had not, as they are now.
    pub new: Vec<Finding>,
    /// Findings that are there no more, as they were.
    pub gone: Vec<Finding>,
    /// Findings of both, as they are now.
    pub unchanged: Vec<Finding>,
}

impl Change {
    /// From the report before, if any, to `now`.
    pub(super) fn between(before: Option<Report>, now: &PlatformReport) -> Change {
        let since = before.as_ref().map(|report| report.databases.clone());
        let known: Vec<Finding> = before.into_iter().flat_map(|r| r.platforms).flat_map(|p| p.findings).collect();
        let is_in = |list: &[Finding], finding: &Finding| list.iter().any(|other| other.is_same(finding));
        let (unchanged, new) = now.findings.iter().cloned().partition(|finding| is_in(&known, finding));
        let gone = known.into_iter().filter(|finding| !is_in(&now.findings, finding)).collect();
        Change {
            image: now.image.clone(),
            platform: now.platform.clone(),
            manifest: now.manifest,
            since,
            new,
            gone,
            unchanged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Severity;

    fn finding(id: &str, alias: &str, severity: Severity) -> Finding {
        let json = serde_json::json!({
            "id": id, "aliases": [alias], "scanner": "govulncheck", "severity": severity, "package": "m",
            "version": "v1.0.0", "fixed": null, "reachable": null, "summary": "", "fix": null, "violation": null,
        });
        serde_json::from_value(json).unwrap()
    }

    fn part(findings: Vec<Finding>) -> PlatformReport {
        let platform = "linux/amd64".parse().unwrap();
        PlatformReport { image: "gate".into(), platform, manifest: Digest::of(b"manifest"), findings }
    }

    fn report(findings: Vec<Finding>) -> Report {
        Report { platforms: vec![part(findings)], ..Report::default() }
    }

    #[test]
    fn each_finding_is_new_gone_or_unchanged() {
        let [one, two, three] = [1, 2, 3].map(|n| finding(&format!("GO-{n}"), &format!("CVE-{n}"), Severity::Low));
        let change =
            Change::between(Some(report(vec![one.clone(), two.clone()])), &part(vec![two.clone(), three.clone()]));
        assert_eq!((change.new, change.gone, change.unchanged), (vec![three], vec![one.clone()], vec![two]));
        let first = Change::between(None, &part(vec![one.clone()]));
        assert_eq!((first.since, first.new), (None, vec![one]));
    }

    #[test]
    fn another_name_or_severity_makes_no_finding_new() {
        let (before, now) = (finding("CVE-1", "GHSA-1", Severity::Unknown), finding("GO-1", "CVE-1", Severity::High));
        let change = Change::between(Some(report(vec![before])), &part(vec![now.clone()]));
        assert_eq!((change.new, change.gone, change.unchanged), (vec![], vec![], vec![now]));
    }
}
