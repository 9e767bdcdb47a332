//! The policy: which findings stop a release, and what mends them.
//!
//! Pure: takes findings and the `[scan]` table, gives reasons and remedies. Runs nothing, reads nothing.

use std::collections::BTreeMap;

use semver::Version;

use super::{Finding, Severity};
use crate::config;

/// The module name of the standard library in the Go vulnerability database.
pub const STDLIB: &str = "stdlib";

/// Why the policy fails a finding, `None` when it passes.
///
/// - A vulnerable symbol that is linked and has a fix fails, whatever its severity (`fail-on-reachable`): the Go
///   database gives no severities, and an upgrade is at hand.
/// - A severity of `fail-on` fails, unless govulncheck has shown that no vulnerable symbol is linked. That a scanner
///   can't tell is no excuse: such a finding fails by its severity.
///
/// A finding that passes is still shown and recorded.
pub fn judge(finding: &Finding, policy: &config::Scan) -> Option<String> {
    let linked = match (&finding.fixed, finding.reachable) {
        (Some(fixed), Some(true)) if policy.fail_on_reachable => Some(format!("linked, and fixed in {fixed}")),
        _ => None,
    };
    let severe = policy.fail_on.contains(&finding.severity) && finding.reachable != Some(false);
    match (severe.then(|| format!("severity {}", finding.severity)), linked) {
        (Some(severity), Some(linked)) => Some(format!("{severity}; {linked}")),
        (severity, linked) => severity.or(linked),
    }
}

/// What mends a flaw in a Go module or the standard library (`stdlib`), once `fixed` is out.
pub fn go_fix(module: &str, fixed: &str) -> String {
    let bare = fixed.trim_start_matches("go").trim_start_matches('v');
    match module {
        STDLIB => format!("set tools.go = \"{bare}\" in release.toml"),
        _ => format!("go get {module}@v{bare}"),
    }
}

/// What mends a flaw in a package of the base image.
pub fn base_fix(package: &str, fixed: &str) -> String {
    format!("set build.base in release.toml to an image with {package} {fixed}")
}

/// The upgrades that mend all of `findings`, one a package: the highest of its fixes. Sorted by package.
pub fn fixes<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<&'a str> {
    let mut best: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in findings.into_iter().filter(|f| f.fix.is_some()) {
        best.entry(&finding.package).and_modify(|known| *known = higher(known, finding)).or_insert(finding);
    }
    best.into_values().filter_map(|f| f.fix.as_deref()).collect()
}

fn higher<'a>(one: &'a Finding, other: &'a Finding) -> &'a Finding {
    match version(one.fixed.as_deref()) < version(other.fixed.as_deref()) {
        true => other,
        false => one,
    }
}

/// A version as Go, Trivy or a person writes it.
pub(super) fn version(text: Option<&str>) -> Option<Version> {
    let text = text?;
    Version::parse(text.strip_prefix("go").or_else(|| text.strip_prefix('v')).unwrap_or(text)).ok()
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Severity::Unknown => "unknown",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::tests::finding;

    const SEVERITIES: [Severity; 5] =
        [Severity::Unknown, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    const REACH: [Option<bool>; 3] = [None, Some(false), Some(true)];

    /// Every kind of finding under every kind of policy.
    fn all() -> impl Iterator<Item = (Finding, config::Scan)> {
        let findings = SEVERITIES.into_iter().flat_map(|severity| {
            REACH.into_iter().flat_map(move |reachable| {
                [None, Some("v1.2.3".to_owned())].into_iter().map(move |fixed| Finding {
                    severity,
                    reachable,
                    fixed,
                    ..finding("GO-1", "m")
                })
            })
        });
        findings.flat_map(|finding| {
            (0..64_u8).map(move |bits| {
                let fail_on =
                    SEVERITIES.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, s)| s).collect();
                (
                    finding.clone(),
                    config::Scan { fail_on, fail_on_reachable: bits & 32 != 0, ..config::Scan::default() },
                )
            })
        })
    }

    #[test]
    fn by_default_high_critical_and_linked_with_a_fix_fail() {
        let policy = config::Scan::default();
        for severity in SEVERITIES {
            for reachable in REACH {
                for fixed in [None, Some("v1.2.3".to_owned())] {
                    let wanted = match (reachable, severity, &fixed) {
                        (Some(false), _, _) => false,
                        (_, Severity::High | Severity::Critical, _) => true,
                        (Some(true), _, Some(_)) => true,
                        _ => false,
                    };
                    let finding = Finding { severity, reachable, fixed: fixed.clone(), ..finding("GO-1", "m") };
                    assert_eq!(judge(&finding, &policy).is_some(), wanted, "{severity} {reachable:?} {fixed:?}");
                }
            }
        }
    }

    #[test]
    fn a_stricter_policy_and_a_worse_finding_never_pass_what_failed() {
        for (finding, policy) in all().filter(|(f, p)| judge(f, p).is_some()) {
            let stricter = config::Scan { fail_on: SEVERITIES.to_vec(), fail_on_reachable: true, ..policy.clone() };
            assert!(judge(&finding, &stricter).is_some(), "{finding:?}");
            let linked = Finding { reachable: Some(true), ..finding.clone() };
            assert!(judge(&linked, &policy).is_some(), "{finding:?} {policy:?}");
        }
    }

    #[test]
    fn what_is_not_linked_passes_and_an_empty_policy_passes_all() {
        for (finding, policy) in all() {
            if finding.reachable == Some(false) || (policy.fail_on.is_empty() && !policy.fail_on_reachable) {
                assert_eq!(judge(&finding, &policy), None, "{finding:?} {policy:?}");
            }
        }
    }

    #[test]
    fn one_upgrade_a_module_mends_all_of_its_findings() {
        let fix = |id: &str, module: &str, fixed: &str| Finding {
            fixed: Some(fixed.into()),
            fix: Some(go_fix(module, fixed)),
            ..finding(id, module)
        };
        let findings = [
            fix("GO-1", "golang.org/x/net", "v0.9.0"),
            fix("GO-2", "golang.org/x/net", "v0.55.0"),
            fix("GO-3", "stdlib", "v1.27.4"),
            fix("GO-4", "golang.org/x/net", "v0.36.0"),
            finding("GO-5", "m"),
        ];
        assert_eq!(fixes(&findings), ["go get golang.org/x/net@v0.55.0", "set tools.go = \"1.27.4\" in release.toml"]);
    }
}
