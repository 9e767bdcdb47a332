//! SPDX 2.3 JSON (ISO/IEC 5962 and its successor).
//!
//! Takes an [`Inventory`], gives the document's bytes. Fields stand in one order, and the namespace comes from the
//! content. Licenses are those that authors and distributions declare (7.15); this project concludes nothing (7.13).

use serde::Serialize;

use super::inventory::{Component, Inventory, Kind, License, TOOL, TOOL_VERSION};
use super::uuid;
use crate::error::{Context, Result};
use crate::oci::Digest;

/// The document's own identifier (6.3).
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// What stands where something is not known and the field may not be absent (7.5, 7.7).
const NO_ASSERTION: &str = "NOASSERTION";

/// How many hex digits keep identifiers apart that look alike once only letters, digits, `.` and `-` are left.
const ID_HASH: usize = 12;

/// Writes the document.
pub(super) fn write(inventory: &Inventory) -> Result<Vec<u8>> {
    let attempt = || "write an SPDX document".into();
    let mut document = Document::of(inventory);
    document.document_namespace = uuid::urn(&serde_json::to_vec(&document).attempt(attempt)?);
    serde_json::to_vec(&document).attempt(attempt)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'a str,
    data_license: &'a str,
    #[serde(rename = "SPDXID")]
    id: &'a str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo<'a>,
    packages: Vec<Package<'a>>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo<'a> {
    created: &'a str,
    creators: [String; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version_info: &'a str,
    supplier: String,
    download_location: &'a str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksums: Option<[Checksum<'a>; 1]>,
    license_concluded: &'a str,
    license_declared: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_comments: Option<&'a str>,
    primary_package_purpose: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum<'a> {
    algorithm: &'a str,
    checksum_value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef<'a> {
    reference_category: &'a str,
    reference_type: &'a str,
    reference_locator: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

impl<'a> Document<'a> {
    /// All but the namespace.
    fn of(inventory: &'a Inventory) -> Document<'a> {
        Document {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: DOCUMENT,
            name: format!("{}-{}", inventory.image.name, inventory.image.version),
            document_namespace: String::new(),
            creation_info: CreationInfo {
                created: &inventory.created,
                creators: [organization(&inventory.author), format!("Tool: {TOOL}-{TOOL_VERSION}")],
            },
            packages: [&inventory.image].into_iter().chain(inventory.parts()).map(Package::of).collect(),
            relationships: relationships(inventory),
        }
    }
}

impl<'a> Package<'a> {
    fn of(component: &'a Component) -> Package<'a> {
        let comment: Vec<String> = component.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reference = |category, kind, locator| ExternalRef {
            reference_category: category,
            reference_type: kind,
            reference_locator: locator,
        };
        let purl = component.purl.as_deref().map(|purl| reference("PACKAGE-MANAGER", "purl", purl));
        let cpe = component.cpe.as_deref().map(|cpe| reference("SECURITY", "cpe23Type", cpe));
        // Words that are no license expression may not stand in the field for one.
        let (license_declared, license_comments) = match &component.license {
            Some(License::Expression(expression)) => (expression.as_str(), None),
            Some(License::Words(words)) => (NO_ASSERTION, Some(words.as_str())),
            None => (NO_ASSERTION, None),
        };
        Package {
            id: id(component),
            name: &component.name,
            version_info: &component.version,
            supplier: component.supplier.as_deref().map_or_else(|| NO_ASSERTION.into(), organization),
            download_location: NO_ASSERTION,
            files_analyzed: false,
            checksums: component
                .sha256
                .as_deref()
                .map(|value| [Checksum { algorithm: "SHA256", checksum_value: value }]),
            license_concluded: NO_ASSERTION,
            license_declared,
            license_comments,
            primary_package_purpose: match component.kind {
                Kind::Container => "CONTAINER",
                Kind::Application => "APPLICATION",
                // The text of the specification has a hyphen here, its JSON schema, which decides, an underscore.
                Kind::OperatingSystem => "OPERATING_SYSTEM",
                Kind::Library => "LIBRARY",
            },
            comment: Some(comment.join("\n")).filter(|c| !c.is_empty()),
            external_refs: purl.into_iter().chain(cpe).collect(),
        }
    }
}

fn organization(name: &str) -> String {
    format!("Organization: {name}")
}

/// An identifier of letters, digits, `.` and `-` (7.2).
fn id(component: &Component) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let readable: String = component.key.chars().map(plain).collect();
    let hash: String = Digest::of(component.key.as_bytes()).hex().chars().take(ID_HASH).collect();
    if readable == component.key { format!("SPDXRef-{readable}") } else { format!("SPDXRef-{readable}-{hash}") }
}

fn relationships(inventory: &Inventory) -> Vec<Relationship> {
    let relation = |from: String, kind, to: &Component| Relationship {
        spdx_element_id: from,
        relationship_type: kind,
        related_spdx_element: id(to),
    };
    let Inventory { image, base, system, packages, program, main, modules, .. } = inventory;
    let above = [
        relation(DOCUMENT.into(), "DESCRIBES", image),
        relation(id(image), "CONTAINS", program),
        relation(id(program), "CONTAINS", main),
    ];
    // The first says what it is; the second is the one that tools follow from the image down.
    let stands_on =
        base.iter().flat_map(|base| ["DESCENDANT_OF", "CONTAINS"].map(|kind| relation(id(image), kind, base)));
    let system = base.iter().zip(system).map(|(base, system)| relation(id(base), "CONTAINS", system));
    let holder = inventory.holds_packages();
    let packages = holder.into_iter().flat_map(|holder| packages.iter().map(|p| relation(id(holder), "CONTAINS", p)));
    let modules = modules.iter().map(|module| relation(id(main), "DEPENDS_ON", module));
    above.into_iter().chain(stands_on).chain(system).chain(packages).chain(modules).collect()
}
