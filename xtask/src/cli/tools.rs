//! `tools`: which programs xtask runs beside cargo, go and git, where they are, and getting them.

use clap::{Args, Subcommand};

use super::context::Context;
use crate::config::Config;
use crate::error::{Class, Context as _, Error, Item, Result};
use crate::go::Go;
use crate::tools::{self, How, Mirror, Status, Toolbox, Wish};
use crate::ui::Tone;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the pinned tools and where each is
    List(List),
    /// Get tools: from the PATH, the cache, their publishers, or the Go module proxy
    Install(Install),
    /// Write the checksums that publishers list into release.toml
    Lock(Lock),
    /// Print where a tool is, getting it first where needed
    Path(Path),
}

#[derive(Debug, Args)]
struct List {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Install {
    /// Which ones [default: all that release.toml pins]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    from: From,
}

#[derive(Debug, Args)]
struct Lock {
    /// Which ones, and their new versions [default: all that are pinned and have a publisher]
    #[arg(value_name = "NAME[@VERSION]")]
    wishes: Vec<Wish>,
    /// Change checksums that are there, too
    #[arg(long)]
    force: bool,
    /// A mirror of the publishers' files: MIRROR/HOST/PATH for https://HOST/PATH
    #[arg(long, value_name = "URL", env = tools::MIRROR)]
    mirror: Option<Mirror>,
}

#[derive(Debug, Args)]
struct Path {
    /// Which one
    name: String,
    #[command(flatten)]
    from: From,
}

/// Where tools come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where tools come from")]
struct From {
    /// A mirror of the publishers' files: MIRROR/HOST/PATH for https://HOST/PATH
    #[arg(long, value_name = "URL", env = tools::MIRROR)]
    mirror: Option<Mirror>,
    /// Download nothing: compile what isn't on this machine
    #[arg(long)]
    compile: bool,
    /// Get nothing new
    #[arg(long, conflicts_with = "compile")]
    offline: bool,
}

/// `cargo xtask tools`
pub(super) fn run(context: &Context, options: &Options) -> Result<()> {
    match &options.command {
        Command::List(options) => list(context, options),
        Command::Install(options) => install(context, options),
        Command::Lock(options) => lock(context, options),
        Command::Path(options) => path(context, options),
    }
}

fn list(context: &Context, options: &List) -> Result<()> {
    let all = tools::survey(&context.config()?.tools, context.workspace.tools.clone(), &context.ui)?;
    if options.json {
        context.ui.data(&serde_json::to_string_pretty(&all).attempt(|| "write JSON".into())?);
    } else {
        context.ui.table(&["tool", "version", "where", "passed over"], &all.iter().map(row).collect::<Vec<_>>());
    }
    let refused = all.into_iter().filter_map(|status| status.refused);
    let items: Vec<Item> = refused.map(|what| Item { what, fix: None }).collect();
    match items.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Class::Preflight, "a program must not be used").items(items)),
    }
}

fn row(status: &Status) -> (Tone, Vec<String>) {
    let (tone, place) = match (&status.found, &status.refused, status.next) {
        (_, Some(_), _) => (Tone::Bad, "refused".to_owned()),
        (Some(found), ..) => (Tone::Good, found.to_string()),
        (None, None, How::Download) => (Tone::Dim, "to be downloaded".to_owned()),
        (None, None, _) => (Tone::Dim, "to be compiled".to_owned()),
    };
    let passed = status.passed_over.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    (tone, vec![status.name.to_owned(), status.version.to_string(), place, passed])
}

fn install(context: &Context, options: &Install) -> Result<()> {
    let config = context.config()?;
    let go = context.go(&config)?;
    let toolbox = toolbox(context, &config, &go, &options.from)?;
    let names = match options.names.is_empty() {
        true => tools::pinned(&config.tools),
        false => options.names.clone(),
    };
    // One after the other: a compilation takes every core, and a download is as fast as the network.
    let found = names.iter().map(|name| toolbox.provide(name, &context.ui).map(|found| (name, found)));
    let found = found.collect::<Result<Vec<_>>>()?;
    let rows = found.iter().map(|(name, found)| {
        (Tone::Good, vec![name.to_string(), found.how.to_string(), found.path.display().to_string()])
    });
    context.ui.table(&["tool", "how", "where"], &rows.collect::<Vec<_>>());
    Ok(())
}

fn lock(context: &Context, options: &Lock) -> Result<()> {
    let config = context.config()?;
    let Lock { wishes, mirror, force } = options;
    let locked = tools::lock(&context.table(), &config.tools, wishes, mirror.as_ref(), *force, &context.ui)?;
    let rows = locked.iter().map(|locked| {
        let machines = locked.pin.sha256.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (tone, state) = if locked.changed { (Tone::Good, "written") } else { (Tone::Dim, "as it was") };
        (tone, vec![locked.name.clone(), locked.pin.version.to_string(), state.to_owned(), machines])
    });
    context.ui.table(&["tool", "version", "release.toml", "machines"], &rows.collect::<Vec<_>>());
    Ok(())
}

fn path(context: &Context, options: &Path) -> Result<()> {
    let config = context.config()?;
    let go = context.go(&config)?;
    let path = toolbox(context, &config, &go, &options.from)?.get(&options.name, &context.ui)?;
    context.ui.data(&path.display().to_string());
    Ok(())
}

fn toolbox<'a>(context: &Context, config: &'a Config, go: &'a Go, from: &From) -> Result<Toolbox<'a>> {
    let toolbox = context.toolbox(&config.tools, go, from.mirror.as_ref(), from.offline)?;
    Ok(if from.compile { toolbox.compiling() } else { toolbox })
}
