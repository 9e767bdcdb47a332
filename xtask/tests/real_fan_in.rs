//! Platforms built on several machines and released on another: the same release as on one, or none.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::BTreeMap;

use harness::github::GitHub;
use harness::registry::Registry;
use harness::workflow::Workflow;
use harness::{Outcome, Repo, digests};
use serde_json::Value;
use tempfile::TempDir;

const SKIP: [&str; 2] = ["--skip-scan", "the scan has tests of its own"];

/// A share, built in a checkout of its own, so that nothing but the share is passed on.
fn share(shares: &TempDir, version: &str, platform: &str, change: impl FnOnce(&Repo)) -> String {
    let machine = Repo::tiny();
    change(&machine);
    let folder = shares.path().join(platform.replace('/', "-")).display().to_string();
    machine.succeed(&["build", version, "--platform", platform, "--export", &folder]);
    folder
}

fn release(repo: &Repo, to: &str, imports: &[&str]) -> Outcome {
    let imports = imports.iter().flat_map(|folder| ["--import", folder]);
    let args = ["release", "v1.2.0", "--to", to, "--json"].into_iter().chain(SKIP).chain(imports);
    repo.run(&args.collect::<Vec<_>>())
}

#[track_caller]
fn assert_refused(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "`{part}` is not in:\n{}", outcome.stderr);
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn two_machines_release_what_one_would() {
    let shares = TempDir::new().unwrap();
    let [amd, arm] = ["linux/amd64", "linux/arm64"].map(|platform| share(&shares, "v1.2.0", platform, |_| ()));
    let (alone, together) = (Repo::tiny(), Repo::tiny());
    let alone = release(&alone, "dist/oci", &[]);
    assert_eq!(alone.code, Some(0), "{}", alone.stderr);
    // In whichever order they come.
    let joined = release(&together, "dist/oci", &[&arm, &amd]);
    assert_eq!(joined.code, Some(0), "{}", joined.stderr);
    assert_eq!(digests(&joined.json()), digests(&alone.json()));
    assert_eq!(joined.json(), alone.json(), "layers and SBOMs too");
    together.succeed(&["verify", "v1.2.0"]);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn what_does_not_belong_together_is_refused_and_named() {
    let shares = TempDir::new().unwrap();
    let amd = share(&shares, "v1.2.0", "linux/amd64", |_| ());
    let arm = share(&shares, "v1.2.0", "linux/arm64", |_| ());
    let riscv = share(&shares, "v1.2.0", "linux/riscv64", |_| ());
    let other = TempDir::new().unwrap();
    let mixed = share(&other, "v1.3.0", "linux/arm64", |_| ());
    let old = TempDir::new().unwrap();
    let stale = share(&old, "v1.2.0", "linux/arm64", |repo| {
        repo.write("source/web/index.html", "<!doctype html><title>earlier</title>\n");
        repo.commit("before it was mended");
    });
    let (repo, registry) = (Repo::tiny(), Registry::start());
    let refused = |imports: &[&str], code: i32, parts: &[&str]| {
        assert_refused(&release(&repo, registry.address(), imports), code, parts);
    };
    refused(&[&amd, &mixed], 3, &[&mixed, "version is \"1.3.0\", here it is \"1.2.0\""]);
    refused(&[&amd], 3, &["linux/arm64 is in none of the imported folders", "--export"]);
    refused(&[&amd, &arm, &amd], 3, &["linux/amd64 is there more than once"]);
    refused(&[&amd, &arm, &riscv], 3, &["linux/riscv64 is no platform of this release"]);
    refused(&[&amd, &stale], 3, &[&stale, "source.revision is \""]);
    refused(&[&amd, "nowhere"], 3, &["nowhere"]);

    let blobs = std::fs::read_dir(format!("{arm}/blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let largest = blobs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, &bytes).unwrap();
    let digest = largest.file_name().unwrap().to_str().unwrap();
    refused(&[&amd, &arm], 6, &[&arm, digest]);
    assert_eq!(harness::read(&harness::tools::crane(), ["catalog", registry.address()]), "", "nothing was published");
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn the_documented_workflow_fans_out_and_in() {
    let workflow = Workflow::named("fan-out.yml");
    let repo = Repo::tiny();
    let github = GitHub::of(&repo);
    repo.git(&["tag", "v1.2.0"]);
    repo.git(&["push", "--quiet", "origin", "v1.2.0"]);
    let registry = Registry::start();
    let none = BTreeMap::new();
    let (line, env) = workflow.line("matrix", &none);
    github.succeed(&repo, &line, &env);
    let matrix: Value = serde_json::from_str(&github.outputs()["matrix"]).unwrap();
    let rows = matrix["include"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let machine = Repo::tiny();
        let text = |name: &str| row[name].as_str().unwrap();
        let values = BTreeMap::from([
            ("github.ref_name", "v1.2.0"),
            ("matrix.platform", text("platform")),
            ("matrix.name", text("name")),
        ]);
        let (line, env) = workflow.line("build", &values);
        github.succeed(&machine, &line, &env);
        // What upload-artifact and download-artifact do.
        std::fs::create_dir_all(repo.path().join("target/shares")).unwrap();
        let (from, to) = (machine.path().join("shares").join(text("name")), repo.path().join("target/shares"));
        harness::read(std::path::Path::new("cp"), ["-R", from.to_str().unwrap(), to.to_str().unwrap()]);
    }
    let values = BTreeMap::from([
        ("github.ref_name", "v1.2.0"),
        ("github.repository_owner", "owner"),
        ("github.actor", "someone"),
        ("github.token", "ghs_secret"),
    ]);
    let (line, mut env) = workflow.line("release", &values);
    for (_, value) in &mut env {
        *value = value.replace("ghcr.io/owner", registry.address());
    }
    let outcome = github.succeed(&repo, &line, &env);
    assert!(outcome.stderr.contains("import 2 images for 2 platforms"), "{}", outcome.stderr);
    assert!(github.read("releases/v1.2.0/body").contains("sha256:"));
}
