//! Verify: is a release, as it can be pulled now, the one its record describes?
//!
//! Takes a version's tag and a destination, reads the record and from it everything else by digest; gives a
//! [`Verdict`], or an error that lists every mismatch (class verification). Trouble in reaching the destination keeps
//! its own class. Changes nothing.

mod bundle;
mod chart;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::Serialize;

use crate::config::Repository;
use crate::error::{Class, Error, Item, Result};
use crate::oci::Digest;
use crate::plan::FloatingTag;
use crate::publish::readback::{self, Labels, Placed, PlacedChart, Reading};
use crate::publish::{Destination, Published, Remote, fetch};
use crate::record::{Record, ReleasedImage};
use crate::ui::Ui;
use crate::{pin, pool};

/// How many repositories are looked at side by side.
const REPOSITORIES: usize = 8;

/// What is to be verified, besides what the record names.
pub struct Request<'a> {
    /// The version's tag, `v1.2.0`.
    pub tag: &'a str,
    /// The repository of the records.
    pub record: &'a Repository,
    /// What the same run has published there, and read back to the last byte when it did: its content is not read again.
    pub published: Option<&'a Published>,
    /// The release's folder on disk, `dist/v1.2.0`.
    pub bundle: Option<&'a Path>,
    /// Folders of manifests that are pinned to the release.
    pub manifests: &'a [PathBuf],
}

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The version, without `v`.
    pub version: Version,
    /// Where.
    pub destination: String,
    /// Images.
    pub images: usize,
    /// Image platforms.
    pub platforms: usize,
    /// SBOMs.
    pub sboms: usize,
    /// What else is attached to manifests and indexes.
    pub attachments: usize,
    /// Distinct layers.
    pub layers: usize,
    /// Helm charts, one at most.
    pub charts: usize,
    /// Tags that name what they should.
    pub tags: usize,
    /// Files of the bundle.
    pub files: usize,
    /// Pins that name this release.
    pub pins: usize,
}

/// Verifies a release.
pub fn verify(request: &Request<'_>, destination: &dyn Destination, ui: &Ui) -> Result<Verdict> {
    let shown = destination.describe();
    // What blocks a release as a conflict is here something that isn't as it should be.
    let mismatch = |e: Error| if e.class() == Class::TagConflict { e.reclass(Class::Verification) } else { e };
    let record = fetch(destination, request.record, request.tag).map_err(mismatch)?.ok_or_else(|| {
        let err = Error::verification(format!("{shown} has no record of {}", request.tag));
        err.because("the release does not exist or was interrupted")
            .hint(format!("cargo xtask release {}", request.tag))
    })?;
    let remotes = record.images.iter().map(|i| destination.remote(&i.repository)).collect::<Result<Vec<_>>>()?;
    let placed: Vec<Placed<'_>> =
        record.images.iter().zip(&remotes).map(|(image, remote)| Placed { image, remote: &**remote }).collect();

    let mut found = check_record(&record, request.tag);
    let chart = record.chart.as_ref().map(|chart| Ok::<_, Error>((chart, destination.remote(&chart.repository)?)));
    let chart = chart.transpose()?;
    let placed_chart = chart.as_ref().map(|(chart, remote)| PlacedChart { chart, remote: &**remote });
    if !request.published.is_some_and(|published| published.is(&record)) {
        found.extend(check_content(&record, &placed, placed_chart.as_ref(), destination, ui)?);
    }
    let step = ui.step(format!("verify {}", request.tag));
    let ((pins, stale), tags) = pool::join(
        || check_pins(&record, request.manifests),
        || pool::map(&placed, REPOSITORIES, |p| check_tags(&record, p)),
    );
    found.extend(tags?.into_iter().flatten());
    if let Some((chart, remote)) = &chart {
        found.extend(chart::check(&record, chart, &**remote, readback::trouble(destination))?);
    }
    found.extend(stale);
    let mut files = 0;
    if let Some(folder) = request.bundle {
        let (count, wrong) = bundle::check(folder, &record)?;
        files = count;
        found.extend(wrong);
    }
    if found.is_empty() {
        let verdict = verdict(&record, shown, files, pins);
        step.done(&format!("{} tags, {} pins", verdict.tags, verdict.pins));
        return Ok(verdict);
    }
    let message = format!("{} at {shown} is not what was released", request.tag);
    Err(Error::verification(message).items(found))
}

fn verdict(record: &Record, destination: String, files: usize, pins: usize) -> Verdict {
    let platforms = || record.images.iter().flat_map(|i| &i.platforms);
    Verdict {
        version: record.version.clone(),
        destination,
        images: record.images.len(),
        platforms: platforms().count(),
        sboms: platforms().map(|p| p.sboms.len()).sum(),
        attachments: platforms().map(|p| p.attachments.len()).sum::<usize>()
            + record.images.iter().map(|i| i.attachments.len()).sum::<usize>(),
        layers: platforms().flat_map(|p| &p.layers).map(|l| l.digest).collect::<BTreeSet<Digest>>().len(),
        charts: record.chart.iter().count(),
        tags: record.images.len() * (1 + record.tags.floating.len()) + record.chart.iter().count(),
        files,
        pins,
    }
}

fn item(what: String) -> Item {
    Item { what, fix: None }
}

fn check_record(record: &Record, tag: &str) -> Vec<Item> {
    let of_itself = record.tags.version == tag && record.tags.template.tag(&record.version) == tag;
    let other = (!of_itself)
        .then(|| item(format!("the record under {tag} is of {}, version {}", record.tags.version, record.version)));
    let empty = record.images.is_empty().then(|| item(format!("the record under {tag} names no image")));
    let named = |image: &&ReleasedImage| !image.reference.ends_with(&format!("@{}", image.index.digest));
    let torn = record.images.iter().filter(named).map(|image| {
        item(format!(
            "the record's reference {} does not have the digest of its index, {}",
            image.reference, image.index.digest
        ))
    });
    other.into_iter().chain(empty).chain(torn).collect()
}

fn check_content(
    record: &Record,
    placed: &[Placed<'_>],
    chart: Option<&PlacedChart<'_>>,
    destination: &dyn Destination,
    ui: &Ui,
) -> Result<Vec<Item>> {
    let version = format!("v{}", record.version);
    let labels = Labels { version: &version, revision: record.source.revision.as_deref() };
    let reading = Reading { labels, trouble: readback::trouble(destination) };
    readback::check(placed, chart, &reading, ui)
}

/// The version's tag names the recorded index; a floating tag names a stable version of its range, this or a later one.
fn check_tags(record: &Record, placed: &Placed<'_>) -> Result<Vec<Item>> {
    let Placed { image, remote } = placed;
    let mut found = Vec::new();
    let tag = &record.tags.version;
    match remote.resolve(tag)?.map(|d| d.digest) {
        Some(digest) if digest == image.index.digest => {}
        other => found.push(names(*remote, tag, other, &format!("the record says {}", image.index.digest))),
    }
    if record.tags.floating.is_empty() {
        return Ok(found);
    }
    let mut versions: Vec<Version> = remote.tags()?.iter().filter_map(|t| record.tags.template.version_of(t)).collect();
    versions.retain(|v| v.pre.is_empty() && *v >= record.version);
    versions.sort_by(|a, b| b.cmp(a));
    for floating in &record.tags.floating {
        let named = remote.resolve(&floating.tag)?.map(|d| d.digest);
        if named != Some(image.index.digest) && !names_one_of(*remote, named, floating, &versions, record)? {
            let wanted = format!("which is neither {tag} nor a later version of its range");
            found.push(names(*remote, &floating.tag, named, &wanted));
        }
    }
    Ok(found)
}

fn names_one_of(
    remote: &dyn Remote,
    named: Option<Digest>,
    floating: &FloatingTag,
    versions: &[Version],
    record: &Record,
) -> Result<bool> {
    let Some(named) = named else { return Ok(false) };
    for version in versions.iter().filter(|v| floating.template.tag(v) == floating.tag) {
        if remote.resolve(&record.tags.template.tag(version))?.is_some_and(|d| d.digest == named) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn names(remote: &dyn Remote, tag: &str, named: Option<Digest>, wanted: &str) -> Item {
    let named = named.map_or_else(|| "nothing".to_owned(), |d| d.to_string());
    item(format!("{}:{tag} names {named}, {wanted}", remote.name()))
}

/// Every image of the release is in the manifests, and wherever it is, it is pinned to the release.
fn check_pins(record: &Record, manifests: &[PathBuf]) -> (usize, Vec<Item>) {
    if manifests.is_empty() {
        return (0, Vec::new());
    }
    match pin::plan(manifests, &record.pins()) {
        Ok(plan) => (record.images.len(), plan.stale().map(Error::into_items).unwrap_or_default()),
        Err(err) => (0, err.into_items()),
    }
}

#[cfg(test)]
mod tests;
