//! The real Trivy with a real database on images that xtask built. Needs the Go module proxy, and minutes to compile
//! Trivy on a machine that hasn't got it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harness::registry::Registry;
use harness::trivydb::{publish, trivydb};
use harness::{Repo, checkout, read, tools};
use serde_json::Value;
use xtask::build::{Built, export};
use xtask::config;
use xtask::oci::store::Store;
use xtask::scan::trivy::{Hit, Options, Trivy};
use xtask::scan::{Kind, Severity};
use xtask::ui::Ui;

/// What lets outdated programs out.
const LENIENT: &str = "[scan]\nfail-on = []\nfail-on-reachable = false\n";

/// A built version in a repository of its own, and Trivy with a database from a layout.
struct Lab {
    repo: Repo,
    table: String,
    config: config::Trivy,
}

impl Lab {
    fn new(prepare: impl FnOnce(&Repo)) -> Lab {
        let repo = Repo::tiny();
        prepare(&repo);
        repo.commit("prepare");
        repo.succeed(&["build", "v1.2.0"]);
        trivydb().publish(&repo.path().join("db"));
        Lab { table: repo.read("release.toml"), repo, config: from(&["oci:db"]) }
    }

    fn open(&self, offline: bool) -> xtask::error::Result<Trivy> {
        let (root, cache) = (self.repo.path(), self.repo.path().join("cache"));
        let options = Options { root, cache: &cache, config: &self.config, refresh_hours: 0, offline };
        Trivy::open(&tools::trivy(), &options, &Ui::silent())
    }

    /// What is found in each image platform.
    fn scan(&self, vex: Option<&Path>) -> BTreeMap<String, Vec<Hit>> {
        let trivy = self.open(false).unwrap();
        let cache = self.repo.path().join("target/xtask");
        let built: Built = serde_json::from_slice(&std::fs::read(cache.join("built.json")).unwrap()).unwrap();
        let mut found = BTreeMap::new();
        for image in &built.images {
            let layout = export(image, &Store::new(cache.join("store")), &cache.join("layouts")).unwrap();
            for platform in &image.platforms {
                let hits = trivy.scan(&layout, platform, vex, &Ui::silent()).unwrap();
                found.insert(format!("{} {}", image.plan.name, platform.platform), hits);
            }
        }
        found
    }

    /// Lets `cargo xtask scan` take Trivy and its database from `source`, and look at images only.
    fn configure(&self, source: &str) {
        let version = config::Config::load(&checkout(), None).unwrap().tools.pin("trivy").unwrap().version;
        let settings = format!(
            "trivy = \"{version}\"\n[scan.trivy]\nwhen = \"always\"\ndb-repositories = [\"{source}\"]\nfiles = []\n"
        );
        self.repo.write("release.toml", &format!("{}\n{settings}", self.table));
    }
}

fn from(sources: &[&str]) -> config::Trivy {
    let db_repositories = sources.iter().map(|source| source.parse().unwrap()).collect();
    config::Trivy { db_repositories, ..config::Trivy::default() }
}

fn ids(hits: &[Hit], package: &str) -> BTreeSet<String> {
    hits.iter().filter(|hit| hit.finding.package == package).map(|hit| hit.finding.id.clone()).collect()
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn known_vulnerabilities_are_found_by_name_in_every_platform() {
    let lab = Lab::new(|repo| repo.take("outdated"));
    let found = lab.scan(None);
    assert_eq!(found.len(), 4);
    for (place, hits) in &found {
        for (module, version, some) in [
            ("golang.org/x/net", "0.15.0", ["CVE-2023-39325", "CVE-2023-45288", "CVE-2024-45338"]),
            ("golang.org/x/crypto", "0.14.0", ["CVE-2023-48795", "CVE-2024-45337", "CVE-2025-22869"]),
        ] {
            let ids = ids(hits, module);
            assert_eq!(ids, trivydb().known_about(module, version), "{module} in {place}");
            assert!(some.iter().all(|id| ids.contains(*id)), "{module} in {place}: {ids:?}");
        }
        // https://pkg.go.dev/vuln/GO-2020-0017, which is mended in no version of this module.
        let jwt = hits.iter().find(|hit| hit.finding.id == "CVE-2020-26160").unwrap();
        assert_eq!((jwt.finding.severity, jwt.finding.fixed.as_deref()), (Severity::High, None));
        assert!(hits.iter().all(|hit| hit.target.starts_with("usr/local/bin/")), "{place}");
        // https://pkg.go.dev/vuln/GO-2024-3333
        let html = hits.iter().find(|hit| hit.finding.id == "CVE-2024-45338").unwrap();
        assert_eq!(html.finding.fix.as_deref(), Some("go get golang.org/x/net@v0.33.0"));
        assert!(html.finding.aliases.contains(&"GO-2024-3333".to_owned()), "{:?}", html.finding.aliases);
    }
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn a_program_without_dependencies_has_no_findings_but_those_of_its_toolchain() {
    let lab = Lab::new(|_| {});
    let go = config::Config::load(lab.repo.path(), None).unwrap().tools.go;
    for (place, hits) in lab.scan(None) {
        assert_eq!(ids(&hits, "stdlib"), trivydb().known_about("stdlib", &go.to_string()), "{place}");
        assert!(hits.iter().all(|hit| hit.finding.package == "stdlib"), "{place}: {hits:?}");
    }
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn a_secret_is_found_where_it_is() {
    let token = format!("ghp_{}", "0123456789abcdefghijklmnopqrstuvwxyz");
    let lab = Lab::new(|repo| repo.write("source/web/settings.env", &format!("A=1\nTOKEN={token}\n")));
    let found = lab.scan(None);
    let (with, without): (Vec<_>, Vec<_>) = found.iter().partition(|(place, _)| place.starts_with("node"));
    for (place, hits) in with {
        let secret = hits.iter().find(|hit| hit.finding.kind == Kind::Secret).unwrap_or_else(|| panic!("{place}"));
        assert_eq!(secret.finding.location.as_deref(), Some("srv/web/settings.env:2"));
        assert_eq!((secret.finding.id.as_str(), secret.finding.severity), ("github-pat", Severity::Critical));
        assert!(!format!("{secret:?}").contains(&token[4..]), "the secret is repeated");
    }
    assert!(without.iter().all(|(_, hits)| hits.iter().all(|hit| hit.finding.kind != Kind::Secret)));
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn what_an_ignore_file_and_a_vex_document_set_aside_is_still_there_with_the_reason() {
    let lab = Lab::new(|repo| repo.take("outdated"));
    let all = lab.scan(None);
    lab.repo
        .write(".trivyignore.yaml", "vulnerabilities:\n  - id: CVE-2023-48795\n    statement: no SSH server runs\n");
    lab.repo.write(
        "vex.json",
        r#"{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex/1", "author": "test",
            "timestamp": "2026-01-02T03:04:05Z", "version": 1, "statements": [
              {"vulnerability": {"name": "CVE-2024-45338"}, "products": [{"@id": "pkg:golang/golang.org/x/net@v0.15.0"}],
               "status": "not_affected", "justification": "vulnerable_code_not_present"}]}"#,
    );
    let aside = lab.scan(Some(&lab.repo.path().join("vex.json")));
    for (place, hits) in &aside {
        let names = |hits: &[Hit]| hits.iter().map(|hit| hit.finding.id.clone()).collect::<BTreeSet<_>>();
        assert_eq!(names(hits), names(&all[place]), "nothing vanishes");
        let why = |id: &str| hits.iter().find(|hit| hit.finding.id == id).unwrap().finding.set_aside.clone();
        assert_eq!(why("CVE-2023-48795").as_deref(), Some("ignored: no SSH server runs (.trivyignore.yaml)"));
        assert_eq!(why("CVE-2024-45338").as_deref(), Some("not_affected: vulnerable_code_not_present (vex.json)"));
        assert_eq!(hits.iter().filter(|hit| hit.finding.set_aside.is_some()).count(), 2, "{place}");
    }
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn settings_of_dockerfiles_and_manifests_are_found_by_file_and_line() {
    let lab = Lab::new(|_| {});
    std::fs::create_dir(lab.repo.path().join("docker")).unwrap();
    lab.repo.write("docker/Dockerfile.gate", "FROM alpine:latest\nUSER root\n");
    let found = lab.open(false).unwrap().scan_repository(lab.repo.path(), &lab.config, &Ui::silent()).unwrap();
    let at = |id: &str| found.iter().find(|hit| hit.finding.id == id).and_then(|hit| hit.finding.location.as_deref());
    // https://avd.aquasec.com/misconfig/ds-0001 and -0002: a moving tag, and root as the last user.
    assert_eq!(at("DS-0001"), Some("docker/Dockerfile.gate:1"));
    assert_eq!(at("DS-0002"), Some("docker/Dockerfile.gate:2"));
    assert!(found.iter().any(|hit| hit.target == "k8s/workloads.yaml"), "{found:?}");
    lab.repo.write(".trivyignore.yaml", "misconfigurations:\n  - id: DS-0001\n    statement: an example\n");
    let found = lab.open(false).unwrap().scan_repository(lab.repo.path(), &lab.config, &Ui::silent()).unwrap();
    let aside = found.iter().find(|hit| hit.finding.id == "DS-0001").unwrap().finding.set_aside.clone();
    assert_eq!(aside.as_deref(), Some("ignored: an example (.trivyignore.yaml)"));
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn an_sbom_tells_as_much_as_the_image() {
    let lab = Lab::new(|repo| repo.take("outdated"));
    lab.repo.succeed(&["release", "v1.2.0", "--skip-scan", "it is scanned below"]);
    let trivy = lab.open(false).unwrap();
    let images = lab.scan(None);
    for (place, hits) in &images {
        let name = place.replace([' ', '/'], "-");
        for format in ["cdx", "spdx"] {
            let sbom = lab.repo.path().join(format!("dist/v1.2.0/sbom/{name}.{format}.json"));
            let found = trivy.scan_sbom(place, &std::fs::read(&sbom).unwrap(), &Ui::silent()).unwrap();
            let names = |hits: &[Hit]| {
                hits.iter().map(|hit| (hit.finding.package.clone(), hit.finding.id.clone())).collect::<BTreeSet<_>>()
            };
            assert_eq!(names(&found), names(hits), "{place} by {format}");
        }
    }
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn a_database_comes_from_a_registry_and_outlives_it() {
    let registry = Registry::start();
    let source = format!("{}/security/trivy-db:2", registry.address());
    let lab = Lab::new(|repo| repo.take("outdated"));
    read(&tools::crane(), ["push", lab.repo.path().join("db").to_str().unwrap(), &source]);
    lab.configure(&source);
    let scan = lab.repo.run(&["scan", "--json"]);
    assert_eq!(scan.code, Some(4), "{}", scan.stderr);
    let report = scan.json();
    let findings = report["platforms"][0]["findings"].as_array().unwrap();
    let by =
        |id: &str| findings.iter().find(|f| f["id"] == id || aliases(f).contains(&id)).map(|f| f["scanner"].as_str());
    assert_eq!(by("CVE-2024-45338").flatten(), Some("govulncheck, trivy"), "both found the same");
    let layer = trivydb().publish(&lab.repo.path().join("db"));
    let database = report["databases"].as_array().unwrap().iter().find(|d| d["name"] == "trivy-db").unwrap();
    assert_eq!(database["version"], layer.digest.to_string());

    drop(registry);
    let offline = lab.repo.run(&["scan", "--json", "--offline"]);
    assert_eq!((offline.code, &offline.json()["platforms"]), (Some(4), &report["platforms"]), "{}", offline.stderr);
    let refused = lab.repo.run(&["scan", "--offline", "--max-db-age", "0", "--trivy", "never"]);
    assert_eq!(refused.code, Some(4), "without Trivy its database doesn't matter: {}", refused.stderr);
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn which_severities_fail_is_the_table_s_word_or_a_flag_s() {
    let lab = Lab::new(|repo| repo.take("outdated"));
    lab.configure("oci:db");
    // The database gives no severity to what is linked of this program.
    let policy = format!("{LENIENT}unknown = \"as-high\"\n");
    lab.repo.write("release.toml", &format!("{}\n{policy}", lab.repo.read("release.toml")));
    for (flag, code) in [(&[][..], 0), (&["--fail-on", "critical"], 0), (&["--fail-on", "high"], 4)] {
        let outcome = lab.repo.run(&[&["scan"], flag].concat());
        assert_eq!(outcome.code, Some(code), "{flag:?}: {}", outcome.stderr);
    }
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn what_is_out_is_looked_up_again_by_its_sbom_alone() {
    let (registry, lab) = (Registry::start(), Lab::new(|repo| repo.take("outdated")));
    let to = ["--to", registry.address()];
    lab.repo.write("release.toml", &format!("{}\n{LENIENT}", lab.table));
    lab.repo.commit("let anything pass");
    lab.repo.succeed(&[&["release", "v1.2.0"], &to[..]].concat());
    lab.configure("oci:db");
    let before = lab.repo.run(&["scan", "--json"]);
    let again = lab.repo.run(&[&["scan", "--released", "v1.2.0", "--json", "--no-attach"], &to[..]].concat());
    assert_eq!((before.code, again.code), (Some(4), Some(4)), "{}", again.stderr);
    let findings = |report: &Value| {
        let of = |finding: &Value| {
            ["id", "package", "severity", "scanner", "reachable", "violation"].map(|key| finding[key].to_string())
        };
        let platforms = report["platforms"].as_array().unwrap().iter();
        let all = platforms.map(|platform| (platform["manifest"].clone(), platform["findings"].clone()));
        all.map(|(manifest, found)| {
            (manifest.to_string(), found.as_array().unwrap().iter().map(of).collect::<BTreeSet<_>>())
        })
        .collect::<BTreeMap<_, _>>()
    };
    let (by_image, by_sbom) = (findings(&before.json()), findings(&again.json()["report"]));
    assert_eq!(by_image.len(), 4);
    // https://pkg.go.dev/vuln/GO-2020-0017: of those in these programs the one with a severity.
    assert!(by_image.values().flatten().any(|[id, _, severity, scanner, ..]| {
        (id.as_str(), severity.as_str(), scanner.as_str()) == ("\"GO-2020-0017\"", "\"high\"", "\"govulncheck, trivy\"")
    }));
    assert_eq!(by_image, by_sbom);
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn anybodys_trivy_takes_the_vex_of_a_release() {
    let (registry, repo) = (Registry::start(), Repo::tiny());
    repo.take("outdated");
    repo.write("release.toml", &format!("{}\n{LENIENT}", repo.read("release.toml")));
    repo.commit("be outdated, and let it pass");
    repo.succeed(&["release", "v1.2.0", "--to", registry.address()]);
    let vex = repo.path().join("dist/v1.2.0/scan/vex/gate.json");
    let image = format!("{}/tiny-gate:v1.2.0", registry.address());
    let said: Value = serde_json::from_slice(&std::fs::read(&vex).unwrap()).unwrap();
    let cache = repo.path().join("cache");
    std::fs::create_dir_all(cache.join("db")).unwrap();
    for name in ["trivy.db", "metadata.json"] {
        std::fs::write(cache.join("db").join(name), trivydb().read(name)).unwrap();
    }
    let scan = |platform: &str, more: &[&str]| {
        let mut args = vec!["image", "--insecure", "--image-src=remote", "--scanners=vuln", "--format=json", "--quiet"];
        args.extend(["--skip-db-update", "--offline-scan", "--show-suppressed", "--platform", platform]);
        args.extend(["--cache-dir", cache.to_str().unwrap()]);
        let report = read(&tools::trivy(), [&args[..], more, &[&image]].concat());
        let report: Value = serde_json::from_str(&report).unwrap();
        let names = |key: &str, of: fn(&Value) -> &Value| {
            let all = report["Results"].as_array().into_iter().flatten().flat_map(|r| r[key].as_array()).flatten();
            all.map(|found| of(found)["VulnerabilityID"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        (names("Vulnerabilities", |found| found), names("ExperimentalModifiedFindings", |found| &found["Finding"]))
    };
    for (platform, arch) in [("linux/amd64", "arch=amd64"), ("linux/arm64", "arch=arm64")] {
        let about = |statement: &&Value| statement["products"].to_string().contains(arch);
        let statements: Vec<&Value> = said["statements"].as_array().unwrap().iter().filter(about).collect();
        let named = |status: &str| {
            let of = statements.iter().filter(|s| s["status"] == status);
            let names = of.map(|s| &s["vulnerability"]).flat_map(|v| aliases(v).into_iter().chain(v["name"].as_str()));
            names.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let (all, _) = scan(platform, &[]);
        let (left, aside) = scan(platform, &["--vex", vex.to_str().unwrap()]);
        assert!(!named("not_affected").is_disjoint(&all), "{platform}: something is not linked: {statements:?}");
        assert_eq!(aside, named("not_affected").intersection(&all).cloned().collect(), "{platform}");
        assert_eq!(left, all.difference(&aside).cloned().collect(), "{platform}");
        assert!(named("affected").intersection(&all).all(|name| left.contains(name)), "{platform}");
    }
}

fn aliases(finding: &Value) -> Vec<&str> {
    finding["aliases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
#[ignore = "needs Trivy, compiled through the module proxy: run by cargo xtask ci --all"]
fn trouble_with_the_database_is_exit_code_7_and_never_a_pass() {
    let lab = Lab::new(|_| {});
    let expect = |source: &str, flags: &[&str], why: &str| {
        lab.configure(source);
        let run = lab.repo.run(&[&["scan"][..], flags].concat());
        assert_eq!(run.code, Some(7), "{source} {flags:?}: {}", run.stderr);
        assert!(run.stderr.contains(why) && run.stderr.contains("hint: "), "{source} {flags:?}: {}", run.stderr);
    };
    let folder = |name: &str| lab.repo.path().join(name);
    let (whole, metadata) = (trivydb().read("trivy.db"), trivydb().read("metadata.json"));

    expect("127.0.0.1:1/trivy-db:2", &[], "can't be had");
    expect("127.0.0.1:1/trivy-db:2", &["--offline"], "--offline");
    expect("oci:missing", &[], "missing");
    let schema_1 = String::from_utf8(metadata.clone()).unwrap().replace("\"Version\":2", "\"Version\":1");
    publish(&folder("schema"), &whole, schema_1.as_bytes());
    expect("oci:schema", &[], "schema is version 1");
    let old = br#"{"Version": 2, "UpdatedAt": "2020-01-02T03:04:05Z", "NextUpdate": "2020-01-03T03:04:05Z"}"#;
    publish(&folder("old"), &whole, old);
    expect("oci:old", &[], "max-db-age");
    // Published as it is, so that only Trivy can tell.
    publish(&folder("garbage"), &vec![7; 1 << 20], &metadata);
    expect("oci:garbage", &[], "invalid database");
    publish(&folder("cut"), &whole[..whole.len() / 8], &metadata);
    expect("oci:cut", &[], "trivy");

    lab.configure("oci:db");
    lab.repo.succeed(&["scan"]);
    for database in databases(&folder("target/xtask/trivy")) {
        let mut bytes = std::fs::read(&database).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&database, bytes).unwrap();
    }
    std::fs::rename(folder("db"), folder("elsewhere")).unwrap();
    expect("oci:db", &[], "damaged");
    std::fs::rename(folder("elsewhere"), folder("db")).unwrap();
    lab.repo.succeed(&["scan"]);
}

fn databases(root: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(root).into_iter().flatten().map(walkdir::DirEntry::into_path);
    files.filter(|path| path.ends_with("trivy.db")).collect()
}
