//! What a section of Trivy's report says was found, each with its kind, its place and what mends it.
//!
//! Takes sections, gives findings not yet judged. What Trivy was told to set aside is among them, with the reason.

use serde::Deserialize;
use serde_json::Value;

use super::NAME;
use super::report::GO_PROGRAM;
use crate::scan::{Finding, Kind, Severity, policy};

/// A finding and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The file, without the first `/`, or the operating system.
    pub target: String,
    /// The finding, not yet judged.
    pub finding: Finding,
}

/// What targets are relative to.
pub(super) enum Place<'a> {
    /// An image; Trivy calls its configuration by the name of the whole.
    Image { artifact: &'a str },
    /// A folder of this repository.
    Folder(&'a str),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Section {
    pub(super) target: String,
    #[serde(default)]
    pub(super) r#type: String,
    pub(super) packages: Option<Vec<Package>>,
    vulnerabilities: Option<Vec<Vulnerability>>,
    secrets: Option<Vec<Secret>>,
    misconfigurations: Option<Vec<Misconfiguration>>,
    licenses: Option<Vec<Licence>>,
    #[serde(rename = "ExperimentalModifiedFindings")]
    modified: Option<Vec<Modified>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Package {
    identifier: Option<Identifier>,
}

impl Package {
    pub(super) fn purl(&self) -> Option<&str> {
        self.identifier.as_ref()?.purl.as_deref()
    }
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "PURL")]
    purl: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    #[serde(rename = "VendorIDs", default)]
    vendor_ids: Vec<String>,
    pkg_name: String,
    #[serde(default)]
    pkg_path: String,
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

/// What Trivy says of the text itself is not read: a secret stays where it is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    #[serde(rename = "RuleID")]
    rule: String,
    severity: String,
    title: String,
    start_line: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Misconfiguration {
    #[serde(rename = "ID")]
    id: String,
    severity: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    resolution: String,
    status: String,
    #[serde(default)]
    cause_metadata: Cause,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Cause {
    start_line: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Licence {
    severity: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    pkg_name: String,
    #[serde(default)]
    file_path: String,
    name: String,
}

/// A finding that an ignore file or a VEX document sets aside (`pkg/types/finding.go`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Modified {
    r#type: String,
    status: String,
    #[serde(default)]
    statement: String,
    #[serde(default)]
    source: String,
    finding: Value,
}

/// Adds all that a section holds to `found`; an error is why it can't be read.
pub(super) fn read(section: Section, place: &Place<'_>, found: &mut Vec<Hit>) -> Result<(), String> {
    let at = At { target: place.name(&section.target), in_go: section.r#type == GO_PROGRAM };
    for vulnerability in section.vulnerabilities.into_iter().flatten() {
        found.push(at.vulnerability(vulnerability)?);
    }
    for secret in section.secrets.into_iter().flatten() {
        found.push(at.secret(secret)?);
    }
    for misconfiguration in section.misconfigurations.into_iter().flatten() {
        found.extend(at.misconfiguration(misconfiguration)?);
    }
    for licence in section.licenses.into_iter().flatten() {
        found.push(at.licence(licence)?);
    }
    for modified in section.modified.into_iter().flatten() {
        found.extend(at.modified(modified)?);
    }
    Ok(())
}

impl Place<'_> {
    fn name(&self, target: &str) -> String {
        match self {
            Place::Image { artifact } if target == *artifact => "the image's configuration".into(),
            Place::Image { .. } => target.trim_start_matches('/').into(),
            Place::Folder(folder) => format!("{folder}/{target}"),
        }
    }
}

/// A section's own place.
struct At {
    target: String,
    in_go: bool,
}

impl At {
    fn vulnerability(&self, found: Vulnerability) -> Result<Hit, String> {
        let summary = [found.title.as_str(), found.description.lines().next().unwrap_or_default()];
        let fixed = nearest(&found.installed_version, &found.fixed_version).map(str::to_owned);
        let fix = fixed.as_deref().map(|fixed| match self.in_go {
            true => policy::go_fix(&found.pkg_name, fixed),
            false => policy::base_fix(&found.pkg_name, fixed),
        });
        let file = Some(found.pkg_path).filter(|path| !path.is_empty());
        Ok(self.hit(Finding {
            aliases: found.vendor_ids,
            package: found.pkg_name,
            version: found.installed_version,
            fixed,
            fix,
            location: file.or_else(|| self.in_go.then(|| self.target.clone())),
            ..blank(
                Kind::Vulnerability,
                found.id,
                severity(&found.severity)?,
                summary.into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
            )
        }))
    }

    fn secret(&self, found: Secret) -> Result<Hit, String> {
        Ok(self.hit(Finding {
            package: self.target.clone(),
            location: Some(self.line(found.start_line)),
            fix: Some(format!("take it out of {} and revoke it: who has the image has the secret", self.target)),
            ..blank(Kind::Secret, found.rule, severity(&found.severity)?, &found.title)
        }))
    }

    /// `None` for a check that passed.
    fn misconfiguration(&self, found: Misconfiguration) -> Result<Option<Hit>, String> {
        match found.status.as_str() {
            "FAIL" => {}
            "PASS" => return Ok(None),
            other => return Err(format!("the status `{other}` of {} is not known", found.id)),
        }
        let summary = if found.message.is_empty() { &found.title } else { &found.message };
        Ok(Some(self.hit(Finding {
            package: self.target.clone(),
            location: Some(self.line(found.cause_metadata.start_line)),
            fix: Some(found.resolution).filter(|text| !text.is_empty()),
            ..blank(Kind::Misconfiguration, found.id, severity(&found.severity)?, summary)
        })))
    }

    fn licence(&self, found: Licence) -> Result<Hit, String> {
        let file = Some(found.file_path).filter(|path| !path.is_empty());
        let package = if found.pkg_name.is_empty() { file.clone().unwrap_or_default() } else { found.pkg_name };
        let summary = match found.category.as_str() {
            "" => "a licence".to_owned(),
            category => format!("a licence of the category {category}"),
        };
        let location = file.map(|path| path.trim_start_matches('/').to_owned());
        let severity = severity(&found.severity)?;
        Ok(self.hit(Finding { package, location, ..blank(Kind::Licence, found.name, severity, &summary) }))
    }

    fn modified(&self, found: Modified) -> Result<Option<Hit>, String> {
        let Modified { r#type, status, statement, source, finding } = found;
        let hit = match r#type.as_str() {
            "vulnerability" => Some(self.vulnerability(from(finding)?)?),
            "secret" => Some(self.secret(from(finding)?)?),
            "misconfiguration" => self.misconfiguration(from(finding)?)?,
            "license" => Some(self.licence(from(finding)?)?),
            other => return Err(format!("it set aside a finding of the unknown type `{other}`")),
        };
        let why = [status, statement].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        Ok(hit.map(|mut hit| {
            hit.finding.set_aside = Some(format!("{why} ({source})"));
            hit
        }))
    }

    fn line(&self, line: Option<u64>) -> String {
        match line.filter(|line| *line > 0) {
            Some(line) => format!("{}:{line}", self.target),
            None => self.target.clone(),
        }
    }

    fn hit(&self, finding: Finding) -> Hit {
        Hit { target: self.target.clone(), finding }
    }
}

fn blank(kind: Kind, id: String, severity: Severity, summary: &str) -> Finding {
    Finding {
        kind,
        id,
        severity,
        summary: summary.to_owned(),
        scanner: NAME.into(),
        aliases: Vec::new(),
        package: String::new(),
        version: String::new(),
        fixed: None,
        reachable: None,
        fix: None,
        location: None,
        set_aside: None,
        violation: None,
    }
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| format!("a finding that it set aside can't be read: {e}"))
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
