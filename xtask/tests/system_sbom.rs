//! The peers, Trivy and Syft, on the same images: what they list and we don't, or the other way round, is known and has
//! a reason. Compiling Trivy takes minutes.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that can't be set up fails")]

mod harness;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use harness::base::{self, Files};
use harness::{Repo, read, read_json, tools};
use serde_json::Value;

/// Who lists something that the other doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Only {
    /// We do.
    Ours,
    /// The peer does.
    Theirs,
}
use Only::{Ours, Theirs};

/// A difference that is known: whose it is, how the purl starts, and why it is there.
type Difference = (Only, &'static str, &'static str);

/// Neither peer knows what an image stands on: it is release.toml that says so.
const BASE: Difference = (Ours, "pkg:oci/base@", "the base, by its digest");

/// What a peer says of a main module that is built from a folder, and so has no version of its own.
const fn unversioned(start: &'static str) -> [Difference; 2] {
    let why = "built from a folder, the main module has the release's version; a peer can't know it";
    [(Ours, start, why), (Theirs, start, why)]
}

const SAMPLE: [Difference; 2] = unversioned("pkg:golang/example.com/goverse/sample");
const TINY: [Difference; 2] = unversioned("pkg:golang/example.com/tiny");

/// Trivy has the toolchain's own word, which is neither a version of the standard library nor of its advisories.
const STANDARD_LIBRARY: [Difference; 2] = {
    let why = "Trivy writes a v before the standard library's version, the Go vulnerability database and Syft don't";
    [(Ours, "pkg:golang/stdlib@1", why), (Theirs, "pkg:golang/stdlib@v1", why)]
};

/// One image platform of a release.
struct Case<'a> {
    repo: &'a Repo,
    image: &'a str,
    platform: &'a str,
}

impl Case<'_> {
    fn layout(&self) -> PathBuf {
        let table: toml::Table = self.repo.read("release.toml").parse().expect("a table");
        let repository = table["images"][self.image]["repository"].as_str().expect("a repository").to_owned();
        self.repo.path().join("dist/v1.2.0/oci").join(repository)
    }

    /// The document that the release wrote.
    fn document(&self) -> PathBuf {
        let platform = self.platform.replace('/', "-");
        self.repo.path().join("dist/v1.2.0/sbom").join(format!("{}-{platform}.cdx.json", self.image))
    }

    /// What a program wrote to `file`.
    fn peer(&self, program: &Path, args: &[&str], file: &str) -> Value {
        let to = self.repo.path().join(file);
        read(program, args.iter().map(|arg| arg.replace("{to}", &to.display().to_string())));
        read_json(&to)
    }

    fn trivy(&self) -> Value {
        let layout = self.single();
        let cache = self.repo.path().join("trivy").display().to_string();
        let args = ["image", "--quiet", "--cache-dir", &cache, "--input", &layout, "--platform", self.platform];
        self.peer(&tools::trivy(), &[&args[..], &["--format", "cyclonedx", "--output", "{to}"]].concat(), "trivy.json")
    }

    fn syft(&self) -> Value {
        let source = format!("oci-dir:{}", self.single());
        let args = ["scan", &source, "--platform", self.platform, "--output", "cyclonedx-json={to}"];
        self.peer(&tools::syft(), &args, "syft.json")
    }

    /// A layout with this platform alone.
    fn single(&self) -> String {
        let single = self.repo.path().join("single").join(self.image).join(self.platform);
        if !single.exists() {
            harness::single::platform(&self.layout(), self.platform, &single);
        }
        single.display().to_string()
    }

    /// Compares, and wants every difference in the table and every row of the table to be a difference.
    fn agree(&self, theirs: &Value, known: &[Difference]) {
        let (ours, theirs) = (purls(&read_json(&self.document())), purls(theirs));
        let mut used = BTreeSet::new();
        let mut unexplained = Vec::new();
        let only = ours.difference(&theirs).map(|p| (Ours, p)).chain(theirs.difference(&ours).map(|p| (Theirs, p)));
        for (whose, purl) in only {
            match known.iter().position(|(side, start, _)| *side == whose && purl.starts_with(start)) {
                Some(row) => drop(used.insert(row)),
                None => unexplained.push((whose, purl)),
            }
        }
        assert_eq!(unexplained, [], "{} for {}", self.image, self.platform);
        let stale: Vec<_> = known.iter().enumerate().filter(|(row, _)| !used.contains(row)).map(|(_, d)| d).collect();
        assert_eq!(stale, Vec::<&Difference>::new(), "no longer a difference: {} for {}", self.image, self.platform);
        assert!(ours.intersection(&theirs).count() > 1, "{ours:?}\n{theirs:?}");
    }
}

fn release(repo: &Repo, more: &[&str]) {
    let args = ["release", "v1.2.0", "--no-pin", "--skip-scan", "the scan has tests of its own"];
    repo.succeed(&[&args[..], more].concat());
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a document says is there, in words that don't depend on who wrote it.
fn purls(document: &Value) -> BTreeSet<String> {
    let parts = list(&document["components"]);
    parts.iter().filter_map(|part| part["purl"].as_str()).map(normal).collect()
}

/// A purl without what tools are free to say or not: subpath, and of the qualifiers all but the architecture. Escapes
/// are undone, a Debian epoch stands in the version (purl-spec, deb-definition.json), and Go's are in lower case.
fn normal(purl: &str) -> String {
    let (purl, qualifiers) = purl.split_once('?').unwrap_or((purl, ""));
    let purl = purl.split('#').next().unwrap_or(purl);
    let qualifier = |name: &str| {
        let pairs = qualifiers.split('#').next().unwrap_or_default().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let mut plain = purl.replace("%2B", "+").replace("%2b", "+").replace("%3A", ":").replace("%7E", "~");
    if let (Some(epoch), Some((name, version))) = (qualifier("epoch"), plain.clone().rsplit_once('@')) {
        plain = format!("{name}@{epoch}:{version}");
    }
    match qualifier("arch").filter(|_| !plain.starts_with("pkg:oci/")) {
        Some(arch) => format!("{plain}?arch={arch}"),
        None if plain.starts_with("pkg:golang/") => plain.to_lowercase(),
        None => plain,
    }
}

#[test]
#[ignore = "compiles Trivy and Syft: run by cargo xtask ci --all"]
fn the_samples_images_hold_what_trivy_and_syft_find() {
    let repo = Repo::sample();
    release(&repo, &[]);
    for image in ["gate", "inspector", "node"] {
        for platform in ["linux/amd64", "linux/arm64"] {
            let case = Case { repo: &repo, image, platform };
            case.agree(&case.trivy(), &[&SAMPLE[..], &STANDARD_LIBRARY].concat());
            case.agree(&case.syft(), &SAMPLE);
        }
    }
}

/// A small image on a base of these layers, against both peers.
fn on(layers: &[&Files]) {
    let repo = Repo::tiny();
    let digest = base::layout(&repo.path().join("base"), layers, &["linux/amd64"]);
    let base = format!("oci:base@{digest}");
    release(&repo, &["--allow-dirty", "--platform", "linux/amd64", "--image", "gate", "--base", &base]);
    let case = Case { repo: &repo, image: "gate", platform: "linux/amd64" };
    case.agree(&case.trivy(), &[&TINY[..], &STANDARD_LIBRARY, &[BASE]].concat());
    case.agree(&case.syft(), &[&TINY[..], &[BASE]].concat());
}

#[test]
#[ignore = "compiles Trivy and Syft: run by cargo xtask ci --all"]
fn an_image_on_alpine_holds_what_trivy_and_syft_find() {
    on(base::ALPINE);
}

#[test]
#[ignore = "compiles Trivy and Syft: run by cargo xtask ci --all"]
fn an_image_on_debian_holds_what_trivy_and_syft_find() {
    on(base::DEBIAN);
}

#[test]
#[ignore = "compiles Trivy and Syft: run by cargo xtask ci --all"]
fn an_image_on_distroless_holds_what_trivy_and_syft_find() {
    on(base::DISTROLESS);
}

/// Packages as Trivy's advisories are about them: name and version, and those of the source package.
fn packages(report: &Value) -> BTreeSet<[String; 4]> {
    let results = list(&report["Results"]).into_iter().filter(|result| result["Class"] == "os-pkgs");
    // Out of an image it takes a version apart, out of a document it doesn't.
    let version = |package: &Value, of: &str| {
        let field = |name: &str| &package[format!("{of}{name}")];
        let epoch = field("Epoch").as_u64().map(|epoch| format!("{epoch}:")).unwrap_or_default();
        let release = field("Release").as_str().map(|release| format!("-{release}")).unwrap_or_default();
        format!("{epoch}{}{release}", text(field("Version")))
    };
    let row = |p: Value| [text(&p["Name"]).into(), version(&p, ""), text(&p["SrcName"]).into(), version(&p, "Src")];
    results.flat_map(|result| list(&result["Packages"])).map(row).collect()
}

#[test]
#[ignore = "compiles Trivy and Syft: run by cargo xtask ci --all"]
fn trivy_reads_the_same_packages_from_our_document_as_from_the_image() {
    for layers in [base::ALPINE, base::DEBIAN, base::DISTROLESS] {
        let repo = Repo::tiny();
        let digest = base::layout(&repo.path().join("base"), layers, &["linux/amd64"]);
        let base = format!("oci:base@{digest}");
        release(&repo, &["--allow-dirty", "--platform", "linux/amd64", "--image", "gate", "--base", &base]);
        let case = Case { repo: &repo, image: "gate", platform: "linux/amd64" };
        let common = ["--quiet", "--scanners", "license", "--list-all-pkgs", "--format", "json", "--output", "{to}"];
        let layout = case.single();
        let image = ["image", "--input", &layout, "--platform", case.platform];
        let from_image = case.peer(&tools::trivy(), &[&image[..], &common].concat(), "image.json");
        let document = case.document().display().to_string();
        let sbom = ["sbom", document.as_str()];
        let from_sbom = case.peer(&tools::trivy(), &[&sbom[..], &common].concat(), "sbom.json");
        assert!(packages(&from_image).len() > 1, "{from_image:#}");
        assert_eq!(packages(&from_sbom), packages(&from_image));
        assert_eq!(from_sbom["Metadata"]["OS"]["Family"], from_image["Metadata"]["OS"]["Family"]);
    }
}
