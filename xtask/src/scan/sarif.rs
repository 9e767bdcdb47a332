//! A report as SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>), as GitHub's code scanning reads it.
//!
//! Takes a [`Report`] and the names of two files, gives bytes. Every finding is in it with its own severity, whatever the
//! policy fails: what is set aside is there as suppressed. The same report gives the same bytes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Finding, Kind, Lapsed, PlatformReport, Report, Severity, policy};
use crate::error::{Context as _, Result};
use crate::oci::Digest;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";
/// The rule of an ignore that no longer holds.
const LAPSED: &str = "lapsed-ignore";

/// Files of the repository in which findings are mended: code scanning shows a finding in a file or not at all.
#[derive(Clone, Debug)]
pub struct Files {
    /// The go.mod of what is released, from the repository's root.
    pub module: String,
    /// release.toml: it names the Go toolchain and the base image.
    pub table: String,
}

/// The report for code scanning.
pub fn to_sarif(report: &Report, files: &Files) -> Result<Vec<u8>> {
    let mut rules: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in report.findings() {
        let known = rules.entry(&finding.id).or_insert(finding);
        if finding.severity > known.severity {
            *known = finding;
        }
    }
    let parts = report.platforms.iter().flat_map(|part| part.findings.iter().map(move |f| (Some(part), f)));
    let mut results: Vec<Value> =
        parts.chain(report.files.iter().map(|f| (None, f))).map(|(part, f)| result(f, part, files)).collect();
    results.extend(report.lapsed.iter().map(lapsed));
    let mut rules: Vec<Value> = rules.into_values().map(rule).collect();
    if !report.lapsed.is_empty() {
        rules.push(json!({
            "id": LAPSED,
            "shortDescription": {"text": "An ignore of the scan's policy no longer holds"},
            "help": {"text": "Take it out, or renew it."},
            "defaultConfiguration": {"level": "error"},
        }));
    }
    let sarif = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "cargo xtask scan",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "automationDetails": {"id": "images/"},
            "invocations": [invocation(report)],
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {"scanners": report.scanners, "databases": report.databases},
        }],
    });
    let mut bytes = serde_json::to_vec_pretty(&sarif).attempt(|| "write SARIF".into())?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A scan that was skipped found nothing because it looked at nothing.
fn invocation(report: &Report) -> Value {
    match &report.skipped {
        None => json!({"executionSuccessful": true}),
        Some(why) => json!({
            "executionSuccessful": false,
            "toolExecutionNotifications": [{
                "level": "warning",
                "message": {"text": format!("nothing was scanned: {why}")},
            }],
        }),
    }
}

/// What is true of an id wherever it is found; the severity is the worst.
fn rule(finding: &Finding) -> Value {
    let Finding { id, summary, severity, kind, .. } = finding;
    let title = if summary.is_empty() { id } else { summary };
    let mut properties = json!({"tags": ["security", tag(*kind)]});
    // Code scanning shows a rule without a number by its level: a number for an unknown severity would be made up.
    if let (Some(score), Some(fields)) = (score(*severity), properties.as_object_mut()) {
        fields.insert("security-severity".into(), score.into());
    }
    let mut rule = json!({
        "id": id,
        "shortDescription": {"text": title},
        "fullDescription": {"text": title},
        "help": {"text": help(finding)},
        "defaultConfiguration": {"level": level(*severity)},
        "properties": properties,
    });
    if let (Some(address), Some(fields)) = (address(id), rule.as_object_mut()) {
        fields.insert("helpUri".into(), address.into());
    }
    rule
}

fn result(finding: &Finding, part: Option<&PlatformReport>, files: &Files) -> Value {
    let (file, line) = place(finding, part, files);
    let mut result = json!({
        "ruleId": finding.id,
        // What fails the scan is seen to: a linked symbol fails it whatever the severity.
        "level": if finding.violation.is_some() { "error" } else { level(finding.severity) },
        "message": {"text": message(finding, part)},
        "locations": [location(&file, line, logical(finding, part))],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint(finding, part)},
        "properties": {
            "severity": finding.severity,
            "linked": finding.reachable,
            "violation": finding.violation,
            "scanner": finding.scanner,
        },
    });
    if let (Some(why), Some(fields)) = (&finding.set_aside, result.as_object_mut()) {
        let suppression = json!([{"kind": "external", "status": "accepted", "justification": why}]);
        fields.insert("suppressions".into(), suppression);
    }
    result
}

fn lapsed(lapsed: &Lapsed) -> Value {
    let (file, line) = lapsed.at().map_or_else(|| (lapsed.place.clone(), 1), |at| (at.file, at.line));
    json!({
        "ruleId": LAPSED,
        "level": "error",
        "message": {"text": format!("the ignore of {} {}", lapsed.id, lapsed.why)},
        "locations": [location(&file, line, None)],
        "partialFingerprints": {"primaryLocationLineHash": hash(&[LAPSED, &file, &lapsed.id])},
    })
}

fn location(file: &str, line: usize, logical: Option<String>) -> Value {
    let mut location = json!({
        "physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": {"startLine": line}},
    });
    if let (Some(name), Some(fields)) = (logical, location.as_object_mut()) {
        fields.insert("logicalLocations".into(), json!([{"fullyQualifiedName": name, "kind": "resource"}]));
    }
    location
}

/// Where a person mends it: the file itself when it is one of the repository's, go.mod for a module, release.toml for
/// the toolchain, the base image and all that comes with it.
fn place(finding: &Finding, part: Option<&PlatformReport>, files: &Files) -> (String, usize) {
    if part.is_none() {
        let at = finding.location.as_deref().unwrap_or(&files.table);
        return match at.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?))) {
            Some((file, line)) => (file.to_owned(), line),
            None => (at.to_owned(), 1),
        };
    }
    let is_module = finding.fix.as_deref().is_some_and(|fix| fix.starts_with("go get ")) || finding.reachable.is_some();
    match is_module && finding.package != policy::STDLIB {
        true => (files.module.clone(), 1),
        false => (files.table.clone(), 1),
    }
}

fn logical(finding: &Finding, part: Option<&PlatformReport>) -> Option<String> {
    let part = part?;
    let inside = finding.location.as_deref().map(|place| format!("/{place}")).unwrap_or_default();
    Some(format!("{}/{}@{}{inside}", part.image, part.platform, part.manifest))
}

fn message(finding: &Finding, part: Option<&PlatformReport>) -> String {
    let Finding { id, package, version, summary, .. } = finding;
    let place = part.map(|part| format!(" of image {} for {}", part.image, part.platform)).unwrap_or_default();
    let linked = match finding.reachable {
        Some(true) => " Its vulnerable symbols are linked.",
        Some(false) => " Its vulnerable symbols are not linked.",
        None => "",
    };
    let package = format!("{package} {version}").trim().to_owned();
    let fix = finding.fix.as_ref().map(|fix| format!(" Fix: {fix}")).unwrap_or_default();
    format!("{id} in {package}{place}: {}.{linked}{fix}", summary.trim_end_matches('.'))
}

fn help(finding: &Finding) -> String {
    let fix = finding.fix.as_deref().unwrap_or("No fix is known.");
    let names = if finding.aliases.is_empty() { String::new() } else { format!(" ({})", finding.aliases.join(", ")) };
    format!("{}{names}. {fix}", finding.id)
}

/// The same finding keeps its fingerprint from release to release: no digest and no version is part of it.
fn fingerprint(finding: &Finding, part: Option<&PlatformReport>) -> String {
    let (image, platform) = part.map(|p| (p.image.clone(), p.platform.to_string())).unwrap_or_default();
    let file = finding.location.as_deref().unwrap_or_default();
    let file = file.split_once(':').map_or(file, |(file, _)| file);
    hash(&[tag(finding.kind), &finding.id, &finding.package, file, &image, &platform])
}

/// As GitHub's own: a hash and how often it was seen before in the file.
fn hash(parts: &[&str]) -> String {
    format!("{}:1", Digest::of(parts.join("\n").as_bytes()).hex())
}

/// A path as a relative URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn tag(kind: Kind) -> &'static str {
    match kind {
        Kind::Vulnerability => "vulnerability",
        Kind::Secret => "secret",
        Kind::Misconfiguration => "misconfiguration",
        Kind::Licence => "licence",
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Unknown => "warning",
        Severity::Low => "note",
    }
}

/// In the middle of what GitHub shows as this severity.
fn score(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("9.5"),
        Severity::High => Some("8.0"),
        Severity::Medium => Some("5.5"),
        Severity::Low => Some("2.0"),
        Severity::Unknown => None,
    }
}

fn address(id: &str) -> Option<String> {
    let pages = [
        ("GO-", "https://pkg.go.dev/vuln/"),
        ("CVE-", "https://nvd.nist.gov/vuln/detail/"),
        ("GHSA-", "https://github.com/advisories/"),
    ];
    pages.iter().find(|(start, _)| id.starts_with(start)).map(|(_, page)| format!("{page}{id}"))
}

#[cfg(test)]
mod tests;
