//! The manifests against the programs that read them: kustomize, helm, kubectl-validate, promtool, and Goverse's own.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that can't be set up fails")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use harness::registry::Registry;
use harness::{Repo, checkout, read, tools};
use serde_json::Value;
use xtask::config::Config;
use xtask::k8s::{self, Object, Programs};
use xtask::source;
use xtask::ui::Ui;

/// Every target's objects by kind, namespace and name.
fn rendered() -> BTreeMap<String, BTreeMap<(String, String, String), Value>> {
    let programs = Programs { kustomize: tools::kustomize(), helm: tools::helm(), validate: tools::kubectl_validate() };
    let targets = k8s::targets(&checkout(), Path::new("k8s"), None).expect("there are overlays");
    let all = k8s::render(&checkout(), &targets, &programs, &Ui::silent()).expect("they can be rendered");
    let key = |object: &Object| {
        let namespace = object.value["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        (object.kind().to_owned(), namespace, object.name().to_owned())
    };
    let objects = |one: &k8s::Rendered| {
        let all: BTreeMap<_, _> = one.objects.iter().map(|object| (key(object), object.value.clone())).collect();
        assert_eq!(all.len(), one.objects.len(), "{} has an object twice", one.target.name);
        all
    };
    all.iter().map(|one| (one.target.name.clone(), objects(one))).collect()
}

#[test]
#[ignore = "needs kustomize and helm"]
fn the_chart_gives_what_the_production_overlay_gives() {
    let all = rendered();
    let (overlay, chart) = (&all["production"], &all["chart/goverse"]);
    assert_eq!(overlay.keys().collect::<Vec<_>>(), chart.keys().collect::<Vec<_>>());
    for (key, value) in overlay {
        assert_eq!(*value, chart[key], "{key:?} differs");
    }
}

#[test]
#[ignore = "needs kustomize, helm and kubectl-validate"]
fn the_manifests_have_no_fault_and_one_that_is_made_is_found() {
    let repo = Repo::sample();
    let sound = repo.succeed(&["k8s", "check", "--unreleased"]);
    assert!(sound.stderr.contains("dev, production, staging, chart/goverse have no fault"), "{}", sound.stderr);

    let unpinned = repo.run(&["k8s", "check"]);
    assert_eq!(unpinned.code, Some(5));
    assert!(unpinned.stderr.contains("k8s/base/node.yaml:"), "{}", unpinned.stderr);

    let node = repo.read("k8s/base/node.yaml");
    // One fault that only a schema knows, and one that none does.
    repo.write(
        "k8s/base/node.yaml",
        &node.replace("readOnlyRootFilesystem", "readOnlyRoot").replace("--etcd=", "--etc="),
    );
    let found = repo.run(&["k8s", "check", "--unreleased", "--json"]);
    assert_eq!(found.code, Some(5));
    let told: Vec<String> =
        found.json().as_array().expect("a list").iter().map(|one| one["what"].to_string()).collect();
    assert!(told.iter().any(|what| what.contains("node has no flag --etc")), "{told:?}");
    assert!(told.iter().any(|what| what.contains("readOnlyRoot")), "{told:?}");
}

#[test]
#[ignore = "needs kustomize and helm"]
fn a_change_of_the_base_shows_in_every_overlay_and_not_in_the_chart() {
    let repo = Repo::sample();
    assert_eq!(repo.succeed(&["k8s", "diff"]).stdout, "");
    let gate = repo.read("k8s/base/gate.yaml");
    repo.write(
        "k8s/base/gate.yaml",
        &gate.replace("terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 61"),
    );
    let diff = repo.succeed(&["k8s", "diff"]).stdout;
    let headers: BTreeSet<&str> = diff.lines().filter(|line| line.starts_with("+++")).collect();
    assert_eq!(headers, BTreeSet::from(["+++ b/dev", "+++ b/production", "+++ b/staging"]));
    let changed = |sign: &str| {
        let lines = diff.lines().filter(|line| line.starts_with(sign) && !line.starts_with(&sign.repeat(3)));
        lines.map(|line| line[1..].trim().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(changed("-"), BTreeSet::from(["terminationGracePeriodSeconds: 60".to_owned()]));
    assert_eq!(changed("+"), BTreeSet::from(["terminationGracePeriodSeconds: 61".to_owned()]));
}

/// What helm says of the chart with other values; `Err` where it refuses them.
fn template(values: &[&str]) -> Result<String, String> {
    let mut command = Command::new(tools::helm());
    command.args(["template", "goverse"]).arg(checkout().join("k8s/helm/goverse"));
    values.iter().for_each(|value| _ = command.args(["--set", value]));
    let output = command.output().expect("helm runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
#[ignore = "needs helm"]
fn the_chart_takes_stores_outside_of_the_cluster_and_refuses_what_it_does_not_know() {
    let chart = checkout().join("k8s/helm/goverse");
    read(&tools::helm(), ["lint", "--strict", "--quiet", &chart.display().to_string()]);
    let external = template(&[
        "etcd.enabled=false",
        "etcd.address=etcd.example.com:2379",
        "postgres.enabled=false",
        "inspector.enabled=false",
        "monitoring.enabled=false",
        "networkPolicies.external[0].cidr=10.1.0.0/16",
        "networkPolicies.external[0].port=2379",
    ])
    .expect("these are good values");
    assert!(external.contains("GOVERSE_ETCD_ENDPOINTS: \"etcd.example.com:2379\""));
    assert!(external.contains("cidr: 10.1.0.0/16"));
    for gone in ["kind: ServiceMonitor", "kind: CronJob", "--inspector-address", "name: goverse-etcd-peers"] {
        assert!(!external.contains(gone), "{gone} is still there");
    }
    for (bad, place) in [
        ("etcd.enabled=false", "/etcd/address"),
        ("etcd.adress=x:1", "etcd"),
        ("node.resources.limits.memory=1.5Gi", "/node/resources/limits/memory"),
        ("gate.autoscaling.min=0", "/gate/autoscaling/min"),
        ("networkPolicies.external[0].cidr=10.1.0.0/16", "/networkPolicies/external/0"),
    ] {
        let told = template(&[bad]).expect_err(bad);
        assert!(told.contains(place), "{bad}: {told}");
    }
}

#[test]
#[ignore = "needs helm"]
fn a_change_of_the_chart_s_configuration_rolls_the_pods() {
    let names = |text: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| line.trim().strip_prefix("name: goverse-config-")).map(str::to_owned).collect()
    };
    let (one, other) = (template(&[]).expect("it renders"), template(&["etcd.prefix=/other"]).expect("it renders"));
    assert_eq!((names(&one).len(), names(&other).len()), (1, 1));
    assert_ne!(names(&one), names(&other));
}

#[test]
#[ignore = "needs promtool"]
fn the_alerts_fire_when_they_should_and_not_else() {
    let component = checkout().join("k8s/components/monitoring");
    let rules = std::fs::read_to_string(component.join("rules.yaml")).expect("there are rules");
    let (_, groups) = rules.split_once("\nspec:\n").expect("the rules are the specification");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("goverse.rules.yaml");
    std::fs::write(&file, groups).expect("the folder can be written");
    let test = folder.path().join("rules.test.yaml");
    std::fs::copy(component.join("rules.test.yaml"), &test).expect("there is a test");
    let promtool = tools::promtool();
    read(&promtool, ["check", "rules", "--lint-fatal", &file.display().to_string()]);
    read(&promtool, ["test", "rules", &test.display().to_string()]);
}

#[test]
#[ignore = "needs the Go module proxy"]
fn release_toml_lists_the_flags_that_the_programs_have() {
    let config = Config::load(&checkout(), None).expect("release.toml is right");
    let repo = Repo::sample();
    let workspace = xtask::plan::Workspace {
        root: repo.path().to_owned(),
        cache: repo.path().join("target/xtask"),
        dist: repo.path().join("dist"),
        tools: xtask::tools::machine_cache().expect("the machine has a cache"),
    };
    let (go, ui) = (tools::go(), Ui::silent());
    let spec = xtask::config::SourceSpec::Path(repo.path().join(config.source.path.as_path()));
    let module = source::resolve(&spec, &workspace, None, &ui).expect("the sample is there");
    let prepared = source::prepare(module, &config.source, &config.tools, &go, &workspace, &ui).expect("it compiles");
    let overlay = prepared.overlay.as_ref().map(|path| format!("-overlay={}", path.display()));
    for (name, image) in &config.images {
        let program = repo.path().join(name.as_ref());
        let out = program.display().to_string();
        let arguments: Vec<&str> =
            ["build", "-o", &out].into_iter().chain(overlay.as_deref()).chain([image.package.as_str()]).collect();
        go.run(&prepared.source.folder, None, &arguments).and_then(|run| run.read(&ui)).expect("it can be built");
        // The flag package prints two spaces, a dash and the name.
        let output = Command::new(&program).arg("-h").output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        let flags: BTreeSet<String> = said
            .lines()
            .filter_map(|line| line.strip_prefix("  -"))
            .map(|rest| rest.split([' ', '\t']).next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(config.k8s.flags[name.as_ref()], flags, "{} {said}", name.as_ref());
    }
}

#[test]
#[ignore = "needs a registry and crane"]
fn images_of_others_are_pinned_to_what_their_registry_says() {
    let (registry, repo) = (Registry::start(), Repo::tiny());
    repo.succeed(&["release", "v1.2.0", "--skip-scan", "not this test's subject", "--to", registry.address()]);
    let etcd = format!("{}/others/etcd", registry.address());
    let name = |ours: &str, tag: &str| {
        let from = format!("{}/{ours}:v1.2.0", registry.address());
        read(&tools::crane(), ["copy", "--insecure", &from, &format!("{etcd}:{tag}")]);
        read(&tools::crane(), ["digest", "--insecure", &format!("{etcd}:{tag}")]).trim().to_owned()
    };
    let manifest =
        |image: &str| format!("kind: Pod\nspec:\n  containers:\n    - name: etcd\n      image: {image} # why\n");
    let first = name("tiny-gate", "v3");
    repo.write("k8s/etcd.yaml", &manifest(&format!("{etcd}:v3")));

    let stale = repo.run(&["pin", "--external", "--check"]);
    assert_eq!(stale.code, Some(5), "{}", stale.stderr);
    assert!(stale.stdout.contains(&first) && stale.stderr.contains("k8s/etcd.yaml:5:14"), "{}", stale.stderr);
    repo.succeed(&["pin", "--external"]);
    assert_eq!(repo.read("k8s/etcd.yaml"), manifest(&format!("{etcd}:v3@{first}")));
    repo.succeed(&["pin", "--external", "--check"]);

    // Its owner has moved the tag.
    let second = name("tiny-node", "v3");
    assert_eq!(repo.run(&["pin", "--external", "--check"]).code, Some(5));
    repo.succeed(&["pin", "--external"]);
    assert_eq!(repo.read("k8s/etcd.yaml"), manifest(&format!("{etcd}:v3@{second}")));

    repo.write("k8s/etcd.yaml", &manifest(&format!("{etcd}:v4")));
    let missing = repo.run(&["pin", "--external"]);
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
    assert!(missing.stderr.contains(&format!("k8s/etcd.yaml:5:14: {etcd}:v4 is not there")), "{}", missing.stderr);
    assert_eq!(repo.read("k8s/etcd.yaml"), manifest(&format!("{etcd}:v4")), "nothing is half pinned");
}
