//! The lines of the workflows, run as a runner runs them: against a real registry, a stand-in for GitHub, and a
//! repository that is really pushed to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::BTreeMap;
use std::path::Path;

use harness::github::{GitHub, pushed};
use harness::registry::Registry;
use harness::workflow::Workflow;
use harness::{Repo, read, tools};

/// What GitHub would put for the expressions of a workflow.
fn values(owner: &str) -> BTreeMap<&'static str, &str> {
    BTreeMap::from([
        ("inputs.version || github.ref_name", "v1.2.0"),
        ("github.ref_name", "v1.2.0"),
        ("github.repository_owner", owner),
        ("github.actor", "someone"),
        ("github.token", "ghs_secret"),
    ])
}

/// A job's line; the registry of the workflow's owner is the test's own.
fn line(workflow: &Workflow, job: &str, registry: &Registry) -> (String, Vec<(String, String)>) {
    let (line, mut env) = workflow.line(job, &values("owner"));
    for (_, value) in &mut env {
        *value = value.replace("ghcr.io/owner", registry.address());
    }
    (line, env)
}

/// A repository with a tagged version, as checked out by a release job.
fn tagged() -> (Repo, GitHub) {
    let repo = Repo::tiny();
    repo.add_chart();
    let github = GitHub::of(&repo);
    repo.write("source/web/index.html", "<!doctype html><title>second</title>\n");
    repo.commit("feat(web): say more (#12)");
    repo.git(&["tag", "v1.2.0"]);
    repo.git(&["push", "--quiet", "origin", "main", "v1.2.0"]);
    (repo, github)
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn actionlint_has_nothing_to_say() {
    let files = Workflow::files();
    assert_eq!(files.len(), 4);
    let args = ["-shellcheck=", "-pyflakes="].into_iter().map(Into::into);
    assert_eq!(read(&tools::actionlint(), args.chain(files.into_iter().map(|f| f.into_os_string()))), "");
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn the_release_job_releases_attaches_and_proposes_and_does_nothing_twice() {
    let ((repo, github), registry) = (tagged(), Registry::start());
    let (line, env) = line(&Workflow::named("release.yml"), "release", &registry);
    let before = github.git(&["rev-parse", "main"]);
    let outcome = github.succeed(&repo, &line, &env);

    let digests: BTreeMap<String, String> = serde_json::from_str(&github.outputs()["digests"]).unwrap();
    assert_eq!(digests.keys().collect::<Vec<_>>(), ["gate", "node"]);
    let pinned = pushed(&github, "release/pin-v1.2.0", Path::new("k8s/workloads.yaml"));
    for (image, digest) in &digests {
        let reference = format!("{}/tiny-{image}", registry.address());
        assert_eq!(read(&tools::crane(), ["digest", &format!("{reference}:v1.2.0")]).trim(), digest);
        assert!(pinned.contains(&format!("{reference}:v1.2.0@{digest}")), "{pinned}");
        assert!(github.read("summary").contains(digest) && github.read("pull").contains(digest));
    }
    assert_eq!(github.git(&["rev-parse", "main"]), before, "main is changed by the pull request alone");
    let changed = github.git(&["diff", "--name-only", "main", "release/pin-v1.2.0"]);
    assert_eq!(changed.trim(), "k8s/helm/goverse/values.yaml\nk8s/workloads.yaml");
    let chart = read(&tools::crane(), ["digest", &format!("{}/charts/goverse:1.2.0", registry.address())]);
    assert!(github.read("summary").contains(chart.trim()), "{}", github.read("summary"));
    let author = github.git(&["show", "--no-patch", "--format=%an", "release/pin-v1.2.0"]);
    assert_eq!(author.trim(), "github-actions[bot]");
    assert!(github.read("summary").contains("https://github.example/pull/1"), "{}", github.read("summary"));
    assert!(!repo.read("k8s/workloads.yaml").contains("@sha256"), "the tag's checkout stays as it is");

    let notes = github.read("releases/v1.2.0/body");
    assert!(notes.contains("- **web:** say more (#12,"), "{notes}");
    assert!(digests.values().all(|digest| notes.contains(digest)), "{notes}");
    let attached = |name: &str| github.path("releases/v1.2.0/assets").join(name);
    for name in ["release.json", "SHA256SUMS", "NOTES.md"] {
        assert_eq!(
            std::fs::read(attached(name)).unwrap(),
            std::fs::read(repo.path().join("dist/v1.2.0").join(name)).unwrap()
        );
    }
    let unpacked = tempfile::TempDir::new().unwrap();
    read(
        Path::new("tar"),
        ["-xzf", attached("goverse-release-v1.2.0.tar.gz").to_str().unwrap(), "-C", unpacked.path().to_str().unwrap()],
    );
    let check = "cd goverse-release-v1.2.0 && sha256sum --check --quiet --strict SHA256SUMS";
    read(Path::new("sh"), ["-c", &format!("cd {} && {check}", unpacked.path().display())]);
    assert!(!outcome.stderr.contains("ghs_secret") && !outcome.stdout.contains("ghs_secret"));

    github.calls();
    let branch = github.git(&["rev-parse", "release/pin-v1.2.0"]);
    github.succeed(&repo, &line, &env);
    assert_eq!(github.git(&["rev-parse", "release/pin-v1.2.0"]), branch);
    let asked =
        |call: &String| ["repo view", "release view", "pr list"].iter().any(|question| call.starts_with(question));
    assert!(github.calls().iter().all(asked), "a second run changes nothing");

    // Once it is merged there is nothing to propose.
    github.git(&["update-ref", "refs/heads/main", "release/pin-v1.2.0"]);
    github.git(&["update-ref", "-d", "refs/heads/release/pin-v1.2.0"]);
    std::fs::remove_file(github.path("pull")).unwrap();
    github.succeed(&repo, &line, &env);
    assert_eq!(github.git(&["branch", "--list", "release/*"]), "");
    assert_eq!(github.read("pull"), "");
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_stale_pull_request_is_made_anew_and_a_missing_file_attached_again() {
    let ((repo, github), registry) = (tagged(), Registry::start());
    let (line, env) = line(&Workflow::named("release.yml"), "release", &registry);
    github.succeed(&repo, &line, &env);
    let assets = github.path("releases/v1.2.0/assets");
    std::fs::remove_file(assets.join("release.json")).unwrap();
    std::fs::write(assets.join("SHA256SUMS"), "half of it").unwrap();
    std::fs::write(github.path("releases/v1.2.0/body"), "edited by a person").unwrap();
    let good = github.git(&["show", "release/pin-v1.2.0:k8s/workloads.yaml"]);
    github.git(&["update-ref", "refs/heads/release/pin-v1.2.0", "main"]);
    github.calls();
    github.succeed(&repo, &line, &env);
    for name in ["release.json", "SHA256SUMS"] {
        assert_eq!(
            std::fs::read(assets.join(name)).unwrap(),
            std::fs::read(repo.path().join("dist/v1.2.0").join(name)).unwrap()
        );
    }
    assert_eq!(github.read("releases/v1.2.0/body"), "edited by a person");
    assert_eq!(github.git(&["show", "release/pin-v1.2.0:k8s/workloads.yaml"]), good);
    let calls = github.calls();
    let upload = calls.iter().find(|call| call.starts_with("release upload")).unwrap();
    assert!(!upload.contains("tar.gz") && !upload.contains("NOTES.md"), "only what is missing is sent: {upload}");
    assert!(
        calls.iter().any(|call| call.starts_with("pr edit 1")) && !calls.iter().any(|c| c.starts_with("pr create"))
    );
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_job_that_may_not_fails_before_anything_is_built_and_says_why() {
    let ((repo, github), registry) = (tagged(), Registry::start());
    let (line, mut env) = line(&Workflow::named("release.yml"), "release", &registry);
    env.retain(|(name, _)| name != "GH_TOKEN");
    let refused = github.run(&repo, &line, &env);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("GH_TOKEN") && refused.stderr.contains("\n::error "), "{}", refused.stderr);
    assert_eq!(read(&tools::crane(), ["catalog", registry.address()]), "");
    let outside = repo.run(&["gha", "release", "v1.2.0"]);
    assert_eq!(outside.code, Some(2), "{}", outside.stderr);
    assert!(!outside.stderr.contains("::error"), "{}", outside.stderr);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn the_checks_job_runs_every_check() {
    let repo = Repo::tiny();
    let github = GitHub::of(&repo);
    let (line, mut env) = Workflow::named("ci.yml").line("ci", &BTreeMap::new());
    // Packages belong to the machine that the tests run on.
    let line = line.replace(" --install", "");
    let cache = tempfile::TempDir::new().unwrap();
    env.push(("XDG_CACHE_HOME".into(), cache.path().display().to_string()));
    let outcome = github.succeed(&repo, &line, &env);
    let ran = github.read("cargo");
    for part in ["fmt --all --check", "clippy", "test --workspace", "--test real_*", "--test system_*"] {
        assert!(ran.contains(part), "{part}: {ran}");
    }
    assert_eq!(outcome.stderr.matches("::group::").count(), outcome.stderr.matches("::endgroup::").count());
    assert!(outcome.stderr.contains("::group::lint\n"), "{}", outcome.stderr);
}
