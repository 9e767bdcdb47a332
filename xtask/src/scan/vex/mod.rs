//! OpenVEX 0.2.0 (<https://github.com/openvex/spec>): documents of this repository that are read, and one an image
//! platform that is written ([`write`]).
//!
//! Takes documents, gives statements, and says which of them is about a finding. One that can't be read in full is an
//! error with its place: a statement that is skipped may be the one that says `affected`.

mod purl;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Finding;
use crate::config::RelPath;
use crate::error::{Class, Error, Place, Result};
use crate::fs;
use crate::oci::{Digest, Platform};

pub(super) use purl::Purl;

/// The version of the format, as documents name it.
const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";
/// The largest document that is read.
const LIMIT: u64 = 16 << 20;

/// The image platform that findings are about.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The image's name in the table.
    pub image: &'a str,
    /// Its repository with the registry, `ghcr.io/xiaonanln/goverse-gate`.
    pub reference: String,
    /// The version's tag.
    pub tag: &'a str,
    /// The index of its platforms.
    pub index: Digest,
    /// The platform's manifest.
    pub manifest: Digest,
    /// The platform.
    pub platform: &'a Platform,
    /// The program that govulncheck looked at, `/usr/local/bin/gate`.
    pub program: &'a str,
    /// Whether that is known to be the only Go program, or others are known by Trivy's findings in them.
    pub others_known: bool,
}

/// What a statement says of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing needs to be done.
    NotAffected,
    /// Something should be done.
    Affected,
    /// It was mended.
    Fixed,
    /// Nobody knows yet.
    UnderInvestigation,
}

/// Why nothing needs to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Justification {
    /// The product doesn't have the component.
    ComponentNotPresent,
    /// It has the component without the vulnerable code.
    VulnerableCodeNotPresent,
    /// It has the code and can't reach it.
    VulnerableCodeNotInExecutePath,
    /// An attacker can't control it.
    VulnerableCodeCannotBeControlledByAdversary,
    /// It is guarded.
    InlineMitigationsAlreadyExist,
}

/// One statement, ready to be asked.
#[derive(Debug)]
struct Statement {
    names: BTreeSet<String>,
    products: Vec<Product>,
    status: Status,
    /// Justification and impact statement.
    why: String,
    document: String,
    time: Timestamp,
}

/// Every statement of some documents, oldest first.
#[derive(Debug, Default)]
pub(super) struct Statements(Vec<Statement>);

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@context")]
    context: Context,
    #[serde(rename = "@id")]
    _id: String,
    #[serde(rename = "author")]
    _author: String,
    timestamp: Timestamp,
    #[serde(rename = "version")]
    _version: u64,
    statements: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Context;

impl TryFrom<String> for Context {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Context, String> {
        match text == CONTEXT {
            true => Ok(Context),
            false => Err(format!("the format is `{text}`, not {CONTEXT}")),
        }
    }
}

/// A statement as it stands in a document.
#[derive(Deserialize)]
#[serde(try_from = "Fields")]
struct Written(Fields);

#[derive(Deserialize)]
struct Fields {
    vulnerability: Vulnerability,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    products: Vec<Product>,
    status: Status,
    justification: Option<Justification>,
    impact_statement: Option<String>,
    action_statement: Option<String>,
}

#[derive(Deserialize)]
struct Vulnerability {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Product {
    #[serde(flatten)]
    component: Component,
    #[serde(default)]
    subcomponents: Vec<Component>,
}

#[derive(Debug, Deserialize)]
struct Component {
    #[serde(rename = "@id")]
    id: Option<String>,
    #[serde(default)]
    identifiers: BTreeMap<String, String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl TryFrom<Fields> for Written {
    type Error = String;
    fn try_from(fields: Fields) -> std::result::Result<Written, String> {
        let Fields { status, justification, impact_statement, action_statement, .. } = &fields;
        let name = &fields.vulnerability.name;
        if fields.products.is_empty() {
            return Err(format!("the statement about {name} names no product"));
        }
        match status {
            Status::NotAffected if justification.is_none() && impact_statement.is_none() => {
                Err(format!("the statement about {name} has neither a justification nor an impact_statement"))
            }
            Status::Affected if action_statement.is_none() => {
                Err(format!("the statement about {name} has no action_statement"))
            }
            _ => Ok(Written(fields)),
        }
    }
}

impl Statements {
    /// Reads the documents that release.toml names.
    ///
    /// # Errors
    /// [`Class::Usage`] with file, line and column for a document that isn't OpenVEX 0.2.0.
    pub(super) fn read(root: &Path, files: &[RelPath]) -> Result<Statements> {
        let mut all = Vec::new();
        for file in files {
            let bytes = fs::read_small(&root.join(file.as_path()), LIMIT).map_err(|e| {
                e.reclass(Class::Usage).hint("scan.vex in release.toml names the documents, from the repository's root")
            })?;
            all.extend(parse(file.as_path(), &bytes)?);
        }
        // A stable sort: of two at the same time the later in the documents counts.
        all.sort_by_key(|statement| statement.time);
        Ok(Statements(all))
    }

    /// Why a finding doesn't count: the newest statement about it in this image says so.
    pub(super) fn set_aside(&self, finding: &Finding, subject: &Subject<'_>) -> Option<String> {
        let named = |statement: &&Statement| super::names(finding).iter().any(|name| statement.names.contains(*name));
        let newest =
            self.0.iter().rev().filter(named).find(|s| s.products.iter().any(|p| p.holds(finding, subject)))?;
        let status = match newest.status {
            Status::NotAffected => "not affected",
            Status::Fixed => "fixed",
            Status::Affected | Status::UnderInvestigation => return None,
        };
        let why = if newest.why.is_empty() { String::new() } else { format!(": {}", newest.why) };
        Some(format!("{status} by {}{why}", newest.document))
    }
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<Statement>> {
    let document: Document = serde_json::from_slice(bytes).map_err(|e| {
        let place = Place { file: file.display().to_string(), line: e.line(), column: e.column() };
        let message = e.to_string();
        let what = message.split(" at line ").next().unwrap_or(&message);
        Error::usage(format!("not an OpenVEX document: {what}")).at(place)
    })?;
    let Document { context: Context, timestamp, statements, .. } = document;
    let of = |Written(fields): Written| Statement {
        names: fields.vulnerability.aliases.into_iter().chain([fields.vulnerability.name]).collect(),
        products: fields.products,
        status: fields.status,
        why: why(fields.justification, fields.impact_statement),
        document: file.display().to_string(),
        time: fields.timestamp.unwrap_or(timestamp),
    };
    Ok(statements.into_iter().map(of).collect())
}

fn why(justification: Option<Justification>, impact: Option<String>) -> String {
    let justification = justification.and_then(|j| serde_json::to_value(j).ok()?.as_str().map(str::to_owned));
    [justification, impact].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Product {
    /// A product is the image, with the package as subcomponent where any is named, or the package itself.
    fn holds(&self, finding: &Finding, subject: &Subject<'_>) -> bool {
        let package = |component: &Component| component.purls().any(|purl| purl.is_package(finding));
        let is_image = self.component.purls().any(|purl| purl.is_image(subject)) || self.component.has_digest(subject);
        match is_image {
            true => self.subcomponents.is_empty() || self.subcomponents.iter().any(package),
            false => package(&self.component),
        }
    }
}

impl Component {
    fn purls(&self) -> impl Iterator<Item = Purl> {
        self.id.iter().chain(self.identifiers.get("purl")).filter_map(|text| Purl::parse(text))
    }

    fn has_digest(&self, subject: &Subject<'_>) -> bool {
        let hex = self.hashes.get("sha-256").map(|hex| hex.to_lowercase());
        hex.is_some_and(|hex| hex == subject.manifest.hex() || hex == subject.index.hex())
    }
}

#[cfg(test)]
pub(super) mod tests;
