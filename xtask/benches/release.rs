//! A whole release against a plain `go build` and against ko, on the sample, to a registry on this machine.
//!
//! Prints one table of the best of several runs, each row with its ratio to its peer in the same run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that can't be set up has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::registry::Registry;
use harness::{Repo, checkout, tools};

/// How often each thing is done; the best counts.
const RUNS: usize = 5;
const PACKAGES: [&str; 3] = ["./cmd/gate", "./cmd/inspector", "./samples/chat/server"];
const PLATFORMS: [&str; 2] = ["amd64", "arm64"];

/// The sample in a repository of its own, with one of its lines different each time it is edited.
struct Bench {
    repo: Repo,
    registry: Registry,
    overlay: PathBuf,
    edits: usize,
}

impl Bench {
    fn new() -> Bench {
        let (repo, registry) = (Repo::sample(), Registry::start());
        let mut bench = Bench { repo, registry, overlay: PathBuf::new(), edits: 0 };
        time(&mut bench.release("v1.0.0", &[]));
        let generated = walkdir::WalkDir::new(bench.repo.path().join("target/xtask/generated"));
        let overlay =
            generated.into_iter().flatten().find(|entry| entry.file_name().to_string_lossy().starts_with("overlay-"));
        bench.overlay = overlay.unwrap().into_path();
        bench
    }

    fn module(&self) -> PathBuf {
        self.repo.path().join("docker/sample")
    }

    /// One changed line in a package that all three programs are made of.
    fn edit(&mut self) {
        self.edits += 1;
        let path = self.module().join("internal/backoff/edited.go");
        let text = format!(
            "package backoff\n\n// Edited changes with every edit.\nvar Edited = \"{}-{}\"\n",
            std::process::id(),
            self.edits
        );
        std::fs::write(path, text).unwrap();
    }

    /// `cargo xtask release`, as a person types it.
    fn release(&self, version: &str, more: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        let manifest = checkout().join("Cargo.toml");
        command.args(["run", "--quiet", "--package", "xtask", "--manifest-path"]).arg(manifest);
        command
            .args(["--", "release", version, "--no-pin", "--allow-dirty", "--to", self.registry.address()])
            .args(more);
        command.current_dir(self.repo.path());
        command
    }

    /// The same programs by the go command alone, for one platform, into a folder that is kept.
    fn go_build(&self, architecture: &str) -> Command {
        let mut command = self.go();
        command.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -X main.version=v1.0.0"]);
        command.arg(format!("-overlay={}", self.overlay.display())).arg("-o");
        command.arg(format!("{}/", self.repo.path().join("target/plain").join(architecture).display())).args(PACKAGES);
        command.env("GOARCH", architecture);
        command
    }

    fn ko(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["build", "--platform=linux/amd64,linux/arm64", "--base-import-paths"]).args(PACKAGES);
        command
            .env("GOFLAGS", format!("-overlay={}", self.overlay.display()))
            .env("KO_DOCKER_REPO", self.registry.address());
        command.env("KO_DEFAULTBASEIMAGE", format!("{}/base", self.registry.address()));
        self.set_up(&mut command);
        // ko sets it itself for each platform, and refuses to be told.
        command.env_remove("GOOS");
        command
    }

    fn go(&self) -> Command {
        let mut command = Command::new("go");
        self.set_up(&mut command);
        command
    }

    fn set_up(&self, command: &mut Command) {
        command.current_dir(self.module());
        command.envs([
            ("GOTOOLCHAIN", tools::go().toolchain().as_str()),
            ("CGO_ENABLED", "0"),
            ("GOOS", "linux"),
            ("GOENV", "off"),
        ]);
    }
}

fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    let took = start.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

fn best(mut run: impl FnMut(usize) -> Duration) -> f64 {
    (0..RUNS).map(&mut run).min().unwrap().as_secs_f64()
}

fn main() {
    let mut bench = Bench::new();
    let ko = tools::ko();
    // ko wants a base image with both platforms; one of ours serves.
    let image = format!("{}/goverse-gate:v1.0.0", bench.registry.address());
    time(Command::new(tools::crane()).args(["copy", &image, &format!("{}/base", bench.registry.address())]));
    let plain = |bench: &Bench| PLATFORMS.iter().map(|platform| time(&mut bench.go_build(platform))).sum::<Duration>();
    plain(&bench);
    time(&mut bench.ko(&ko));

    let same = [
        best(|_| plain(&bench)),
        best(|_| time(&mut bench.release("v1.0.0", &[]))),
        best(|_| time(&mut bench.ko(&ko))),
    ];
    let mut changed = [f64::INFINITY; 3];
    for run in 0..RUNS {
        bench.edit();
        changed[0] = changed[0].min(plain(&bench).as_secs_f64());
        bench.edit();
        changed[1] = changed[1].min(time(&mut bench.release(&format!("v1.1.{run}"), &[])).as_secs_f64());
        bench.edit();
        changed[2] = changed[2].min(time(&mut bench.ko(&ko)).as_secs_f64());
    }
    println!("| | go build | cargo xtask release | ko build | release − go | release / go | release / ko |");
    println!("|---|---|---|---|---|---|---|");
    for (what, [go, release, ko]) in [("nothing changed", same), ("one line changed", changed)] {
        let (more, by_go, by_ko) = (release - go, release / go, release / ko);
        println!("| {what} | {go:.2} s | {release:.2} s | {ko:.2} s | {more:+.2} s | {by_go:.2} | {by_ko:.2} |");
    }
}
