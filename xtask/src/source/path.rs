//! A folder as a source: where the module is, and what git says about that subtree.
//!
//! Takes a path, gives a [`Source`]. Never changes the folder, not even git's index; needs neither a network nor, for
//! a folder that is under no git, a git.

use std::path::Path;

use super::Source;
use super::git::{Git, LOCAL_LIMIT};
use crate::error::{Error, Result};
use crate::plan::{SourceFacts, Workspace};
use crate::ui::Ui;

/// The module at `path`.
pub(super) fn resolve(path: &Path, workspace: &Workspace, source_date_epoch: Option<i64>, ui: &Ui) -> Result<Source> {
    let hint = "name a Go module with `--source PATH`, `--source GIT_URL@REV`, or [source] path in release.toml";
    let no_module = |why: &str| Error::usage(format!("source `{}` {why}", path.display())).hint(hint);
    let folder = path.canonicalize().map_err(|e| no_module("can't be read").because(e))?;
    if !folder.is_dir() {
        return Err(no_module("is not a folder"));
    }
    if !folder.join("go.mod").is_file() {
        return Err(no_module("has no go.mod"));
    }
    let checkout = Checkout::read(&Git::new(None, ui)?, &folder, ui)?;
    let facts = SourceFacts {
        location: location(path, &folder, workspace),
        epoch: source_date_epoch.unwrap_or(checkout.time),
        dirty: checkout.commit.is_none() || !checkout.dirty_files.is_empty(),
        revision: checkout.commit,
    };
    Ok(Source { folder, facts, dirty_files: checkout.dirty_files })
}

/// A folder of the workspace is named from its root, so that the name is the same on every machine.
fn location(path: &Path, folder: &Path, workspace: &Workspace) -> String {
    let root = workspace.root.canonicalize();
    match root.as_deref().map(|root| folder.strip_prefix(root)) {
        Ok(Ok(below)) if below.as_os_str().is_empty() => ".".into(),
        Ok(Ok(below)) => below.display().to_string(),
        _ => path.display().to_string(),
    }
}

/// What git knows about a folder; the default is a folder that is under no commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checkout {
    /// The commit checked out.
    pub(super) commit: Option<String>,
    /// Its time, in seconds since 1970; 0 without a commit.
    pub(super) time: i64,
    /// What differs from it.
    pub(super) dirty_files: Vec<String>,
}

impl Checkout {
    /// Asks git twice: for the commit, then for what differs from it below `folder`.
    pub(super) fn read(git: &Git<'_>, folder: &Path, ui: &Ui) -> Result<Checkout> {
        // A go.mod that isn't in the commit means that the folder isn't either, such as an ignored one in a checkout.
        let head = match git.output(folder, &["cat-file", "--batch"], "HEAD\nHEAD:./go.mod\n", LOCAL_LIMIT) {
            Ok(output) if output.status.success() => parse_head(&output.stdout),
            Ok(output) => {
                explain(&git.said(&output), ui);
                None
            }
            Err(e) => {
                ui.warn(&format!("the source has no revision: {}", e.message()));
                None
            }
        };
        let Some((commit, time)) = head else { return Ok(Checkout::default()) };
        // The options are spelt out because a user's settings may hide files from `git status`.
        let args = [
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=normal",
            "--ignored=matching",
            "--",
            ".",
        ];
        let status = git.read(folder, &args, LOCAL_LIMIT)?;
        Ok(Checkout { commit: Some(commit), time, dirty_files: parse_status(&status, folder) })
    }
}

/// Being under no git is nothing to talk about; a git that refuses is (a checkout of another user's, most of all).
fn explain(said: &str, ui: &Ui) {
    if !said.contains("not a git repository") {
        ui.warn(&format!("the source has no revision, because git refused to read it: {said}"));
    }
}

/// Reads the answer of `git cat-file --batch` to `HEAD` and `HEAD:./go.mod`: the commit's id and time, when both exist.
fn parse_head(answer: &[u8]) -> Option<(String, i64)> {
    let (header, rest) = split_line(answer)?;
    let mut header = std::str::from_utf8(header).ok()?.split(' ');
    let (id, kind, size) = (header.next()?, header.next()?, header.next()?.parse::<usize>().ok()?);
    let commit = rest.get(..size).filter(|_| kind == "commit")?;
    let (module, _) = split_line(rest.get(size + 1..)?)?;
    let time = commit
        .split(|b| *b == b'\n')
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(b"committer "))?;
    let time = String::from_utf8_lossy(time).rsplit(' ').nth(1)?.parse().ok()?;
    String::from_utf8_lossy(module).contains(" blob ").then(|| (id.to_owned(), time))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

/// The paths in `git status --porcelain -z`. Ignored files don't count, but for Go code: it would be compiled though it
/// is in no commit. What is generated from a proto beside it is left out of that, because the overlay takes its place.
fn parse_status(status: &[u8], folder: &Path) -> Vec<String> {
    let entries = status.split(|b| *b == 0).filter_map(|entry| entry.split_at_checked(3));
    let entries = entries.map(|(state, path)| (state, String::from_utf8_lossy(path).into_owned()));
    let counts = |state: &[u8], path: &str| state != b"!! " || (path.ends_with(".go") && !has_proto(path, folder));
    entries.filter(|(state, path)| counts(state, path)).map(|(_, path)| path).collect()
}

/// Whether the proto of a generated file is there; `path` is relative to the top of the checkout that `folder` is in.
fn has_proto(path: &str, folder: &Path) -> bool {
    let stems = ["_grpc.pb.go", ".pb.go"].into_iter().filter_map(|suffix| path.strip_suffix(suffix));
    let mut protos = stems.map(|stem| format!("{stem}.proto"));
    protos.any(|proto| folder.ancestors().any(|top| top.join(&proto).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str =
        "tree 1\nauthor A <a@b> 5 +0000\ncommitter C D <c@d> 1700000000 +0100\n\ncommitter in the text 9 +0\n";

    #[test]
    fn the_time_is_the_committers() {
        let answer = format!("abc commit {}\n{COMMIT}\ndef blob 2\nx\n\n", COMMIT.len());
        assert_eq!(parse_head(answer.as_bytes()), Some(("abc".into(), 1_700_000_000)));
    }

    #[test]
    fn no_commit_or_a_module_outside_it_is_no_revision() {
        let outside = format!("abc commit {}\n{COMMIT}\nHEAD:./go.mod missing\n", COMMIT.len());
        for answer in ["", "HEAD missing\nHEAD:./go.mod missing\n", &outside, "abc commit 999999\n"] {
            assert_eq!(parse_head(answer.as_bytes()), None, "{answer}");
        }
    }
}
