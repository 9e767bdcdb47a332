//! Real programs of the pinned Go: what is read from them and written into the documents is what `go version -m` says.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that can't be set up fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use semver::Version;
use serde_json::Value;
use xtask::build::{Built, BuiltImage, BuiltPlatform};
use xtask::config::Config;
use xtask::go::Go;
use xtask::oci::spec::Descriptor;
use xtask::oci::{Digest, Platform};
use xtask::plan::{Overrides, Plan, SourceFacts};
use xtask::sbom::buildinfo::{self, Module};
use xtask::sbom::{self, Format, Sbom};
use xtask::ui::Ui;

const GO: Version = Version::new(1, 27, 3);

/// One of each word size and byte order.
const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/s390x", "linux/arm/v7"];

const TABLE: &str = r#"
[build]
platforms = ["linux/amd64", "linux/arm64", "linux/s390x", "linux/arm/v7"]
[images.modules]
package = "."
repository = "modules"
[publish]
registry = "registry.example/owner"
[tools]
go = "1.27.3"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.9.0"
"#;

/// The fixture's program for every platform.
struct Bench {
    folder: tempfile::TempDir,
    go: Go,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            folder: tempfile::tempdir().expect("a folder"),
            go: Go::new(&GO, &Ui::silent()).expect("go is installed"),
        }
    }

    fn build(&self, platform: &str, ldflags: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/modules");
        let program = self.folder.path().join(format!("{}{}", platform.replace('/', "-"), ldflags.replace(' ', "")));
        let output = program.to_str().expect("a path that is text");
        let platform: Platform = platform.parse().expect("a platform");
        let args = ["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", output, "."];
        self.go
            .run(&source, Some(&platform), &args)
            .and_then(|run| run.read(&Ui::silent()))
            .expect("the fixture builds");
        program
    }

    /// `go version -m`, as JSON.
    fn says(&self, program: &Path) -> Value {
        let args = ["version", "-m", "-json", program.to_str().expect("a path that is text")];
        let run = self.go.run(self.folder.path(), None, &args).expect("a folder");
        serde_json::from_slice(&run.read(&Ui::silent()).expect("go reads the program")).expect("JSON")
    }

    fn documents(&self) -> Vec<Sbom> {
        let config = Config::parse(Path::new("release.toml"), TABLE).expect("a table");
        let source = SourceFacts { location: ".".into(), revision: None, epoch: 1_700_000_000, dirty: false };
        let plan = Plan::new(&config, Version::new(1, 2, 0), source, &Overrides::default()).expect("a plan");
        let images = plan.images.iter().map(|image| BuiltImage {
            plan: image.clone(),
            index: Descriptor::of("application/octet-stream", b"index"),
            platforms: plan.platforms.iter().map(|platform| self.platform(platform)).collect(),
        });
        let built = Built { images: images.collect(), plan };
        sbom::generate(&built, &Ui::silent()).expect("the programs can be described").documents
    }

    fn platform(&self, platform: &Platform) -> BuiltPlatform {
        let program = self.build(&platform.to_string(), "-s -w");
        let descriptor =
            |what: &str| Descriptor::of("application/octet-stream", format!("{what} {platform}").as_bytes());
        BuiltPlatform {
            platform: platform.clone(),
            manifest: descriptor("manifest"),
            config: descriptor("config"),
            layers: Vec::new(),
            program_digest: Digest::of(&std::fs::read(&program).expect("the program is there")),
            program,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn module(said: &Value) -> Module {
    Module {
        path: text(&said["Path"]),
        version: text(&said["Version"]),
        sum: said["Sum"].as_str().map(Into::into),
        replace: said.get("Replace").map(|by| Box::new(module(by))),
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn every_fact_of_go_version_is_read_on_every_kind_of_platform() {
    let bench = Bench::new();
    for platform in PLATFORMS {
        for ldflags in ["", "-s -w"] {
            let program = bench.build(platform, ldflags);
            let (info, said) = (buildinfo::read(&program).expect("a Go program"), bench.says(&program));
            assert_eq!((&info.go_version, &info.path), (&text(&said["GoVersion"]), &text(&said["Path"])), "{platform}");
            assert_eq!(info.main, module(&said["Main"]), "{platform}");
            assert_eq!(info.deps, list(&said["Deps"]).iter().map(module).collect::<Vec<_>>(), "{platform}");
            assert_eq!(info.deps.len(), 5, "the fixture's modules");
            let settings: BTreeMap<_, _> =
                list(&said["Settings"]).iter().map(|s| (text(&s["Key"]), text(&s["Value"]))).collect();
            assert_eq!(info.settings, settings, "{platform}");
        }
    }
}

/// The Go modules a document lists, by name and version.
fn listed(sbom: &Sbom) -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_slice(&sbom.bytes).expect("JSON");
    match sbom.format {
        Format::CycloneDx => list(&document["components"])
            .iter()
            .filter(|c| c["type"] == "library")
            .map(|c| (text(&c["name"]), text(&c["version"])))
            .collect(),
        Format::Spdx => list(&document["packages"])
            .iter()
            .filter(|p| p["primaryPackagePurpose"] == "LIBRARY")
            .map(|p| (text(&p["name"]), text(&p["versionInfo"])))
            .collect(),
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn documents_list_what_go_version_lists_and_nothing_else() {
    let bench = Bench::new();
    let documents = bench.documents();
    assert_eq!(documents.len(), 2 * PLATFORMS.len());
    for sbom in &documents {
        let said = bench.says(&bench.folder.path().join(format!("{}-s-w", sbom.platform.slug())));
        // The code that is in the program: the replacement, but for a folder, whose path is of no use elsewhere.
        let linked = |dep: &Value| match dep.get("Replace") {
            Some(by) if text(&by["Path"]).starts_with('.') => (text(&dep["Path"]), text(&by["Version"])),
            Some(by) => (text(&by["Path"]), text(&by["Version"])),
            None => (text(&dep["Path"]), text(&dep["Version"])),
        };
        let mut expected: BTreeSet<_> = list(&said["Deps"]).iter().map(linked).collect();
        expected.insert(("stdlib".into(), GO.to_string()));
        // Built from a folder, the main module has the release's version.
        expected.insert((text(&said["Main"]["Path"]), "v1.2.0".into()));
        assert_eq!(listed(sbom), expected, "{} {:?}", sbom.platform, sbom.format);
    }
}
