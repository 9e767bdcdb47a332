//! Docker buildx as a command: as the docker command's plugin, or on its own.
//!
//! Takes what is installed, gives commands to run. Says what is missing and how to get it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xshell::{Shell, cmd};

use crate::cmd::Run;
use crate::error::{Context, Error, Result};
use crate::ui::Ui;

/// How long buildx may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// How to get it.
const GET: &str = "install Docker with its buildx plugin, or `cargo xtask tools install buildx`, or build without Docker: \
--builder native";

/// `docker buildx` or `buildx`.
#[derive(Clone, Debug)]
pub struct Program {
    words: Vec<OsString>,
}

impl Program {
    /// The docker command's plugin, else a buildx on the search path, else what `get` gets.
    pub fn find(get: impl FnOnce() -> Result<PathBuf>, ui: &Ui) -> Result<Program> {
        let candidates = [vec!["docker".into(), "buildx".into()], vec!["buildx".into()]];
        let mut candidates = candidates.into_iter().map(|words| Program { words });
        if let Some(found) = candidates.find(|program| program.answers(ui)) {
            return Ok(found);
        }
        let got = get().map_err(|error| {
            let docker = Program { words: vec!["docker".into()] };
            error.within(match docker.run(&["--version"]).and_then(|run| run.limit(VERSION_LIMIT).read(ui)) {
                Ok(_) => "docker is installed without its buildx plugin, and there is no buildx on its own",
                Err(_) => "neither docker nor buildx is installed",
            })
        });
        got.map(|path| Program { words: vec![path.into()] }).map_err(|error| error.hint(GET))
    }

    /// `buildx ARGS` in the current folder.
    pub(super) fn run(&self, args: &[&str]) -> Result<Run> {
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        self.run_in(&shell, args)
    }

    /// `buildx ARGS` in `folder`.
    pub(super) fn run_below(&self, folder: &Path, args: &[&str]) -> Result<Run> {
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        shell.change_dir(folder);
        self.run_in(&shell, args)
    }

    fn run_in(&self, shell: &Shell, args: &[&str]) -> Result<Run> {
        let (program, words) =
            self.words.split_first().ok_or_else(|| Error::failed("buildx is no program of no words"))?;
        Ok(Run::new(cmd!(shell, "{program} {words...} {args...}")))
    }

    /// Whether this is the docker command's plugin and Docker keeps its images in containerd, as OCI images.
    pub(super) fn docker_keeps_oci_images(&self, limit: Duration, ui: &Ui) -> bool {
        let [docker, _] = self.words.as_slice() else { return false };
        let docker = Program { words: vec![docker.clone()] };
        let info = docker.run(&["info", "--format", "{{json .DriverStatus}}"]);
        let said = info.and_then(|run| run.limit(limit).read(ui)).unwrap_or_default();
        String::from_utf8_lossy(&said).contains("io.containerd.snapshotter")
    }

    fn answers(&self, ui: &Ui) -> bool {
        self.run(&["version"]).and_then(|run| run.limit(VERSION_LIMIT).read(ui)).is_ok()
    }

    /// A program that stands in for buildx.
    #[cfg(test)]
    pub(super) fn of(path: &Path) -> Program {
        Program { words: vec![path.into()] }
    }
}
