//! The git program, run so that it reads one folder and changes nothing it isn't told to.
//!
//! Takes a folder and arguments, gives output. Never runs hooks, never asks a person, never takes a lock it can do
//! without, and never shows a login: not on a command line, not in an error.

use std::path::Path;
use std::time::Duration;

use xshell::Shell;

use crate::cmd::{Output, Run};
use crate::error::{Context, Error, Result};
use crate::ui::Ui;

/// Transports that may be used. Not among them: plain http, which anyone on the way can alter, and `ext::`, which runs
/// commands.
pub(super) const SCHEMES: &[&str] = &["https", "ssh", "file", "git"];

/// The longest git may take over a repository on disk.
pub const LOCAL_LIMIT: Duration = Duration::from_secs(60);

/// Set by git for its hooks, among others: they would point it at another repository than the folder's.
const DROPPED: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// A login in a URL: what is kept from sight, and how git gets it all the same.
pub struct Login {
    /// `user:password`, or a token.
    pub(super) userinfo: String,
    /// The URL with it.
    pub(super) full: String,
    /// The URL without it, as it is shown and given to git.
    pub(super) clean: String,
}

/// The git program.
pub struct Git<'a> {
    shell: Shell,
    login: Option<Login>,
    ui: &'a Ui,
}

impl<'a> Git<'a> {
    /// Git with the user's own settings; `login` stands in wherever its clean URL is named.
    pub fn new(login: Option<Login>, ui: &'a Ui) -> Result<Git<'a>> {
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        Ok(Git { shell, login, ui })
    }

    /// `git ARGS` in `folder`, whatever its status.
    pub fn output(&self, folder: &Path, args: &[&str], stdin: &str, limit: Duration) -> Result<Output> {
        Run::new(self.command(folder, args)).stdin(stdin).limit(limit).output(self.ui)
    }

    /// What `git ARGS` prints in `folder`; any status but 0 is an error.
    pub fn read(&self, folder: &Path, args: &[&str], limit: Duration) -> Result<Vec<u8>> {
        let line = self.command(folder, args).to_string();
        let output = self.output(folder, args, "", limit)?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Error::failed(format!("`{line}` failed with {}", output.status)).because(self.said(&output))),
        }
    }

    /// What git had to say, without the login.
    pub fn said(&self, output: &Output) -> String {
        let text = String::from_utf8_lossy(&output.stderr);
        let text = text.trim_end();
        match &self.login {
            Some(login) => text.replace(&login.full, &login.clean).replace(&login.userinfo, "***"),
            None => text.to_owned(),
        }
    }

    fn command(&self, folder: &Path, args: &[&str]) -> xshell::Cmd<'_> {
        // core.fsmonitor is a program that git would start, and that would outlive it.
        let fixed = ["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
        let mut command = self.shell.cmd("git").arg("-C").arg(folder).args(fixed).args(args).quiet();
        for name in DROPPED {
            command = command.env_remove(name);
        }
        command =
            command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", SCHEMES.join(":"));
        match &self.login {
            Some(login) => with_login(command, login),
            None => command,
        }
    }
}

/// Gives git the login by its environment, after any settings that the caller's environment holds already.
fn with_login<'a>(command: xshell::Cmd<'a>, login: &Login) -> xshell::Cmd<'a> {
    let count: usize = std::env::var("GIT_CONFIG_COUNT").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    command
        .env(format!("GIT_CONFIG_KEY_{count}"), format!("url.{}.insteadOf", login.full))
        .env(format!("GIT_CONFIG_VALUE_{count}"), &login.clean)
        .env("GIT_CONFIG_COUNT", (count + 1).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_reaches_git_but_neither_the_command_line_nor_the_error() -> Result<()> {
        let login = Login {
            userinfo: "ci:hunter2".into(),
            full: "file://ci:hunter2@nowhere/repo".into(),
            clean: "file://nowhere/repo".into(),
        };
        let ui = Ui::silent();
        let git = Git::new(Some(login), &ui)?;
        let here = Path::new("/");
        assert!(!git.command(here, &["ls-remote", "file://nowhere/repo"]).to_string().contains("hunter2"));
        let rewritten = git.read(here, &["ls-remote", "--get-url", "file://nowhere/repo"], LOCAL_LIMIT)?;
        assert_eq!(String::from_utf8_lossy(&rewritten).trim(), "file://ci:hunter2@nowhere/repo");
        let err = git
            .read(here, &["ls-remote", "file://nowhere/repo"], LOCAL_LIMIT)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(err.contains("ls-remote") && !err.contains("hunter2"), "{err}");
        Ok(())
    }
}
