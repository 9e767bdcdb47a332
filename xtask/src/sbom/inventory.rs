//! What is in one image platform, before it takes the shape of a format: the image, its program, the program's modules,
//! its base and the packages of the base.
//!
//! Takes the build's own facts, the program's build information and what was found in the base, gives an [`Inventory`]
//! with everything the NTIA's minimum elements ask for: supplier, name, version, identifier, relations, author, time.
//! Knows no clock.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::buildinfo::{BuildInfo, Module};
use super::licenses::{self, Licenses};
use super::purl;
use super::system::{Package, Release, System};
use crate::build::{BuiltImage, BuiltPlatform};
use crate::config::Base;
use crate::error::Result;
use crate::oci::spec::annotation;
use crate::plan::Plan;

/// Who made the documents, as their tools section says.
pub(super) const TOOL: &str = "goverse-release";

/// The version of [`TOOL`].
pub(super) const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

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
    /// The base's distribution.
    pub(super) system: Option<Component>,
    /// Packages installed in the base, sorted.
    pub(super) packages: Vec<Component>,
    /// Whether every package database of the base was read.
    pub(super) packages_complete: bool,
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
    /// A distribution.
    OperatingSystem,
    /// A Go module, or a distribution's package.
    Library,
}

/// Under what terms a component comes, as its authors or its distribution say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum License {
    /// An SPDX license expression.
    Expression(String),
    /// Words that are none.
    Words(String),
}

impl License {
    fn declared(text: &str) -> License {
        match spdx::Expression::parse(text) {
            Ok(_) => License::Expression(text.to_owned()),
            Err(_) => License::Words(text.to_owned()),
        }
    }
}

/// What is known of one image platform.
pub(super) struct Parts<'a> {
    /// The release.
    pub(super) plan: &'a Plan,
    /// The image.
    pub(super) image: &'a BuiltImage,
    /// For this platform.
    pub(super) platform: &'a BuiltPlatform,
    /// What its program says.
    pub(super) info: &'a BuildInfo,
    /// What was found in its base.
    pub(super) system: &'a System,
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
    /// Its package URL, where there is a type for it.
    pub(super) purl: Option<String>,
    /// Its name in the National Vulnerability Database, CPE 2.3.
    pub(super) cpe: Option<String>,
    /// SHA-256 in hex: of the file, of the manifest, or for a module its `h1:` sum.
    pub(super) sha256: Option<String>,
    /// Its declared license, where one is known.
    pub(super) license: Option<License>,
    /// More about it, sorted by name.
    pub(super) properties: Vec<(String, String)>,
}

impl Inventory {
    /// Lists what is known to be there.
    pub(super) fn new(parts: &Parts<'_>, licenses: &Licenses) -> Result<Inventory> {
        let Parts { plan, image, info, system, .. } = *parts;
        let release = format!("v{}", plan.version);
        let author = author(image);
        let mut modules = info.deps.iter().map(|dep| module(dep, licenses)).collect::<Result<Vec<_>>>()?;
        modules.push(standard_library(info));
        Ok(Inventory {
            created: plan.created()?,
            image: container(parts, &release, &author),
            base: base(&image.plan.base, system),
            system: system.release.as_ref().map(distribution),
            packages: system.packages.iter().map(|p| package(p, system.release.as_ref())).collect(),
            packages_complete: system.unread.is_empty(),
            program: program(parts, &release, &author),
            main: main_module(parts, &release),
            modules,
            author,
        })
    }

    /// Everything but the image itself.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Component> {
        let program = [&self.program, &self.main].into_iter().chain(&self.modules);
        self.base.iter().chain(&self.system).chain(&self.packages).chain(program)
    }

    /// What the packages are part of: the distribution, or the base of an image that doesn't say which it is.
    pub(super) fn holds_packages(&self) -> Option<&Component> {
        self.system.as_ref().or(self.base.as_ref())
    }
}

/// Whose image it is: the vendor by its label, else the owner of the repository, `ghcr.io/xiaonanln`.
fn author(image: &BuiltImage) -> String {
    let owner = || image.plan.reference.rsplit_once('/').map_or(image.plan.reference.as_str(), |(owner, _)| owner);
    image
        .plan
        .labels
        .get(annotation::VENDOR)
        .map(String::as_str)
        .filter(|v| !v.trim().is_empty())
        .unwrap_or_else(owner)
        .to_owned()
}

/// The license of what is released, as its label says.
fn own_license(image: &BuiltImage) -> Option<License> {
    image.plan.labels.get(annotation::LICENSES).map(|text| License::declared(text))
}

fn container(parts: &Parts<'_>, release: &str, author: &str) -> Component {
    let Parts { plan, image, platform, .. } = *parts;
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
        purl: Some(purl::oci(
            &image.plan.reference,
            digest,
            Some(platform.platform.architecture()),
            Some(&plan.tags.version),
        )),
        cpe: None,
        sha256: Some(digest.hex()),
        license: own_license(image),
        properties,
    }
}

fn base(base: &Base, system: &System) -> Option<Component> {
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
        purl: Some(purl::oci(&name, &digest, None, tag)),
        cpe: None,
        sha256: Some(digest.hex()),
        license: None,
        properties: system.unread.iter().map(|path| property("packages:unread", path.clone())).collect(),
        name,
    })
}

/// A distribution has neither a registry nor a purl type of its own; scanners know it by name and version.
fn distribution(release: &Release) -> Component {
    Component {
        key: "system".into(),
        kind: Kind::OperatingSystem,
        name: release.id.clone(),
        version: release.version.clone().unwrap_or_default(),
        supplier: Some(release.name.clone()),
        purl: None,
        cpe: None,
        sha256: None,
        license: None,
        properties: Vec::new(),
    }
}

fn package(package: &Package, release: Option<&Release>) -> Component {
    let Package { manager, name, version, architecture, source, license } = package;
    let namespace = release.map_or(manager.distribution(), |release| &release.id);
    let distro = release.map(Release::distro);
    // Advisories of distributions are about source packages. These names are what Trivy reads them by.
    let properties = [("SrcName", &source.0), ("SrcVersion", &source.1)];
    Component {
        key: format!("{}:{name}:{architecture}", manager.purl_type()),
        kind: Kind::Library,
        name: name.clone(),
        version: version.clone(),
        supplier: Some(release.map_or_else(|| namespace.to_owned(), |release| release.name.clone())),
        purl: Some(purl::system(manager.purl_type(), namespace, name, version, architecture, distro.as_deref())),
        cpe: None,
        sha256: None,
        license: license.as_deref().map(License::declared),
        properties: properties.map(|(key, value)| (format!("aquasecurity:trivy:{key}"), value.clone())).into(),
    }
}

fn program(parts: &Parts<'_>, release: &str, author: &str) -> Component {
    let Parts { image, platform, info, .. } = *parts;
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
        purl: Some(purl::golang(&info.main.path, Some(main_version(&info.main, release)), package)),
        cpe: None,
        sha256: Some(platform.program_digest.hex()),
        license: own_license(image),
        properties,
    }
}

/// A main module built from a folder has no version but that of the release it is built for.
fn main_version<'a>(main: &'a Module, release: &'a str) -> &'a str {
    if main.is_versioned() { &main.version } else { release }
}

fn main_module(parts: &Parts<'_>, release: &str) -> Component {
    let main = &parts.info.main;
    let version = main_version(main, release);
    let license = own_license(parts.image);
    Component { license, ..library(&main.path, &main.path, version, Some(version), main) }
}

/// A module as it is in the program. A replacement is what was linked, so it gives name, version and sum; what it
/// stands for is a property. A folder in place of a module has neither a path that means anything elsewhere nor a
/// version: it keeps the module's name and claims none of its versions.
fn module(required: &Module, licenses: &Licenses) -> Result<Component> {
    let linked = required.linked();
    let name = if linked.is_folder() { &required.path } else { &linked.path };
    let purl_version = Some(linked.version.as_str()).filter(|_| linked.is_versioned());
    let version = if linked.is_versioned() { &linked.version } else { "(devel)" };
    let mut component = library(&required.path, name, version, purl_version, linked);
    component.license = licenses.of(linked)?.map(License::Expression);
    if required.replace.is_some() {
        component.properties.push(property("go:replaces", format!("{}@{}", required.path, required.version)));
        // A path from the root is of the machine that built it and of no use to anybody else.
        let folder = linked.is_folder() && !linked.path.starts_with('/');
        component.properties.extend(folder.then(|| property("go:replaced-by", linked.path.clone())));
        component.properties.sort();
    }
    Ok(component)
}

fn library(key: &str, name: &str, version: &str, purl_version: Option<&str>, linked: &Module) -> Component {
    Component {
        key: format!("module:{key}"),
        kind: Kind::Library,
        name: name.into(),
        version: version.into(),
        supplier: Some(owner(name)),
        purl: Some(purl::golang(name, purl_version, None)),
        cpe: None,
        sha256: linked.sum.as_deref().and_then(h1),
        license: None,
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
        purl: Some(purl::golang("stdlib", Some(version), None)),
        cpe: released.then(|| format!("cpe:2.3:a:golang:go:{version}:-:*:*:*:*:*:*")),
        sha256: None,
        license: Some(License::Expression(licenses::STANDARD_LIBRARY.into())),
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
