//! What is in one image platform, before it takes the shape of a format: the image, its program, the program's modules.
//!
//! Takes the build's own facts and the program's build information, gives an [`Inventory`] with everything the NTIA's
//! minimum elements ask for: supplier, name, version, identifier, relations, author, time. Reads nothing, knows no
//! clock. What a base image brings with it is not looked into: the base is one component.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::buildinfo::{BuildInfo, Module};
use super::purl;
use crate::build::{BuiltImage, BuiltPlatform};
use crate::config::Base;
use crate::error::Result;
use crate::plan::Plan;

/// Who made the documents, as their tools section says.
pub(super) const TOOL: &str = "goverse-release";

/// The version of [`TOOL`].
pub(super) const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The label that names who releases an image (OCI image spec, annotations.md).
const VENDOR: &str = "org.opencontainers.image.vendor";

/// Sites on which a module path's second part is the one who owns it.
const FORGES: &[&str] = &["bitbucket.org", "codeberg.org", "github.com", "gitlab.com"];

/// The contents of one image platform.
pub(super) struct Inventory {
    /// RFC 3339.
    pub(super) created: String,
    /// Who releases the image, and so makes the document.
    pub(super) author: String,
    /// The image.
    pub(super) image: Component,
    /// What it stands on.
    pub(super) base: Option<Component>,
    /// Its program.
    pub(super) program: Component,
    /// The module the program's main package is from.
    pub(super) main: Component,
    /// The modules linked into the program, sorted, the standard library last.
    pub(super) modules: Vec<Component>,
}

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An image.
    Container,
    /// A program.
    Application,
    /// A Go module.
    Library,
}

/// One part.
pub(super) struct Component {
    /// Unique in its inventory, the same from release to release.
    pub(super) key: String,
    /// What it is.
    pub(super) kind: Kind,
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// Who it comes from, where that is known.
    pub(super) supplier: Option<String>,
    /// Its package URL.
    pub(super) purl: String,
    /// Its name in the National Vulnerability Database, CPE 2.3.
    pub(super) cpe: Option<String>,
    /// SHA-256 in hex: of the file, of the manifest, or for a module its `h1:` sum.
    pub(super) sha256: Option<String>,
    /// More about it, sorted by name.
    pub(super) properties: Vec<(String, String)>,
}

impl Inventory {
    /// Lists what `platform` of `image` holds, whose program says `info`.
    pub(super) fn new(
        plan: &Plan,
        image: &BuiltImage,
        platform: &BuiltPlatform,
        info: &BuildInfo,
    ) -> Result<Inventory> {
        let release = format!("v{}", plan.version);
        let author = author(image);
        let mut modules: Vec<Component> = info.deps.iter().map(module).collect();
        modules.push(standard_library(info));
        Ok(Inventory {
            created: plan.created()?,
            image: container(plan, image, platform, &release, &author),
            base: base(&image.plan.base),
            program: program(image, platform, info, &release, &author),
            main: main_module(&info.main, &release),
            modules,
            author,
        })
    }

    /// Everything but the image itself.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Component> {
        self.base.iter().chain([&self.program, &self.main]).chain(&self.modules)
    }
}

/// Whose image it is: the vendor by its label, else the owner of the repository, `ghcr.io/xiaonanln`.
fn author(image: &BuiltImage) -> String {
    let owner = || image.plan.reference.rsplit_once('/').map_or(image.plan.reference.as_str(), |(owner, _)| owner);
    image.plan.labels.get(VENDOR).map(String::as_str).filter(|v| !v.trim().is_empty()).unwrap_or_else(owner).to_owned()
}

fn container(plan: &Plan, image: &BuiltImage, platform: &BuiltPlatform, release: &str, author: &str) -> Component {
    let digest = &platform.manifest.digest;
    let mut properties = vec![property("image:platform", platform.platform.to_string())];
    if let Some(revision) = &plan.source.revision {
        // In the words of the go command's `vcs.modified`: the revision alone would claim more than is true.
        properties.push(property("source:modified", plan.source.dirty.to_string()));
        properties.push(property("source:revision", revision.clone()));
    }
    Component {
        key: "image".into(),
        kind: Kind::Container,
        name: image.plan.repository.to_string(),
        version: release.into(),
        supplier: Some(author.into()),
        purl: purl::oci(
            &image.plan.reference,
            digest,
            Some(platform.platform.architecture()),
            Some(&plan.tags.version),
        ),
        cpe: None,
        sha256: Some(digest.hex()),
        properties,
    }
}

fn base(base: &Base) -> Option<Component> {
    let (name, tag, digest) = match base {
        Base::Scratch => return None,
        Base::Registry(reference) => (reference.name(), reference.tag.as_deref(), reference.digest?),
        Base::Layout(path, digest) => {
            (path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(), None, *digest)
        }
    };
    Some(Component {
        key: "base".into(),
        kind: Kind::Container,
        version: tag.map_or_else(|| digest.to_string(), Into::into),
        supplier: name.rsplit_once('/').map(|(owner, _)| owner.to_owned()),
        purl: purl::oci(&name, &digest, None, tag),
        cpe: None,
        sha256: Some(digest.hex()),
        properties: Vec::new(),
        name,
    })
}

fn program(image: &BuiltImage, platform: &BuiltPlatform, info: &BuildInfo, release: &str, author: &str) -> Component {
    let mut properties = vec![
        property("go:package", info.path.clone()),
        property("go:toolchain", info.go_version.clone()),
        property("image:path", image.plan.program.to_string()),
    ];
    properties.extend(info.settings.iter().map(|(key, value)| property(&format!("go:setting:{key}"), value.clone())));
    properties.sort();
    let package = info.path.strip_prefix(&info.main.path).and_then(|below| below.strip_prefix('/'));
    Component {
        key: "program".into(),
        kind: Kind::Application,
        name: image.plan.name.clone(),
        version: release.into(),
        supplier: Some(author.into()),
        purl: purl::golang(&info.main.path, Some(main_version(&info.main, release)), package),
        cpe: None,
        sha256: Some(platform.program_digest.hex()),
        properties,
    }
}

/// A main module built from a folder has no version but that of the release it is built for.
fn main_version<'a>(main: &'a Module, release: &'a str) -> &'a str {
    if main.is_versioned() { &main.version } else { release }
}

fn main_module(main: &Module, release: &str) -> Component {
    let version = main_version(main, release);
    library(&main.path, &main.path, version, Some(version), main)
}

/// A module as it is in the program. A replacement is what was linked, so it gives name, version and sum; what it
/// stands for is a property. A folder in place of a module has neither a path that means anything elsewhere nor a
/// version: it keeps the module's name and claims none of its versions.
fn module(required: &Module) -> Component {
    let linked = required.linked();
    let name = if linked.is_folder() { &required.path } else { &linked.path };
    let purl_version = Some(linked.version.as_str()).filter(|_| linked.is_versioned());
    let version = if linked.is_versioned() { &linked.version } else { "(devel)" };
    let mut component = library(&required.path, name, version, purl_version, linked);
    if required.replace.is_some() {
        component.properties.push(property("go:replaces", format!("{}@{}", required.path, required.version)));
        // A path from the root is of the machine that built it and of no use to anybody else.
        let folder = linked.is_folder() && !linked.path.starts_with('/');
        component.properties.extend(folder.then(|| property("go:replaced-by", linked.path.clone())));
        component.properties.sort();
    }
    component
}

fn library(key: &str, name: &str, version: &str, purl_version: Option<&str>, linked: &Module) -> Component {
    Component {
        key: format!("module:{key}"),
        kind: Kind::Library,
        name: name.into(),
        version: version.into(),
        supplier: Some(owner(name)),
        purl: purl::golang(name, purl_version, None),
        cpe: None,
        sha256: linked.sum.as_deref().and_then(h1),
        properties: linked.sum.iter().map(|sum| property("go:sum", sum.clone())).collect(),
    }
}

/// Named as vulnerability databases and scanners name it; the CPE is the National Vulnerability Database's.
fn standard_library(info: &BuildInfo) -> Component {
    let version = info.stdlib_version();
    let released = version.chars().all(|c| c.is_ascii_digit() || c == '.');
    Component {
        key: "stdlib".into(),
        kind: Kind::Library,
        name: "stdlib".into(),
        version: version.into(),
        supplier: Some("The Go Authors".into()),
        purl: purl::golang("stdlib", Some(version), None),
        cpe: released.then(|| format!("cpe:2.3:a:golang:go:{version}:-:*:*:*:*:*:*")),
        sha256: None,
        properties: Vec::new(),
    }
}

/// Who a module comes from, by its path: the go command fetches a module from the place its path names, so that place
/// is the one thing about its supplier that has been checked.
fn owner(path: &str) -> String {
    let parts = if FORGES.iter().any(|forge| path.starts_with(&format!("{forge}/"))) { 2 } else { 1 };
    path.split('/').take(parts).collect::<Vec<_>>().join("/")
}

/// The SHA-256 in an `h1:` sum, as hex. It hashes the sorted list of the module's files with their SHA-256 (Go modules
/// reference, "go.sum files"), not an archive: archives of one module may differ, this never does. The OWASP generator
/// for Go modules puts it into CycloneDX hashes, and in SPDX 2.3 a package checksum is what "unique identification" by
/// "an independently reproducible mechanism" takes (7.10). The sum itself stands beside it, so that nobody compares it
/// with the hash of a zip file.
fn h1(sum: &str) -> Option<String> {
    let bytes = BASE64.decode(sum.strip_prefix("h1:")?).ok()?;
    (bytes.len() == 32).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn property(name: &str, value: String) -> (String, String) {
    (format!("{TOOL}:{name}"), value)
}
