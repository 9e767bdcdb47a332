//! CycloneDX 1.6 JSON (ECMA-424).
//!
//! Takes an [`Inventory`], gives the document's bytes. Fields stand in one order, and the serial number comes from the
//! content. Modules are left out of the dependency graph, which says that their dependencies are unknown: a program
//! doesn't record which module needs which.

use serde::Serialize;

use super::inventory::{Component, Inventory, Kind, License, TOOL, TOOL_VERSION};
use super::uuid;
use crate::error::{Context, Result};

/// Writes the document.
pub(super) fn write(inventory: &Inventory) -> Result<Vec<u8>> {
    let attempt = || "write a CycloneDX document".into();
    let mut bom = Bom::of(inventory);
    bom.serial_number = uuid::urn(&serde_json::to_vec(&bom).attempt(attempt)?);
    serde_json::to_vec(&bom).attempt(attempt)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    #[serde(rename = "$schema")]
    schema: &'a str,
    bom_format: &'a str,
    spec_version: &'a str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Part<'a>>,
    dependencies: Vec<Dependency<'a>>,
    compositions: Vec<Composition<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: &'a str,
    lifecycles: [Lifecycle<'a>; 1],
    tools: Tools<'a>,
    manufacturer: Organization<'a>,
    component: Part<'a>,
    supplier: Organization<'a>,
}

#[derive(Serialize)]
struct Lifecycle<'a> {
    phase: &'a str,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Tool<'a>; 1],
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Organization<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Part<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    bom_ref: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Organization<'a>>,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashes: Option<[Hash<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licenses: Option<[Licensed<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpe: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property<'a>>,
}

#[derive(Serialize)]
struct Hash<'a> {
    alg: &'a str,
    content: &'a str,
}

/// A license in the words of those whose it is, not in the document's author's.
#[derive(Serialize)]
#[serde(untagged)]
enum Licensed<'a> {
    Expression { expression: &'a str, acknowledgement: &'a str },
    Words { license: Words<'a> },
}

#[derive(Serialize)]
struct Words<'a> {
    name: &'a str,
    acknowledgement: &'a str,
}

impl<'a> Licensed<'a> {
    fn of(license: &'a License) -> Licensed<'a> {
        let acknowledgement = "declared";
        match license {
            License::Expression(expression) => Licensed::Expression { expression, acknowledgement },
            License::Words(name) => Licensed::Words { license: Words { name, acknowledgement } },
        }
    }
}

#[derive(Serialize)]
struct Property<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    #[serde(rename = "ref")]
    of: &'a str,
    depends_on: Vec<&'a str>,
}

#[derive(Serialize)]
struct Composition<'a> {
    aggregate: &'a str,
    dependencies: Vec<&'a str>,
}

impl<'a> Bom<'a> {
    /// All but the serial number.
    fn of(inventory: &'a Inventory) -> Bom<'a> {
        Bom {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            serial_number: String::new(),
            version: 1,
            metadata: Metadata {
                timestamp: &inventory.created,
                lifecycles: [Lifecycle { phase: "build" }],
                tools: Tools { components: [Tool { kind: "application", name: TOOL, version: TOOL_VERSION }] },
                manufacturer: Organization { name: &inventory.author },
                component: Part::of(&inventory.image),
                supplier: Organization { name: &inventory.author },
            },
            components: inventory.parts().map(Part::of).collect(),
            dependencies: dependencies(inventory),
            compositions: compositions(inventory),
        }
    }
}

impl<'a> Part<'a> {
    fn of(component: &'a Component) -> Part<'a> {
        Part {
            kind: match component.kind {
                Kind::Container => "container",
                Kind::Application => "application",
                Kind::OperatingSystem => "operating-system",
                Kind::Library => "library",
            },
            bom_ref: &component.key,
            supplier: component.supplier.as_deref().map(|name| Organization { name }),
            name: &component.name,
            version: &component.version,
            hashes: component.sha256.as_deref().map(|content| [Hash { alg: "SHA-256", content }]),
            licenses: component.license.as_ref().map(|license| [Licensed::of(license)]),
            cpe: component.cpe.as_deref(),
            purl: component.purl.as_deref(),
            properties: component.properties.iter().map(|(name, value)| Property { name, value }).collect(),
        }
    }
}

fn keys<'a>(components: impl IntoIterator<Item = &'a Component>) -> Vec<&'a str> {
    components.into_iter().map(|component| component.key.as_str()).collect()
}

fn dependencies(inventory: &Inventory) -> Vec<Dependency<'_>> {
    let Inventory { image, base, system, packages, program, main, modules, .. } = inventory;
    let mut dependencies = vec![
        Dependency { of: &image.key, depends_on: keys([program].into_iter().chain(base)) },
        Dependency { of: &program.key, depends_on: keys([main]) },
        Dependency { of: &main.key, depends_on: keys(modules) },
    ];
    if let (Some(base), Some(system)) = (base, system) {
        dependencies.push(Dependency { of: &base.key, depends_on: keys([system]) });
    }
    if let Some(holder) = inventory.holds_packages().filter(|_| !packages.is_empty()) {
        dependencies.push(Dependency { of: &holder.key, depends_on: keys(packages) });
    }
    dependencies
}

/// How far the list can be relied on. The linker names every module of the program, and a package manager every package
/// of its own; what a base holds besides packages nobody looked into.
fn compositions(inventory: &Inventory) -> Vec<Composition<'_>> {
    let Inventory { base, system, packages, packages_complete, program, main, .. } = inventory;
    let listed = if *packages_complete { "complete" } else { "incomplete" };
    let system = system.iter().map(|system| Composition { aggregate: listed, dependencies: keys([system]) });
    let known = if packages.is_empty() { "unknown" } else { "incomplete" };
    let base = base.iter().map(|base| Composition { aggregate: known, dependencies: keys([base]) });
    [Composition { aggregate: "complete", dependencies: keys([program, main]) }]
        .into_iter()
        .chain(system)
        .chain(base)
        .collect()
}
