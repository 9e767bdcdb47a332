//! `base`: base images locked by digest in release.toml, looked at, and moved on.

use clap::{Args, Subcommand};

use super::context::Context;
use super::summary;
use crate::base_lock::{self, State};
use crate::config::Config;
use crate::error::{Class, Context as _, Error, Item, Result};
use crate::remote;
use crate::scan::clock;
use crate::ui::Tone;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a digest into release.toml for every base image that has only a tag
    Lock(Show),
    /// Move every digest to what its tag names now
    Update(Show),
    /// Change nothing; exit 5 where a tag has moved or nothing is locked
    Check(Show),
}

#[derive(Debug, Args)]
struct Show {
    /// Print what is known of each image as JSON
    #[arg(long)]
    json: bool,
}

/// `cargo xtask base`
pub(super) fn base(context: &Context, options: &Options) -> Result<()> {
    let file = context.table();
    let text = std::fs::read_to_string(&file).attempt(|| format!("read {}", file.display()))?;
    let open = |reference: &crate::oci::Reference| remote::registry::open(reference, &context.ui);
    let states = base_lock::survey(&base_lock::entries(&file, &text)?, &open)?;
    let (show, all) = match &options.command {
        Command::Check(show) => {
            tell(context, &states, show)?;
            return check(&states);
        }
        Command::Lock(show) => (show, false),
        Command::Update(show) => (show, true),
    };
    let (new, changed) = base_lock::rewrite(&file, &text, &states, all)?;
    tell(context, &states, show)?;
    // Never leaves a table behind that can't be read.
    let config = Config::parse(&file, &new)?;
    if !changed.is_empty() {
        crate::fs::write(&file, new.as_bytes())?;
        dockerfiles(context, &config, &changed)?;
    }
    for (old, new) in &changed {
        context.ui.line(Tone::Good, &format!("{old} is now {new}"));
    }
    Ok(())
}

/// The Dockerfiles' own defaults follow, so that plain `docker build` stands on the same image.
fn dockerfiles(context: &Context, config: &Config, changed: &[(String, String)]) -> Result<()> {
    let folder = context.workspace.root.join(config.build.buildx.dockerfiles.as_path());
    for name in config.images.keys() {
        let path = folder.join(format!("Dockerfile.{}", name.as_ref()));
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let new = changed.iter().fold(text.clone(), |text, (old, new)| text.replace(old.as_str(), new));
        if new != text {
            crate::fs::write(&path, new.as_bytes()).attempt(|| format!("change {}", path.display()))?;
        }
    }
    Ok(())
}

fn tell(context: &Context, states: &[State], show: &Show) -> Result<()> {
    if show.json {
        context.ui.data(&summary::json(&states)?);
        return Ok(());
    }
    let short = |digest: Option<crate::oci::Digest>| digest.map_or_else(|| "none".into(), |digest| digest.short());
    let now = clock::now();
    let rows = states.iter().map(|state| {
        let tone = if state.is_current() { Tone::Good } else { Tone::Warn };
        let age = state.created.as_deref().map(|made| clock::age(made, now)).unwrap_or_default();
        let newer = state.newer.clone().unwrap_or_default();
        (tone, vec![state.key.clone(), state.name.clone(), short(state.locked), short(state.current), age, newer])
    });
    context.ui.table(&["key", "image", "locked", "tag names", "made", "newer tag"], &rows.collect::<Vec<_>>());
    Ok(())
}

fn check(states: &[State]) -> Result<()> {
    let items = states.iter().filter(|state| !state.is_current()).map(|state| match state.locked {
        Some(_) => Item {
            what: format!("{}: the tag of {} has moved", state.key, state.name),
            fix: Some("cargo xtask base update".into()),
        },
        None => Item {
            what: format!("{}: {} has no digest", state.key, state.name),
            fix: Some("cargo xtask base lock".into()),
        },
    });
    let items: Vec<Item> = items.collect();
    match items.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Class::Stale, "base images are not what their tags name").items(items)),
    }
}
