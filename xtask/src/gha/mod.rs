//! GitHub Actions: what a job is told by its runner, and what it tells it back.
//!
//! Takes the runner's environment, read once, and what came of a run; gives annotations, outputs and a job summary, the
//! release on GitHub and the pull request with the pins. The only room that reads `GITHUB_*`. Never puts a token on a
//! command line, and never needs to mask one: none is shown.

mod archive;
mod change;
mod command;
mod gh;
mod matrix;
mod release;
mod report;
mod summary;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use crate::error::{Context, Error, Result};
use crate::ui::{Tone, Ui};

pub use change::{Change, Outcome};
pub use command::Group;
pub use gh::Gh;
pub use matrix::matrix;
pub use release::{Assets, publish};
pub use summary::{Released, release as release_summary};

/// The largest summary a step may write (GitHub's own limit).
const SUMMARY_LIMIT: usize = 1 << 20;

/// A runner that this process runs under.
#[derive(Clone, Debug)]
pub struct Runner {
    summary: Option<PathBuf>,
    outputs: Option<PathBuf>,
    repository: Option<String>,
}

impl Runner {
    /// The runner, when there is one.
    pub fn detect() -> Option<Runner> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        (set("GITHUB_ACTIONS")? == "true").then(|| Runner {
            summary: set("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            outputs: set("GITHUB_OUTPUT").map(PathBuf::from),
            repository: set("GITHUB_REPOSITORY"),
        })
    }

    /// `owner/name`
    pub fn repository(&self) -> Result<&str> {
        let unset = || Error::usage("GITHUB_REPOSITORY is not set, so there is no repository to release in");
        self.repository.as_deref().ok_or_else(|| unset().hint("run it in a job of GitHub Actions"))
    }

    /// Adds Markdown to the job's summary.
    pub fn summarise(&self, markdown: &str) -> Result<()> {
        let Some(path) = &self.summary else { return Ok(()) };
        let mut text = cut(markdown, SUMMARY_LIMIT).to_owned();
        text.push('\n');
        append(path, &text)
    }

    /// Sets an output of the step, for the steps and jobs after it.
    pub fn output(&self, name: &str, value: &str) -> Result<()> {
        let Some(path) = &self.outputs else { return Ok(()) };
        append(path, &command::assignment(name, value))
    }

    /// Shows what went wrong where GitHub shows the change.
    pub fn failed(&self, error: &Error, ui: &Ui) {
        for line in report::error(error) {
            ui.line(Tone::Plain, &line);
        }
    }

    /// Shows what a scan objects to.
    pub fn findings(&self, report: &crate::scan::Report, ui: &Ui) {
        for line in report::findings(report) {
            ui.line(Tone::Plain, &line);
        }
    }
}

/// The failure of what only a job can do.
pub fn elsewhere() -> Error {
    Error::usage("this is no job of GitHub Actions: GITHUB_ACTIONS is not `true`")
}

fn append(path: &std::path::Path, text: &str) -> Result<()> {
    let attempt = || format!("write {}", path.display());
    // The runner made the file; other steps' lines are in it.
    let mut file = File::options().create(true).append(true).open(path).attempt(attempt)?;
    file.write_all(text.as_bytes()).attempt(attempt)
}

/// The lines of `text` that fit into `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    if text.len() < limit {
        return text;
    }
    let end = (0..limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let fits = text.get(..end).unwrap_or_default();
    fits.rfind('\n').and_then(|at| fits.get(..at)).unwrap_or(fits)
}

#[cfg(test)]
mod tests;
