//! The one commit point: the record, published last as an artifact under the version's tag.
//!
//! Takes [`Published`], gives [`Record`]. Where the version has a record of the same images, that one stays: a record is
//! written once. Reading it back is here too.

use semver::Version;
use serde::Deserialize;

use super::attached::{blob, put_blobs};
use super::moves::Named;
use super::referrer::{Artifact, Attachment};
use super::{Destination, Published, Remote, moves, readback};
use crate::config::Repository;
use crate::error::{Class, Error, Item, Result};
use crate::oci::Digest;
use crate::oci::spec::{Document, Manifest, parse};
use crate::oci::store::{DOCUMENT_LIMIT, Store};
use crate::plan::Plan;
use crate::record::{self, FILE, MEDIA_TYPE, Record, ReleasedChart, ReleasedImage, ScanSummary};
use crate::scan::Report;
use crate::ui::Ui;

/// Writes the record of `published`, or finds that it is there. A record of other images is refused (class tag
/// conflict). Whoever sees the record sees a complete release.
pub fn commit(
    published: &Published,
    report: &Report,
    store: &Store,
    destination: &dyn Destination,
    ui: &Ui,
) -> Result<Record> {
    let plan = published.plan();
    let tag = &plan.tags.version;
    let record = Record {
        schema: record::SCHEMA,
        version: plan.version.clone(),
        created: plan.created()?,
        source: plan.source.clone(),
        toolchain: record::toolchain(&plan.tools),
        destination: published.destination().to_owned(),
        tags: plan.tags.clone(),
        images: published.images().iter().map(|i| i.image().clone()).collect(),
        chart: published.chart().cloned(),
        scan: ScanSummary::of(report),
    };
    let step = ui.step(format!("record {tag}"));
    if let Some(existing) = fetch(destination, &plan.record, tag)? {
        if let Some(refusal) = moves::refusal(contradictions(&existing, &record)) {
            return Err(refusal);
        }
        step.done("was there already");
        return Ok(existing);
    }
    write(&record, &plan.record, store, destination)?;
    let kept = settled(&record, plan, destination)?;
    step.done("written");
    Ok(kept)
}

/// The record that is there after writing `record`. No destination can be asked to set a tag only where there is none,
/// so another release of the same version may have come in between. Each release writes its version tags, then its
/// record, and only then looks at both: of two releases with different content at least one sees the other's.
fn settled(record: &Record, plan: &Plan, destination: &dyn Destination) -> Result<Record> {
    let images = record.images.iter().map(|i| (&i.repository, record.tags.version.as_str(), i.index.digest));
    let chart = record.chart.iter().map(|c| (&c.repository, c.tag.as_str(), c.manifest.digest));
    let all: Vec<_> = images.chain(chart).collect();
    let remotes = all.iter().map(|(repository, ..)| destination.remote(repository)).collect::<Result<Vec<_>>>()?;
    let named =
        all.iter().zip(&remotes).map(|((_, tag, digest), remote)| Named { remote: &**remote, tag, digest: *digest });
    let (_, mut items) = moves::look(&named.collect::<Vec<_>>(), &plan.version)?;
    let kept = fetch(destination, &plan.record, &plan.tags.version)?.ok_or_else(|| {
        let message = format!("{} does not have the record that was just written", destination.describe());
        Error::new(readback::trouble(destination), message).hint("run the same command again")
    })?;
    items.extend(contradictions(&kept, record));
    moves::refusal(items).map_or(Ok(kept), Err)
}

/// How `there` contradicts `ours`.
fn contradictions(there: &Record, ours: &Record) -> Vec<Item> {
    compare(there, &ours.version, &ours.images, ours.chart.as_ref())
}

/// How `record` contradicts a release of `version` made of `images` and `chart`.
pub(super) fn compare(
    record: &Record,
    version: &Version,
    images: &[ReleasedImage],
    chart: Option<&ReleasedChart>,
) -> Vec<Item> {
    let chart = chart.map(|chart| (&chart.repository, chart.manifest.digest));
    let different = record.differences(version, images.iter().map(ReleasedImage::identity), chart);
    different.into_iter().map(moves::item).collect()
}

/// Writes a record as it is, for a destination that holds a copy of a release.
pub fn write(record: &Record, repository: &Repository, store: &Store, destination: &dyn Destination) -> Result<()> {
    let artifact = Artifact::new(&Attachment::new(MEDIA_TYPE, FILE, record.to_json()?, &record.created), None)?;
    put(&*destination.remote(repository)?, &record.tags.version, &artifact, store, readback::trouble(destination))
}

/// Blobs, then the manifest by digest, both read back, then the tag.
fn put(remote: &dyn Remote, tag: &str, artifact: &Artifact, store: &Store, trouble: Class) -> Result<()> {
    let Artifact { manifest, document, .. } = artifact;
    put_blobs(remote, artifact, store)?;
    remote.put_manifest(manifest)?;
    let same = remote.manifest(&manifest.descriptor.digest)?.is_some_and(|back| back.bytes == manifest.bytes);
    if !same || blob(remote, &document.descriptor, DOCUMENT_LIMIT, trouble)? != document.bytes {
        return Err(Error::verification(format!(
            "{} does not give back the record that was sent; no tag was set",
            remote.name()
        )));
    }
    remote.set_tag(tag, manifest)
}

/// The record under `tag` in `repository`; `None` when that release is not complete.
pub fn fetch(destination: &dyn Destination, repository: &Repository, tag: &str) -> Result<Option<Record>> {
    let remote = destination.remote(repository)?;
    let Some(named) = remote.resolve(tag)? else { return Ok(None) };
    let what = format!("the record {}:{tag}", remote.name());
    let damaged = |why: &str| Error::verification(format!("{what} is damaged")).because(why);
    let manifest = remote.manifest(&named.digest).map_err(|e| e.within(format!("failed to read {what}")))?;
    let Document { bytes, .. } = manifest.ok_or_else(|| damaged("its manifest isn't there"))?;
    if Digest::of(&bytes) != named.digest {
        return Err(damaged("its manifest is not the one that was asked for"));
    }
    let Kind { artifact_type } = parse(&what, &bytes)?;
    if artifact_type.as_deref() != Some(MEDIA_TYPE) {
        return Err(Error::new(Class::TagConflict, format!("{}:{tag} is no release record", remote.name()))
            .because(format!("its artifact type is {}", artifact_type.as_deref().unwrap_or("absent")))
            .hint("name another repository for the records in release.toml, publish.record"));
    }
    let manifest: Manifest = parse(&what, &bytes)?;
    let [document] = manifest.layers.as_slice() else { return Err(damaged("it has not exactly one layer")) };
    Record::parse(&what, &blob(&*remote, document, DOCUMENT_LIMIT, readback::trouble(destination))?).map(Some)
}

/// What any manifest or index may say about itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    artifact_type: Option<String>,
}
