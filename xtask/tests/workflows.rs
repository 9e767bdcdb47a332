//! The workflows' own rules: they do nothing that xtask could do, and may do no more than they have to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::BTreeSet;

use harness::checkout;
use harness::workflow::Workflow;
use serde_json::Value;

/// What is wrong with a workflow, each rule by its own words.
fn faults(workflow: &Workflow) -> Vec<String> {
    let mut found = Vec::new();
    let yaml = &workflow.yaml;
    if yaml["permissions"] != serde_json::json!({}) {
        found.push("the workflow has permissions".to_owned());
    }
    let events = match &yaml["on"] {
        Value::Object(events) => events.keys().cloned().collect(),
        other => vec![other.to_string()],
    };
    found.extend(events.iter().filter(|e| e.contains("pull_request_target") || e.contains("workflow_run")).cloned());
    if !yaml["concurrency"]["group"].is_string() || yaml["concurrency"]["cancel-in-progress"].is_null() {
        found.push("it doesn't say what becomes of a second run".into());
    }
    for (name, job) in workflow.jobs() {
        if !job["permissions"].is_object() {
            found.push(format!("{name} has no permissions of its own"));
        }
        if !job["timeout-minutes"].is_u64() {
            found.push(format!("{name} may take for ever"));
        }
        let lines = job["steps"].as_array().unwrap().iter().filter(|step| step["run"].is_string()).count();
        if lines != 1 {
            found.push(format!("{name} has {lines} lines"));
        }
    }
    for step in workflow.steps() {
        found.extend(step.yaml["run"].as_str().into_iter().flat_map(line_faults));
        found.extend(step.yaml["uses"].as_str().into_iter().flat_map(|uses| action_faults(uses, &step.yaml["with"])));
    }
    found
}

fn line_faults(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !line.starts_with("cargo xtask ") {
        found.push(format!("`{line}` is no cargo xtask"));
    }
    if line.contains(['\n', ';', '&', '|', '`', '<', '>']) || line.contains("$(") {
        found.push(format!("`{line}` is more than one command"));
    }
    if line.contains("${{") {
        found.push(format!("`{line}` has an expression in it"));
    }
    found
}

fn action_faults(uses: &str, with: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let pin = uses.split_once('@').map(|(_, pin)| pin).unwrap_or_default();
    if pin.len() != 40 || !pin.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        found.push(format!("{uses} is not pinned by its commit"));
    }
    if uses.starts_with("actions/checkout@") && with["persist-credentials"] != false {
        found.push("the checkout keeps the token".into());
    }
    found
}

#[test]
fn workflows_are_thin_pinned_and_allowed_little() {
    let workflows = Workflow::all();
    assert_eq!(workflows.len(), 4, "ci, release, scan, and the one in docs");
    for workflow in workflows {
        assert_eq!(faults(&workflow), Vec::<String>::new(), "{}", workflow.name);
    }
}

#[test]
fn each_rule_is_broken_by_what_breaks_it() {
    let good = std::fs::read_to_string(checkout().join(".github/workflows/release.yml")).unwrap();
    let line = "run: cargo xtask gha release \"$VERSION\" --to \"$REGISTRY\"";
    let pin = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1";
    for (from, to, fault) in [
        ("permissions: {}", "permissions: {contents: read}", "the workflow has permissions"),
        ("workflow_dispatch:", "pull_request_target:", "pull_request_target"),
        ("cancel-in-progress: false", "# nothing", "second run"),
        ("    timeout-minutes: 60", "", "for ever"),
        ("persist-credentials: false", "persist-credentials: true", "keeps the token"),
        ("          persist-credentials: false\n", "", "keeps the token"),
        (pin, "actions/checkout@v7", "not pinned"),
        (pin, "actions/checkout@3D3C42E5AAC5BA805825DA76410C181273BA90B1", "not pinned"),
        (line, "run: make release", "no cargo xtask"),
        (line, "run: cargo xtask release \"${{ inputs.version }}\"", "expression"),
        (line, "run: cargo xtask release v1 && curl https://example.com", "more than one command"),
        (line, "run: |\n          cargo xtask release v1\n          make", "more than one command"),
        ("      - name: Install Go\n", "      - run: cargo xtask doctor\n      - name: Install Go\n", "2 lines"),
    ] {
        assert!(good.contains(from), "{from}");
        let found = faults(&Workflow::parse("bad", &good.replacen(from, to, 1)));
        assert!(found.iter().any(|f| f.contains(fault)), "{to}: {found:?}");
    }
}

#[test]
fn no_release_is_cancelled_or_dropped_for_another_version() {
    let release = Workflow::named("release.yml").yaml;
    assert_eq!(release["concurrency"]["cancel-in-progress"], false);
    // GitHub drops a waiting run when another comes into its group: a group may hold one version only.
    assert_eq!(release["concurrency"]["group"], "release-${{ inputs.version || github.ref_name }}");
    let env = release["jobs"]["release"]["steps"].as_array().unwrap().last().unwrap()["env"]["VERSION"].clone();
    assert_eq!(env, "${{ inputs.version || github.ref_name }}", "what is released is what the group is called by");
}

#[test]
fn a_pinned_action_is_the_same_everywhere_and_says_its_version() {
    let mut pins = BTreeSet::new();
    for path in Workflow::files() {
        let (name, text) = (path.display(), std::fs::read_to_string(&path).unwrap());
        for line in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
            assert!(line.contains(" # v"), "{name}: {line} does not say its version");
            pins.insert(line.to_owned());
        }
    }
    let actions: BTreeSet<&str> = pins.iter().map(|pin| pin.split('@').next().unwrap()).collect();
    assert_eq!(actions.len(), pins.len(), "an action is pinned twice: {pins:#?}");
}

#[test]
fn renovate_finds_every_pinned_version() {
    let read = |name: &str| std::fs::read_to_string(checkout().join(name)).unwrap();
    let renovate: Value = serde_json::from_str(&read(".github/renovate.json")).unwrap();
    let managers = renovate["customManagers"].as_array().unwrap();
    let versions = |name: &str| {
        let file = |manager: &&Value| {
            let pattern = manager["managerFilePatterns"][0].as_str().unwrap().trim_matches('/');
            regex::Regex::new(pattern).unwrap().is_match(name)
        };
        let text = read(name);
        let mut found = Vec::new();
        for manager in managers.iter().filter(file) {
            let regex = regex::Regex::new(manager["matchStrings"][0].as_str().unwrap()).unwrap();
            found.extend(regex.captures_iter(&text).map(|c| c["currentValue"].to_owned()));
        }
        found.sort();
        found
    };
    // In the table a version is `NAME = "1.2.3"` below [tools], or a tool's table of its own has it.
    let table: toml::Table = read("release.toml").parse().unwrap();
    let tools = table["tools"].as_table().unwrap().values();
    let version = |tool: &toml::Value| tool.as_str().or_else(|| tool.get("version")?.as_str()).unwrap().to_owned();
    let mut pinned: Vec<String> = tools.map(version).collect();
    pinned.sort();
    assert_eq!(versions("release.toml"), pinned);
    // In the sources it is any text that is a version.
    let literal = regex::Regex::new("\"([0-9]+\\.[0-9]+\\.[0-9]+)\"").unwrap();
    for name in ["xtask/src/ci.rs", "xtask/tests/harness/tools.rs"] {
        let text = read(name);
        let mut pinned: Vec<String> = literal.captures_iter(&text).map(|c| c[1].to_owned()).collect();
        pinned.sort();
        assert!(!pinned.is_empty(), "{name}");
        assert_eq!(versions(name), pinned, "{name}");
    }
}
