//! The program `trivy`: refused where it is a hijacked release, and run deaf to the machine's own settings.
//!
//! Takes arguments, gives what was written to stdout. A run that fails, hangs or crashes is an error. Never reads a
//! report.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;
use serde::Deserialize;
use xshell::{Shell, cmd};

use super::NAME;
use crate::cmd::{Output, Run};
use crate::config::hijacked;
use crate::error::{Class, Context, Error, Result};
use crate::ui::Ui;

/// Where it comes from.
pub const RELEASES: &str = "https://github.com/aquasecurity/trivy/releases";
/// Settings about its index of Java archives, the one thing that it fetches itself; every other `TRIVY_…` could hide
/// findings.
const KEPT: &[&str] = &[
    "TRIVY_JAVA_DB_REPOSITORY",
    "TRIVY_USERNAME",
    "TRIVY_PASSWORD",
    "TRIVY_REGISTRY_TOKEN",
    "TRIVY_CACERT",
    "TRIVY_INSECURE",
];
/// How long it may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(60);
/// What a run says that failed because of its database: in Trivy's own words, or in the trace of bbolt, its format.
const DATABASE: [&str; 2] = ["DB error", "go.etcd.io/bbolt"];
/// How much of what a failed run said is repeated; a crash says more than anyone reads.
const REPEATED: usize = 12;

/// An installed Trivy.
pub(super) struct Program {
    path: PathBuf,
    pub(super) version: Version,
    limit: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    version: Version,
}

impl Program {
    /// Asks `path` for its version; one run may take `limit`.
    ///
    /// # Errors
    /// When it is one of the hijacked releases, or says nothing that can be read.
    pub(super) fn new(path: &Path, limit: Duration, ui: &Ui) -> Result<Program> {
        let mut program = Program { path: path.to_owned(), version: Version::new(0, 0, 0), limit };
        let shell = shell()?;
        let output = program.run(&shell, &["version", "--format", "json"]).limit(VERSION_LIMIT).output(ui)?;
        let attempt = || format!("read the version of {}", path.display());
        if !output.status.success() {
            return Err(format!("it failed with {}", output.status)).attempt(attempt);
        }
        program.version = serde_json::from_slice::<About>(&output.stdout).attempt(attempt)?.version;
        match hijacked(NAME, &program.version) {
            Some(why) => Err(refusal(path, &program.version, why)),
            None => Ok(program),
        }
    }

    /// What `trivy ARGS` writes to stdout, run in `folder`.
    ///
    /// # Errors
    /// Class network when its database is the reason.
    pub(super) fn read(&self, folder: &Path, args: &[&str], ui: &Ui) -> Result<Vec<u8>> {
        let shell = shell()?;
        shell.change_dir(folder);
        let Output { status, stdout, stderr } = self.run(&shell, args).limit(self.limit).output(ui)?;
        if status.success() {
            return Ok(stdout);
        }
        let said = String::from_utf8_lossy(&stderr).into_owned();
        let what = format!("`{NAME} {}` failed with {status}", args.join(" "));
        let err = match DATABASE.iter().any(|word| said.contains(word)) {
            true => Error::network(what).hint("its database can't be read: take another in scan.trivy.db-repositories"),
            false => Error::failed(what),
        };
        Err(match why(&said) {
            why if why.is_empty() => err,
            why => err.because(why),
        })
    }

    fn run(&self, shell: &Shell, args: &[&str]) -> Run {
        let program = &self.path;
        let mut command = cmd!(shell, "{program} {args...}").quiet();
        let is_foreign = |name: &OsString| name.to_str().is_some_and(|n| n.starts_with("TRIVY_") && !KEPT.contains(&n));
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_foreign(name)) {
            command = command.env_remove(name);
        }
        Run::new(command.env("TRIVY_SKIP_VERSION_CHECK", "true").env("TRIVY_DISABLE_TELEMETRY", "true"))
    }
}

/// A shell is a current folder and an environment; one a command keeps [`Program`] shareable between threads.
fn shell() -> Result<Shell> {
    Shell::new().attempt(|| "find the current folder".into())
}

fn refusal(path: &Path, version: &Version, why: &str) -> Error {
    let err = Error::new(Class::Preflight, format!("{} is Trivy {version}, {why}", path.display()));
    err.hint("remove it, change every secret it could read, and run `cargo xtask tools install trivy`")
}

/// The line that says why a run failed, where there is one; else the last lines.
fn why(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let fatal = lines.iter().find(|line| line.starts_with("panic:") || line.contains("\tFATAL\t"));
    match fatal {
        Some(line) => (*line).to_owned(),
        None => lines.get(lines.len().saturating_sub(REPEATED)..).unwrap_or_default().join("\n"),
    }
}
