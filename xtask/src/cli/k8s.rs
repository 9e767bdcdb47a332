//! `k8s render`, `check` and `diff`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::context::Context;
use crate::config::Config;
use crate::error::{Context as _, Result};
use crate::k8s::{self, Facts, Programs, Rendered, Sources};
use crate::ui::Tone;

/// The manifests, as a cluster gets them.
#[derive(Debug, Args)]
pub(super) struct K8s {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what an overlay or a chart gives
    Render(Render),
    /// Check every overlay and chart; exit 5 with all findings
    Check(Check),
    /// Show what the manifests give now and did not in another revision
    Diff(Diff),
}

#[derive(Debug, Args)]
struct Render {
    /// An overlay (production) or a chart (chart/goverse)
    name: String,
}

#[derive(Debug, Args)]
struct Check {
    /// One overlay or chart, in place of all
    name: Option<String>,
    /// Our own images need no digest yet: no version has been released
    #[arg(long)]
    unreleased: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Diff {
    /// A commit, a branch or a tag
    #[arg(default_value = "HEAD")]
    revision: String,
    /// One overlay or chart, in place of all
    #[arg(long)]
    name: Option<String>,
}

/// `cargo xtask k8s`
pub(super) fn run(context: &Context, options: &K8s) -> Result<()> {
    let config = context.config()?;
    match &options.command {
        Command::Render(options) => render(context, &config, options),
        Command::Check(options) => check(context, &config, options),
        Command::Diff(options) => diff(context, &config, options),
    }
}

fn render(context: &Context, config: &Config, options: &Render) -> Result<()> {
    let rendered = all(context, config, Some(&options.name), &programs(context, config)?)?;
    rendered.iter().for_each(|one| context.ui.data(one.text.trim_end()));
    Ok(())
}

fn check(context: &Context, config: &Config, options: &Check) -> Result<()> {
    let programs = programs(context, config)?;
    let rendered = all(context, config, options.name.as_deref(), &programs)?;
    let sources = Sources::read(&context.workspace.root, config.k8s.path.as_path())?;
    let images: BTreeMap<String, String> = config
        .images
        .iter()
        .map(|(name, image)| (name.as_ref().clone(), image.repository.as_ref().as_str().to_owned()))
        .collect();
    let facts = Facts { config: &config.k8s, images: &images, unreleased: options.unreleased };
    let findings = k8s::check(facts, &rendered, &sources, Some(&programs), &context.ui)?;
    if options.json {
        context.ui.data(&serde_json::to_string_pretty(&findings).attempt(|| "write the findings".into())?);
    }
    if let Some(failure) = k8s::failure(&findings) {
        return Err(failure);
    }
    let objects: usize = rendered.iter().map(|one| one.objects.len()).sum();
    let names = rendered.iter().map(|one| one.target.name.as_str()).collect::<Vec<_>>().join(", ");
    context.ui.line(Tone::Good, &format!("{objects} objects of {names} have no fault"));
    Ok(())
}

fn diff(context: &Context, config: &Config, options: &Diff) -> Result<()> {
    let programs = programs(context, config)?;
    let folder = config.k8s.path.as_path();
    let name = options.name.as_deref();
    let after = all(context, config, name, &programs)?;
    let old = k8s::at_revision(&context.workspace.root, folder, &options.revision, &context.ui)?;
    // An overlay that is new was not there to be rendered.
    let targets = k8s::targets(old.path(), folder, None).unwrap_or_default();
    let targets: Vec<_> = targets.into_iter().filter(|target| name.is_none_or(|name| name == target.name)).collect();
    let before = k8s::render(old.path(), &targets, &programs, &context.ui)?;
    let diff = k8s::diff(&before, &after);
    match diff.is_empty() {
        true => context.ui.note(&format!("nothing changes since {}", options.revision)),
        false => context.ui.data(diff.trim_end()),
    }
    Ok(())
}

fn all(context: &Context, config: &Config, name: Option<&str>, programs: &Programs) -> Result<Vec<Rendered>> {
    let root = &context.workspace.root;
    let targets = k8s::targets(root, config.k8s.path.as_path(), name)?;
    k8s::render(root, &targets, programs, &context.ui)
}

fn programs(context: &Context, config: &Config) -> Result<Programs> {
    let go = context.go(config)?;
    let toolbox = context.toolbox(&config.tools, &go, None, false)?;
    let get = |name| toolbox.get(name, &context.ui);
    Ok(Programs { kustomize: get("kustomize")?, helm: get("helm")?, validate: get("kubectl-validate")? })
}
