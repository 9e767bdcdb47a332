//! Whole releases of a small repository: to layouts and to a real registry, read back by other tools.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::BTreeMap;
use std::process::Stdio;

use harness::registry::Registry;
use harness::{Outcome, Repo, digests, read, tools};
use serde_json::Value;

const SKIP: [&str; 2] = ["--skip-scan", "the scan has tests of its own"];

fn release<'a>(version: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["release", version], &SKIP[..], more].concat()
}

/// Tag → digest of everything a repository has, by crane; without the tags that stand in for the referrers API
/// (distribution spec, "Referrers Tag Schema").
fn tags(registry: &Registry, repository: &str) -> BTreeMap<String, String> {
    let name = format!("{}/{repository}", registry.address());
    let listed = read(&tools::crane(), ["ls", &name]);
    let digest = |tag: &str| read(&tools::crane(), ["digest", &format!("{name}:{tag}")]).trim().to_owned();
    listed.lines().filter(|tag| !tag.starts_with("sha256-")).map(|tag| (tag.to_owned(), digest(tag))).collect()
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn other_tools_read_all_of_a_release() {
    let (repo, registry) = (Repo::tiny(), Registry::start());
    let record = repo.succeed(&release("v1.2.0", &["--to", registry.address(), "--json"])).json();
    for (image, digest) in digests(&record) {
        let name = format!("{}/tiny-{image}", registry.address());
        read(&tools::crane(), ["validate", "--remote", &format!("{name}:v1.2.0")]);
        let index: Value = serde_json::from_str(&read(&tools::crane(), ["manifest", &format!("{name}:v1")])).unwrap();
        let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|m| &m["platform"]).collect();
        assert_eq!(platforms.len(), 2);
        assert!(platforms[0]["os"] == "linux" && platforms[0]["architecture"] == "amd64", "{index}");
        assert_eq!(index["annotations"]["org.opencontainers.image.version"], "v1.2.0");
        assert_eq!(read(&tools::crane(), ["digest", &format!("{name}:latest")]).trim(), digest);

        let config = read(&tools::crane(), ["config", "--platform=linux/arm64", &format!("{name}:v1.2.0")]);
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["architecture"], "arm64");
        assert_eq!(config["config"]["User"], "1000:1000");

        let manifest = index["manifests"][1]["digest"].as_str().unwrap();
        let found = read(&tools::oras(), ["discover", "--plain-http", "--format=json", &format!("{name}@{manifest}")]);
        let found: Value = serde_json::from_str(&found).unwrap();
        let mut kinds: Vec<_> =
            found["referrers"].as_array().unwrap().iter().map(|r| r["artifactType"].as_str().unwrap()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["application/spdx+json", "application/vnd.cyclonedx+json"]);
    }
    let pulled = tempfile::TempDir::new().unwrap();
    let name = format!("{}/goverse-release:v1.2.0", registry.address());
    read(&tools::oras(), ["pull", "--plain-http", "--output", pulled.path().to_str().unwrap(), &name]);
    let pulled: Value = serde_json::from_slice(&std::fs::read(pulled.path().join("release.json")).unwrap()).unwrap();
    assert_eq!(pulled, record);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn the_same_commit_gives_the_same_digests_in_another_folder_umask_zone_and_day() {
    let (one, two) = (Repo::tiny(), Repo::tiny());
    let plain = digests(&one.succeed(&["build", "v1.2.0", "--json"]).json());
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let script = format!("umask 077; find . -exec touch -d 2001-01-01 {{}} +; exec {xtask} build v1.2.0 --json");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(two.path())
        .envs([("TZ", "Pacific/Kiritimati"), ("LC_ALL", "C"), ("GOFLAGS", "-tags=other"), ("GOAMD64", "v3")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let other = Outcome::of(output);
    assert_eq!(other.code, Some(0), "{}", other.stderr);
    assert_eq!(digests(&other.json()), plain);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn tags_only_go_up_and_a_version_never_changes() {
    let (repo, registry) = (Repo::tiny(), Registry::start());
    let to = ["--to", registry.address(), "--no-pin"];
    let digest_of = |version: &str| {
        let record = repo.succeed(&release(version, &[&to[..], &["--json"]].concat())).json();
        digests(&record)[0].1.clone()
    };
    let three = digest_of("v1.3.0");
    let backport = digest_of("v1.2.1");
    let candidate = digest_of("v2.0.0-rc.1");
    let expected = [
        ("latest", &three),
        ("v1", &three),
        ("v1.2", &backport),
        ("v1.2.1", &backport),
        ("v1.3", &three),
        ("v1.3.0", &three),
        ("v2.0.0-rc.1", &candidate),
    ];
    let expected: BTreeMap<String, String> = expected.map(|(tag, digest)| (tag.to_owned(), digest.clone())).into();
    assert_eq!(tags(&registry, "tiny-gate"), expected);

    // The same again is no change; other content under the same version is refused.
    assert_eq!(digest_of("v1.2.1"), backport);
    let everything = || ["tiny-gate", "tiny-node", "goverse-release"].map(|repository| tags(&registry, repository));
    let before = everything();
    repo.write("source/web/index.html", "<!doctype html><title>changed</title>\n");
    repo.commit("change a page");
    let refused = repo.run(&release("v1.2.1", &to));
    assert_eq!(refused.code, Some(8), "{}", refused.stderr);
    assert!(refused.stderr.contains("tiny-node:v1.2.1 names sha256:"), "{}", refused.stderr);
    assert_eq!(everything(), before);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_release_pins_the_manifests_and_verify_names_what_is_damaged() {
    let (repo, registry) = (Repo::tiny(), Registry::start());
    let to = ["--to", registry.address()];
    let record = repo.succeed(&release("v1.2.0", &[&to[..], &["--json"]].concat())).json();
    let manifests = repo.read("k8s/workloads.yaml");
    for (image, digest) in digests(&record) {
        let pinned = format!("{}/tiny-{image}:v1.2.0@{digest}", registry.address());
        assert!(manifests.contains(&pinned), "{manifests}");
    }
    assert!(manifests.contains(" # pinned\n") && manifests.contains("{name: node, image: \""), "{manifests}");
    assert_eq!(repo.read("dist/v1.2.0/k8s/workloads.yaml"), manifests);
    repo.succeed(&["pin", "v1.2.0", "--check", "--from", registry.address()]);
    repo.write("k8s/workloads.yaml", &manifests.replace("tiny-node:v1.2.0", "tiny-node:v1.1.0"));
    let stale = repo.run(&["pin", "v1.2.0", "--check", "--from", registry.address()]);
    assert_eq!(stale.code, Some(5), "{}", stale.stderr);
    assert!(stale.stdout.contains("\n-") && stale.stdout.contains("tiny-node:v1.1.0"), "{}", stale.stdout);
    repo.succeed(&["pin", "v1.2.0", "--from", registry.address()]);
    assert_eq!(repo.read("k8s/workloads.yaml"), manifests);

    repo.succeed(&["verify", "v1.2.0", "--from", registry.address()]);
    repo.write("dist/v1.2.0/sbom/gate-linux-amd64.cdx.json", "{}");
    let layer = record["images"][1]["platforms"][0]["layers"][1]["digest"].as_str().unwrap();
    registry.damage(layer);
    let damaged = repo.run(&["verify", "v1.2.0", "--from", registry.address()]);
    assert_eq!(damaged.code, Some(6), "{}", damaged.stderr);
    assert!(
        damaged.stderr.contains(layer) && damaged.stderr.contains("gate-linux-amd64.cdx.json"),
        "{}",
        damaged.stderr
    );
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_dry_run_publishes_nothing() {
    let (repo, registry) = (Repo::tiny(), Registry::start());
    let outcome = repo.succeed(&release("v1.2.0", &["--to", registry.address(), "--dry-run", "--json"]));
    let moves = outcome.json()["tags"]["images"][0]["tags"].clone();
    let found: Vec<_> = moves.as_array().unwrap().iter().map(|m| (m["tag"].as_str(), m["action"].as_str())).collect();
    let created = |tag| (Some(tag), Some("created"));
    assert_eq!(found, ["v1.2.0", "v1.2", "v1", "latest"].map(created));
    assert_eq!(read(&tools::crane(), ["catalog", registry.address()]), "");
    assert!(!repo.path().join("dist").exists());
    assert!(repo.read("k8s/workloads.yaml").contains("tiny-gate # pinned"));
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn findings_refuse_a_registry_and_are_shown_for_a_layout() {
    let (repo, registry) = (Repo::tiny(), Registry::start());
    repo.vulnerable();
    let refused = repo.run(&["release", "v1.2.0", "--to", registry.address()]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("fix: go get golang.org/x/"), "{}", refused.stderr);
    assert_eq!(read(&tools::crane(), ["catalog", registry.address()]), "");
    let shown = repo.succeed(&["release", "v1.2.0"]);
    assert!(shown.stderr.contains("a registry would be refused"), "{}", shown.stderr);
    assert_eq!(repo.run(&["release", "v1.2.0", "--strict"]).code, Some(4));
    assert_eq!(repo.run(&["scan"]).code, Some(4));
    repo.succeed(&release("v1.2.1", &["--to", registry.address()]));
    let record: Value = serde_json::from_str(&repo.read("dist/v1.2.1/release.json")).unwrap();
    assert_eq!(record["scan"]["skipped"], SKIP[1]);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn an_image_stands_on_the_right_platform_of_its_base() {
    let (repo, registry) = (Repo::tiny(), Registry::start());
    let released = repo.succeed(&release("v1.2.0", &["--to", registry.address(), "--no-pin", "--json"])).json();
    let base = digests(&released)[0].1.clone();
    let build =
        |base: &str, more: &[&str]| repo.run(&[&["build", "v1.3.0", "--json", "--base", base][..], more].concat());
    let from_registry = build(&format!("{}/tiny-gate@{base}", registry.address()), &[]);
    assert_eq!(from_registry.code, Some(0), "{}", from_registry.stderr);
    let from_layout = build(&format!("oci:dist/v1.2.0/oci/tiny-gate@{base}"), &[]);
    let manifests = |outcome: &Outcome| outcome.json()["images"][0]["platforms"].clone();
    // Only the name of the base differs, which is a label.
    assert_eq!(manifests(&from_registry)[1]["platform"], "linux/arm64");
    let size = |platform: &Value| platform["size"].as_u64().unwrap();
    assert!(size(&manifests(&from_registry)[1]) > size(&released["images"][0]["platforms"][1]));
    assert_eq!(from_layout.code, Some(0), "{}", from_layout.stderr);

    let to = format!("{}/on-base", registry.address());
    let name = format!("{}/tiny-gate@{base}", registry.address());
    repo.succeed(&release("v1.3.0", &["--to", &to, "--no-pin", "--base", &name]));
    let layers = |reference: &str| -> Vec<String> {
        let manifest = read(&tools::crane(), ["manifest", "--platform=linux/arm64", reference]);
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        manifest["layers"].as_array().unwrap().iter().map(|l| l["digest"].to_string()).collect()
    };
    let (own, below) = (layers(&format!("{to}/tiny-gate:v1.3.0")), layers(&name));
    assert!(own.len() > below.len() && own.starts_with(&below), "{own:?} does not stand on {below:?}");

    let missing = build(&name, &["--platform", "linux/arm/v7"]);
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    assert!(missing.stderr.contains("no image for linux/arm/v7"), "{}", missing.stderr);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn every_platform_that_go_knows_can_be_built_for() {
    let repo = Repo::tiny();
    let platforms = "linux/386,linux/arm/v6,linux/arm/v7,linux/ppc64le,linux/riscv64,linux/s390x,linux/loong64";
    let built = repo.succeed(&["build", "v1.2.0", "--json", "--image", "gate", "--platform", platforms]).json();
    let found = built["images"][0]["platforms"].as_array().unwrap().iter().map(|p| p["platform"].as_str().unwrap());
    assert_eq!(found.collect::<Vec<_>>().join(","), platforms);
}
