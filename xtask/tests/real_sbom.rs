//! Real programs of the pinned Go: what is read from them and written into the documents is what `go version -m` says.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that can't be set up fails")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harness::{Repo, tools};
use semver::Version;
use serde_json::Value;
use xtask::build::{Built, BuiltImage, BuiltPlatform};
use xtask::config::Config;
use xtask::go::Go;
use xtask::oci::spec::{Descriptor, Document, Execution, ImageConfig, RootFs, annotation, media};
use xtask::oci::store::Store;
use xtask::oci::{Digest, Platform};
use xtask::plan::{Overrides, Plan, SourceFacts};
use xtask::sbom::buildinfo::{self, Module};
use xtask::sbom::{self, Format, Sbom, Sources};
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
        let store = self.store();
        let notes = self.folder.path().join("notes");
        let sources = Sources { store: &store, notes: &notes, modules: self.go.module_cache(), module: None };
        sbom::generate(&built, &sources, &Ui::silent()).expect("the programs can be described").documents
    }

    fn store(&self) -> Store {
        Store::new(self.folder.path().join("store"))
    }

    /// A configuration that says it is the release's version.
    fn config(&self, platform: &Platform) -> Descriptor {
        let labels = BTreeMap::from([(annotation::VERSION.to_owned(), "v1.2.0".to_owned())]);
        let config = ImageConfig {
            created: None,
            architecture: platform.architecture().into(),
            os: platform.os().into(),
            variant: platform.variant().map(Into::into),
            config: Execution { labels, ..Execution::default() },
            rootfs: RootFs { kind: "layers".into(), diff_ids: Vec::new() },
            history: Vec::new(),
        };
        let document = Document::new(media::CONFIG, &config).expect("a configuration");
        self.store().put(&document).expect("the folder can be written");
        document.descriptor
    }

    fn platform(&self, platform: &Platform) -> BuiltPlatform {
        let program = self.build(&platform.to_string(), "-s -w");
        let descriptor =
            |what: &str| Descriptor::of("application/octet-stream", format!("{what} {platform}").as_bytes());
        BuiltPlatform {
            platform: platform.clone(),
            manifest: descriptor("manifest"),
            config: self.config(platform),
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

/// The formats' own schemas: CycloneDX's as its Go library carries them, SPDX's as Syft does.
struct Schemas {
    cyclonedx: jsonschema::Validator,
    spdx: jsonschema::Validator,
}

impl Schemas {
    fn new() -> Schemas {
        let read = |path: PathBuf| -> Value {
            serde_json::from_slice(&std::fs::read(path).expect("the schema is there")).expect("JSON")
        };
        let cyclonedx = tools::module("github.com/CycloneDX/cyclonedx-go", "0.12.0").join("schema");
        let resource = |name: &str, file: &str| {
            let resource = jsonschema::Resource::from_contents(read(cyclonedx.join(file)));
            (format!("http://cyclonedx.org/schema/{name}"), resource)
        };
        let registry = jsonschema::Registry::new()
            .extend([
                resource("spdx.schema.json", "spdx.schema.json"),
                resource("jsf-0.82.schema.json", "jsf-0.82.schemax.json"),
            ])
            .and_then(|registry| registry.prepare())
            .expect("the schemas refer to each other");
        let syft = tools::module("github.com/anchore/syft", "1.57.0").join("schema/spdx-json/spdx-schema-2.3.json");
        let compile = |schema: Value| {
            let options = jsonschema::options().with_registry(&registry).should_validate_formats(true);
            options.build(&schema).expect("a schema")
        };
        Schemas { cyclonedx: compile(read(cyclonedx.join("bom-1.6.schema.json"))), spdx: compile(read(syft)) }
    }

    /// What is wrong with a document, by its own format.
    fn errors(&self, document: &Value) -> Vec<String> {
        let schema = if document.get("bomFormat").is_some() { &self.cyclonedx } else { &self.spdx };
        schema.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect()
    }
}

/// What `release` wrote about a repository's images on this base.
fn released(base: Option<&[&harness::base::Files]>) -> Vec<Value> {
    let repo = Repo::tiny();
    let mut args = vec!["release", "v1.2.0", "--skip-scan", "the scan has tests of its own", "--allow-dirty"];
    let name = base.map(|layers| {
        let digest = harness::base::layout(&repo.path().join("base"), layers, &["linux/amd64", "linux/arm64"]);
        format!("oci:base@{digest}")
    });
    args.extend(name.iter().flat_map(|name| ["--base", name.as_str()]));
    repo.succeed(&args);
    let files = std::fs::read_dir(repo.path().join("dist/v1.2.0/sbom")).expect("the release has SBOMs");
    let read =
        |file: std::fs::DirEntry| serde_json::from_slice(&std::fs::read(file.path()).expect("a file")).expect("JSON");
    files.map(|file| read(file.expect("a file"))).collect()
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn documents_are_valid_by_the_schemas_of_their_formats() {
    let schemas = Schemas::new();
    let documents = Bench::new().documents();
    let mut documents: Vec<Value> =
        documents.iter().map(|sbom| serde_json::from_slice(&sbom.bytes).expect("JSON")).collect();
    for base in [harness::base::ALPINE, harness::base::DEBIAN, harness::base::DISTROLESS] {
        documents.extend(released(Some(base)));
    }
    documents.extend(released(None));
    assert_eq!(documents.len(), 2 * PLATFORMS.len() + 4 * 8);
    for mut document in documents {
        assert_eq!(schemas.errors(&document), Vec::<String>::new(), "{document:#}");
        // A validator that knows the schema says no to these.
        let (list, unknown) =
            if document.get("bomFormat").is_some() { ("components", "type") } else { ("packages", "name") };
        document[list][0][unknown] = Value::from(7);
        assert!(!schemas.errors(&document).is_empty(), "a number for {unknown}");
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn modules_of_the_module_cache_have_their_licenses() {
    // By the files at https://pkg.go.dev/NAME?tab=licenses.
    let licenses =
        [("github.com/BurntSushi/toml", "MIT"), ("github.com/pkg/errors", "BSD-2-Clause"), ("stdlib", "BSD-3-Clause")];
    for sbom in Bench::new().documents() {
        let document: Value = serde_json::from_slice(&sbom.bytes).expect("JSON");
        for (name, license) in licenses {
            let named = |list_name: &str| list(&document[list_name]).into_iter().find(|c| c["name"] == name);
            let declared = match sbom.format {
                Format::CycloneDx => named("components").expect(name)["licenses"][0]["expression"].clone(),
                Format::Spdx => named("packages").expect(name)["licenseDeclared"].clone(),
            };
            assert_eq!(declared, license, "{name}");
        }
    }
}
