//! The command line as people and scripts meet it: what it says, where, and with which exit code. Needs git, no Go.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::BTreeMap;
use std::path::Path;

use harness::{Outcome, Repo};

/// Everything below `folder` but git's own files, with its content.
fn everything(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    let outside_git = files.filter(|entry| !entry.path().starts_with(folder.join(".git")));
    let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
    outside_git.map(|entry| (name(entry.path()), std::fs::read(entry.path()).unwrap())).collect()
}

#[track_caller]
fn assert_fails(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "`{part}` is not in:\n{}", outcome.stderr);
    }
    assert_eq!(outcome.stdout, "", "an error is no data");
}

#[test]
fn help_has_every_command_and_the_exit_codes() {
    let help = Repo::tiny().succeed(&["--help"]).stdout;
    for word in ["release", "plan", "build", "scan", "pin", "verify", "doctor", "ci", "Exit codes", "8 a tag exists"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn a_mistake_in_the_table_has_its_place() {
    let repo = Repo::tiny();
    let table = repo.read("release.toml");
    for (from, to, place, why) in [
        ("[source]\n", "[source]\nbranch = \"main\"\n", "release.toml:2:1", "unknown field `branch`"),
        ("\"linux/arm64\"]", "\"linux/z80\"]", "release.toml:5:", "z80"),
        ("\"tiny-node\"", "\"tiny-gate\"", "release.toml:15:14", "already that of gate"),
        ("\"web\"", "\"../web\"", "release.toml:16:", "../web"),
        ("go = \"1.27.4\"", "go = \"1.27\"", "release.toml:22:6", "`1.27` is not an exact version"),
        ("[tools]", "[tools", "release.toml:21:", ""),
    ] {
        assert!(table.contains(from), "{from}");
        repo.write("release.toml", &table.replacen(from, to, 1));
        assert_fails(&repo.run(&["plan", "v1.2.0"]), 2, &[place, why]);
    }
}

#[test]
fn a_mistake_on_the_command_line_is_usage() {
    let repo = Repo::tiny();
    for (args, why) in [
        (&["release"][..], "<VERSION>"),
        (&["plan", "1.2"], "semver"),
        (&["plan", "v1.2.0", "--platform", "linux/z80"], "z80"),
        (&["plan", "v1.2.0", "--image", "bridge"], "release.toml has gate, node"),
        (&["plan", "v1.2.0", "--base", "docker.io/library/alpine:latest"], "digest"),
        (&["release", "v1.2.0", "--strict", "--skip-scan", "why"], "cannot be used with"),
        (&["scan", "localhost:5000/x:v1", "--released", "v1.2.0"], "cannot be used with"),
        (&["scan", "localhost:5000/X:v1"], "is not a repository"),
        (&["scan", "--to", "localhost:5000"], "--released"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let outcome = repo.run(args);
        assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn outside_a_repository_the_error_says_what_to_do() {
    let repo = Repo::tiny();
    std::fs::remove_file(repo.path().join("release.toml")).unwrap();
    assert_fails(&repo.run(&["plan", "v1.2.0"]), 2, &["release.toml", "--config"]);
}

#[test]
fn a_plan_touches_nothing_and_says_what_release_would_do() {
    let repo = Repo::tiny();
    let before = everything(repo.path());
    let plan =
        repo.succeed(&["plan", "v1.2.0-rc.1+build.5", "--json", "--to", "ghcr.io/team", "--platform", "linux/arm/v7"]);
    assert_eq!(everything(repo.path()), before);
    let plan = plan.json();
    assert_eq!(plan["schema"], 1);
    assert_eq!(plan["platforms"], serde_json::json!(["linux/arm/v7"]));
    assert_eq!(plan["images"][0]["reference"], "ghcr.io/team/tiny-gate");
    // A pre-release floats nothing, and `+` is no character of a tag.
    assert_eq!(plan["tags"]["version"], "v1.2.0-rc.1_build.5");
    assert_eq!(plan["tags"]["floating"], serde_json::json!([]));
    // The harness commits at this time.
    assert_eq!(plan["source"]["epoch"], 1_767_323_045);
    assert_eq!(plan["source"]["dirty"], false);
    let shown = repo.succeed(&["plan", "v1.2.0"]);
    assert!(
        shown.stdout.is_empty() && shown.stderr.contains("registry.example.com/tiny/tiny-node"),
        "{}",
        shown.stderr
    );
    assert!(!shown.stderr.contains('\u{1b}'), "colour is for terminals");
}

#[test]
fn source_date_epoch_wins_over_the_commit() {
    let repo = Repo::tiny();
    let plan = |epoch: &str| {
        Outcome::of(repo.command(&["plan", "v1.2.0", "--json"]).env("SOURCE_DATE_EPOCH", epoch).output().unwrap())
    };
    assert_eq!(plan("1000000000").json()["source"]["epoch"], 1_000_000_000);
    assert_fails(&plan("yesterday"), 2, &["SOURCE_DATE_EPOCH"]);
}

#[test]
fn preflight_lists_all_failures_and_builds_nothing() {
    let repo = Repo::tiny();
    let table = repo.read("release.toml").replace("./cmd/gate", "./cmd/bridge").replace("\"web\"", "\"site\"");
    repo.write("release.toml", &table);
    repo.write("k8s/workloads.yaml", &repo.read("k8s/workloads.yaml").replace("tiny-node:dev", "other:dev"));
    repo.write("source/new.go", "package tiny\n");
    let outcome = repo.run(&["release", "v1.2.0"]);
    assert_fails(
        &outcome,
        3,
        &[
            "source/new.go",
            "--allow-dirty",
            "image gate: the source has no package ./cmd/bridge",
            "image node: the source has no site",
            "no manifest refers to tiny-node",
        ],
    );
    assert!(!repo.path().join("dist").exists());
}

#[test]
fn a_manifest_that_cannot_be_read_is_found_before_anything_is_built() {
    let repo = Repo::tiny();
    repo.write("k8s/broken.yaml", "kind: Pod\nspec: [\n");
    repo.commit("break a manifest");
    assert_fails(&repo.run(&["release", "v1.2.0"]), 3, &["k8s/broken.yaml:"]);
}

#[test]
fn what_was_never_released_can_be_neither_pinned_nor_verified() {
    let repo = Repo::tiny();
    assert_fails(
        &repo.run(&["pin", "v9.9.9"]),
        2,
        &["dist/oci has no finished release v9.9.9", "cargo xtask release v9.9.9"],
    );
    assert_fails(&repo.run(&["verify", "v9.9.9"]), 6, &["no record of v9.9.9", "cargo xtask release v9.9.9"]);
    assert_fails(&repo.run(&["scan"]), 2, &["nothing has been built yet", "cargo xtask build"]);
    assert!(!repo.path().join("dist").exists());
}

#[test]
fn a_missing_source_is_named() {
    let repo = Repo::tiny();
    assert_fails(&repo.run(&["plan", "v1.2.0", "--source", "nowhere"]), 2, &["nowhere"]);
    assert_fails(&repo.run(&["plan", "v1.2.0", "--source", "k8s"]), 2, &["go.mod"]);
}

#[test]
fn doctor_says_what_is_there_in_both_languages() {
    let repo = Repo::tiny();
    let found = repo.run(&["doctor", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    let git = rows.as_array().unwrap().iter().find(|row| row["name"] == "git").unwrap();
    assert!(git["found"].as_str().unwrap().starts_with("git version"), "{git}");
    assert!(repo.run(&["doctor"]).stderr.contains("git version"));
}
