//! Images that are out, scanned again by the real govulncheck: against a registry without a referrers API (the real
//! one) and one with it (in this process), where what is asked for can be counted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

#[path = "common/mod.rs"]
mod common;
mod harness;

use std::collections::{BTreeMap, BTreeSet};

use harness::github::GitHub;
use harness::registry::Registry;
use harness::workflow::Workflow;
use harness::{Outcome, Repo, read, tools};
use serde_json::{Value, json};

const REPORT: &str = "application/vnd.goverse.scan-report.v1+json";
const EXTRACT: &str = "application/vnd.goverse.program-extract.v1+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
const VEX: &str = "application/vnd.openvex+json";
const SPDX: &str = "application/spdx+json";

/// In both databases; its symbol is not in the program.
const KNOWN: (&str, &str) = ("GO-2026-9000", "ParseAcceptLanguage");
/// In the newer database only; the program calls its symbol.
const NEW: (&str, &str) = ("GO-2026-9001", "Parse");

/// Makes a database of flaws in golang.org/x/text the newest that is cached.
fn database(repo: &Repo, day: &str, flaws: &[(&str, &str)]) {
    let folder = format!("target/xtask/vulndb/v0.0.0-{}000000-aaaaaaaaaaaa", day.replace('-', ""));
    let time = format!("{day}T00:00:00Z");
    for sub in ["ID", "index"] {
        std::fs::create_dir_all(repo.path().join(&folder).join(sub)).unwrap();
    }
    let write = |name: &str, json: &Value| repo.write(&format!("{folder}/{name}"), &json.to_string());
    for (id, symbol) in flaws {
        let affected = json!({
            "package": {"name": "golang.org/x/text", "ecosystem": "Go"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "0.3.7"}]}],
            "ecosystem_specific": {"imports": [{"path": "golang.org/x/text/language", "symbols": [symbol]}]},
        });
        let alias = id.replace("GO-", "CVE-");
        write(
            &format!("ID/{id}.json"),
            &json!({
                "schema_version": "1.3.1", "id": id, "modified": time, "published": time, "aliases": [alias],
                "summary": format!("a flaw of {symbol}"), "details": "", "affected": [affected],
            }),
        );
    }
    let row = |id: &str| json!({"id": id, "modified": time, "fixed": "0.3.7"});
    let rows: Vec<Value> = flaws.iter().map(|(id, _)| row(id)).collect();
    let vulns: Vec<Value> = flaws.iter().map(|(id, _)| json!({"id": id, "modified": time})).collect();
    write("index/db.json", &json!({"modified": time}));
    write("index/modules.json", &json!([{"path": "golang.org/x/text", "vulns": rows}]));
    write("index/vulns.json", &json!(vulns));
    write("xtask.json", &json!({"layout": 1, "entries": flaws.len()}));
}

/// v1.2.0 of a program with an old x/text at `registry`, released when less was known of it.
fn released(registry: &str) -> Repo {
    let repo = Repo::tiny();
    repo.vulnerable();
    database(&repo, "2026-01-01", &[KNOWN]);
    repo.succeed(&["release", "v1.2.0", "--to", registry, "--offline"]);
    database(&repo, "2026-02-01", &[KNOWN, NEW]);
    repo
}

/// A scan that finds something above the policy.
fn fails(repo: &Repo, args: &[&str]) -> Value {
    let outcome: Outcome = repo.run(&[&["scan", "--offline", "--json"], args].concat());
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    outcome.json()
}

/// The ids and the reach of a list of findings.
fn ids(findings: &Value) -> BTreeMap<&str, Option<bool>> {
    findings.as_array().unwrap().iter().map(|f| (f["id"].as_str().unwrap(), f["reachable"].as_bool())).collect()
}

/// The artifact types that `oras` finds for a manifest, sorted.
fn discovered(name: &str) -> Vec<String> {
    let found = read(&tools::oras(), ["discover", "--plain-http", "--format=json", name]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let referrers = found["referrers"].as_array().unwrap();
    let mut kinds: Vec<String> = referrers.iter().map(|r| r["artifactType"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    kinds
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn what_became_known_since_a_release_is_new_once_and_its_report_is_attached_once() {
    let registry = Registry::start();
    let repo = released(registry.address());
    let args = ["--released", "v1.2.0", "--to", registry.address()];

    let name = format!("{}/tiny-gate", registry.address());
    let crane = |args: &[&str]| read(&tools::crane(), args);
    let index: Value = serde_json::from_str(&crane(&["manifest", &format!("{name}:v1.2.0")])).unwrap();
    let platform = index["manifests"][1]["digest"].as_str().unwrap().to_owned();
    let (whole, part) = (format!("{name}:v1.2.0"), format!("{name}@{platform}"));
    assert_eq!(discovered(&whole), [REPORT, VEX]);
    assert_eq!(discovered(&part), [SPDX, CYCLONEDX, EXTRACT, REPORT, VEX]);

    let first = fails(&repo, &args);
    let changes = first["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 4, "two images for two platforms: {first}");
    for change in changes {
        assert_eq!(ids(&change["new"]), BTreeMap::from([(NEW.0, Some(true))]));
        assert_eq!(ids(&change["unchanged"]), BTreeMap::from([(KNOWN.0, Some(false))]));
        assert_eq!(change["gone"], json!([]));
        assert_eq!(change["since"][0]["updated"], "2026-01-01T00:00:00Z");
    }
    assert_eq!(first["attached"].as_array().unwrap().len(), 6, "four platforms and two indexes");
    assert_eq!(discovered(&whole), [REPORT, REPORT, VEX]);
    assert_eq!(discovered(&part), [SPDX, CYCLONEDX, EXTRACT, REPORT, REPORT, VEX]);

    let second = fails(&repo, &args);
    for change in second["changes"].as_array().unwrap() {
        assert_eq!((&change["new"], &change["gone"]), (&json!([]), &json!([])), "nothing is new twice");
    }
    assert_eq!(second["attached"], json!([]));
    repo.succeed(&["verify", "v1.2.0", "--from", registry.address()]);

    // This registry lists no referrers: the index that stands in for the list has what the specification wants of it.
    let listed = crane(&["manifest", &format!("{name}:{}", platform.replace(':', "-"))]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = listed["manifests"].as_array().unwrap();
    assert_eq!(listed.len(), 6);
    for entry in listed {
        let digest = entry["digest"].as_str().unwrap();
        let manifest: Value = serde_json::from_str(&crane(&["manifest", &format!("{name}@{digest}")])).unwrap();
        assert_eq!(entry["artifactType"], manifest["artifactType"]);
        assert_eq!(entry["annotations"], manifest["annotations"]);
        assert_eq!(manifest["subject"]["digest"], platform.as_str());
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn without_an_extract_the_sbom_is_scanned_and_without_both_the_programs() {
    let registry = Registry::start();
    let repo = released(registry.address());
    let (name, bare) = (format!("{}/tiny-gate", registry.address()), format!("{}/bare:v1", registry.address()));
    let platform = read(&tools::crane(), ["digest", "--platform=linux/amd64", &format!("{name}:v1.2.0")]);
    read(&tools::crane(), ["copy", &format!("{name}@{}", platform.trim()), &bare]);

    let by_extract = fails(&repo, &[&format!("{name}@{}", platform.trim()), "--no-attach"]);
    let by_program = fails(&repo, &[&bare, "--no-attach"]);
    let found = |json: &Value| json["report"]["platforms"][0]["findings"].clone();
    assert_eq!(found(&by_extract), found(&by_program), "the same answer, pulled or not");
    assert_eq!(by_program["changes"][0]["since"], Value::Null);

    let sbom = "dist/v1.2.0/sbom/gate-linux-amd64.cdx.json";
    let attach = std::process::Command::new(tools::oras())
        .args(["attach", "--plain-http", "--artifact-type", CYCLONEDX, &bare, sbom])
        .current_dir(repo.path())
        .output()
        .unwrap();
    assert!(attach.status.success(), "{}", String::from_utf8_lossy(&attach.stderr));
    let outcome = repo.run(&["scan", &bare, "--offline", "--json", "--no-attach"]);
    // What is linked is not known, and neither flaw has a severity.
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(ids(&found(&outcome.json())), BTreeMap::from([(KNOWN.0, None), (NEW.0, None)]));
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn what_is_attached_is_found_where_a_registry_lists_it_without_its_type() {
    let registry = Registry::with_referrers();
    let repo = released(registry.address());
    let image = format!("{}/tiny-gate:v1.2.0", registry.address());
    let outcome = repo.run(&["scan", &image, "--offline", "--json", "--no-attach"]);
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("pull "), "{}", outcome.stderr);
    for change in outcome.json()["changes"].as_array().unwrap() {
        assert_eq!(ids(&change["new"]), BTreeMap::from([(NEW.0, Some(true))]), "its last report was found too");
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_rescan_pulls_no_layer() {
    let registry = common::Registry::start();
    let repo = released(&registry.addr());
    let held = registry.snapshot();
    let layers: Vec<String> = held["tiny-gate"]
        .manifests
        .values()
        .map(|(_, bytes)| serde_json::from_slice::<Value>(bytes).unwrap())
        .filter(|manifest| manifest.get("subject").is_none())
        .flat_map(|manifest| manifest["layers"].as_array().cloned().unwrap_or_default())
        .map(|layer| layer["digest"].as_str().unwrap().to_owned())
        .collect();
    assert!(!layers.is_empty());
    assert!(held["tiny-gate"].tags.keys().all(|tag| !tag.starts_with("sha256-")), "it lists referrers itself");
    registry.clear_log();
    let image = format!("{}/tiny-gate:v1.2.0", registry.addr());
    let json = fails(&repo, &[&image]);
    assert_eq!(json["attached"].as_array().unwrap().len(), 3, "two platforms and the index");
    let log = registry.log();
    let pulled = log.iter().filter(|e| e.method == "GET" && layers.iter().any(|l| e.target.contains(l.as_str())));
    assert_eq!(pulled.count(), 0, "{log:?}");
    let pushed = registry.snapshot()["tiny-gate"].manifests.len() - held["tiny-gate"].manifests.len();
    assert_eq!(pushed, 3);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn the_scheduled_job_shows_what_became_known_and_fails() {
    let registry = Registry::start();
    let repo = released(registry.address());
    let github = GitHub::of(&repo);
    let values = BTreeMap::from([
        ("github.repository_owner", "owner"),
        ("github.actor", "someone"),
        ("github.token", "ghs_secret"),
    ]);
    let (line, mut env) = Workflow::named("scan.yml").line("scan", &values);
    for (_, value) in &mut env {
        *value = value.replace("ghcr.io/owner", registry.address());
    }
    // The database is the test's own.
    let outcome = github.run(&repo, &line.replace(" scan ", " scan --offline "), &env);
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    let annotation = format!("::error title={}::", NEW.0);
    assert!(outcome.stderr.lines().any(|line| line.starts_with(&annotation)), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("ghs_secret"));

    // What the job's next step uploads.
    let sarif: Value = serde_json::from_str(&repo.read("scan.sarif")).unwrap();
    let results = sarif["runs"].as_array().unwrap().iter().flat_map(|run| run["results"].as_array().unwrap());
    let mut levels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for result in results {
        levels.entry(result["ruleId"].as_str().unwrap()).or_default().insert(result["level"].as_str().unwrap());
    }
    assert_eq!(levels[NEW.0], BTreeSet::from(["error"]), "it breaks the policy");
    assert!(!levels[KNOWN.0].contains("error"), "it is not linked: {levels:?}");
}
