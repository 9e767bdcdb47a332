//! `pin` and `verify`: what follows from a release's record.

use super::context::Context;
use super::options;
use super::release::bundled_pins;
use super::summary;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::publish::{self, Destination};
use crate::ui::{Tone, Ui};
use crate::{k8s, pin, plan, pool, remote, verify};

/// How many registries are asked at the same time.
const ASKED_AT_ONCE: usize = 4;

/// `cargo xtask pin`
pub(super) fn pin(context: &Context, options: &options::Pin) -> Result<()> {
    let config = context.config()?;
    let Some(version) = &options.version else { return external(context, &config, options.check) };
    let tag = tag(&config, version)?;
    let destination = open(context, &config, options.from.as_ref())?;
    let record = publish::fetch(&*destination, config.publish.record.as_ref(), &tag)?.ok_or_else(|| {
        let err = Error::usage(format!("{} has no finished release {tag}", destination.describe()));
        err.hint(format!("cargo xtask release {tag}, or name where it was released with --from"))
    })?;
    let plan = pin::plan(&context.pin_folders(&config), &record.pins())?;
    finish(context, &plan, options.check, &tag, &format!("cargo xtask pin {tag}"))
}

/// Asks each image's own registry, and pins what it says.
fn external(context: &Context, config: &Config, check: bool) -> Result<()> {
    let ours = config.images.values().map(|image| image.repository.as_ref().as_str().to_owned()).collect();
    let mut images = Vec::new();
    for folder in &config.pin.paths {
        images.extend(k8s::external(&context.workspace.root, folder.as_path(), &ours)?);
    }
    let targets = pool::map(&images, ASKED_AT_ONCE, |image| resolve(image, &context.ui))?;
    let plan = pin::plan(&context.pin_folders(config), &targets)?;
    finish(context, &plan, check, "others", "cargo xtask pin --external")
}

fn resolve(image: &k8s::External, ui: &Ui) -> Result<pin::Target> {
    let untagged = || Error::usage(format!("{} has no tag", image.name)).at(image.place.clone());
    let tag = image.reference.tag.clone().ok_or_else(|| untagged().hint("write the tag of the version you want"))?;
    let none = || Error::usage(format!("{}:{tag} is not there", image.name)).at(image.place.clone());
    let found = remote::registry::open(&image.reference, ui)?.resolve(&tag)?.ok_or_else(none)?;
    Ok(pin::Target { repository: image.name.clone(), reference: image.name.clone(), tag, digest: found.digest })
}

/// Writes the plan, or with `check` shows what it would change.
fn finish(context: &Context, plan: &pin::PinPlan, check: bool, what: &str, command: &str) -> Result<()> {
    if check {
        context.ui.data(plan.diff().trim_end());
        let hint = format!("run `{command}` and commit what it changes");
        return plan.stale().map_or(Ok(()), |stale| Err(stale.hint(hint)));
    }
    for edit in plan.edits() {
        context.ui.line(Tone::Plain, &format!("{}: {}", edit.place, edit.text.trim()));
    }
    let files = plan.write()?;
    let outcome = match files {
        0 => format!("every image of {what} is pinned already"),
        n => format!("pinned {what} in {n} {}", if n == 1 { "file" } else { "files" }),
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
        published: None,
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
