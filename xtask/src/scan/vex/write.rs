//! The OpenVEX document of an image platform, or of all of an image: what govulncheck has shown about the programs.
//!
//! Takes a report and its parts with their subjects, gives a document's bytes: the same report gives the same bytes,
//! with the database's time and an id made of the content. Says nothing about what govulncheck didn't check: other
//! ecosystems, other programs of the base image, advisories about which it can't tell.

use serde_json::{Value, json};

use super::{CONTEXT, Justification, Status, Subject};
use crate::error::{Context as _, Result};
use crate::oci::Digest;
use crate::sbom::purl;
use crate::scan::{Finding, Kind, PlatformReport, Report, govulncheck, is_same, vulndb};

/// The registered media type, also the referrer's artifact type.
pub const MEDIA_TYPE: &str = "application/vnd.openvex+json";
/// Where documents have their ids when nobody hosts them.
const NAMESPACE: &str = "https://openvex.dev/docs/public/vex-";

/// The document about parts of `report`, each with what it is about: platforms of one image.
pub fn document(report: &Report, parts: &[(&PlatformReport, Subject<'_>)]) -> Result<Vec<u8>> {
    let evidence = Evidence::of(report);
    let checked = |(part, subject): &(&PlatformReport, Subject<'_>)| -> Vec<Value> {
        let all = part.findings.iter().filter(|finding| is_checked(finding, part, subject));
        all.map(|finding| statement(finding, subject, &evidence)).collect()
    };
    let statements: Vec<Value> = parts.iter().flat_map(checked).collect();
    let reference = parts.first().map(|(_, subject)| subject.reference.as_str()).unwrap_or_default();
    let author = reference.rsplit_once('/').map_or(reference, |(owner, _)| owner);
    let mut document = json!({
        "@context": CONTEXT,
        "@id": "",
        "author": author,
        "timestamp": evidence.updated,
        "version": 1,
        "tooling": format!("cargo xtask scan, {}", evidence.scanner),
        "statements": statements,
    });
    let id = format!("{NAMESPACE}{}", Digest::of(document.to_string().as_bytes()).hex());
    if let Some(place) = document.get_mut("@id") {
        *place = id.into();
    }
    let mut bytes = serde_json::to_vec_pretty(&document).attempt(|| "write an OpenVEX document".into())?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What the statements rest on.
struct Evidence {
    scanner: String,
    database: String,
    updated: String,
}

impl Evidence {
    fn of(report: &Report) -> Evidence {
        let scanner = report.scanners.iter().find(|name| name.starts_with(govulncheck::NAME)).cloned();
        let database = report.databases.iter().find(|database| database.name == vulndb::MODULE);
        let (version, updated) = database.map(|d| (d.version.clone(), d.updated.clone())).unwrap_or_default();
        let database = format!("{} {version} of {updated}", vulndb::MODULE);
        Evidence { scanner: scanner.unwrap_or_default(), database, updated }
    }
}

/// Whether what govulncheck knows holds for the image as a whole, which is what a statement speaks of.
fn is_checked(finding: &Finding, part: &PlatformReport, subject: &Subject<'_>) -> bool {
    let unchecked =
        |other: &Finding| other.reachable.is_none() && other.version_is(&finding.version) && is_same(finding, other);
    match finding.reachable {
        Some(true) => true,
        Some(false) => subject.others_known && !part.findings.iter().any(unchecked),
        None => false,
    }
}

fn statement(finding: &Finding, subject: &Subject<'_>, evidence: &Evidence) -> Value {
    let mut statement = json!({
        "vulnerability": {
            "@id": format!("https://pkg.go.dev/vuln/{}", finding.id),
            "name": finding.id,
            "description": finding.summary,
            "aliases": finding.aliases,
        },
        "products": products(finding, subject),
    });
    let Some(fields) = statement.as_object_mut() else { return statement };
    match finding.reachable {
        Some(true) => {
            let fix = finding.fix.clone().unwrap_or_else(|| "No fix is out yet.".into());
            fields.insert("status".into(), json!(Status::Affected));
            fields.insert("action_statement".into(), fix.into());
        }
        _ => {
            let Evidence { scanner, database, .. } = evidence;
            let impact = format!(
                "{scanner} compared the functions linked into {} with {database}: none of the symbols that {} names is \
                 among them.",
                subject.program, finding.id
            );
            fields.insert("status".into(), json!(Status::NotAffected));
            fields.insert("justification".into(), json!(Justification::VulnerableCodeNotPresent));
            fields.insert("impact_statement".into(), impact.into());
        }
    }
    statement
}

/// The platform's manifest, and the index where it is scanned by its tag: for a scanner the architecture tells.
fn products(finding: &Finding, subject: &Subject<'_>) -> Value {
    let module = purl::golang(&finding.package, Some(&finding.version), None);
    let arch = subject.platform.architecture();
    let products = [&subject.manifest, &subject.index].map(|digest| {
        let id = purl::oci(&subject.reference, digest, Some(arch), None);
        json!({
            "@id": id,
            "identifiers": {"purl": id},
            "subcomponents": [{"@id": module, "identifiers": {"purl": module}}],
        })
    });
    json!(products)
}

impl Finding {
    fn version_is(&self, version: &str) -> bool {
        self.kind == Kind::Vulnerability && self.version.trim_start_matches('v') == version.trim_start_matches('v')
    }
}

#[cfg(test)]
mod tests;
