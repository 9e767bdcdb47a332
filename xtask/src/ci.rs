//! The checks of this repository: lints, tests, and tests against the real programs.
//!
//! Takes which set to run, runs every check and lists all that failed. A missing program is installed by the check
//! that needs it, or fails it: nothing is skipped.

mod packages;

use std::path::{Path, PathBuf};

use clap::Args;
use xshell::{Shell, cmd};

use crate::cmd::Run;
use crate::config::{Config, SourceSpec};
use crate::error::{Context, Error, Item, Result};
use crate::gha::{Group, Runner};
use crate::go::Go;
use crate::plan::Workspace;
use crate::source;
use crate::ui::{Tone, Ui};

/// The licence and source check of dependencies; its rules are in deny.toml.
const CARGO_DENY: &str = "0.20.2";
/// The security audit of workflows. Later versions need a later Rust than rust-toolchain.toml names.
const ZIZMOR: &str = "1.26.1";

/// Which checks.
#[derive(Debug, Args)]
pub struct Options {
    /// Also what needs Debian packages or takes longer
    #[arg(long)]
    pub all: bool,
    /// First install the Debian packages that --all needs
    #[arg(long, requires = "all")]
    pub install: bool,
    /// Only the checks whose name contains this
    #[arg(value_name = "NAME")]
    pub only: Option<String>,
}

/// A check and its name.
struct Check {
    name: &'static str,
    all_only: bool,
    run: fn(&Bench<'_>) -> Result<()>,
}

/// What a check has.
struct Bench<'a> {
    workspace: &'a Workspace,
    config: &'a Config,
    ui: &'a Ui,
}

const CHECKS: &[Check] = &[
    Check { name: "format", all_only: false, run: |b| b.cargo(&["fmt", "--all", "--check"]) },
    Check { name: "lint", all_only: false, run: lint },
    Check { name: "test", all_only: false, run: |b| b.cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]) },
    Check { name: "sample", all_only: false, run: sample },
    Check { name: "real", all_only: false, run: |b| b.ignored("real_*", &[]) },
    Check { name: "system", all_only: true, run: system },
    Check { name: "deny", all_only: true, run: deny },
    Check { name: "audit", all_only: true, run: audit },
];

/// Runs the checks; an error lists those that failed.
pub fn run(config: &Config, workspace: &Workspace, options: &Options, ui: &Ui) -> Result<()> {
    let bench = Bench { workspace, config, ui };
    let named = |check: &&Check| options.only.as_ref().is_none_or(|only| check.name.contains(only.as_str()));
    let chosen: Vec<_> = CHECKS.iter().filter(named).filter(|c| options.all || !c.all_only).collect();
    if chosen.is_empty() {
        let names = CHECKS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
        return Err(Error::usage("no such check").hint(format!("there are {names}; some only with --all")));
    }
    if options.install {
        packages::install(ui)?;
    }
    let (runner, mut failed) = (Runner::detect(), Vec::new());
    for check in chosen {
        let _group = Group::begin(runner.as_ref(), check.name, ui);
        ui.line(Tone::Plain, &format!("── {}", check.name));
        let step = ui.step(check.name);
        match (check.run)(&bench) {
            Ok(()) => step.done("passed"),
            Err(err) => {
                ui.line(Tone::Bad, &err.to_string());
                failed.push(Item {
                    what: check.name.to_owned(),
                    fix: Some(format!("cargo xtask ci --all {}", check.name)),
                });
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Error::failed("checks failed").items(failed)),
    }
}

impl Bench<'_> {
    fn cargo(&self, args: &[&str]) -> Result<()> {
        self.run("cargo", args)
    }

    /// A program at the root of the repository, shown as it runs.
    fn run(&self, program: impl AsRef<Path>, args: &[&str]) -> Result<()> {
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        shell.change_dir(&self.workspace.root);
        Run::new(cmd!(shell, "{program} {args...}")).show(self.ui)
    }

    /// A program of crates.io, compiled once for every checkout on this machine.
    fn installed(&self, name: &str, version: &str) -> Result<PathBuf> {
        let root = self.workspace.tools.join(name).join(version);
        let program = root.join("bin").join(name);
        if !program.is_file() {
            let root = root.display().to_string();
            self.cargo(&["install", name, "--locked", "--version", version, "--root", &root])?;
        }
        Ok(program)
    }

    /// The tests that plain `cargo test` leaves out because they need real programs.
    fn ignored(&self, tests: &str, settings: &[&str]) -> Result<()> {
        // Every failure is told, and not the first file's alone.
        self.cargo(&[settings, &["test", "--locked", "--no-fail-fast", "--test", tests, "--", "--ignored"]].concat())
    }
}

/// Tests that start containers and change roots. They run as root, by sudo where this user isn't: cargo itself, and what
/// it compiles, stay this user's, and root's caches root's.
fn system(bench: &Bench<'_>) -> Result<()> {
    let sudo = sudo(bench.ui)?;
    if sudo.is_empty() {
        return bench.ignored("system_*", &[]);
    }
    // sudo has a PATH of its own, whatever it preserves.
    let path = format!("PATH={}", std::env::var("PATH").unwrap_or_default());
    let runner = [sudo, &["--preserve-env", "--set-home", "env", &path]].concat();
    let runner = serde_json::to_string(&runner).attempt(|| "write a setting of cargo".into())?;
    bench.ignored("system_*", &["--config", &format!("target.'cfg(unix)'.runner = {runner}")])
}

/// What goes before a command that only root may run: nothing for root.
fn sudo(ui: &Ui) -> Result<&'static [&'static str]> {
    let shell = Shell::new().attempt(|| "find the current folder".into())?;
    let user = Run::new(cmd!(shell, "id -u")).read(ui)?;
    Ok(if user.trim_ascii() == b"0" { &[] } else { &["sudo", "--non-interactive"] })
}

fn lint(bench: &Bench<'_>) -> Result<()> {
    bench.cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

/// The sample's own checks, its generated code laid over it as in a release.
fn sample(bench: &Bench<'_>) -> Result<()> {
    let Bench { workspace, config, ui } = bench;
    let go = Go::new(&config.tools.go, ui)?;
    let spec = SourceSpec::Path(workspace.root.join(config.source.path.as_path()));
    let source = source::resolve(&spec, workspace, None, ui)?;
    let prepared = source::prepare(source, &config.source, &config.tools, &go, workspace, ui)?;
    let overlay = prepared.overlay.as_ref().map(|path| format!("-overlay={}", path.display()));
    let folder = &prepared.source.folder;
    for verb in ["vet", "test"] {
        let args: Vec<&str> = [verb].into_iter().chain(overlay.as_deref()).chain(["./..."]).collect();
        go.run(folder, None, &args)?.show(ui)?;
    }
    format(&go, folder, ui)
}

/// The pinned toolchain's own gofmt, which says nothing of what is formatted.
fn format(go: &Go, folder: &Path, ui: &Ui) -> Result<()> {
    let root = go.run(folder, None, &["env", "GOROOT"])?.read(ui)?;
    let gofmt = Path::new(String::from_utf8_lossy(&root).trim()).join("bin/gofmt");
    let shell = Shell::new().attempt(|| "find the current folder".into())?;
    shell.change_dir(folder);
    let unformatted = Run::new(cmd!(shell, "{gofmt} -l .")).read(ui)?;
    match unformatted.is_empty() {
        true => Ok(()),
        false => Err(Error::failed("Go files are not formatted")
            .because(String::from_utf8_lossy(&unformatted).trim_end())
            .hint(format!("gofmt -w {}", folder.display()))),
    }
}

/// Licences, sources and duplicates of dependencies.
fn deny(bench: &Bench<'_>) -> Result<()> {
    let program = bench.installed("cargo-deny", CARGO_DENY)?;
    bench.run(program, &["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
}

/// What workflows may do that they needn't, and what others could make them do.
fn audit(bench: &Bench<'_>) -> Result<()> {
    let program = bench.installed("zizmor", ZIZMOR)?;
    let how = ["--offline", "--color=never", "--persona=auditor", "--strict-collection"];
    bench.run(program, &[&how[..], &[".github/workflows", "docs/fan-out.yml"]].concat())
}
