//! `gha`: what only a job of GitHub Actions does.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::context::Context;
use super::release::{Pins, Released};
use super::{options, release};
use crate::config::Config;
use crate::error::{Context as _, Result};
use crate::gha::{self, Assets, Change, Gh, Group, Outcome, Runner};
use crate::oci::Platform;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the matrix of a job that builds each platform on a machine of its own
    Matrix(Matrix),
    /// Release a version, attach it to the release on GitHub, and propose the pins as a pull request
    Release(Box<options::Release>),
}

#[derive(Debug, Args)]
pub(super) struct Matrix {
    /// A platform, in place of build.platforms; may be repeated
    #[arg(long = "platform", value_name = "OS/ARCH", value_delimiter = ',')]
    platforms: Vec<Platform>,
}

/// `cargo xtask gha`
pub(super) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Matrix(options) => matrix(context, &options),
        Command::Release(options) => released(context, &options),
    }
}

fn matrix(context: &Context, options: &Matrix) -> Result<()> {
    let config = context.config()?;
    let platforms = match options.platforms.is_empty() {
        true => config.build.platforms.as_slice(),
        false => &options.platforms,
    };
    let matrix = gha::matrix(platforms).to_string();
    if let Some(runner) = &context.runner {
        runner.output("matrix", &matrix)?;
    }
    context.ui.data(&matrix);
    Ok(())
}

/// The whole of a release job. Each part finds what an earlier run has done and leaves it alone.
fn released(context: &Context, options: &options::Release) -> Result<()> {
    let runner = context.runner.as_ref().ok_or_else(|| gha::elsewhere().hint("use `cargo xtask release` there"))?;
    let config = context.config()?;
    let gh = Gh::new(runner.repository()?, &context.ui);
    let base = gh.default_branch()?;
    let group = Group::begin(Some(runner), "cargo xtask release", &context.ui);
    // The pins go to the branch, not into the tag's checkout.
    let outcome = release::run(context, options, Pins::Elsewhere);
    drop(group);
    let Some(released) = outcome? else { return Ok(()) };
    let name = config.publish.record.as_ref().as_str().replace('/', "-");
    let assets = Assets { bundle: &released.bundle, name: &name, notes: &released.notes };
    let page = gha::publish(&gh, &released.record, &assets, &context.ui)?;
    let change = match !options.no_pin && released.in_registry {
        true => Some(propose_pins(context, &config, &released, &gh, &base, &page)?),
        false => None,
    };
    report(context, runner, &released, Some(&page), change.as_ref())
}

fn propose_pins(
    context: &Context,
    config: &Config,
    released: &Released,
    gh: &Gh<'_>,
    base: &str,
    page: &str,
) -> Result<Outcome> {
    let targets = released.record.pins();
    let tag = &released.record.tags.version;
    let pinned: Vec<String> = targets.iter().map(|target| format!("- `{}`", target.pinned())).collect();
    let text = format!("Pins the manifests to the images of [{tag}]({page}):\n\n{}\n", pinned.join("\n"));
    let change = Change { tag, paths: &config.pin.paths, targets: &targets, base, text: &text };
    change.propose(&context.workspace.root, gh, &context.ui)
}

/// Tells the runner what was released.
pub(super) fn report(
    context: &Context,
    runner: &Runner,
    released: &Released,
    page: Option<&str>,
    change: Option<&Outcome>,
) -> Result<()> {
    let record = &released.record;
    let digests: BTreeMap<&str, String> =
        record.images.iter().map(|image| (image.name.as_str(), image.index.digest.to_string())).collect();
    let digests = serde_json::to_string(&digests).attempt(|| "write the digests".into())?;
    runner.output("version", &record.tags.version)?;
    runner.output("digests", &digests)?;
    runner.output("bundle", &context.shown(&released.bundle))?;
    runner.output("record", &context.shown(&released.bundle.join(crate::record::FILE)))?;
    runner.summarise(&gha::release_summary(&gha::Released { record, page, change }))
}
