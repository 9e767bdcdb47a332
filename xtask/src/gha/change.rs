//! The pull request that pins the manifests to a release.
//!
//! Takes a record's digests and a branch, gives a pull request. It is made in a clone of its own, from the newest state
//! of the branch it goes to, and only where that isn't pinned already. What is on the pull request's branch and says
//! the same is left alone; else it is replaced, unless somebody pushed to it meanwhile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::Gh;
use crate::config::RelPath;
use crate::error::{Context, Error, Result};
use crate::pin::{self, Target};
use crate::source::git::{Git, LOCAL_LIMIT};
use crate::ui::Ui;

/// The longest a fetch or a push may take.
const TRANSFER_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Who commits: the account that the job's token belongs to.
const COMMITTER: [&str; 4] =
    ["-c", "user.name=github-actions[bot]", "-c", "user.email=41898282+github-actions[bot]@users.noreply.github.com"];
/// git asks gh for the job's token, and nobody else.
const CREDENTIALS: [&str; 4] = ["-c", "credential.helper=", "-c", "credential.helper=!gh auth git-credential"];

/// A change to be proposed.
pub struct Change<'a> {
    /// The version's tag.
    pub tag: &'a str,
    /// The folders that are pinned.
    pub paths: &'a [RelPath],
    /// What to.
    pub targets: &'a [Target],
    /// The branch that it goes to.
    pub base: &'a str,
    /// The text of the pull request.
    pub text: &'a str,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The branch is pinned already.
    Pinned,
    /// The pull request is there and says the same.
    Open(String),
    /// It was there and has been replaced.
    Updated(String),
    /// It is new.
    Opened(String),
}

#[derive(Deserialize)]
struct PullRequest {
    number: u64,
    url: String,
}

impl Change<'_> {
    /// The branch of the pull request.
    pub fn branch(&self) -> String {
        format!("release/pin-{}", self.tag)
    }

    /// Proposes the change to the repository that `root` is a checkout of.
    pub fn propose(&self, root: &Path, gh: &Gh<'_>, ui: &Ui) -> Result<Outcome> {
        let step = ui.step(format!("propose the pins of {}", self.tag));
        let folder = tempfile::tempdir().attempt(|| "create a temporary folder".into())?;
        let clone = Clone { git: Git::new(None, ui)?, folder: folder.path() };
        clone.of(root)?;
        let branch = self.branch();
        clone.check_out(self.base)?;
        if self.pins(&clone)?.is_empty() {
            step.done(&format!("{} has them already", self.base));
            return Ok(Outcome::Pinned);
        }
        let before = clone.head(&branch)?;
        let pushed = match &before {
            Some(_) if self.same(&clone, &branch)? => false,
            _ => {
                clone.check_out(self.base)?;
                self.pins(&clone)?.write()?;
                clone.push(&format!("Pin {}", self.tag), &branch, before.as_deref())?;
                true
            }
        };
        let outcome = self.pull_request(gh, &branch, pushed)?;
        step.done(match &outcome {
            Outcome::Pinned => "",
            Outcome::Open(url) | Outcome::Updated(url) | Outcome::Opened(url) => url,
        });
        Ok(outcome)
    }

    fn pins(&self, clone: &Clone<'_>) -> Result<pin::PinPlan> {
        let folders: Vec<PathBuf> = self.paths.iter().map(|path| clone.folder.join(path.as_path())).collect();
        pin::plan(&folders, self.targets)
    }

    fn same(&self, clone: &Clone<'_>, branch: &str) -> Result<bool> {
        clone.check_out(branch)?;
        // A branch on which the manifests can't be read is replaced.
        Ok(self.pins(clone).is_ok_and(|plan| plan.is_empty()))
    }

    fn pull_request(&self, gh: &Gh<'_>, branch: &str, pushed: bool) -> Result<Outcome> {
        let list = ["pr", "list", "--head", branch, "--base", self.base, "--state", "open", "--json", "number,url"];
        let open: Vec<PullRequest> =
            serde_json::from_str(&gh.ask(&list, "")?).attempt(|| "read what gh says of pull requests".into())?;
        match open.into_iter().next() {
            Some(PullRequest { url, .. }) if !pushed => Ok(Outcome::Open(url)),
            Some(PullRequest { number, url }) => {
                gh.ask(&["pr", "edit", &number.to_string(), "--body-file", "-"], self.text)?;
                Ok(Outcome::Updated(url))
            }
            None => {
                let title = format!("Pin {}", self.tag);
                let args =
                    ["pr", "create", "--head", branch, "--base", self.base, "--title", &title, "--body-file", "-"];
                let hint = "the repository's settings must let GitHub Actions create pull requests \
                            (Settings, Actions, General, Workflow permissions)";
                Ok(Outcome::Opened(gh.ask(&args, self.text).map_err(|err| err.hint(hint))?))
            }
        }
    }
}

/// A clone with as little history as there can be.
struct Clone<'a> {
    git: Git<'a>,
    folder: &'a Path,
}

impl Clone<'_> {
    fn of(&self, root: &Path) -> Result<()> {
        let url = self.git.read(root, &["remote", "get-url", "origin"], LOCAL_LIMIT)?;
        let url = String::from_utf8_lossy(&url).trim().to_owned();
        self.git.read(self.folder, &["init", "--quiet"], LOCAL_LIMIT)?;
        self.git.read(self.folder, &["remote", "add", "origin", &url], LOCAL_LIMIT).map(|_| ())
    }

    fn remote(&self, args: &[&str]) -> Result<String> {
        let args = [&CREDENTIALS, args].concat();
        let output = self.git.read(self.folder, &args, TRANSFER_LIMIT);
        let output = output.map_err(|err| err.hint("the job needs the permission `contents: write`"))?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    /// What the branch is at; `None` when there is no such branch.
    fn head(&self, branch: &str) -> Result<Option<String>> {
        let found = self.remote(&["ls-remote", "origin", &format!("refs/heads/{branch}")])?;
        Ok(found.split_whitespace().next().map(str::to_owned))
    }

    fn check_out(&self, branch: &str) -> Result<()> {
        self.remote(&["fetch", "--quiet", "--no-tags", "--depth=1", "origin", &format!("refs/heads/{branch}")])?;
        let checkout = ["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"];
        self.git.read(self.folder, &checkout, LOCAL_LIMIT).map(|_| ())
    }

    /// Commits everything and makes it the branch, if that is still what it was `before`.
    fn push(&self, message: &str, branch: &str, before: Option<&str>) -> Result<()> {
        let commit = ["commit", "--quiet", "--all", "--no-gpg-sign", "--message", message];
        self.git.read(self.folder, &[&COMMITTER[..], &commit].concat(), LOCAL_LIMIT)?;
        // An empty value means that there must be none.
        let lease = format!("--force-with-lease=refs/heads/{branch}:{}", before.unwrap_or_default());
        let target = format!("HEAD:refs/heads/{branch}");
        self.remote(&["push", "--quiet", &lease, "origin", &target])
            .map_err(|err: Error| err.within(format!("failed to push {branch}")))?;
        Ok(())
    }
}
