//! Runs other programs: shows the command as a line that can be pasted, and on failure names the whole command,
//! its status and what it said.
//!
//! Takes an [`xshell::Cmd`], gives its output. Never puts a secret on a command line (secrets go by stdin or
//! environment, which are not echoed), and never waits without a limit.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::error::{Error, Result};
use crate::ui::Ui;

/// How long a program may run when the caller names no other limit.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long a program that ended just within its limit may still be read from.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A program's whole output.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of stdout.
    pub stdout: Vec<u8>,
    /// All of stderr.
    pub stderr: Vec<u8>,
}

/// A command to run, with its input and its limits.
pub struct Run {
    command: Command,
    line: String,
    stdin: Option<Vec<u8>>,
    limit: Duration,
    hint: Option<String>,
}

impl Run {
    /// Prepares `cmd`.
    pub fn new(cmd: xshell::Cmd<'_>) -> Run {
        let line = cmd.to_string();
        Run { command: cmd.into(), line, stdin: None, limit: DEFAULT_LIMIT, hint: None }
    }

    /// One more variable in its environment, never echoed.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// One variable less in its environment.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Run {
        self.command.env_remove(name);
        self
    }

    /// Bytes for standard input, never echoed.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.stdin = Some(bytes.into());
        self
    }

    /// The longest this may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Run {
        self.limit = limit;
        self
    }

    /// What to do when it fails.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Run {
        self.hint = Some(hint.into());
        self
    }

    /// Runs it and gives stdout; any status but 0 is an error that carries stderr.
    pub fn read(self, ui: &Ui) -> Result<Vec<u8>> {
        let (line, hint) = (self.line.clone(), self.hint.clone());
        let output = self.output(ui)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
        let err =
            Error::failed(format!("`{line}` failed with {}", output.status)).because(format!("\n{}", said.trim_end()));
        Err(match hint {
            Some(hint) => err.hint(hint),
            None => err,
        })
    }

    /// Runs it with its output going where this program's goes; any status but 0 is an error.
    pub fn show(mut self, ui: &Ui) -> Result<()> {
        ui.command(&self.line);
        self.command.stdin(Stdio::null());
        let status = wait(&mut self.spawn()?, self.limit, &self.line)?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::failed(format!("`{}` failed with {status}", self.line))),
        }
    }

    /// Runs it and gives status and output whatever the status; only failing to run is an error.
    pub fn output(mut self, ui: &Ui) -> Result<Output> {
        ui.command(&self.line);
        self.command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.spawn()?;
        collect(child, self.stdin.take(), self.limit, &self.line)
    }

    fn spawn(&mut self) -> Result<Child> {
        self.command.spawn().map_err(|e| {
            let program = self.command.get_program().to_string_lossy().into_owned();
            let err = Error::failed(format!("failed to run `{}`", self.line)).because(e);
            err.hint(format!("is `{program}` installed? `cargo xtask doctor` lists what is missing"))
        })
    }
}

/// Feeds and drains a child on threads of their own, so that no full pipe can block it, and ends it at the limit. A
/// program that it started may outlive it and hold its pipes: the limit is for them too.
fn collect(mut child: Child, stdin: Option<Vec<u8>>, limit: Duration, line: &str) -> Result<Output> {
    let start = Instant::now();
    if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), stdin) {
        // A program may end without reading all of its input; its status tells whether that was a failure.
        std::thread::spawn(move || _ = pipe.write_all(&bytes));
    }
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status = wait(&mut child, limit, line)?;
    let rest = |pipe: Receiver<Vec<u8>>| {
        let left = limit.saturating_sub(start.elapsed()).max(LAST_WORDS);
        pipe.recv_timeout(left).map_err(|_| {
            let what =
                format!("`{line}` ended, but a program that it started held its output for {} s", limit.as_secs());
            Error::failed(what)
        })
    };
    Ok(Output { status, stdout: rest(stdout)?, stderr: rest(stderr)? })
}

/// All that comes out of a pipe, once it is closed.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A read error leaves what came before it; the exit status decides.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody waits any more when the limit has passed.
        let _ = sender.send(bytes);
    });
    receiver
}

fn wait(child: &mut Child, limit: Duration, line: &str) -> Result<ExitStatus> {
    let failed = |e: std::io::Error| Error::failed(format!("failed to wait for `{line}`")).because(e);
    let pid = Pid::from_child(child);
    std::thread::scope(|scope| {
        let (sender, end) = mpsc::channel();
        // Left unreaped by the thread, the process keeps its number until it is waited for below, so what is stopped is
        // never another one.
        let seen = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        scope.spawn(move || {
            let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), seen));
            let _ = sender.send(());
        });
        let in_time = end.recv_timeout(limit).is_ok();
        if !in_time {
            child.kill().map_err(failed)?;
        }
        let status = child.wait().map_err(failed)?;
        match in_time {
            true => Ok(status),
            false => Err(Error::failed(format!("`{line}` did not end within {} s and was stopped", limit.as_secs()))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use xshell::{Shell, cmd};

    #[test]
    fn a_failure_names_the_command_its_status_and_what_it_said() -> Result<()> {
        let sh = Shell::new().map_err(|e| Error::failed(e.to_string()))?;
        let err = Run::new(cmd!(sh, "sh -c 'echo broken >&2; exit 3'"))
            .read(&Ui::silent())
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(err.contains("sh -c") && err.contains("exit status: 3") && err.contains("broken"), "{err}");
        Ok(())
    }

    #[test]
    fn a_program_that_hangs_is_stopped_at_the_limit() -> Result<()> {
        let sh = Shell::new().map_err(|e| Error::failed(e.to_string()))?;
        let err = Run::new(cmd!(sh, "sleep 600"))
            .limit(Duration::from_millis(50))
            .read(&Ui::silent())
            .err()
            .map(|e| e.to_string());
        assert!(err.unwrap_or_default().contains("did not end within"));
        Ok(())
    }

    #[test]
    fn a_program_whose_child_keeps_its_output_open_is_given_up_at_the_limit() -> Result<()> {
        let sh = Shell::new().map_err(|e| Error::failed(e.to_string()))?;
        let limit = Duration::from_millis(50);
        for (script, why) in [
            ("sleep 30 & wait", "did not end within"),
            ("sleep 30 & exit 0", "a program that it started held its output"),
        ] {
            let start = Instant::now();
            let err = Run::new(cmd!(sh, "sh -c {script}")).limit(limit).read(&Ui::silent()).err();
            assert!(err.map(|e| e.to_string()).unwrap_or_default().contains(why), "{script}");
            assert!(start.elapsed() < Duration::from_secs(20), "{script} took {:?}", start.elapsed());
        }
        Ok(())
    }

    #[test]
    fn input_larger_than_a_pipe_arrives_whole() -> Result<()> {
        let sh = Shell::new().map_err(|e| Error::failed(e.to_string()))?;
        let input = vec![b'x'; 1 << 20];
        assert_eq!(Run::new(cmd!(sh, "cat")).stdin(input.clone()).read(&Ui::silent())?, input);
        Ok(())
    }
}
