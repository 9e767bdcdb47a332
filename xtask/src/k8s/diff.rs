//! What a change of the manifests changes in a cluster.
//!
//! Takes two renderings, gives a unified diff; takes a revision, gives its manifests in a temporary folder. Never
//! touches the working tree or the index.

use std::path::Path;

use similar::TextDiff;
use tempfile::TempDir;
use xshell::{Shell, cmd};

use super::render::Rendered;
use crate::cmd::Run;
use crate::error::{Context, Result};
use crate::ui::Ui;

/// The differences, target by target; one that only one side has is all new or all gone.
pub fn diff(before: &[Rendered], after: &[Rendered]) -> String {
    let mut names: Vec<&str> = before.iter().chain(after).map(|one| one.target.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let text = |side: &[Rendered], name: &str| {
        let found = side.iter().find(|one| one.target.name == name);
        found.map(|one| one.text.clone()).unwrap_or_default()
    };
    let one = |name: &str| {
        let (old, new) = (text(before, name), text(after, name));
        TextDiff::from_lines(&old, &new).unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string()
    };
    names.into_iter().map(one).collect()
}

/// `folder` as it is in `revision`, below a temporary folder that is `root` to it.
pub fn at_revision(root: &Path, folder: &Path, revision: &str, ui: &Ui) -> Result<TempDir> {
    let shell = Shell::new().attempt(|| "find the current folder".into())?;
    shell.change_dir(root);
    let commit = format!("{revision}^{{commit}}");
    let name = Run::new(cmd!(shell, "git rev-parse --verify --quiet --end-of-options {commit}"));
    let name = name.hint("name a commit, a branch or a tag of this repository").read(ui)?;
    let name = String::from_utf8_lossy(&name).trim().to_owned();
    let archive = Run::new(cmd!(shell, "git archive --format=tar {name} -- {folder}")).read(ui)?;
    let into = TempDir::new().attempt(|| "create a temporary folder".into())?;
    tar::Archive::new(archive.as_slice())
        .unpack(into.path())
        .attempt(|| format!("unpack {} of {revision} into {}", folder.display(), into.path().display()))?;
    Ok(into)
}
