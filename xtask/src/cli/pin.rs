//! `pin` and `verify`: what follows from a release's record.

use super::context::Context;
use super::options;
use super::release::bundled_pins;
use super::summary;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::publish::{self, Destination};
use crate::ui::Tone;
use crate::{pin, plan, verify};

/// `cargo xtask pin`
pub(super) fn pin(context: &Context, options: &options::Pin) -> Result<()> {
    let config = context.config()?;
    let tag = tag(&config, &options.version)?;
    let destination = open(context, &config, options.from.as_ref())?;
    let record = publish::fetch(&*destination, config.publish.record.as_ref(), &tag)?.ok_or_else(|| {
        let err = Error::usage(format!("{} has no finished release {tag}", destination.describe()));
        err.hint(format!("cargo xtask release {tag}, or name where it was released with --from"))
    })?;
    let plan = pin::plan(&context.pin_folders(&config), &record.pins())?;
    if options.check {
        context.ui.data(plan.diff().trim_end());
        return plan.stale().map_or(Ok(()), Err);
    }
    for edit in plan.edits() {
        context.ui.line(Tone::Plain, &format!("{}: {}", edit.place, edit.text.trim()));
    }
    let files = plan.write()?;
    let outcome = match files {
        0 => format!("every image of {tag} is pinned already"),
        n => format!("pinned {tag} in {n} {}", if n == 1 { "file" } else { "files" }),
    };
    context.ui.line(Tone::Good, &outcome);
    Ok(())
}

/// `cargo xtask verify`
pub(super) fn verify(context: &Context, options: &options::Verify) -> Result<()> {
    let config = context.config()?;
    let tag = tag(&config, &options.version)?;
    let destination = open(context, &config, options.from.as_ref())?;
    let bundle = Some(context.bundle(&tag)).filter(|folder| folder.is_dir());
    let manifests = bundle.as_ref().map(|folder| bundled_pins(folder, &config)).unwrap_or_default();
    let request = verify::Request {
        tag: &tag,
        record: config.publish.record.as_ref(),
        bundle: bundle.as_deref(),
        manifests: &manifests,
    };
    let verdict = verify::verify(&request, &*destination, &context.ui)?;
    if bundle.is_none() {
        context.ui.note(&format!(
            "{} isn't there, so only {} was verified",
            context.shown(&context.bundle(&tag)),
            verdict.destination
        ));
    }
    summary::verified(&verdict, &context.ui);
    if options.json {
        context.ui.data(&summary::json(&verdict)?);
    }
    Ok(())
}

fn tag(config: &Config, version: &str) -> Result<String> {
    Ok(config.publish.tags.version.tag(&plan::version(version)?))
}

fn open(context: &Context, config: &Config, from: Option<&crate::config::Destination>) -> Result<Box<dyn Destination>> {
    context.destination(from.unwrap_or(&config.publish.to), &[])
}
