use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::oci::Digest;

fn target(repository: &str) -> Target {
    let digest = Digest::of(repository.as_bytes());
    Target {
        repository: repository.to_owned(),
        reference: format!("ghcr.io/x/{repository}"),
        tag: "v1.2.0".to_owned(),
        digest,
    }
}

const POD: &str = "kind: Pod\nspec:\n  containers:\n    - image: goverse-node:v1 # ours\n";

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        crate::fs::write(&dir.path().join(name), text.as_bytes()).expect("a file");
    }
    dir
}

fn plan_of(dir: &tempfile::TempDir, repository: &str) -> Result<PinPlan> {
    plan(&[dir.path().to_owned()], &[target(repository)])
}

fn content(dir: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).expect("a file")
}

fn pinned(text: &str) -> String {
    text.replace("goverse-node:v1", &target("goverse-node").pinned())
}

#[test]
fn only_what_changes_is_written_and_modes_stay() -> Result<()> {
    let dir = folder(&[("a.yaml", POD), ("b/c.yml", &pinned(POD)), ("d.txt", POD), ("e.yaml", "kind: Service\n")]);
    let path = dir.path().join("a.yaml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).attempt(|| "chmod".into())?;
    let plan = plan_of(&dir, "goverse-node")?;
    assert_eq!(content(&dir, "a.yaml"), POD, "planning writes nothing");
    assert_eq!(plan.write()?, 1);
    assert_eq!(content(&dir, "a.yaml"), pinned(POD));
    assert_eq!(content(&dir, "d.txt"), POD);
    assert_eq!(fs::metadata(&path).attempt(|| "stat".into())?.permissions().mode() & 0o777, 0o640);
    assert!(plan_of(&dir, "goverse-node")?.is_empty(), "a second run has nothing to do");
    Ok(())
}

#[test]
fn hidden_folders_links_and_chart_templates_are_passed_over() -> Result<()> {
    let template = "{{- if .Values.on }}\nkind: Pod\n{{ end }} x\n";
    let files = [
        ("pod.yaml", POD),
        (".git/pod.yaml", POD),
        ("chart/Chart.yaml", "name: c\n"),
        ("chart/templates/sub/pod.yaml", template),
        ("templates/pod.yaml", POD),
    ];
    let (dir, elsewhere) = (folder(&files), folder(&[("linked.yaml", POD)]));
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("link")).attempt(|| "link".into())?;
    std::os::unix::fs::symlink(elsewhere.path().join("linked.yaml"), dir.path().join("link.yaml"))
        .attempt(|| "link".into())?;
    let plan = plan_of(&dir, "goverse-node")?;
    let changed: Vec<_> = plan.changes.keys().filter_map(|path| path.strip_prefix(dir.path()).ok()).collect();
    assert_eq!(changed, [Path::new("pod.yaml"), Path::new("templates/pod.yaml")]);
    Ok(())
}

#[test]
fn an_image_in_no_manifest_is_an_error_that_says_where_it_was_looked_for() {
    let dir = folder(&[("a.yaml", POD)]);
    let error = plan(&[dir.path().to_owned()], &[target("goverse-node"), target("goverse-gate")]).expect_err("no gate");
    let shown = error.to_string();
    assert_eq!(error.class(), Class::Usage);
    assert!(
        shown.contains("no manifest refers to goverse-gate") && shown.contains(&dir.path().display().to_string()),
        "{shown}"
    );
    assert!(!shown.contains("goverse-node"), "{shown}");
}

#[test]
fn every_unreadable_file_is_listed_and_nothing_is_planned() {
    let dir = folder(&[("a.yaml", POD), ("b.yaml", "a: [\n"), ("c.yaml", "ok: 1\nb: *c\n")]);
    fs::write(dir.path().join("d.yaml"), b"a: 1\nb: \xc3\xa9\xff\n").expect("a file");
    fs::write(dir.path().join("e.yaml"), b"\xff\xfea\0").expect("a file");
    let error = plan_of(&dir, "goverse-node").expect_err("four bad files");
    let shown = error.to_string();
    assert_eq!(error.class(), Class::Usage);
    for place in [
        "b.yaml:2:1: not valid YAML",
        "c.yaml:2:4: not valid YAML",
        "d.yaml:2:5: the file is not UTF-8",
        "e.yaml:1:1: the file is UTF-16",
    ] {
        assert!(shown.contains(place), "{shown}");
    }
}

#[test]
fn a_missing_folder_is_an_error() {
    let error = plan(&["no/such/folder".into()], &[target("goverse-node")]).expect_err("no folder");
    assert_eq!(error.class(), Class::Usage);
}

#[test]
fn a_file_above_the_limit_is_an_error() {
    let dir = folder(&[("a.yaml", &format!("# {}\n", "x".repeat(16 << 20)))]);
    assert!(plan_of(&dir, "goverse-node").expect_err("a large file").to_string().contains("larger than"));
}

#[test]
fn a_check_fails_with_places_the_command_to_run_and_a_diff() -> Result<()> {
    let dir = folder(&[("a.yaml", POD)]);
    let plan = plan_of(&dir, "goverse-node")?;
    let stale = plan.stale().expect("stale pins");
    let shown = stale.to_string();
    assert_eq!(stale.class() as u8, 5);
    assert!(shown.contains("a.yaml:4:14: goverse-node:v1, should be ghcr.io/x/goverse-node:v1.2.0@sha256:"), "{shown}");
    assert!(shown.contains("cargo xtask pin v1.2.0"), "{shown}");
    let diff = plan.diff();
    let changed: Vec<_> = diff.lines().filter(|line| line.starts_with(['+', '-'])).skip(2).collect();
    assert_eq!(
        changed,
        [
            "-    - image: goverse-node:v1 # ours".to_owned(),
            format!("+    - image: {} # ours", target("goverse-node").pinned())
        ]
    );
    assert_eq!(content(&dir, "a.yaml"), POD, "a check writes nothing");
    plan.write()?;
    let plan = plan_of(&dir, "goverse-node")?;
    assert!(plan.stale().is_none() && plan.diff().is_empty());
    Ok(())
}

#[test]
fn the_copy_is_pinned_whole_and_replaces_an_older_one() -> Result<()> {
    let (dir, out) = (
        folder(&[("a/pod.yaml", POD), ("run.sh", "#!/bin/sh\n"), (".helmignore", "x\n"), (".git/x", "x")]),
        folder(&[("v1/k8s/old", "x")]),
    );
    fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o700)).attempt(|| "chmod".into())?;
    let to = out.path().join("v1/k8s");
    let plan = plan_of(&dir, "goverse-node")?;
    assert_eq!(plan.write_into(dir.path(), &to)?, 3);
    assert_eq!(content(&out, "v1/k8s/a/pod.yaml"), pinned(POD));
    assert_eq!(content(&out, "v1/k8s/.helmignore"), "x\n");
    assert_eq!(content(&dir, "a/pod.yaml"), POD, "the original stays");
    let mode = |name: &str| fs::metadata(to.join(name)).map(|m| m.permissions().mode() & 0o777).ok();
    assert_eq!(
        [mode(""), mode("a"), mode("a/pod.yaml"), mode("run.sh"), mode("old"), mode(".git")],
        [Some(0o755), Some(0o755), Some(0o644), Some(0o755), None, None]
    );
    let beside: Vec<_> = fs::read_dir(out.path().join("v1"))
        .attempt(|| "list".into())?
        .filter_map(|e| Some(e.ok()?.file_name()))
        .collect();
    assert_eq!(beside, ["k8s"], "nothing temporary stays");
    Ok(())
}

#[test]
fn a_copy_of_what_was_not_searched_or_into_itself_is_refused() -> Result<()> {
    let (dir, other) = (folder(&[("a.yaml", POD)]), folder(&[("a.yaml", POD)]));
    let plan = plan_of(&dir, "goverse-node")?;
    assert!(plan.write_into(other.path(), &dir.path().join("out")).is_err());
    assert!(plan.write_into(dir.path(), &dir.path().join("out")).is_err());
    std::os::unix::fs::symlink("a.yaml", dir.path().join("b.yaml")).attempt(|| "link".into())?;
    assert!(plan.write_into(dir.path(), &other.path().join("out")).is_err());
    assert!(!other.path().join("out").exists());
    Ok(())
}
