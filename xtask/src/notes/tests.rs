use std::path::Path;
use std::process::Command;

use semver::Version;

use super::*;
use crate::error::Result;
use crate::publish::fixture;
use crate::ui::Ui;

struct Repo(tempfile::TempDir);

impl Repo {
    fn new() -> Repo {
        let repo = Repo(tempfile::tempdir().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(self.0.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Commits on a branch and merges it.
    fn merge(&self, merge: &str, commits: &[&str]) {
        self.git(&["switch", "--quiet", "--create", "topic"]);
        commits.iter().for_each(|message| self.commit(message));
        self.git(&["switch", "--quiet", "main"]);
        self.git(&["merge", "--quiet", "--no-ff", "--message", merge, "topic"]);
        self.git(&["branch", "--quiet", "--delete", "topic"]);
    }

    fn history(&self, version: &str) -> History {
        read(self.0.path(), "HEAD", &version.parse().unwrap(), &Ui::silent()).unwrap().unwrap()
    }
}

fn shown(history: &History) -> Vec<(Kind, String)> {
    history.changes.iter().map(|c| (c.kind, c.text.clone())).collect()
}

#[test]
fn a_pull_request_is_one_change_and_another_merge_is_its_commits() {
    let repo = Repo::new();
    repo.commit("feat: the beginning");
    repo.git(&["tag", "v1.0.0"]);
    repo.commit("fix(gate): close what is open (#7)");
    repo.merge("Merge pull request #8 from someone/topic\n\nfeat(node): hosts more", &["wip", "fix: my own mistake"]);
    repo.merge("Merge branch 'topic'", &["perf: fewer copies", "write it down"]);
    let history = repo.history("1.1.0");
    assert_eq!(history.previous.as_deref(), Some("v1.0.0"));
    let expected = [
        (Kind::Other, "write it down"),
        (Kind::Performance, "fewer copies"),
        (Kind::Feature, "hosts more"),
        (Kind::Fix, "close what is open"),
    ];
    assert_eq!(shown(&history), expected.map(|(kind, text)| (kind, text.to_owned())));
    let numbers: Vec<_> = history.changes.iter().filter_map(|c| c.pull_request.as_deref()).collect();
    assert_eq!(numbers, ["#8", "#7"]);
    assert!(!history.cut);
}

#[test]
fn a_breaking_commit_inside_a_pull_request_is_not_lost() {
    let repo = Repo::new();
    repo.commit("feat: the beginning");
    repo.git(&["tag", "v1.0.0"]);
    let breaking = "refactor: rename\n\nwhy\n\nBREAKING CHANGE: call it --listen\nfrom now on\nSigned-off-by: x <x@y>";
    repo.merge("Merge pull request #9 from a/b\n\nTidy up", &[breaking, "feat!: no more --port", "more"]);
    let history = repo.history("2.0.0");
    let expected = [(Kind::Other, "Tidy up"), (Kind::Breaking, "no more --port"), (Kind::Breaking, "rename")]
        .map(|(k, t)| (k, t.to_owned()));
    assert_eq!(shown(&history), expected);
    assert_eq!(history.changes[2].breaking.as_deref(), Some("call it --listen from now on"));
}

#[test]
fn the_version_before_is_the_highest_below_that_the_commit_contains() {
    let repo = Repo::new();
    for tag in ["v1.0.0", "not-a-version", "v1.2.0-rc.1", "v1.10.0"] {
        repo.commit(&format!("feat: what {tag} brings"));
        repo.git(&["tag", tag]);
    }
    repo.git(&["switch", "--quiet", "--create", "side", "v1.0.0"]);
    repo.commit("fix: of the side");
    repo.git(&["tag", "v1.1.0"]);
    repo.git(&["switch", "--quiet", "main"]);
    for (version, previous) in [
        ("0.9.0", None),
        ("1.2.0", Some("v1.0.0")),
        ("1.2.0-rc.2", Some("v1.2.0-rc.1")),
        ("1.10.0", Some("v1.0.0")),
        ("1.11.0", Some("v1.10.0")),
    ] {
        assert_eq!(repo.history(version).previous.as_deref(), previous, "{version}");
    }
}

#[test]
fn a_shallow_checkout_says_that_it_knows_less() {
    let (repo, clone) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit("one");
    repo.commit("two");
    let url = format!("file://{}", repo.0.path().display());
    let folder = clone.path().join("clone");
    repo.git(&["clone", "--quiet", "--depth=1", &url, folder.to_str().unwrap()]);
    let history = read(&folder, "HEAD", &Version::new(1, 0, 0), &Ui::silent()).unwrap().unwrap();
    assert!(history.cut && history.changes.len() == 1, "{history:?}");
    assert_eq!(read(clone.path(), "HEAD", &Version::new(1, 0, 0), &Ui::silent()).unwrap(), None);
}

#[test]
fn only_what_follows_the_convention_is_taken_apart() {
    for (subject, kind, scope, text) in [
        ("feat(gate): let in", Kind::Feature, Some("gate"), "let in"),
        ("FIX: it", Kind::Fix, None, "it"),
        ("docs!: burn them", Kind::Breaking, None, "burn them"),
        ("chore(deps): bump (#3)", Kind::Other, Some("deps"), "bump"),
        ("note: this is prose", Kind::Other, None, "note: this is prose"),
        ("feat:no space", Kind::Other, None, "feat:no space"),
        ("feat(gate: odd", Kind::Other, None, "feat(gate: odd"),
        ("Merge pull request #x from y", Kind::Other, None, "Merge pull request #x from y"),
        ("(#12)", Kind::Other, None, ""),
        ("", Kind::Other, None, ""),
    ] {
        let change = Change::of("abc", subject, "");
        assert_eq!((change.kind, change.scope.as_deref(), change.text.as_str()), (kind, scope, text), "{subject}");
    }
}

#[test]
fn notes_have_what_changed_and_what_was_released() -> Result<()> {
    let mut record = fixture::record("1.2.0")?;
    record.scan.skipped = Some("test".into());
    let change = |kind, text: &str| Change {
        kind,
        scope: Some("gate".into()),
        text: text.into(),
        breaking: None,
        pull_request: Some("#1".into()),
        commit: "0123456789abcdef".into(),
    };
    let changes = vec![change(Kind::Other, "tidy"), change(Kind::Breaking, "no more"), change(Kind::Feature, "more")];
    let history = History { previous: Some("v1.1.0".into()), changes, cut: false };
    let notes = Notes { tag: "v1.2.0", history: Some(&history), changelog: Some("By hand."), record: Some(&record) };
    let text = notes.to_markdown();
    let order = ["# v1.2.0", "By hand.", "since v1.1.0", "## Breaking", "## Features", "## Other", "## Images"];
    let at: Vec<_> = order.map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"))).to_vec();
    assert!(at.is_sorted(), "{text}");
    for image in &record.images {
        assert!(text.contains(&image.index.digest.to_string()), "{text}");
        for platform in &image.platforms {
            assert!(text.contains(&platform.manifest.digest.to_string()), "{text}");
            for sbom in &platform.sboms {
                let reference = format!("ghcr.io/example/{}@{}", image.repository, sbom.artifact.digest);
                assert!(text.contains(&reference), "{reference}: {text}");
            }
        }
    }
    let chart = record.chart.as_ref().map(|chart| chart.manifest.digest.to_string()).unwrap();
    let install = "    helm install goverse oci://ghcr.io/example/charts/goverse --version 1.2.0\n";
    assert!(text.contains(&chart) && text.contains(install), "{text}");
    assert!(text.contains("- **gate:** more (#1, 0123456789)"), "{text}");
    assert!(text.contains("    cargo xtask verify v1.2.0 --from oci:"), "{text}");
    assert!(text.contains("Not scanned: test."), "{text}");
    assert!(!text.contains("## Fixes"), "an empty heading says nothing");
    Ok(())
}

#[test]
fn what_people_write_in_commits_is_only_text() {
    let change = Change::of("abc", "feat: <img src=x> ping @everyone | [a](javascript:b) in `<T>` `x", "");
    let history = History { previous: None, changes: vec![change], cut: false };
    let notes = Notes { tag: "v1.0.0", history: Some(&history), changelog: None, record: None };
    let text = notes.to_markdown();
    assert!(
        text.contains("&lt;img src=x&gt; ping @<!-- -->everyone \\| \\[a\\](javascript:b) in `<T>` \\`x"),
        "{text}"
    );
}

#[test]
fn the_changelog_has_a_section_for_the_version_or_says_which_line_to_add() {
    let folder = tempfile::tempdir().unwrap();
    let file = "CHANGELOG.md".parse().unwrap();
    let section = |text: &str, version: &str| {
        std::fs::write(folder.path().join("CHANGELOG.md"), text).unwrap();
        changelog::section(folder.path(), &file, &version.parse().unwrap()).map_err(|e| e.to_string())
    };
    for heading in
        ["## [1.2.0]", "## v1.2.0", "## 1.2.0 (2026-01-02)", "## [v1.2.0](https://x) - 2026-01-02", "## [1.2.0] - 2026"]
    {
        let text = format!(
            "# Changelog\n\n## Unreleased\n\n- next\n\n{heading}\n\n- this\n\n### More\n\n- that\n\n## 1.1.0\n\n- old\n"
        );
        assert_eq!(section(&text, "1.2.0"), Ok("- this\n\n### More\n\n- that".into()), "{heading}");
    }
    let refused = section("# Changelog\n\n## 1.2.0-rc.1\n\n- x\n\n## 1.20.0\n\n- y\n", "1.2.0").unwrap_err();
    assert!(refused.contains("add the line `## [1.2.0]` to CHANGELOG.md"), "{refused}");
    let empty = section("# Changelog\n\n## 1.2.0\n\n## 1.1.0\n\n- y\n\n[1.2.0]: https://x\n", "1.2.0").unwrap_err();
    assert!(empty.contains("CHANGELOG.md:3: the section of v1.2.0 is empty"), "{empty}");
    let missing = changelog::section(Path::new("/nonexistent"), &file, &Version::new(1, 2, 0)).unwrap_err().to_string();
    assert!(missing.contains("hint: write CHANGELOG.md"), "{missing}");
}
