mod base;
mod refused;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fixture::{self, Layout};
use super::*;
use crate::config::Config;
use crate::error::Class;
use crate::oci::layer::{self, Tree};
use crate::oci::spec::{Descriptor, Document, Execution, ImageConfig, RootFs, annotation, media};
use crate::plan::{ImagePlan, Overrides, SourceFacts};

const TABLE: &str = r#"
[build]
platforms = ["linux/amd64", "linux/s390x"]
[images.gate]
package = "./cmd/gate"
repository = "goverse-gate"
[images.node]
package = "./cmd/node"
repository = "goverse-node"
[publish]
registry = "ghcr.io/example"
[tools]
go = "1.27.3"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.1.4"
"#;

/// One module of each kind, as the go command writes them.
const MODULES: &str = "mod\texample.com/Main\t(devel)\t\n\
    dep\texample.com/local\tv1.0.0\n\
    =>\t./local\t(devel)\t\n\
    dep\tgithub.com/BurntSushi/toml\tv1.4.0\th1:kuoIxZQy2WRRk1pttg9asf+WVv6tWQuBNVmK8+nqPr0=\n\
    dep\tgithub.com/docker/distribution\tv2.8.3+incompatible\th1:AtKxIZ36LoNK51+Z6RpzLpddBirtxJnzDrHLEKxTAYk=\n\
    dep\tgithub.com/pkg/errors\tv0.9.0\n\
    =>\tgithub.com/fork/errors\tv0.9.1\th1:FEBLx1zS214owpjy7qsBeixbURkuhQAwrK5UwLGTwt4=\n\
    dep\tgolang.org/x/net\tv0.0.0-20191109021931-daa7c04131f5\n";

const BASE: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A build without a build: programs that hold nothing but build information.
struct Bench {
    folder: tempfile::TempDir,
    built: Built,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(TABLE, MODULES)
    }

    fn with(table: &str, modules: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::parse(Path::new("release.toml"), table).unwrap();
        let source = SourceFacts {
            location: "sample".into(),
            revision: Some("c0ffee".into()),
            epoch: 1_700_000_000,
            dirty: true,
        };
        let plan = Plan::new(&config, "1.2.0".parse().unwrap(), source, &Overrides::default()).unwrap();
        let images = plan.images.iter().map(|image| {
            let platforms = plan.platforms.iter().map(|p| platform(folder.path(), image, p, modules));
            BuiltImage {
                plan: image.clone(),
                index: Descriptor::of("application/octet-stream", image.name.as_bytes()),
                platforms: platforms.collect(),
            }
        });
        Bench { built: Built { images: images.collect(), plan }, folder }
    }

    fn generate(&self) -> Result<Sboms> {
        let store = store(self.folder.path());
        let notes = self.folder.path().join("notes");
        let modules = Some(self.folder.path().join("modules"));
        let sources = Sources { store: &store, notes: &notes, modules, module: Some(self.folder.path()) };
        generate(&self.built, &sources, &Ui::silent())
    }

    fn documents(&self) -> Vec<Sbom> {
        self.generate().unwrap().documents
    }

    /// Puts a layer of these files below the first image platform's own.
    fn base(&mut self, files: &[(&str, &str)]) {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.bytes(&path.parse().unwrap(), 0o644, text.as_bytes().to_vec());
        }
        let folder = self.folder.path();
        let layer = layer::make(&tree, 0, Default::default(), &store(folder), &folder.join("layers")).unwrap();
        self.built.images[0].platforms[0].layers.insert(0, layer.descriptor);
    }

    /// Makes the first image platform's configuration say another version.
    fn label(&mut self, version: Option<&str>) {
        let platform = self.built.images[0].platforms[0].platform.clone();
        self.built.images[0].platforms[0].config = config(self.folder.path(), "gate", &platform, version);
    }

    /// The first image platform's CycloneDX and SPDX documents.
    fn pair(&self) -> [Value; 2] {
        let documents = self.documents();
        [json(&documents[0]), json(&documents[1])]
    }

    fn program(&self) -> PathBuf {
        self.built.images[0].platforms[0].program.clone()
    }

    fn error(&self) -> Error {
        self.generate().unwrap_err()
    }
}

fn store(folder: &Path) -> Store {
    Store::new(folder.join("store"))
}

/// A configuration in the store that says it is this version.
fn config(folder: &Path, image: &str, platform: &Platform, version: Option<&str>) -> Descriptor {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let labels = version.map(|version| label(annotation::VERSION, version));
    let config = ImageConfig {
        created: None,
        architecture: platform.architecture().into(),
        os: platform.os().into(),
        variant: None,
        config: Execution {
            labels: labels.into_iter().chain([label("image", image)]).collect(),
            ..Execution::default()
        },
        rootfs: RootFs { kind: "layers".into(), diff_ids: Vec::new() },
        history: Vec::new(),
    };
    let document = Document::new(media::CONFIG, &config).unwrap();
    store(folder).put(&document).unwrap();
    document.descriptor
}

fn platform(folder: &Path, image: &ImagePlan, platform: &Platform, modules: &str) -> BuiltPlatform {
    let image = image.name.as_str();
    let architecture = platform.architecture();
    let text =
        format!("path\texample.com/Main/cmd/{image}\n{modules}build\tGOARCH={architecture}\nbuild\tGOOS=linux\n");
    let bytes = go_program(architecture, &text);
    let program = folder.join(format!("{image}-{architecture}"));
    std::fs::write(&program, &bytes).unwrap();
    let descriptor =
        |what: &str| Descriptor::of("application/octet-stream", format!("{what} {image} {platform}").as_bytes());
    BuiltPlatform {
        platform: platform.clone(),
        manifest: descriptor("manifest"),
        config: config(folder, image, platform, Some("v1.2.0")),
        layers: Vec::new(),
        program,
        program_digest: Digest::of(&bytes),
    }
}

fn go_program(architecture: &str, text: &str) -> Vec<u8> {
    let layout = Layout { wide: true, big: architecture == "s390x" };
    let elf = fixture::elf(layout, ".go.buildinfo", &fixture::section("go1.27.3", text));
    [elf.as_slice(), b"\0v1.2.0\0"].concat()
}

fn json(sbom: &Sbom) -> Value {
    serde_json::from_slice(&sbom.bytes).unwrap()
}

fn list<'a>(document: &'a Value, field: &str) -> Vec<&'a Value> {
    document[field].as_array().unwrap().iter().collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Once for each format.
fn twice<T: Copy>(items: &[T]) -> Vec<T> {
    items.iter().flat_map(|item| [*item, *item]).collect()
}

/// Every component of a CycloneDX document, its subject first.
fn components(document: &Value) -> Vec<&Value> {
    [&document["metadata"]["component"]].into_iter().chain(list(document, "components")).collect()
}

/// What one component is, whatever the format: name, version, package URL and SHA-256.
type Fact = (String, String, String, Option<String>);

fn facts(document: &Value) -> Vec<Fact> {
    let fact = |part: &Value, version: &Value, purl: &Value, hash: &Value| {
        let or_none = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&part["name"]).into(), or_none(version), or_none(purl), hash.as_str().map(Into::into))
    };
    match document.get("bomFormat") {
        Some(_) => components(document)
            .iter()
            .map(|c| fact(c, &c["version"], &c["purl"], &c["hashes"][0]["content"]))
            .collect(),
        None => list(document, "packages")
            .iter()
            .map(|p| {
                let purl = &p["externalRefs"][0]["referenceLocator"];
                fact(p, &p["versionInfo"], purl, &p["checksums"][0]["checksumValue"])
            })
            .collect(),
    }
}

/// What is declared of a component's license, if it is an expression.
fn license(document: &Value, name: &str) -> Option<String> {
    let declared = match document.get("bomFormat") {
        Some(_) => {
            components(document).into_iter().find(|c| c["name"] == name).unwrap()["licenses"][0]["expression"].clone()
        }
        None => list(document, "packages").into_iter().find(|p| p["name"] == name).unwrap()["licenseDeclared"].clone(),
    };
    declared.as_str().filter(|text| *text != "NOASSERTION").map(Into::into)
}

/// The properties of a component with this name, out of the format's wrapping.
fn properties(document: &Value, name: &str) -> BTreeMap<String, String> {
    let pair = |(key, value): (&str, &str)| (key.trim_start_matches("goverse-release:").to_owned(), value.to_owned());
    match document.get("bomFormat") {
        Some(_) => {
            let part = components(document).into_iter().find(|c| c["name"] == name).unwrap();
            part.get("properties")
                .map(|_| list(part, "properties"))
                .unwrap_or_default()
                .into_iter()
                .map(|p| pair((text(&p["name"]), text(&p["value"]))))
                .collect()
        }
        None => {
            let part = list(document, "packages").into_iter().find(|p| p["name"] == name).unwrap();
            part["comment"].as_str().unwrap_or_default().lines().map(|l| pair(l.split_once('=').unwrap())).collect()
        }
    }
}

/// The table for one platform on a base.
fn on_a_base() -> String {
    let both = "platforms = [\"linux/amd64\", \"linux/s390x\"]";
    TABLE.replace(both, &format!("platforms = [\"linux/amd64\"]\nbase = \"registry.example/base:3@{BASE}\""))
}

const ALPINE: &[(&str, &str)] = &[
    ("/etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.22.1\n"),
    (
        "/lib/apk/db/installed",
        "P:musl\nV:1.2.5-r10\nA:x86_64\nL:MIT\no:musl\n\nP:musl-utils\nV:1.2.5-r10\nA:x86_64\nL:see file\no:musl\n",
    ),
];

#[test]
fn each_image_platform_has_a_document_of_each_format_in_order() {
    let bench = Bench::new();
    let documents = bench.documents();
    let names: Vec<_> =
        documents.iter().map(|d| format!("{} {} {}", d.image, d.platform, d.format.extension())).collect();
    let expected = [
        "gate linux/amd64 cdx.json",
        "gate linux/amd64 spdx.json",
        "gate linux/s390x cdx.json",
        "gate linux/s390x spdx.json",
        "node linux/amd64 cdx.json",
        "node linux/amd64 spdx.json",
        "node linux/s390x cdx.json",
        "node linux/s390x spdx.json",
    ];
    assert_eq!(names, expected);
    let manifests: Vec<_> = bench.built.images.iter().flat_map(|i| &i.platforms).map(|p| p.manifest.digest).collect();
    assert_eq!(documents.iter().map(|d| d.manifest).collect::<Vec<_>>(), twice(&manifests));
}

#[test]
fn a_document_says_which_manifest_and_which_program_it_is_about() {
    let bench = Bench::new();
    let documents = bench.documents();
    let platforms: Vec<_> = bench.built.images.iter().flat_map(|image| &image.platforms).collect();
    for (sbom, platform) in documents.iter().zip(twice(&platforms)) {
        let facts = facts(&json(sbom));
        let digest = platform.manifest.digest;
        let repository = format!("goverse-{}", sbom.image);
        let purl = format!(
            "pkg:oci/{repository}@{digest}?arch={}&repository_url=ghcr.io%2Fexample%2F{repository}&tag=v1.2.0",
            platform.platform.architecture()
        );
        assert_eq!(facts[0], (repository, "v1.2.0".into(), purl, Some(digest.hex())));
        assert_eq!((&facts[1].0, &facts[1].3), (&sbom.image, &Some(platform.program_digest.hex())));
    }
    let [cyclonedx, spdx] = bench.pair();
    let described =
        spdx["relationships"].as_array().unwrap().iter().find(|r| r["relationshipType"] == "DESCRIBES").unwrap();
    assert_eq!(described["relatedSpdxElement"], spdx["packages"][0]["SPDXID"]);
    assert_eq!(cyclonedx["metadata"]["component"]["type"], "container");
}

#[test]
fn every_kind_of_module_is_listed_as_what_was_linked() {
    // Hashes: each sum by `base64 -d | xxd -p`.
    let expected = [
        ("example.com/Main", "v1.2.0", "pkg:golang/example.com/main@v1.2.0", None),
        ("example.com/local", "(devel)", "pkg:golang/example.com/local", None),
        (
            "github.com/BurntSushi/toml",
            "v1.4.0",
            "pkg:golang/github.com/burntsushi/toml@v1.4.0",
            Some("92ea08c59432d96451935a6db60f5ab1ff9656fead590b8135598af3e9ea3ebd"),
        ),
        (
            "github.com/docker/distribution",
            "v2.8.3+incompatible",
            "pkg:golang/github.com/docker/distribution@v2.8.3%2Bincompatible",
            Some("02d2b1219dfa2e834ae75f99e91a732e975d062aedc499f30eb1cb10ac530189"),
        ),
        (
            "github.com/fork/errors",
            "v0.9.1",
            "pkg:golang/github.com/fork/errors@v0.9.1",
            Some("14404bc75cd2db5e28c298f2eeab017a2c5b51192e850030acae54c0b193c2de"),
        ),
        (
            "golang.org/x/net",
            "v0.0.0-20191109021931-daa7c04131f5",
            "pkg:golang/golang.org/x/net@v0.0.0-20191109021931-daa7c04131f5",
            None,
        ),
        ("stdlib", "1.27.3", "pkg:golang/stdlib@1.27.3", None),
    ];
    let owned = |(name, version, purl, hash): (&str, &str, &str, Option<&str>)| -> Fact {
        (name.into(), version.into(), purl.into(), hash.map(Into::into))
    };
    for document in Bench::new().pair() {
        assert_eq!(facts(&document)[2..], expected.map(owned));
    }
}

#[test]
fn what_a_replacement_stands_for_is_kept() {
    for document in Bench::new().pair() {
        let fork = properties(&document, "github.com/fork/errors");
        assert_eq!(fork["go:replaces"], "github.com/pkg/errors@v0.9.0");
        assert_eq!(fork["go:sum"], "h1:FEBLx1zS214owpjy7qsBeixbURkuhQAwrK5UwLGTwt4=");
        let local = properties(&document, "example.com/local");
        assert_eq!(
            (local["go:replaces"].as_str(), local["go:replaced-by"].as_str()),
            ("example.com/local@v1.0.0", "./local")
        );
    }
}

#[test]
fn how_the_program_was_built_and_from_what_is_kept() {
    for document in Bench::new().pair() {
        let program = properties(&document, "gate");
        assert_eq!(program["go:package"], "example.com/Main/cmd/gate");
        assert_eq!((program["go:toolchain"].as_str(), program["go:setting:GOARCH"].as_str()), ("go1.27.3", "amd64"));
        let image = properties(&document, "goverse-gate");
        assert_eq!((image["source:revision"].as_str(), image["source:modified"].as_str()), ("c0ffee", "true"));
    }
}

#[test]
fn a_folder_of_the_machine_is_never_named() {
    let bench =
        Bench::with(TABLE, "mod\tm\t(devel)\t\ndep\texample.com/local\tv1.0.0\n=>\t/home/someone/local\t(devel)\t\n");
    for sbom in bench.documents() {
        let written = String::from_utf8(sbom.bytes).unwrap();
        assert!(!written.contains("/home/someone"), "{written}");
        assert!(!written.contains(bench.folder.path().to_str().unwrap()), "{written}");
    }
}

#[test]
fn a_main_module_with_the_releases_version_has_it_as_is() {
    for document in Bench::with(TABLE, "mod\texample.com/m\tv1.2.0\t\n").pair() {
        assert_eq!(facts(&document)[2].1, "v1.2.0");
    }
}

#[test]
fn the_same_build_has_the_same_documents_in_any_folder() {
    let bytes = |bench: &Bench| bench.documents().into_iter().map(|d| d.bytes).collect::<Vec<_>>();
    let (one, two) = (Bench::new(), Bench::new());
    assert_eq!(bytes(&one), bytes(&one));
    assert_eq!(bytes(&one), bytes(&two));
}

#[test]
fn no_two_documents_share_their_identifier() {
    let mut bench = Bench::new();
    let identifiers = |bench: &Bench| -> Vec<String> {
        let of =
            |document: Value| text(document.get("serialNumber").unwrap_or(&document["documentNamespace"])).to_owned();
        bench.documents().iter().map(json).map(of).collect()
    };
    let before = identifiers(&bench);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), before.len());
    assert!(before.iter().all(|id| id.starts_with("urn:uuid:")), "{before:?}");
    bench.built.images[0].platforms[0].manifest = Descriptor::of("application/octet-stream", b"another");
    let after = identifiers(&bench);
    assert!(before[0] != after[0] && before[1] != after[1]);
    assert_eq!(before[2..], after[2..]);
}

/// What the NTIA's "The Minimum Elements For a Software Bill of Materials" wants and a document lacks: supplier, name,
/// version and another identifier of every component, its relationship to something, author, timestamp.
fn missing(document: &Value) -> Vec<String> {
    let related: BTreeSet<String> = relations(document).into_iter().flat_map(|(from, to)| [from, to]).collect();
    let (parts, author, time, [supplier, version, id]) = match document.get("bomFormat") {
        Some(_) => {
            let metadata = &document["metadata"];
            let fields = ["/supplier/name", "/version", "/purl"];
            (components(document), &metadata["manufacturer"]["name"], &metadata["timestamp"], fields)
        }
        None => {
            let info = &document["creationInfo"];
            let fields = ["/supplier", "/versionInfo", "/externalRefs/0/referenceLocator"];
            (list(document, "packages"), &info["creators"][0], &info["created"], fields)
        }
    };
    let said =
        |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|t| !t.is_empty() && t != "NOASSERTION");
    let mut lacks: Vec<String> = [("author", author), ("timestamp", time)]
        .into_iter()
        .filter(|(_, value)| !said(Some(value)))
        .map(|(what, _)| what.to_owned())
        .collect();
    for part in parts {
        let reference = part.get("bom-ref").unwrap_or(&part["SPDXID"]);
        // A distribution has no purl; it is known by its name and version.
        let system = part["type"] == "operating-system" || part["primaryPackagePurpose"] == "OPERATING_SYSTEM";
        let wanted = ["/name", supplier, version].into_iter().chain((!system).then_some(id));
        lacks.extend(wanted.filter(|field| !said(part.pointer(field))).map(|field| format!("{reference}{field}")));
        if !related.contains(text(reference)) {
            lacks.push(format!("{reference} relationship"));
        }
    }
    lacks
}

#[test]
fn the_minimum_elements_are_there() {
    let mut on_a_base = Bench::with(&on_a_base(), MODULES);
    on_a_base.base(ALPINE);
    for document in Bench::new().pair().iter().chain(&on_a_base.pair()) {
        assert_eq!(missing(document), Vec::<String>::new());
        // The check itself says no.
        let mut without = document.clone();
        let parts = if document.get("bomFormat").is_some() { "components" } else { "packages" };
        without[parts][1]["supplier"] = Value::Null;
        assert_eq!(missing(&without).len(), 1);
    }
    let [cyclonedx, spdx] = Bench::new().pair();
    // 1700000000 by `date -u -d @1700000000 +%FT%TZ`.
    assert_eq!(cyclonedx["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(spdx["creationInfo"]["created"], "2023-11-14T22:13:20Z");
    assert_eq!(cyclonedx["metadata"]["manufacturer"]["name"], "ghcr.io/example");
    assert_eq!(spdx["creationInfo"]["creators"][0], "Organization: ghcr.io/example");
    let labelled =
        TABLE.replace("[build]", "[build]\nlabels = { \"org.opencontainers.image.vendor\" = \"Example Ltd\" }");
    assert_eq!(Bench::with(&labelled, MODULES).pair()[0]["metadata"]["supplier"]["name"], "Example Ltd");
}

/// The relations of a document, as pairs of identifiers that are all known.
fn relations(document: &Value) -> Vec<(String, String)> {
    let (known, pairs): (Vec<&Value>, Vec<(String, String)>) = match document.get("bomFormat") {
        Some(_) => (
            components(document).iter().map(|c| &c["bom-ref"]).collect(),
            list(document, "dependencies")
                .iter()
                .flat_map(|d| list(d, "dependsOn").into_iter().map(|on| (text(&d["ref"]).into(), text(on).into())))
                .collect(),
        ),
        None => (
            [&document["SPDXID"]].into_iter().chain(list(document, "packages").iter().map(|p| &p["SPDXID"])).collect(),
            list(document, "relationships")
                .iter()
                .map(|r| (text(&r["spdxElementId"]).into(), text(&r["relatedSpdxElement"]).into()))
                .collect(),
        ),
    };
    let unique: BTreeSet<&str> = known.iter().map(|id| text(id)).collect();
    assert_eq!(unique.len(), known.len(), "an identifier is used twice");
    assert!(pairs.iter().all(|(from, to)| unique.contains(from.as_str()) && unique.contains(to.as_str())), "{pairs:?}");
    // Each component is what something else holds or needs; the document's subject alone is nobody's part.
    let reached: BTreeSet<&str> = pairs.iter().map(|(_, to)| to.as_str()).collect();
    assert_eq!(unique.difference(&reached).count(), 1, "{pairs:?}");
    pairs
}

#[test]
fn relations_lead_from_the_image_to_every_module() {
    let [cyclonedx, spdx] = Bench::new().pair();
    let needs = |from: &str| {
        let to: Vec<_> = relations(&cyclonedx).into_iter().filter(|(f, _)| f == from).map(|(_, to)| to).collect();
        to.join(" ")
    };
    assert_eq!(needs("image"), "program");
    assert_eq!(needs("program"), "module:example.com/Main");
    let modules = "module:example.com/local module:github.com/BurntSushi/toml module:github.com/docker/distribution \
        module:github.com/pkg/errors module:golang.org/x/net stdlib";
    assert_eq!(needs("module:example.com/Main"), modules);
    assert_eq!(relations(&spdx).len(), 1 + relations(&cyclonedx).len(), "and DESCRIBES");
}

#[test]
fn licenses_are_those_of_labels_and_of_checked_modules() {
    let labelled =
        TABLE.replace("[build]", "[build]\nlabels = { \"org.opencontainers.image.licenses\" = \"Apache-2.0 OR MIT\" }");
    for document in Bench::with(&labelled, MODULES).pair() {
        for name in ["goverse-gate", "gate", "example.com/Main"] {
            assert_eq!(license(&document, name).as_deref(), Some("Apache-2.0 OR MIT"), "{name}");
        }
        assert_eq!(license(&document, "stdlib").as_deref(), Some("BSD-3-Clause"));
        assert_eq!(license(&document, "github.com/fork/errors"), None);
    }
}

#[test]
fn hostile_module_paths_give_valid_documents() {
    let long = "x".repeat(10_000);
    let paths = [
        "a.b/c",
        "a.b-c",
        "a.b/C",
        "a\"},{\"b",
        "\u{202e}\u{7}\u{0}\\",
        "é/日本",
        "../../etc/passwd",
        "image",
        "stdlib",
        &long,
    ];
    let lines: String = paths.iter().map(|path| format!("dep\t{path}\tv1.0.0\th1:not base64!\n")).collect();
    for document in Bench::with(TABLE, &format!("mod\tm\t(devel)\t\n{lines}")).pair() {
        let names: Vec<String> = facts(&document).into_iter().map(|fact| fact.0).collect();
        assert!(paths.iter().all(|path| names.iter().any(|name| name == path)), "{names:?}");
        assert!(facts(&document).iter().all(|fact| fact.2.bytes().all(|b| b.is_ascii_graphic())));
        assert_eq!(relations(&document).len(), relations(&document).iter().collect::<BTreeSet<_>>().len());
        // Letters, digits, `.` and `-` (SPDX 2.3, 7.2).
        let plain = |id: &Value| text(id).bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        assert!(document.get("bomFormat").is_some() || list(&document, "packages").iter().all(|p| plain(&p["SPDXID"])));
    }
}
