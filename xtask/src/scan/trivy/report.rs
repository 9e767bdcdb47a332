//! Trivy's JSON report (`pkg/types/report.go` of aquasecurity/trivy, schema version 2), and whether it can be relied on.
//!
//! Takes a report's bytes and what it has to be about, gives what was found. A report about another image, another
//! platform or another folder, one that is cut off, and one that didn't see what is known to be there, is an error: it
//! is never taken for one without findings.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::hits::{self, Hit, Section};
use crate::oci::{Digest, Platform};

const SCHEMA: u32 = 2;
/// The type of a Go program among the results.
pub(super) const GO_PROGRAM: &str = "gobinary";
/// The kinds of packages (purl-spec) that Trivy has to have looked up when an SBOM lists them.
const LOOKED_UP: [&str; 4] = ["pkg:golang/", "pkg:apk/", "pkg:deb/", "pkg:rpm/"];

/// What a report has to be about.
pub(super) enum Subject<'a> {
    /// An image with a Go program; Trivy's image ID is the digest of the configuration.
    Image { config: Digest, platform: &'a Platform },
    /// An SBOM that lists these packages.
    Sbom { packages: &'a BTreeSet<String> },
    /// A folder of this repository, by the name it has there, with these Dockerfiles and perhaps manifests.
    Folder { name: &'a str, dockerfiles: &'a BTreeSet<String>, manifests: bool },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u32,
    #[serde(default)]
    artifact_name: String,
    artifact_type: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    results: Vec<Section>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(rename = "ImageID", default)]
    image_id: String,
    #[serde(rename = "ImageConfig", default)]
    config: ImageConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImageConfig {
    architecture: String,
    os: String,
    variant: String,
}

/// Reads a report; an error is why it can't be relied on.
pub(super) fn parse(bytes: &[u8], subject: &Subject<'_>) -> Result<Vec<Hit>, String> {
    let report: Report = serde_json::from_slice(bytes).map_err(|e| format!("it is damaged or cut off: {e}"))?;
    if report.schema_version != SCHEMA {
        return Err(format!("its schema version is {}, not {SCHEMA}", report.schema_version));
    }
    let types: &[&str] = match subject {
        Subject::Image { .. } => &["container_image"],
        Subject::Sbom { .. } => &["cyclonedx", "spdx"],
        Subject::Folder { .. } => &["filesystem"],
    };
    if !types.contains(&report.artifact_type.as_str()) {
        return Err(format!("it is about a thing of type `{}`, not {}", report.artifact_type, types.join(" or ")));
    }
    let place = match subject {
        Subject::Image { config, platform } => {
            is_image(&report, *config, platform)?;
            hits::Place::Image { artifact: &report.artifact_name }
        }
        Subject::Sbom { packages } => {
            saw_packages(&report, packages)?;
            hits::Place::Image { artifact: &report.artifact_name }
        }
        Subject::Folder { name, dockerfiles, manifests } => {
            saw_files(&report, dockerfiles, *manifests)?;
            hits::Place::Folder(name)
        }
    };
    let mut found = Vec::new();
    for section in report.results {
        hits::read(section, &place, &mut found)?;
    }
    Ok(found)
}

fn is_image(report: &Report, config: Digest, wanted: &Platform) -> Result<(), String> {
    let ImageConfig { architecture, os, variant } = &report.metadata.config;
    let platform =
        [os.as_str(), architecture, variant].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    if platform.parse::<Platform>().ok().as_ref() != Some(wanted) {
        return Err(format!("it is about `{platform}`, not {wanted}"));
    }
    if report.metadata.image_id != config.to_string() {
        return Err(format!("it is about image {}, not {config}", report.metadata.image_id));
    }
    let mut programs = report.results.iter().filter(|section| section.r#type == GO_PROGRAM);
    match programs.any(|section| section.packages.iter().flatten().next().is_some()) {
        true => Ok(()),
        false => Err("it saw no Go program and its modules, where the image has one".into()),
    }
}

/// Every package of the SBOM was looked up: of an operating system that it doesn't know, Trivy drops the packages.
fn saw_packages(report: &Report, listed: &BTreeSet<String>) -> Result<(), String> {
    let packages = report.results.iter().flat_map(|section| section.packages.iter().flatten());
    let seen: BTreeSet<String> = packages.filter_map(|package| package.purl()).map(name_of).collect();
    match listed.iter().find(|package| !seen.contains(*package)) {
        Some(package) => Err(format!("it says nothing about {package}, which the SBOM lists")),
        None => Ok(()),
    }
}

fn saw_files(report: &Report, dockerfiles: &BTreeSet<String>, manifests: bool) -> Result<(), String> {
    let of = |wanted: &[&str]| {
        let sections = report.results.iter().filter(|section| wanted.contains(&section.r#type.as_str()));
        sections.map(|section| section.target.clone()).collect::<BTreeSet<String>>()
    };
    if let Some(missing) = dockerfiles.difference(&of(&["dockerfile"])).next() {
        return Err(format!("it says nothing about {missing}"));
    }
    match manifests && of(&["kubernetes", "helm"]).is_empty() {
        true => Err("it saw no Kubernetes manifest, where there are some".into()),
        false => Ok(()),
    }
}

/// The packages that an SBOM lists and Trivy has to look up, CycloneDX or SPDX as JSON; one without any is an error.
pub(super) fn packages_of(sbom: &[u8]) -> Result<BTreeSet<String>, String> {
    let sbom: Value = serde_json::from_slice(sbom).map_err(|e| e.to_string())?;
    let mut packages = BTreeSet::new();
    for component in list(&sbom, "components") {
        packages.extend(component.get("purl").and_then(Value::as_str));
    }
    for package in list(&sbom, "packages") {
        let purls = list(package, "externalRefs").filter(|r| r.get("referenceType").is_some_and(|t| t == "purl"));
        packages.extend(purls.filter_map(|r| r.get("referenceLocator")?.as_str()));
    }
    let looked_up = packages.into_iter().filter(|purl| LOOKED_UP.iter().any(|kind| purl.starts_with(kind)));
    let names: BTreeSet<String> = looked_up.map(name_of).collect();
    match names.is_empty() {
        true => Err("it lists no Go module and no package of an operating system".into()),
        false => Ok(names),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// `pkg:TYPE/NAMESPACE/NAME` of a purl, without what generators write differently.
fn name_of(purl: &str) -> String {
    let purl = purl.split(['?', '#']).next().unwrap_or(purl);
    purl.rsplit_once('@').map_or(purl, |(name, _)| name).to_owned()
}

#[cfg(test)]
mod tests;
