//! Sources as a user has them: checkouts and repositories made by git itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use walkdir::WalkDir;

use super::*;
use crate::config::GitSource;
use crate::error::{Class, Error};

/// 2023-11-14T22:13:20Z, the time of every commit here.
const COMMITTED: i64 = 1_700_000_000;

/// A workspace with a git repository next to it.
struct Fixture {
    temp: tempfile::TempDir,
    workspace: Workspace,
}

impl Fixture {
    /// A repository with one commit: go.mod, a proto, a file that git would convert, and a .gitignore.
    fn new() -> Fixture {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("workspace");
        let workspace =
            Workspace { cache: root.join("target/xtask"), dist: root.join("dist"), tools: root.join("tools"), root };
        std::fs::create_dir_all(&workspace.root).unwrap();
        let fixture = Fixture { temp, workspace };
        std::fs::create_dir(fixture.repo()).unwrap();
        fixture.git(&["init", "--quiet", "--initial-branch=main"]);
        fixture.write("go.mod", "module example.com/m\n");
        fixture.write(".gitignore", "*.pb.go\nignored*\nlocal/\n");
        fixture.write(".gitattributes", "*.txt text eol=crlf\n");
        fixture.write("notes.txt", "one\ntwo\n");
        fixture.write("proto/a.proto", "syntax = \"proto3\";\nmessage A {}\n");
        fixture.commit();
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.temp.path().join("repo")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.repo().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.repo()).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            git.env_remove(name);
        }
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@b");
            git.env(format!("GIT_{who}_DATE"), format!("{COMMITTED} +0000"));
        }
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits all there is, and gives the commit's id.
    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn path(&self, path: impl Into<PathBuf>) -> Result<Source> {
        resolve(&SourceSpec::Path(path.into()), &self.workspace, None, &Ui::silent())
    }

    fn spec(&self, revision: &str) -> SourceSpec {
        SourceSpec::Git(GitSource { url: format!("file://{}", self.repo().display()), revision: revision.into() })
    }

    fn fetch(&self, revision: &str) -> Result<Source> {
        resolve(&self.spec(revision), &self.workspace, None, &Ui::silent())
    }
}

fn failure<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it worked"),
        Err(err) => err,
    }
}

/// Everything below `folder` that a write could change.
fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let entry = |e: walkdir::DirEntry| {
        let metadata = e.metadata().unwrap();
        (e.into_path(), (metadata.len(), metadata.modified().unwrap()))
    };
    WalkDir::new(folder).into_iter().map(|e| entry(e.unwrap())).collect()
}

#[test]
fn a_clean_checkout_has_its_commit_and_the_commits_time() -> Result<()> {
    let fixture = Fixture::new();
    let source = fixture.path(fixture.repo())?;
    assert_eq!(source.facts.revision, Some(fixture.git(&["rev-parse", "HEAD"])));
    assert_eq!((source.facts.epoch, source.facts.dirty, source.dirty_files.len()), (COMMITTED, false, 0));
    assert_eq!(source.facts.location, fixture.repo().display().to_string());
    Ok(())
}

#[test]
fn the_time_given_by_the_caller_wins() -> Result<()> {
    let fixture = Fixture::new();
    for spec in [SourceSpec::Path(fixture.repo()), fixture.spec("main")] {
        assert_eq!(resolve(&spec, &fixture.workspace, Some(42), &Ui::silent())?.facts.epoch, 42);
        assert_eq!(peek(&spec, &fixture.workspace, Some(42), &Ui::silent())?.epoch, 42);
    }
    Ok(())
}

#[test]
fn changed_new_and_removed_files_make_it_dirty_but_ignored_ones_do_not() -> Result<()> {
    let fixture = Fixture::new();
    fixture.write("proto/a.pb.go", "package proto\n");
    fixture.write("proto/a_grpc.pb.go", "package proto\n");
    fixture.write("ignored.txt", "");
    fixture.write("local/notes", "");
    assert!(!fixture.path(fixture.repo())?.facts.dirty);
    fixture.write("notes.txt", "changed\n");
    fixture.write("new file.txt", "");
    std::fs::remove_file(fixture.repo().join(".gitattributes")).unwrap();
    let source = fixture.path(fixture.repo())?;
    let mut files = source.dirty_files;
    files.sort();
    assert_eq!(
        (source.facts.dirty, files),
        (true, vec![".gitattributes".into(), "new file.txt".into(), "notes.txt".into()])
    );
    Ok(())
}

#[test]
fn an_ignored_go_file_makes_it_dirty_because_it_is_compiled() -> Result<()> {
    let fixture = Fixture::new();
    fixture.write("ignored_local.go", "package m\n");
    // Left over from a proto that is gone: nothing is laid over it.
    fixture.write("proto/gone.pb.go", "package proto\n");
    assert_eq!(fixture.path(fixture.repo())?.dirty_files, ["ignored_local.go", "proto/gone.pb.go"]);
    Ok(())
}

#[test]
fn settings_that_hide_files_from_git_status_do_not_hide_them_here() -> Result<()> {
    let fixture = Fixture::new();
    fixture.git(&["config", "status.showUntrackedFiles", "no"]);
    fixture.write("new.txt", "");
    assert_eq!(fixture.path(fixture.repo())?.dirty_files, ["new.txt"]);
    Ok(())
}

#[test]
fn only_the_modules_own_subtree_counts() -> Result<()> {
    let fixture = Fixture::new();
    fixture.write("sub/go.mod", "module example.com/sub\n");
    let commit = fixture.commit();
    fixture.write("notes.txt", "changed\n");
    let source = fixture.path(fixture.repo().join("sub"))?;
    assert_eq!((source.facts.revision, source.facts.dirty), (Some(commit), false));
    fixture.write("sub/new.go", "package sub\n");
    assert_eq!(fixture.path(fixture.repo().join("sub"))?.dirty_files, ["sub/new.go"]);
    Ok(())
}

#[test]
fn a_module_under_no_commit_is_dirty_and_of_no_time() -> Result<()> {
    let fixture = Fixture::new();
    fixture.write("local/go.mod", "module example.com/ignored\n");
    let outside = fixture.temp.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("go.mod"), "module example.com/outside\n").unwrap();
    for folder in [outside, fixture.repo().join("local")] {
        let facts = fixture.path(&folder)?.facts;
        assert_eq!((facts.revision, facts.epoch, facts.dirty), (None, 0, true), "{}", folder.display());
    }
    Ok(())
}

#[test]
fn a_folder_of_the_workspace_is_named_from_its_root() -> Result<()> {
    let fixture = Fixture::new();
    let module = fixture.workspace.root.join("docker/sample");
    std::fs::create_dir_all(&module).unwrap();
    std::fs::write(module.join("go.mod"), "module m\n").unwrap();
    std::fs::write(fixture.workspace.root.join("go.mod"), "module r\n").unwrap();
    assert_eq!(fixture.path(&module)?.facts.location, "docker/sample");
    assert_eq!(fixture.path(&fixture.workspace.root)?.facts.location, ".");
    Ok(())
}

#[test]
fn what_is_no_module_is_a_usage_error_with_a_hint() {
    let fixture = Fixture::new();
    for path in [fixture.repo().join("nowhere"), fixture.repo().join("go.mod"), fixture.repo().join("proto")] {
        let err = failure(fixture.path(&path));
        assert_eq!(err.class(), Class::Usage);
        assert!(err.hint_text().is_some_and(|h| h.contains("--source")), "{err}");
    }
}

#[test]
fn a_branch_a_tag_and_a_commit_give_the_same_pristine_tree() -> Result<()> {
    let fixture = Fixture::new();
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    fixture.git(&["tag", "v1.0.0"]);
    fixture.git(&["tag", "--annotate", "--message=x", "v1.0.1"]);
    for revision in ["main", "v1.0.0", "v1.0.1", "refs/heads/main", "HEAD", &commit] {
        let source = fixture.fetch(revision)?;
        assert_eq!(source.facts.location, format!("file://{}@{revision}", fixture.repo().display()));
        assert_eq!(
            (source.facts.revision, source.facts.epoch, source.facts.dirty),
            (Some(commit.clone()), COMMITTED, false)
        );
        // Line ends as they are in the commit, whatever .gitattributes asks for.
        assert_eq!(std::fs::read_to_string(source.folder.join("notes.txt")).unwrap(), "one\ntwo\n");
        assert!(source.folder.starts_with(fixture.workspace.cache.canonicalize().unwrap()));
    }
    Ok(())
}

#[test]
fn a_commit_behind_the_tip_is_found_and_a_branch_is_looked_up_anew() -> Result<()> {
    let fixture = Fixture::new();
    let first = fixture.git(&["rev-parse", "HEAD"]);
    assert_eq!(fixture.fetch("main")?.facts.revision.as_ref(), Some(&first));
    let second = fixture.commit();
    assert_eq!(fixture.fetch("main")?.facts.revision, Some(second));
    let other = Fixture {
        workspace: Workspace { cache: fixture.temp.path().join("cold"), ..fixture.workspace.clone() },
        ..fixture
    };
    assert_eq!(other.fetch(&first)?.facts.revision, Some(first));
    Ok(())
}

#[test]
fn a_commit_in_the_cache_needs_no_repository_any_more() -> Result<()> {
    let fixture = Fixture::new();
    let folder = fixture.fetch("main")?.folder;
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    std::fs::rename(fixture.repo(), fixture.temp.path().join("gone")).unwrap();
    assert_eq!(fixture.fetch(&commit)?.folder, folder);
    let facts = peek(&fixture.spec(&commit), &fixture.workspace, None, &Ui::silent())?;
    assert_eq!((facts.revision, facts.epoch, facts.dirty), (Some(commit), COMMITTED, false));
    let err = failure(fixture.fetch("main"));
    assert_eq!(err.class(), Class::Network, "{err}");
    Ok(())
}

#[test]
fn an_altered_checkout_in_the_cache_is_replaced() -> Result<()> {
    let fixture = Fixture::new();
    let folder = fixture.fetch("main")?.folder;
    std::fs::write(folder.join("go.mod"), "module evil\n").unwrap();
    let again = fixture.fetch("main")?.folder;
    assert_eq!(std::fs::read_to_string(again.join("go.mod")).unwrap(), "module example.com/m\n");
    Ok(())
}

#[test]
fn nothing_half_made_stays_in_the_cache() -> Result<()> {
    let fixture = Fixture::new();
    failure(fixture.fetch("nowhere"));
    fixture.fetch("main")?;
    failure(fixture.fetch(&"0".repeat(40)));
    let repositories = std::fs::read_dir(fixture.workspace.cache.join("sources")).unwrap();
    let names: Vec<_> = repositories
        .flat_map(|r| std::fs::read_dir(r.unwrap().path()).unwrap())
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, [fixture.git(&["rev-parse", "HEAD"]).as_str()]);
    Ok(())
}

#[test]
fn unknown_ambiguous_and_malformed_revisions_are_usage_errors() {
    let fixture = Fixture::new();
    fixture.git(&["branch", "both"]);
    fixture.git(&["tag", "both"]);
    let absent = "0123456789abcdef0123456789abcdef01234567";
    for revision in ["nowhere", "both", "v*", "main~1", "--upload-pack=x", "a..b", "", absent] {
        let err = failure(fixture.fetch(revision));
        assert_eq!(err.class(), Class::Usage, "{revision}: {err}");
        assert!(err.hint_text().is_some(), "{revision}: {err}");
    }
}

#[test]
fn a_repository_without_a_module_at_its_top_says_so() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.repo().join("go.mod")).unwrap();
    fixture.commit();
    let err = failure(fixture.fetch("main"));
    assert_eq!(err.class(), Class::Usage);
    assert!(err.to_string().contains("go.mod") && err.hint_text().is_some_and(|h| h.contains("submodules")), "{err}");
}

#[test]
fn peeking_fetches_nothing_and_writes_nothing() -> Result<()> {
    let fixture = Fixture::new();
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    for (revision, known) in [("main", None), (commit.as_str(), Some(commit.clone()))] {
        let facts = peek(&fixture.spec(revision), &fixture.workspace, None, &Ui::silent())?;
        assert_eq!((facts.revision, facts.epoch, facts.dirty), (known, 0, false));
    }
    assert!(!fixture.workspace.cache.exists());
    Ok(())
}

#[test]
fn a_login_in_the_url_is_in_no_message() {
    let fixture = Fixture::new();
    let spec = SourceSpec::Git(GitSource { url: "https://ci:hunter2@localhost:1/o/r".into(), revision: "main".into() });
    let err = failure(resolve(&spec, &fixture.workspace, None, &Ui::silent()));
    assert_eq!(err.class(), Class::Network);
    assert!(err.to_string().contains("https://localhost:1/o/r") && !err.to_string().contains("hunter2"), "{err}");
}

#[test]
fn a_checkout_is_never_written_to() -> Result<()> {
    let fixture = Fixture::new();
    // The same text again: git's index is now out of date, and a plain `git status` would write it anew.
    fixture.write("go.mod", "module example.com/m\n");
    let before = listing(&fixture.repo());
    let source = fixture.path(fixture.repo())?;
    assert!(!source.facts.dirty);
    let answer = fixture.temp.path().join("plugin");
    plugin::tests::script(&answer, "printf ''");
    let tools = overlay::tests::tools();
    let cache = &fixture.workspace.cache;
    let made = overlay::prepare(
        &source,
        &config::Source::default(),
        &plugin::plugins(&tools),
        "go1.27.3",
        cache,
        |_| Ok(answer.clone()),
        &Ui::silent(),
    )?;
    assert!(made.is_some_and(|overlay| overlay.starts_with(cache)));
    assert_eq!(listing(&fixture.repo()), before);
    Ok(())
}
