//! One list out of two: a vulnerability that both scanners found becomes one finding.
//!
//! Takes the findings of govulncheck and of Trivy in one image platform, gives them as one list, not yet judged. Never
//! drops one; the order in which they come changes nothing.

use std::collections::BTreeSet;

use super::trivy::Hit;
use super::{Finding, is_same, policy};

/// What of Trivy's list govulncheck looked at too.
#[derive(Clone, Copy)]
pub(super) enum Checked<'a> {
    /// This program of an image.
    Program(&'a str),
    /// All Go modules: an SBOM of ours names those of one program.
    Modules,
}

/// Joins what was found. A finding of Trivy's is the same as one of govulncheck's when it is about the same module
/// under one of the same names, and in the program that govulncheck looked at: what is true of its linked symbols says
/// nothing about other programs of a base image.
///
/// What Trivy has set aside comes back: the policy decides, and in the same way for every scanner.
pub(super) fn merge(go: Vec<Finding>, trivy: Vec<Hit>, looked_at: Checked<'_>) -> Vec<Finding> {
    let (mut findings, mut hits) = (go, trivy);
    findings.sort();
    hits.sort_by(|one, other| (&one.target, &one.finding).cmp(&(&other.target, &other.finding)));
    let checked = findings.len();
    for hit in hits {
        let found = Finding { set_aside: None, ..hit.finding };
        let in_program = match looked_at {
            Checked::Program(path) => hit.target == path.trim_start_matches('/'),
            Checked::Modules => true,
        };
        let same = |known: &&mut Finding| in_program && is_same(known, &found);
        match findings.iter_mut().take(checked).find(same) {
            Some(known) => join(known, found),
            None => findings.push(found),
        }
    }
    for finding in &mut findings {
        if finding.fix.is_none() && finding.scanner.starts_with(super::govulncheck::NAME) {
            finding.fix = finding.fixed.as_deref().map(|fixed| policy::go_fix(&finding.package, fixed));
        }
    }
    findings
}

/// govulncheck knows what is linked and which fix is nearest, Trivy knows the severity.
fn join(known: &mut Finding, other: Finding) {
    known.severity = known.severity.max(other.severity);
    if !known.scanner.contains(&other.scanner) {
        known.scanner = format!("{}, {}", known.scanner, other.scanner);
    }
    if known.fixed.is_none() {
        (known.fixed, known.fix) = (other.fixed, other.fix);
    }
    let all: BTreeSet<String> =
        known.aliases.drain(..).chain(other.aliases).chain([other.id]).filter(|name| *name != known.id).collect();
    known.aliases = all.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Severity;
    use crate::scan::tests::finding;

    fn go(reachable: bool) -> Finding {
        Finding {
            aliases: vec!["CVE-1".into(), "GHSA-1".into()],
            reachable: Some(reachable),
            fixed: Some("v0.36.0".into()),
            ..finding("GO-1", "golang.org/x/net")
        }
    }

    fn hit(target: &str, id: &str, package: &str) -> Hit {
        let found = Finding {
            scanner: "trivy".into(),
            severity: Severity::High,
            fixed: Some("0.36.0".into()),
            ..finding(id, package)
        };
        Hit { target: target.into(), finding: found }
    }

    fn merged(go: Vec<Finding>, trivy: Vec<Hit>) -> Vec<Finding> {
        let mut findings = merge(go, trivy, Checked::Program("/usr/local/bin/gate"));
        let config = crate::config::Scan::default();
        for finding in &mut findings {
            finding.violation = policy::judge(finding, &config.rules(None));
        }
        findings
    }

    #[test]
    fn one_flaw_found_twice_is_one_finding_with_reach_and_severity() {
        let found = merged(vec![go(false)], vec![hit("usr/local/bin/gate", "CVE-1", "golang.org/x/net")]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].id.as_str(), found[0].severity, found[0].reachable),
            ("GO-1", Severity::High, Some(false))
        );
        assert_eq!(found[0].scanner, "govulncheck, trivy");
        assert_eq!(found[0].aliases, ["CVE-1", "GHSA-1"]);
        assert_eq!(found[0].fix.as_deref(), Some("go get golang.org/x/net@v0.36.0"));
        assert_eq!(found[0].violation, None, "govulncheck has shown that it is not linked");
    }

    #[test]
    fn another_program_module_or_name_is_another_finding_and_fails_by_its_severity() {
        for other in [
            hit("usr/bin/other", "CVE-1", "golang.org/x/net"),
            hit("usr/local/bin/gate", "CVE-2", "golang.org/x/net"),
            hit("usr/local/bin/gate", "CVE-1", "stdlib"),
        ] {
            let found = merged(vec![go(false)], vec![other]);
            assert_eq!(found.len(), 2);
            assert_eq!(found.iter().filter(|f| f.violation.is_some()).count(), 1);
        }
    }

    #[test]
    fn by_an_sbom_a_module_is_known_by_its_name_alone() {
        let found = merge(vec![go(false)], vec![hit("", "CVE-1", "golang.org/x/net")], Checked::Modules);
        assert_eq!(found.iter().map(|f| (f.id.as_str(), f.severity)).collect::<Vec<_>>(), [("GO-1", Severity::High)]);
        let found = merge(vec![go(false)], vec![hit("alpine", "CVE-1", "libssl3")], Checked::Modules);
        assert_eq!(found.len(), 2, "a package of the base is another thing");
    }

    #[test]
    fn nothing_that_fails_alone_passes_by_a_second_scanner_unless_it_is_shown_not_linked() {
        for reachable in [None, Some(true)] {
            let go = Finding { reachable, ..go(true) };
            assert!(
                merged(vec![go], vec![hit("usr/local/bin/gate", "GHSA-1", "golang.org/x/net")])[0].violation.is_some()
            );
        }
        assert!(
            merged(Vec::new(), vec![hit("usr/local/bin/gate", "CVE-1", "golang.org/x/net")])[0].violation.is_some()
        );
        assert!(merged(vec![go(true)], Vec::new())[0].violation.is_some());
    }

    #[test]
    fn the_order_of_what_was_found_changes_nothing() {
        let (target, program) = ("usr/local/bin/gate", Checked::Program("usr/local/bin/gate"));
        let two = |fixed: &str| {
            let mut hit = hit(target, "CVE-1", "golang.org/x/net");
            hit.finding.fixed = Some(fixed.into());
            hit
        };
        let go = || vec![Finding { fixed: None, ..go(true) }, finding("GO-2", "m")];
        let hits = || vec![two("0.36.0"), two("0.37.0"), hit("usr/bin/other", "CVE-1", "golang.org/x/net")];
        let reversed = merge(go().into_iter().rev().collect(), hits().into_iter().rev().collect(), program);
        assert_eq!(merge(go(), hits(), program), reversed);
        assert_eq!(reversed.len(), 3);
    }

    #[test]
    fn what_trivy_set_aside_is_judged_like_anything_else() {
        let mut hit = hit("usr/bin/other", "CVE-1", "golang.org/x/net");
        hit.finding.set_aside = Some("ignored (.trivyignore.yaml)".into());
        let found = merged(Vec::new(), vec![hit]);
        assert_eq!((found[0].set_aside.clone(), found[0].violation.is_some()), (None, true));
    }
}
