//! GitHub's own command line, `gh`, asked about one repository.
//!
//! Takes arguments and standard input, gives what it prints. The token is in its environment (`GH_TOKEN`), never in
//! its arguments.

use std::time::Duration;

use xshell::Shell;

use crate::cmd::{Output, Run};
use crate::error::{Class, Context, Error, Result};
use crate::ui::Ui;

/// The longest a question to GitHub may take.
const ASK_LIMIT: Duration = Duration::from_secs(2 * 60);
/// The longest an upload may take.
const UPLOAD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Said of every failure: what was done already is found and left alone.
const AGAIN: &str = "run the job again: what it has done already is left as it is";

/// `gh` for one repository.
pub struct Gh<'a> {
    repository: String,
    ui: &'a Ui,
}

impl<'a> Gh<'a> {
    /// For `owner/name`.
    pub fn new(repository: &str, ui: &'a Ui) -> Gh<'a> {
        Gh { repository: repository.to_owned(), ui }
    }

    /// The branch that changes go to. The first question asked: it fails where `gh` is missing or has no token.
    pub fn default_branch(&self) -> Result<String> {
        let args = ["repo", "view", &self.repository, "--json", "defaultBranchRef", "--jq", ".defaultBranchRef.name"];
        let found = self.run(&args, "", ASK_LIMIT).map_err(|err| {
            err.reclass(Class::Preflight).hint("install gh, and give the step GH_TOKEN: ${{ github.token }}")
        })?;
        match found.is_empty() {
            true => Err(Error::failed(format!("{} has no default branch", self.repository)).hint("push one first")),
            false => Ok(found),
        }
    }

    /// What `gh ARGS --repo OWNER/NAME` prints.
    pub(super) fn ask(&self, args: &[&str], stdin: &str) -> Result<String> {
        self.run(&[args, &["--repo", &self.repository]].concat(), stdin, ASK_LIMIT)
    }

    /// The same for what takes longer.
    pub(super) fn upload(&self, args: &[&str]) -> Result<String> {
        self.run(&[args, &["--repo", &self.repository]].concat(), "", UPLOAD_LIMIT)
    }

    /// The same, where a certain answer means that there is nothing.
    pub(super) fn find(&self, args: &[&str], nothing: &str) -> Result<Option<String>> {
        let args = [args, &["--repo", &self.repository]].concat();
        let output = self.output(&args, "", ASK_LIMIT)?;
        match !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(nothing) {
            true => Ok(None),
            false => checked(&args, output).map(Some),
        }
    }

    fn run(&self, args: &[&str], stdin: &str, limit: Duration) -> Result<String> {
        checked(args, self.output(args, stdin, limit)?)
    }

    fn output(&self, args: &[&str], stdin: &str, limit: Duration) -> Result<Output> {
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        let command = shell.cmd("gh").args(args).env("GH_PROMPT_DISABLED", "1").env("NO_COLOR", "1");
        Run::new(command).stdin(stdin).limit(limit).output(self.ui)
    }
}

fn checked(args: &[&str], output: Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let failed = Error::failed(format!("`gh {}` failed with {}", args.join(" "), output.status));
    Err(failed.because(said.trim()).hint(AGAIN))
}
