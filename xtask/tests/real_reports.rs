//! The reports of a scan of a real program with the real database, read by others: OpenVEX by its own library, which is
//! Trivy's too, and SARIF by its official schema.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Repo, checkout, read};
use serde_json::Value;

/// Of golang.org/x/text v0.3.5: language.Parse, which the program calls (<https://pkg.go.dev/vuln/GO-2021-0113>).
const LINKED: &str = "CVE-2021-38561";
/// language.ParseAcceptLanguage, which it doesn't (<https://pkg.go.dev/vuln/GO-2022-1059>).
const NOT_LINKED: &str = "CVE-2022-32149";
const MODULE: &str = "pkg:golang/golang.org/x/text@v0.3.5";

/// A repository of vulnerable programs, released to a folder.
fn released() -> (Repo, Value) {
    let repo = Repo::tiny();
    repo.vulnerable();
    let record = repo.succeed(&["release", "v1.2.0", "--json"]).json();
    (repo, record)
}

/// The format's own library as a program; the go command checks it by go.sum.
fn openvex(folder: &Path) -> PathBuf {
    let program = folder.join("openvex");
    let source = checkout().join("xtask/tests/fixtures/openvex");
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-o"]).arg(&program).current_dir(source).env("CGO_ENABLED", "0");
    assert!(go.status().unwrap().success(), "the reader builds");
    program
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn the_formats_own_library_matches_what_is_linked_and_what_is_not() {
    let (repo, record) = released();
    let folder = tempfile::tempdir().unwrap();
    let reader = openvex(folder.path());
    for image in record["images"].as_array().unwrap() {
        let name = image["name"].as_str().unwrap();
        for arch in ["amd64", "arm64"] {
            let document = repo.path().join(format!("dist/v1.2.0/scan/vex/{name}-linux-{arch}.json"));
            // The purl that Trivy gives an image of a registry, by the index that its tag names.
            let index = image["index"]["digest"].as_str().or(image["index"].as_str()).unwrap();
            let product = |name: &str, arch: &str| {
                let url = format!("registry.example.com%2Ftiny%2F{name}");
                let index = index.replace(':', "%3A");
                format!("pkg:oci/{name}@{index}?arch={arch}&repository_url={url}")
            };
            let ask = |id: &str, product: &str, module: &str| {
                read(&reader, [document.to_str().unwrap(), id, product, module]).trim().to_owned()
            };
            let ours = product(&format!("tiny-{name}"), arch);
            assert_eq!(ask(LINKED, &ours, MODULE), "affected");
            assert_eq!(ask(NOT_LINKED, &ours, MODULE), "not_affected");
            // Nothing is said of another version, another architecture, another image.
            assert_eq!(ask(NOT_LINKED, &ours, "pkg:golang/golang.org/x/text@v0.3.6"), "");
            let other = if arch == "amd64" { "arm64" } else { "amd64" };
            assert_eq!(ask(NOT_LINKED, &product(&format!("tiny-{name}"), other), MODULE), "");
            assert_eq!(ask(NOT_LINKED, &product("other", arch), MODULE), "");
        }
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_document_we_wrote_and_an_ignore_set_aside_what_they_name_and_nothing_else() {
    let (repo, _) = released();
    let scan = || {
        let outcome = repo.run(&["scan", "--offline", "--json"]);
        (outcome.code, outcome.json(), outcome.stderr)
    };
    let of = |report: &Value, id: &str| {
        let found = report["platforms"][0]["findings"].as_array().unwrap().clone();
        found.into_iter().find(|f| f["aliases"].as_array().unwrap().iter().any(|a| a == id)).unwrap()
    };
    let (code, report, _) = scan();
    assert_eq!(code, Some(4));
    assert!(of(&report, LINKED)["setAside"].is_null() && !of(&report, LINKED)["violation"].is_null());
    let why = of(&report, NOT_LINKED)["setAside"].as_str().unwrap().to_owned();
    assert!(why.contains("govulncheck: vulnerable_code_not_present"), "{why}");

    let table = repo.read("release.toml");
    let ignore = |day: &str| {
        format!("{table}\n[[scan.ignore]]\nid = \"{LINKED}\"\nreason = \"tags come from us\"\nexpires = {day}\n")
    };
    repo.write("release.toml", &ignore("2999-12-31"));
    let (_, report, _) = scan();
    let finding = of(&report, LINKED);
    let why = finding["setAside"].as_str().unwrap();
    assert!(why.starts_with("ignored until 2999-12-31") && why.ends_with(": tags come from us"), "{why}");
    assert!(finding["violation"].is_null());

    repo.write("release.toml", &ignore("2020-01-01"));
    let line = ignore("").lines().position(|line| line == "[[scan.ignore]]").unwrap() + 1;
    let (code, report, stderr) = scan();
    assert_eq!(code, Some(4));
    assert!(!of(&report, LINKED)["violation"].is_null());
    let wanted = format!("release.toml:{line}:1: the ignore of {LINKED} expired on 2020-01-01");
    assert!(stderr.contains(&wanted), "{stderr}");
}

#[test]
#[ignore = "needs go, the module proxy and crates.io: run by cargo xtask ci"]
fn sarif_fits_its_official_schema() {
    let (repo, _) = released();
    let scan = repo.run(&["scan", "--offline", "--format", "sarif", "--output", "junit=junit.xml"]);
    assert_eq!(scan.code, Some(4), "{}", scan.stderr);
    // The schema's pattern of a language has a lone `]`, which only lenient engines take for itself; in JSON, `\\`.
    let text = std::fs::read_to_string(sarif_schema()).unwrap().replace("{2}]?$", r"{2}\\]?$");
    let schema: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let bundled = std::fs::read(repo.path().join("dist/v1.2.0/scan/report.sarif")).unwrap();
    for sarif in [scan.json(), serde_json::from_slice(&bundled).unwrap()] {
        let errors: Vec<_> = validator.iter_errors(&sarif).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new());
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        assert!(results.iter().any(|result| result["ruleId"] == "GO-2021-0113" && result["suppressions"].is_null()));
        assert!(results.iter().any(|result| result["ruleId"] == "GO-2022-1059" && result["suppressions"].is_array()));
        let uris = results.iter().map(|r| &r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]);
        assert!(uris.clone().all(|uri| repo.path().join(uri.as_str().unwrap()).is_file()), "{sarif}");
    }
    assert!(repo.read("junit.xml").contains("failures="));
}

/// OASIS' schema as the crate serde-sarif carries it, which cargo has checked.
fn sarif_schema() -> PathBuf {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[package]\nname = \"schema\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                    [dependencies]\nserde-sarif = \"=0.8.0\"\n\n[workspace]\n";
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    let manifest = folder.path().join("Cargo.toml");
    let cargo = Path::new(env!("CARGO"));
    let metadata = read(cargo, ["metadata", "--format-version=1", "--manifest-path", manifest.to_str().unwrap()]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "serde-sarif").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("src").join("schema.json")
}
