//! Trivy's JSON report (`pkg/types/report.go` of aquasecurity/trivy, schema version 2).
//!
//! Takes a report's bytes, gives its vulnerabilities with the file each is in. A report about another image, or one
//! that saw no Go program, is an error: it is never taken for an image without vulnerabilities.

use serde::Deserialize;

use super::{Finding, Severity, policy, trivy};
use crate::oci::{Digest, Platform};

const SCHEMA: u32 = 2;
/// The type of a Go program among the results.
const GO_PROGRAM: &str = "gobinary";

/// A vulnerability and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The file, without the first `/`, or the operating system.
    pub target: String,
    /// The vulnerability, not yet judged.
    pub finding: Finding,
}

/// The image the report has to be about.
pub(super) struct Subject<'a> {
    /// Trivy's image ID is the digest of the configuration.
    pub(super) config: Digest,
    pub(super) platform: &'a Platform,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u32,
    metadata: Metadata,
    #[serde(default)]
    results: Vec<Section>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "ImageID")]
    image_id: String,
    #[serde(rename = "ImageConfig")]
    config: ImageConfig,
}

#[derive(Deserialize)]
struct ImageConfig {
    architecture: String,
    os: String,
    #[serde(default)]
    variant: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Section {
    target: String,
    #[serde(default)]
    r#type: String,
    vulnerabilities: Option<Vec<Vulnerability>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    #[serde(rename = "VendorIDs", default)]
    vendor_ids: Vec<String>,
    pkg_name: String,
    installed_version: String,
    #[serde(default)]
    fixed_version: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
}

/// Reads a report; an error is why it can't be relied on.
pub(super) fn parse(bytes: &[u8], subject: &Subject<'_>) -> Result<Vec<Hit>, String> {
    let report: Report = serde_json::from_slice(bytes).map_err(|e| format!("it is damaged or cut off: {e}"))?;
    if report.schema_version != SCHEMA {
        return Err(format!("its schema version is {}, not {SCHEMA}", report.schema_version));
    }
    let ImageConfig { architecture, os, variant } = &report.metadata.config;
    let platform =
        [os.as_str(), architecture, variant].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    if platform.parse::<Platform>().ok().as_ref() != Some(subject.platform) {
        return Err(format!("it is about `{platform}`, not {}", subject.platform));
    }
    if report.metadata.image_id != subject.config.to_string() {
        return Err(format!("it is about image {}, not {}", report.metadata.image_id, subject.config));
    }
    if !report.results.iter().any(|section| section.r#type == GO_PROGRAM) {
        return Err("it saw no Go program, where the image has one".into());
    }
    report.results.into_iter().flat_map(|section| hits(section).collect::<Vec<_>>()).collect()
}

fn hits(section: Section) -> impl Iterator<Item = Result<Hit, String>> {
    let Section { target, r#type, vulnerabilities } = section;
    vulnerabilities
        .into_iter()
        .flatten()
        .map(move |found| Ok(Hit { target: target.clone(), finding: finding(found, r#type == GO_PROGRAM)? }))
}

fn finding(found: Vulnerability, in_go: bool) -> Result<Finding, String> {
    let summary = [found.title.as_str(), found.description.lines().next().unwrap_or_default()];
    let fixed = nearest(&found.installed_version, &found.fixed_version).map(str::to_owned);
    let fix = fixed.as_deref().map(|fixed| match in_go {
        true => policy::go_fix(&found.pkg_name, fixed),
        false => policy::base_fix(&found.pkg_name, fixed),
    });
    Ok(Finding {
        severity: severity(&found.severity)?,
        summary: summary.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned(),
        kind: super::Kind::Vulnerability,
        id: found.id,
        aliases: found.vendor_ids,
        scanner: trivy::NAME.into(),
        package: found.pkg_name,
        version: found.installed_version,
        fixed,
        reachable: None,
        fix,
        location: None,
        set_aside: None,
        violation: None,
    })
}

fn severity(text: &str) -> Result<Severity, String> {
    Ok(match text {
        "CRITICAL" => Severity::Critical,
        "HIGH" => Severity::High,
        "MEDIUM" => Severity::Medium,
        "LOW" => Severity::Low,
        "UNKNOWN" | "" => Severity::Unknown,
        other => return Err(format!("its severity `{other}` is not known")),
    })
}

/// Of `1.26.9, 1.27.3` the lowest above the installed version; where versions don't compare, all as they stand.
fn nearest<'a>(installed: &str, fixed: &'a str) -> Option<&'a str> {
    let fixed = Some(fixed.trim()).filter(|f| !f.is_empty())?;
    let above = |one: &&str| policy::version(Some(one)) > policy::version(Some(installed));
    let lowest = fixed.split(',').map(str::trim).filter(above).min_by_key(|one| policy::version(Some(one)));
    Some(lowest.unwrap_or(fixed))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report() -> Value {
        json!({
            "SchemaVersion": 2, "ArtifactName": "layout", "ArtifactType": "container_image",
            "Metadata": {"ImageID": Digest::of(b"config"), "ImageConfig": {"architecture": "arm", "os": "linux", "variant": "v7"}},
            "Results": [
                {"Target": "alpine 3.22", "Class": "os-pkgs", "Type": "alpine", "Vulnerabilities": [
                    {"VulnerabilityID": "CVE-2026-2", "PkgName": "libssl3", "InstalledVersion": "3.5.0-r0", "FixedVersion": "3.5.1-r0",
                     "Severity": "CRITICAL", "Description": "A flaw.\nMore."}]},
                {"Target": "usr/local/bin/gate", "Class": "lang-pkgs", "Type": "gobinary", "Vulnerabilities": [
                    {"VulnerabilityID": "CVE-2026-1", "VendorIDs": ["GHSA-1"], "PkgName": "stdlib", "InstalledVersion": "v1.26.8",
                     "FixedVersion": "1.25.12, 1.26.9, 1.27.3", "Severity": "HIGH", "Title": "net/http: a flaw"}]}
            ]
        })
    }

    fn read(report: &Value) -> Result<Vec<Hit>, String> {
        parse(
            report.to_string().as_bytes(),
            &Subject { config: Digest::of(b"config"), platform: &"linux/arm/v7".parse().unwrap() },
        )
    }

    #[test]
    fn a_vulnerability_has_its_severity_place_and_nearest_fix() {
        let hits = read(&report()).unwrap();
        assert_eq!((hits[0].target.as_str(), hits[1].target.as_str()), ("alpine 3.22", "usr/local/bin/gate"));
        let (base, program) = (&hits[0].finding, &hits[1].finding);
        assert_eq!((base.severity, base.summary.as_str(), base.reachable), (Severity::Critical, "A flaw.", None));
        assert_eq!(base.fix.as_deref(), Some("set build.base in release.toml to an image with libssl3 3.5.1-r0"));
        assert_eq!(
            (program.fixed.as_deref(), program.aliases.as_slice()),
            (Some("1.26.9"), ["GHSA-1".to_owned()].as_slice())
        );
        assert_eq!(program.fix.as_deref(), Some("set tools.go = \"1.26.9\" in release.toml"));
    }

    #[test]
    fn a_report_about_anything_else_is_an_error() {
        for (pointer, value) in [
            ("/SchemaVersion", json!(1)),
            ("/Metadata/ImageID", json!(Digest::of(b"another"))),
            ("/Metadata/ImageConfig/architecture", json!("amd64")),
            ("/Metadata/ImageConfig/variant", json!("v6")),
            ("/Metadata/ImageConfig/os", json!("windows")),
            ("/Metadata", json!({})),
            ("/Results", json!([])),
            ("/Results/1/Type", json!("jar")),
            ("/Results/1/Vulnerabilities/0/Severity", json!("SEVERE")),
            ("/Results/1/Vulnerabilities/0", json!({})),
        ] {
            let mut report = report();
            *report.pointer_mut(pointer).unwrap() = value;
            assert!(read(&report).is_err(), "{pointer}");
        }
    }

    #[test]
    fn a_report_cut_anywhere_is_an_error() {
        let whole = report().to_string();
        let subject = Subject { config: Digest::of(b"config"), platform: &"linux/arm/v7".parse().unwrap() };
        assert!((0..whole.len()).all(|end| parse(&whole.as_bytes()[..end], &subject).is_err()));
    }
}
