//! What came of a run: tables for people, JSON for scripts.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::context::Context;
use crate::build::Built;
use crate::error::{Context as _, Result};
use crate::oci::{Digest, Platform};
use crate::publish::{Action, Published, TagMove, TagMoves};
use crate::scan::Report;
use crate::ui::{Tone, Ui, size};
use crate::verify::Verdict;

/// The digests of a build, for scripts.
#[derive(Serialize)]
pub(super) struct Digests<'a> {
    images: Vec<ImageDigests<'a>>,
}

#[derive(Serialize)]
struct ImageDigests<'a> {
    name: &'a str,
    repository: &'a str,
    index: Digest,
    platforms: Vec<PlatformDigest<'a>>,
}

#[derive(Serialize)]
struct PlatformDigest<'a> {
    platform: &'a Platform,
    manifest: Digest,
    size: u64,
}

impl<'a> Digests<'a> {
    /// Those of `built`.
    pub(super) fn of(built: &'a Built) -> Digests<'a> {
        let platform = |p: &'a crate::build::BuiltPlatform| PlatformDigest {
            platform: &p.platform,
            manifest: p.manifest.digest,
            size: p.size(),
        };
        let images = built.images.iter().map(|image| ImageDigests {
            name: &image.plan.name,
            repository: image.plan.repository.as_str(),
            index: image.index.digest,
            platforms: image.platforms.iter().map(platform).collect(),
        });
        Digests { images: images.collect() }
    }
}

/// What a dry run found.
#[derive(Serialize)]
pub(super) struct DryRun<'a> {
    /// What was built.
    #[serde(flatten)]
    pub digests: Digests<'a>,
    /// What would become of the tags.
    pub tags: &'a TagMoves,
}

/// Indented JSON.
pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).attempt(|| "write JSON".into())
}

/// One row an image platform, with its own digest; the index's digest stands above them.
pub(super) fn built(built: &Built, report: Option<&Report>, ui: &Ui) {
    let mut rows = Vec::new();
    for image in &built.images {
        rows.push((Tone::Plain, row([&image.plan.name, "index", "", &image.index.digest.to_string(), ""])));
        for platform in &image.platforms {
            let found = report.map(|r| findings(r, &image.plan.name, &platform.platform)).unwrap_or_default();
            let cells = [
                "",
                &platform.platform.to_string(),
                &size(platform.size()),
                &platform.manifest.digest.to_string(),
                &found,
            ];
            rows.push((Tone::Plain, row(cells)));
        }
    }
    ui.table(&["image", "platform", "size", "digest", if report.is_some() { "findings" } else { "" }], &rows);
}

/// What was released, as a table.
pub(super) fn released(published: &Published, report: &Report, ui: &Ui) {
    let mut rows = Vec::new();
    for image in published.images() {
        let released = image.image();
        let tags = image
            .tags()
            .iter()
            .filter(|t| t.action != Action::Kept)
            .map(|t| t.tag.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        rows.push((Tone::Plain, row([&released.name, "index", "", &released.index.digest.to_string(), "", &tags])));
        for platform in &released.platforms {
            let found = findings(report, &released.name, &platform.platform);
            let cells = [
                "",
                &platform.platform.to_string(),
                &size(platform.size),
                &platform.manifest.digest.to_string(),
                &found,
                "",
            ];
            rows.push((Tone::Plain, row(cells)));
        }
    }
    if let Some(chart) = published.chart() {
        let (size, digest) = (size(chart.archive.size), chart.manifest.digest.to_string());
        rows.push((Tone::Plain, row([chart.repository.as_str(), "chart", &size, &digest, "", &chart.tag])));
    }
    ui.line(Tone::Plain, "");
    ui.table(&["image", "platform", "size", "digest", "findings", "tags"], &rows);
}

/// Where to find it, and what to do next.
pub(super) fn where_it_is(context: &Context, published: &Published, bundle: &Path, pinned: usize) {
    let (ui, tag) = (&context.ui, &published.plan().tags.version);
    ui.line(
        Tone::Good,
        &format!(
            "\nreleased and verified {tag} at {}; its files are in {}",
            published.destination(),
            context.shown(bundle)
        ),
    );
    match pinned {
        0 => {
            let folders = ["k8s/overlays/production", "k8s/base", "k8s"].map(|folder| bundle.join(folder));
            if let Some(folder) = folders.iter().find(|folder| folder.join("kustomization.yaml").is_file()) {
                ui.note(&format!("deploy with `kubectl apply -k {}`", context.shown(folder)));
            }
        }
        n => ui.note(&format!("{n} manifests of this repository were pinned; commit them")),
    }
}

/// Every tag move a release would make.
pub(super) fn moves(moves: &TagMoves, ui: &Ui) {
    let mut rows = Vec::new();
    for image in moves.images.iter().chain(&moves.chart) {
        for found in &image.tags {
            let tone = if found.action == Action::Refused { Tone::Bad } else { Tone::Plain };
            let from = found.from.map(|d| d.to_string()).unwrap_or_default();
            rows.push((tone, row([&image.repository, &found.tag, would(found), &from, &found.to.to_string()])));
        }
    }
    ui.table(&["repository", "tag", "would", "from", "to"], &rows);
}

fn would(found: &TagMove) -> &'static str {
    match found.action {
        Action::Created => "be created",
        Action::Already => "stay: same digest",
        Action::Moved => "move",
        Action::Kept => "stay: a higher version",
        Action::Refused => "be refused: it never moves",
    }
}

/// What was verified, in a line.
pub(super) fn verified(verdict: &Verdict, ui: &Ui) {
    let Verdict { images, platforms, layers, sboms, attachments, charts, tags, files, pins, .. } = verdict;
    ui.line(
        Tone::Good,
        &format!(
            "v{} at {} is what was released: {images} images, {platforms} platforms, {layers} layers, {sboms} SBOMs, \
             {attachments} other attachments, {charts} charts, {tags} tags, {files} files, {pins} pins",
            verdict.version, verdict.destination
        ),
    );
}

/// `2 (1 above the policy)`
fn findings(report: &Report, image: &str, platform: &Platform) -> String {
    if report.skipped.is_some() {
        return "not scanned".into();
    }
    let of = report.platforms.iter().filter(|p| p.image == image && p.platform == *platform);
    let found: Vec<_> = of.flat_map(|p| &p.findings).collect();
    let bad: BTreeSet<_> = found.iter().filter(|f| f.violation.is_some()).map(|f| &f.id).collect();
    match (found.len(), bad.len()) {
        (0, _) => "none".into(),
        (n, 0) => n.to_string(),
        (n, bad) => format!("{n} ({bad} above the policy)"),
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
