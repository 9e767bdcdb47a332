//! The policy: which findings stop a release, and what mends them.
//!
//! Pure: takes findings and the rules of their image, gives reasons and remedies. Runs nothing, reads nothing.

use std::collections::BTreeMap;

use semver::Version;

use super::{Finding, Kind, Severity};
use crate::config::{FailOn, Rules, Unknown};

/// The module name of the standard library in the Go vulnerability database.
pub const STDLIB: &str = "stdlib";

/// Why the policy fails a finding, `None` when it passes.
///
/// What is set aside passes. Of vulnerabilities
/// - a vulnerable symbol that is linked and has a fix fails, whatever its severity (`fail-on-reachable`): the Go
///   database gives no severities, and an upgrade is at hand;
/// - a severity of `fail-on` fails, unless govulncheck has shown that no vulnerable symbol is linked. That a scanner
///   can't tell is no excuse: such a finding fails by its severity.
///
/// A finding that passes is still shown and recorded.
pub fn judge(finding: &Finding, rules: &Rules<'_>) -> Option<String> {
    if finding.set_aside.is_some() {
        return None;
    }
    let listed = |fails: &FailOn| fails.contains(finding.severity);
    match finding.kind {
        Kind::Vulnerability => vulnerability(finding, rules),
        Kind::Secret => listed(rules.secrets).then(|| format!("a secret, severity {}", finding.severity)),
        Kind::Misconfiguration => listed(rules.misconfigurations).then(|| format!("severity {}", finding.severity)),
        Kind::Licence => {
            let pattern = rules.licences.iter().find(|pattern| is_licence(pattern, &finding.id))?;
            Some(format!("the policy forbids the licence {pattern}"))
        }
    }
}

fn vulnerability(finding: &Finding, rules: &Rules<'_>) -> Option<String> {
    let linked = match (&finding.fixed, finding.reachable) {
        (Some(fixed), Some(true)) if rules.fail_on_reachable => Some(format!("linked, and fixed in {fixed}")),
        _ => None,
    };
    let counts = finding.reachable != Some(false) && (finding.fixed.is_some() || !rules.fixed_only);
    let severe = if counts { severe(finding.severity, rules) } else { None };
    match (severe, linked) {
        (Some(severity), Some(linked)) => Some(format!("{severity}; {linked}")),
        (severity, linked) => severity.or(linked),
    }
}

fn severe(severity: Severity, rules: &Rules<'_>) -> Option<String> {
    let fails = |severity| rules.fail_on.contains(severity);
    match (severity, rules.unknown) {
        (Severity::Unknown, Some(Unknown::Fail)) => Some("severity unknown".into()),
        (Severity::Unknown, Some(Unknown::Pass)) => None,
        (Severity::Unknown, Some(Unknown::As(other))) => {
            fails(other).then(|| format!("severity unknown, which counts as {other}"))
        }
        (known, _) => fails(known).then(|| format!("severity {known}")),
    }
}

/// SPDX identifiers are told apart whatever their case.
fn is_licence(pattern: &str, id: &str) -> bool {
    let (pattern, id) = (pattern.to_lowercase(), id.to_lowercase());
    pattern.strip_suffix('*').map_or(pattern == id, |start| id.starts_with(start))
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

#[cfg(test)]
mod tests;
