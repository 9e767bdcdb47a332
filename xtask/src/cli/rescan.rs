//! `scan REFERENCE` and `scan --released VERSION`: what is known by now about images that are out.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::{options, reports, summary};
use crate::config::{self, Config, Prefix};
use crate::error::{Class, Error, Result};
use crate::oci::{Digest, Reference};
use crate::publish::{self, readback};
use crate::rescan::{self, Change, Image, Outcome};
use crate::scan::{self, Finding, Report};
use crate::ui::{Tone, Ui};
use crate::{plan, remote};

/// What is scanned, when it isn't what was last built.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is scanned")]
pub(super) struct Released {
    /// An image that is out, ghcr.io/OWNER/goverse-node:v1.2.0 [default: what was last built]
    #[arg(value_name = "REFERENCE", conflicts_with_all = ["released", "to"])]
    pub reference: Option<Reference>,
    /// Every image of a released version, v1.2.0, or of the `latest` stable one
    #[arg(long, value_name = "VERSION")]
    pub released: Option<String>,
    /// Where it was released [default: publish.to]
    #[arg(long, value_name = "DESTINATION", requires = "released")]
    pub to: Option<config::Destination>,
    /// Leave the images as they are: attach no report
    #[arg(long)]
    pub no_attach: bool,
}

impl Released {
    /// Whether something that is out is meant.
    pub(super) fn is_meant(&self) -> bool {
        self.reference.is_some() || self.released.is_some()
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    /// Reports that were attached.
    attached: &'a [Digest],
}

/// `cargo xtask scan REFERENCE` and `cargo xtask scan --released VERSION`
pub(super) fn scan(context: &Context, options: &options::Scan) -> Result<()> {
    let _lock = context.lock()?;
    let (config, ui) = (context.config()?, &context.ui);
    let Found { images, trouble } = find(context, &config, &options.released)?;
    let go = context.go(&config)?;
    let toolbox = context.toolbox(&config.tools, &go, None, options.how.offline)?;
    let mut policy = config.scan.clone();
    options.how.apply(&mut policy);
    let request = rescan::Request {
        images: &images,
        policy: &policy,
        govulncheck: &config.tools.govulncheck,
        options: scan::Options {
            root: &context.workspace.root,
            complete: false,
            offline: options.how.offline,
            toolbox: &toolbox,
            tools_folder: &context.workspace.tools,
            cache_folder: &context.workspace.cache,
        },
        trouble,
    };
    let outcome = rescan::rescan(&request, &go, ui)?;
    show(&outcome, ui);
    if let Some(runner) = &context.runner {
        runner.findings(&outcome.report, ui);
    }
    let attached = match options.released.no_attach {
        true => Ok(Vec::new()),
        false => rescan::attach(&images, &outcome.report, &context.store(), ui),
    };
    let files = reports::files(context, &config, None);
    match options.reports.is_json() {
        true => {
            options.reports.write(&outcome.report, &files)?;
            let sent = attached.as_deref().unwrap_or_default();
            ui.data(&summary::json(&Json { outcome: &outcome, attached: sent })?);
        }
        false => options.reports.give(&outcome.report, &files, ui)?,
    }
    verdict(&outcome.report, attached.map(drop), ui)
}

/// The policy's verdict comes first; that the report couldn't be attached is told beside it, or is the failure itself.
fn verdict(report: &Report, attached: Result<()>, ui: &Ui) -> Result<()> {
    match (report.gate(), attached) {
        (Err(findings), Err(unattached)) => {
            ui.warn(&format!("the report was not attached: {unattached}"));
            Err(findings)
        }
        (Err(findings), Ok(())) => Err(findings),
        (Ok(()), attached) => attached.map_err(|e| match e.hint_text() {
            Some(_) => e,
            None => e.hint("log in to where the image is, or leave it as it is with --no-attach"),
        }),
    }
}

/// Images, and the class of trouble in reading them.
struct Found {
    images: Vec<Image>,
    trouble: Class,
}

fn find(context: &Context, config: &Config, what: &Released) -> Result<Found> {
    if let Some(reference) = &what.reference {
        let trouble = Class::Network;
        let image = Image::find(open(context, config, reference)?, reference, trouble)?;
        return Ok(Found { images: vec![image], trouble });
    }
    let destination = context.destination(what.to.as_ref().unwrap_or(&config.publish.to), &[])?;
    let tag = tag(config, what.released.as_deref().unwrap_or_default(), &*destination)?;
    let record = publish::fetch(&*destination, config.publish.record.as_ref(), &tag)?.ok_or_else(|| {
        let err = Error::usage(format!("{} has no finished release {tag}", destination.describe()));
        err.hint("name where it was released with --to")
    })?;
    let image =
        |image: &crate::record::ReleasedImage| Ok(Image::released(image, &tag, destination.remote(&image.repository)?));
    let images = record.images.iter().map(image).collect::<Result<_>>()?;
    Ok(Found { images, trouble: readback::trouble(&*destination) })
}

/// The tag of a released version; `latest` is the highest stable one that was finished.
fn tag(config: &Config, version: &str, destination: &dyn publish::Destination) -> Result<String> {
    let template = &config.publish.tags.version;
    if version != "latest" {
        return Ok(template.tag(&plan::version(version)?));
    }
    publish::latest(destination, config.publish.record.as_ref(), template)?.ok_or_else(|| {
        let err = Error::usage(format!("{} has no finished stable release", destination.describe()));
        err.hint("name where releases are with --to")
    })
}

/// The repository of `reference`. This machine's credentials for releases are for the registry of releases alone.
fn open(context: &Context, config: &Config, reference: &Reference) -> Result<Box<dyn publish::Remote>> {
    let own = |prefix: &Prefix| reference.registry.as_deref() == Some(prefix.split().0);
    let is_own = own(&config.publish.registry)
        || matches!(&config.publish.to, config::Destination::Registry(prefix) if own(prefix));
    let repository = reference.repository.parse::<config::Repository>()?;
    match (&reference.registry, is_own) {
        (Some(host), true) => {
            let destination = config::Destination::Registry(host.parse()?);
            context.destination(&destination, &[])?.remote(&repository)
        }
        _ => remote::registry::open(reference, &context.ui),
    }
}

/// New findings first, then everything.
fn show(outcome: &Outcome, ui: &Ui) {
    let rows: Vec<_> =
        outcome.changes.iter().flat_map(|change| change.new.iter().map(move |finding| row(change, finding))).collect();
    if !rows.is_empty() {
        ui.line(Tone::Plain, "new since the last report:");
        ui.table(
            &["new", "severity", "package", "version", "fixed in", "image", "platform", "above the policy"],
            &rows,
        );
        ui.line(Tone::Plain, "");
    }
    scan::show(&outcome.report, ui);
    let count = |of: fn(&Change) -> usize| outcome.changes.iter().map(of).sum::<usize>();
    let (new, gone, unchanged) = (count(|c| c.new.len()), count(|c| c.gone.len()), count(|c| c.unchanged.len()));
    let unknown = outcome.changes.iter().filter(|change| change.since.is_none()).count();
    if unknown > 0 {
        ui.note(&format!("{unknown} platforms had no report, so that all of their findings are new"));
    }
    ui.line(Tone::Plain, &format!("findings by platform: {new} new, {gone} gone, {unchanged} as before"));
}

fn row(change: &Change, finding: &Finding) -> (Tone, Vec<String>) {
    let tone = if finding.violation.is_some() { Tone::Bad } else { Tone::Warn };
    let cells = [
        finding.id.as_str(),
        &finding.severity.to_string(),
        &finding.package,
        &finding.version,
        finding.fixed.as_deref().unwrap_or("-"),
        &change.image,
        &change.platform.to_string(),
        finding.violation.as_deref().unwrap_or("no"),
    ];
    (tone, cells.map(str::to_owned).to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(violation: Option<&str>) -> Report {
        let finding = json!({
            "id": "GO-1", "aliases": [], "scanner": "govulncheck", "severity": "unknown", "package": "m",
            "version": "v1.0.0", "fixed": null, "reachable": true, "summary": "", "fix": null, "violation": violation,
        });
        let platform = json!({
            "image": "gate", "platform": "linux/amd64", "manifest": Digest::of(b"manifest"), "findings": [finding],
        });
        let report = json!({"schema": 1, "skipped": null, "scanners": [], "databases": [], "platforms": [platform]});
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn the_policy_comes_before_the_attachment_and_neither_is_lost() {
        let refused = || Err(Error::network("the registry wants a login"));
        let code = |violation, attached| {
            verdict(&report(violation), attached, &Ui::silent()).err().map_or(0, |e| e.class() as u8)
        };
        assert_eq!(code(None, Ok(())), 0);
        assert_eq!(code(None, refused()), 7);
        assert_eq!(code(Some("linked"), Ok(())), 4);
        assert_eq!(code(Some("linked"), refused()), 4);
        let hint = verdict(&report(None), refused(), &Ui::silent()).unwrap_err();
        assert!(hint.hint_text().is_some_and(|h| h.contains("--no-attach")), "{hint}");
    }
}
