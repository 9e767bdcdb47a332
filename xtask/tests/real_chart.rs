//! The Helm chart of a release, as Helm and crane read it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::BTreeSet;
use std::path::Path;

use harness::registry::Registry;
use harness::{Outcome, Repo, digests, read, tools};
use serde_json::Value;
use tempfile::TempDir;

const SKIP: [&str; 2] = ["--skip-scan", "the scan has tests of its own"];

fn release<'a>(to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["release", "v1.2.0", "--json", "--to", to], &SKIP[..], more].concat()
}

fn tiny_with_chart() -> Repo {
    let repo = Repo::tiny();
    repo.add_chart();
    repo
}

fn chart(outcome: &Outcome) -> Value {
    outcome.json()["chart"].clone()
}

/// The images of rendered manifests.
fn images(rendered: &str) -> BTreeSet<String> {
    let lines = rendered.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("image: "));
    lines.map(|image| image.trim_matches('"').to_owned()).collect()
}

fn render(overlay: &Path) -> String {
    read(&tools::kustomize(), ["build", overlay.to_str().unwrap()])
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn helm_installs_from_a_registry_what_the_production_overlay_of_the_bundle_says() {
    let (repo, registry) = (Repo::sample(), Registry::start());
    let to = registry.address();
    let released = repo.succeed(&release(to, &[]));
    let (record, chart) = (released.json(), chart(&released));
    assert_eq!((&chart["repository"], &chart["tag"]), (&"charts/goverse".into(), &"1.2.0".into()));

    let name = format!("{to}/charts/goverse");
    let digest = read(&tools::crane(), ["digest", &format!("{name}:1.2.0")]);
    assert_eq!(chart["digest"], digest.trim());
    let document = |what: &str, name: &str| -> Value {
        serde_json::from_str(&read(&tools::crane(), [what, &format!("{name}:1.2.0")])).unwrap()
    };
    let manifest = document("manifest", &name);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.cncf.helm.config.v1+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.2.0");

    let oci = format!("oci://{name}");
    let from = [oci.as_str(), "--version", "1.2.0", "--plain-http"];
    let shown = read(&tools::helm(), [&["show", "chart"], &from[..]].concat());
    assert!(shown.contains("\nversion: 1.2.0\n") && shown.contains("appVersion: 1.2.0\n"), "{shown}");
    let folder = TempDir::new().unwrap();
    let destination = folder.path().display().to_string();
    read(&tools::helm(), [&["pull"], &from[..], &["--destination", &destination]].concat());
    let pulled = folder.path().join("goverse-1.2.0.tgz");
    let bundled = repo.path().join("dist/v1.2.0/charts/goverse-1.2.0.tgz");
    assert!(std::fs::read(&pulled).unwrap() == std::fs::read(&bundled).unwrap());

    let installed = images(&read(&tools::helm(), ["template", "goverse", pulled.to_str().unwrap()]));
    assert_eq!(installed, images(&render(&repo.path().join("dist/v1.2.0/k8s/overlays/production"))));
    assert!(installed.iter().all(|image| image.contains("@sha256:")), "{installed:?}");
    for (image, digest) in digests(&record) {
        assert!(installed.contains(&format!("{to}/goverse-{image}:v1.2.0@{digest}")), "{image}: {installed:?}");
    }
    let verified = repo.succeed(&["verify", "v1.2.0", "--from", to, "--json"]).json();
    assert_eq!(verified["charts"], 1);

    // What Helm itself pushes of the same archive says the same.
    let again = format!("{to}/again");
    read(&tools::helm(), ["push", pulled.to_str().unwrap(), &format!("oci://{again}"), "--plain-http"]);
    let theirs = document("manifest", &format!("{again}/goverse"));
    assert_eq!(document("config", &format!("{again}/goverse")), document("config", &name));
    assert_eq!(theirs["layers"][0]["digest"], manifest["layers"][0]["digest"]);
    let keys = |manifest: &Value| manifest["annotations"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&theirs), keys(&manifest));
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn the_same_commit_gives_the_same_chart_and_another_chart_is_refused() {
    let (one, two, registry) = (tiny_with_chart(), tiny_with_chart(), Registry::start());
    let to = registry.address();
    let first = chart(&one.succeed(&release(to, &[])));
    // In the first checkout the chart is pinned by now, in the second it isn't.
    assert!(one.read("k8s/helm/goverse/values.yaml").contains("@sha256:"));
    assert_eq!(chart(&two.succeed(&release(to, &[]))), first);
    assert_eq!(chart(&one.succeed(&release(to, &[]))), first);

    one.write("k8s/helm/goverse/templates/pods.yaml", "kind: Other\n");
    let dry = one.run(&release(to, &["--dry-run"]));
    let refused = one.run(&release(to, &[]));
    for outcome in [dry, refused] {
        assert_eq!(outcome.code, Some(8), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("charts/goverse:1.2.0 names sha256:"), "{}", outcome.stderr);
    }
    let digest = read(&tools::crane(), ["digest", &format!("{to}/charts/goverse:1.2.0")]);
    assert_eq!(first["digest"], digest.trim());
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_folder_of_layouts_and_an_import_have_the_chart_that_a_plan_shows() {
    let (repo, other, shares) = (tiny_with_chart(), tiny_with_chart(), TempDir::new().unwrap());
    let plan = repo.succeed(&["plan", "v1.2.0"]);
    let shown = format!("{}{}", plan.stdout, plan.stderr);
    assert!(shown.contains("registry.example.com/tiny/charts/goverse:1.2.0 from k8s/helm/goverse"), "{shown}");
    let released = chart(&repo.succeed(&release("dist/oci", &[])));
    assert_eq!(released["reference"], "registry.example.com/tiny/charts/goverse");
    for layout in ["dist/oci/charts/goverse", "dist/v1.2.0/oci/charts/goverse"] {
        let index: Value = serde_json::from_str(&repo.read(&format!("{layout}/index.json"))).unwrap();
        assert_eq!(index["manifests"][0]["digest"], released["digest"], "{layout}");
    }
    let sums = repo.read("dist/v1.2.0/SHA256SUMS");
    assert!(sums.contains("  charts/goverse-1.2.0.tgz\n"), "{sums}");
    let notes = repo.read("dist/v1.2.0/NOTES.md");
    let install = "helm install goverse oci://registry.example.com/tiny/charts/goverse --version 1.2.0";
    assert!(notes.contains(install), "{notes}");

    let share = shares.path().join("share").display().to_string();
    repo.succeed(&["build", "v1.2.0", "--export", &share]);
    assert_eq!(chart(&other.succeed(&release("dist/oci", &["--import", &share]))), released);
    other.succeed(&["verify", "v1.2.0"]);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_release_without_pins_or_without_an_image_has_no_chart_and_says_so() {
    let repo = tiny_with_chart();
    for (to, flags, said) in [
        ("dist/pins", &["--no-pin"][..], "no Helm chart is released: --no-pin"),
        ("dist/part", &["--image", "gate"], "no Helm chart is released: it names images that --image leaves out"),
    ] {
        let outcome = repo.succeed(&release(to, flags));
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
        assert_eq!(chart(&outcome), Value::Null);
        assert!(!repo.path().join(to).join("charts").exists() && !repo.path().join("dist/v1.2.0/charts").exists());
    }

    let table = repo.read("release.toml");
    repo.write("release.toml", &table.replace("[publish]\n", "[publish]\nchart = false\n"));
    let off = repo.succeed(&["plan", "v1.2.0", "--json"]).json();
    assert_eq!(off["chart"]["leave"], "publish.chart in release.toml turns it off");
    repo.write("release.toml", &table.replace("[publish]\n", "[publish]\nchart = \"charts/missing\"\n"));
    let missing = repo.run(&release("dist/oci", &["--allow-dirty"]));
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    assert!(missing.stderr.contains("the chart k8s/helm/missing has no Chart.yaml"), "{}", missing.stderr);
}
