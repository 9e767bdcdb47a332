//! The command line: every flag is declared here, and a command only calls the stages in turn.
//!
//! Takes arguments and the environment, read once, gives calls. Never decides what a stage does.

mod base;
mod builder;
mod context;
mod exchange;
mod gha;
mod k8s;
mod notes;
mod options;
mod pin;
mod release;
mod reports;
mod rescan;
mod show;
mod summary;
mod tools;

use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::{ci, doctor};

pub use context::Context;

/// Builds, scans, publishes, pins and verifies the container images of Goverse.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    global: options::Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 preflight, 4 findings above the policy, \
5 stale pins, 6 verification failed, 7 registry or network (worth retrying), 8 a tag exists with another digest";

#[derive(Debug, Subcommand)]
enum Command {
    /// Build, scan, publish, pin, record and verify a version
    Release(options::Release),
    /// Show what a release would do, touching nothing
    Plan(options::Plan),
    /// Build the images of a version and stop
    Build(options::Build),
    /// Scan what was last built, or what is out
    Scan(options::Scan),
    /// Write a version's digests into the Kubernetes manifests
    Pin(options::Pin),
    /// Render and check the Kubernetes manifests
    K8s(k8s::K8s),
    /// Pull a released version back and check every byte of it
    Verify(options::Verify),
    /// Print the release notes of a version as Markdown
    Notes(notes::Options),
    /// What a job of GitHub Actions does
    #[command(subcommand)]
    Gha(gha::Command),
    /// List what is installed, what is missing, and how to get it
    Doctor(options::Doctor),
    /// List the tools that are run, get them, and pin their checksums
    Tools(tools::Options),
    /// Lock base images by digest, or see what is newer
    Base(base::Options),
    /// Lint and test this repository
    Ci(ci::Options),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let context = Context::new(self.global)?;
        match self.command {
            Command::Release(options) => release::release(&context, &options),
            Command::Plan(options) => show::plan(&context, &options),
            Command::Build(options) => release::build(&context, &options),
            Command::Scan(options) if options.released.is_meant() => rescan::scan(&context, &options),
            Command::Scan(options) => release::scan(&context, &options),
            Command::Pin(options) => pin::pin(&context, &options),
            Command::K8s(options) => k8s::run(&context, &options),
            Command::Verify(options) => pin::verify(&context, &options),
            Command::Notes(options) => notes::notes(&context, &options),
            Command::Gha(command) => gha::run(&context, command),
            Command::Doctor(options) => doctor::run(&context.config()?, &context.workspace, options.json, &context.ui),
            Command::Tools(options) => tools::run(&context, &options),
            Command::Base(options) => base::base(&context, &options),
            Command::Ci(options) => ci::run(&context.config()?, &context.workspace, &options, &context.ui),
        }
    }
}
