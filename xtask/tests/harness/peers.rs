//! What a benchmark measures xtask against, on the sample: the go command alone, and ko. All build the same packages,
//! for the same platforms, with the same generated code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::registry::Registry;
use super::{Repo, checkout, tools};

const PACKAGES: [&str; 3] = ["./cmd/gate", "./cmd/inspector", "./samples/chat/server"];
const PLATFORMS: [&str; 2] = ["amd64", "arm64"];

/// How the go command is called.
#[derive(Clone, Copy)]
pub(crate) enum GoBuild {
    /// As a person calls it: `go build`, and no flag that changes the program.
    Plain,
    /// With the flags of a release: stripped programs, of which the linker writes half.
    Stripped,
}

impl GoBuild {
    fn flags(self) -> &'static [&'static str] {
        match self {
            GoBuild::Plain => &[],
            GoBuild::Stripped => &["-trimpath", "-buildvcs=false", "-ldflags=-s -w -X main.version=v1.0.0"],
        }
    }

    fn folder(self) -> &'static str {
        match self {
            GoBuild::Plain => "plain",
            GoBuild::Stripped => "stripped",
        }
    }
}

/// The sample in a repository of its own, released once, and a registry.
pub(crate) struct Peers {
    pub(crate) repo: Repo,
    pub(crate) registry: Registry,
    /// Lays generated code over the sample, as the release did.
    overlay: PathBuf,
    edits: usize,
}

impl Peers {
    pub(crate) fn new() -> Peers {
        let (repo, registry) = (Repo::sample(), Registry::start());
        repo.succeed(&["release", "v1.0.0", "--no-pin", "--to", registry.address()]);
        let generated = walkdir::WalkDir::new(repo.path().join("target/xtask/generated"));
        let overlay = generated.into_iter().flatten().find(|e| e.file_name().to_string_lossy().starts_with("overlay-"));
        let overlay = overlay.expect("a release generates code").into_path();
        // ko wants a base image with both platforms; one of ours serves.
        let (image, base) = (format!("{}/goverse-gate:v1.0.0", registry.address()), ko_base(&registry));
        super::read(&tools::crane(), ["copy", "--insecure", &image, &base]);
        Peers { repo, registry, overlay, edits: 0 }
    }

    fn module(&self) -> PathBuf {
        self.repo.path().join("docker/sample")
    }

    /// One changed line in a package that all three programs are made of.
    pub(crate) fn edit(&mut self) {
        self.edits += 1;
        let path = self.module().join("internal/backoff/edited.go");
        let text = format!(
            "package backoff\n\n// Edited changes with every edit.\nvar Edited = \"{}-{}\"\n",
            std::process::id(),
            self.edits
        );
        std::fs::write(path, text).expect("the sample can be edited");
    }

    /// xtask as a person types it, cargo's own start included.
    pub(crate) fn xtask(&self, args: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        let manifest = checkout().join("Cargo.toml");
        command.args(["run", "--quiet", "--package", "xtask", "--manifest-path"]).arg(manifest).arg("--").args(args);
        command.current_dir(self.repo.path());
        command
    }

    /// The go command alone, a run a platform, into folders that are kept.
    pub(crate) fn go_builds(&self, how: GoBuild) -> Vec<Command> {
        let build = |architecture: &&str| {
            let mut command = Command::new("go");
            self.set_up(&mut command);
            command.arg("build").args(how.flags()).arg(format!("-overlay={}", self.overlay.display()));
            let out = self.repo.path().join("target").join(how.folder()).join(architecture);
            command.arg("-o").arg(format!("{}/", out.display()));
            command.args(PACKAGES).env("GOOS", "linux").env("GOARCH", architecture);
            command
        };
        PLATFORMS.iter().map(build).collect()
    }

    /// `ko build` with what is to follow it.
    pub(crate) fn ko(&self, program: &Path, args: &[&str]) -> Command {
        let platforms = PLATFORMS.map(|architecture| format!("linux/{architecture}")).join(",");
        let mut command = Command::new(program);
        self.set_up(&mut command);
        command.args(["build", "--base-import-paths"]).arg(format!("--platform={platforms}")).args(args).args(PACKAGES);
        command
            .env("GOFLAGS", format!("-overlay={}", self.overlay.display()))
            .env("KO_DOCKER_REPO", self.registry.address())
            .env("KO_DEFAULTBASEIMAGE", ko_base(&self.registry));
        // ko sets it itself for each platform, and refuses to be told.
        command.env_remove("GOOS");
        command
    }

    fn set_up(&self, command: &mut Command) {
        let toolchain = tools::go().toolchain();
        command.current_dir(self.module());
        command.envs([("GOTOOLCHAIN", toolchain.as_str()), ("CGO_ENABLED", "0"), ("GOENV", "off")]);
    }
}

fn ko_base(registry: &Registry) -> String {
    format!("{}/base", registry.address())
}

/// How long a command took, which has to succeed.
pub(crate) fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let (output, took) = (output.expect("the program starts"), start.elapsed());
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// How long commands took together, one after the other.
pub(crate) fn time_all(commands: &mut [Command]) -> Duration {
    commands.iter_mut().map(time).sum()
}
