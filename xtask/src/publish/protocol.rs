//! The protocol, whatever the destination: upload by digest, read back, and only then tags.
//!
//! Takes [`Packed`], gives [`Published`] by way of [`Prepared`], [`Uploaded`] and [`Verified`], each made only from the
//! one before: what hasn't been read back can't be tagged. A run may be stopped anywhere and repeated: what is there is
//! not sent again, and no tag ever names something incomplete. The destination is the only journal.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::moves::{self, Named, Tagging};
use super::readback::{self, Labels, Placed, PlacedChart, Reading};
use super::referrer::{Artifact, Attachment, bare, empty};
use super::{Destination, Remote, TagMove, attachments, commit};
use crate::build::{Built, BuiltImage, document};
use crate::chart::{Chart, Packed};
use crate::error::{Error, Item, Result};
use crate::oci::Digest;
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;
use crate::plan::Plan;
use crate::pool;
use crate::record::{Attached, Record, ReleasedChart, ReleasedImage, ReleasedPlatform};
use crate::scan::Scanned;
use crate::ui::{self, Ui};

/// How many blobs are sent side by side.
const TRANSFERS: usize = 6;
/// How many small requests are made side by side.
const REQUESTS: usize = 8;

/// Publishes `packed` from `store`: uploads, reads back, tags. The record is still to be written ([`commit()`]).
pub fn publish<'a>(
    packed: &'a Packed<'_>,
    store: &'a Store,
    destination: &'a dyn Destination,
    ui: &'a Ui,
) -> Result<Published> {
    match prepare(packed, store, destination, ui)?.whole()? {
        Whole::Yes(verified) => verified.tag(),
        Whole::No(prepared) => prepared.upload()?.verify()?.tag(),
    }
}

/// What all states share.
struct Site<'a> {
    plan: &'a Plan,
    store: &'a Store,
    destination: &'a dyn Destination,
    ui: &'a Ui,
    images: Vec<ReleasedImage>,
    /// In the order of `images`.
    remotes: Vec<Box<dyn Remote>>,
    chart: Option<ChartSite>,
}

/// The chart and its repository.
struct ChartSite {
    chart: ReleasedChart,
    remote: Box<dyn Remote>,
}

impl Site<'_> {
    fn placed(&self) -> Vec<Placed<'_>> {
        self.images.iter().zip(&self.remotes).map(|(image, remote)| Placed { image, remote: &**remote }).collect()
    }

    /// Everything by digest; gives what isn't what it should be.
    fn read_back(&self) -> Result<Vec<Item>> {
        let version = format!("v{}", self.plan.version);
        let labels = Labels { version: &version, revision: self.plan.source.revision.as_deref() };
        let reading = Reading { labels, trouble: readback::trouble(self.destination) };
        let chart = self.chart.as_ref().map(|c| PlacedChart { chart: &c.chart, remote: &*c.remote });
        readback::check(&self.placed(), chart.as_ref(), &reading, self.ui)
    }

    /// The tags of the version, and what they are to name.
    fn named(&self) -> Vec<Named<'_>> {
        let tag = self.plan.tags.version.as_str();
        let images = self.images.iter().zip(&self.remotes);
        let images = images.map(|(image, remote)| Named { remote: &**remote, tag, digest: image.index.digest });
        images.chain(self.chart.iter().map(ChartSite::named)).collect()
    }
}

impl ChartSite {
    fn named(&self) -> Named<'_> {
        Named { remote: &*self.remote, tag: &self.chart.tag, digest: self.chart.manifest.digest }
    }
}

/// Nothing at the destination contradicts it; nothing has been sent yet.
#[must_use]
pub struct Prepared<'a> {
    site: Site<'a>,
    /// There is a record of it, so it was complete once.
    finished: bool,
}

/// Whether a release is at its destination already.
pub enum Whole<'a> {
    /// All of it, read back.
    Yes(Verified<'a>),
    /// Not all of it, or nobody knows.
    No(Prepared<'a>),
}

/// Everything is at the destination, by digest; nothing names it yet.
#[must_use]
pub struct Uploaded<'a> {
    site: Site<'a>,
}

/// Everything has been read back and is what was sent.
#[must_use]
pub struct Verified<'a> {
    site: Site<'a>,
}

/// A release that can be pulled by its tags.
#[derive(Clone, Debug, Serialize)]
pub struct Published {
    plan: Plan,
    images: Vec<PublishedImage>,
    chart: Option<ReleasedChart>,
    destination: String,
}

/// One image of it.
#[derive(Clone, Debug, Serialize)]
pub struct PublishedImage {
    #[serde(flatten)]
    image: ReleasedImage,
    #[serde(serialize_with = "by_name")]
    tags: Vec<TagMove>,
}

/// Looks at what is there: a version tag or a record that names other content is an error (class tag conflict).
pub fn prepare<'a>(
    packed: &'a Packed<'_>,
    store: &'a Store,
    destination: &'a dyn Destination,
    ui: &'a Ui,
) -> Result<Prepared<'a>> {
    let (scanned, plan) = (packed.scanned(), &packed.built().plan);
    let images = released(scanned, store)?;
    let remotes = images.iter().map(|image| destination.remote(&image.repository)).collect::<Result<_>>()?;
    let chart = packed.chart().map(|chart| chart_site(released_chart(chart), destination)).transpose()?;
    let mut site = Site { plan, store, destination, ui, images, remotes, chart };
    let finished = preflight(&mut site)?;
    Ok(Prepared { site, finished })
}

impl<'a> Prepared<'a> {
    /// Reads back what was finished before: where all of it is there, nothing has to be looked for and sent.
    pub fn whole(self) -> Result<Whole<'a>> {
        if !self.finished {
            return Ok(Whole::No(self));
        }
        if self.site.read_back()?.is_empty() {
            return Ok(Whole::Yes(Verified { site: self.site }));
        }
        let (tag, place) = (&self.site.plan.tags.version, self.site.destination.describe());
        self.site.ui.note(&format!("{tag} was finished, but {place} has not kept all of it: what is missing is sent"));
        Ok(Whole::No(self))
    }

    /// Uploads all blobs, then platform manifests, then indexes, then what is attached to them and the chart.
    pub fn upload(self) -> Result<Uploaded<'a>> {
        send_blobs(&self.site)?;
        send_manifests(&self.site)?;
        Ok(Uploaded { site: self.site })
    }
}

/// What is to be released, its attachments put into the store beside the images.
fn released(scanned: &Scanned, store: &Store) -> Result<Vec<ReleasedImage>> {
    let Built { plan, images } = scanned.built();
    let (created, vex) = (plan.created()?, scanned.vex()?);
    store.put(&empty())?;
    let image = |built: &BuiltImage| {
        let mut platforms = Vec::new();
        for platform in &built.platforms {
            let name = &built.plan.name;
            let sboms = attachments::sboms(scanned, name, platform, &created)?;
            let others = attachments::of_platform(scanned, &vex, name, platform, &created)?;
            platforms.push(ReleasedPlatform {
                platform: platform.platform.clone(),
                manifest: bare(&platform.manifest),
                size: platform.size(),
                config: bare(&platform.config),
                layers: platform.layers.iter().map(bare).collect(),
                sboms: stored(&sboms, &platform.manifest, store)?,
                attachments: stored(&others, &platform.manifest, store)?,
            });
        }
        Ok(ReleasedImage {
            name: built.plan.name.clone(),
            repository: built.plan.repository.clone(),
            reference: format!("{}@{}", built.plan.reference, built.index.digest),
            index: bare(&built.index),
            attachments: stored(&attachments::of_index(scanned, &vex, built, &created)?, &built.index, store)?,
            platforms,
        })
    };
    images.iter().map(image).collect()
}

fn released_chart(chart: &Chart) -> ReleasedChart {
    let Chart { plan, manifest, config, archive } = chart;
    ReleasedChart {
        repository: plan.repository.clone(),
        reference: plan.reference.clone(),
        tag: plan.tag.clone(),
        manifest: manifest.clone(),
        config: config.clone(),
        archive: archive.clone(),
    }
}

fn chart_site(chart: ReleasedChart, destination: &dyn Destination) -> Result<ChartSite> {
    Ok(ChartSite { remote: destination.remote(&chart.repository)?, chart })
}

/// Puts what is attached to `subject` into the store; gives what the record says of it.
fn stored(attachments: &[Attachment], subject: &Descriptor, store: &Store) -> Result<Vec<Attached>> {
    let put = |attachment: &Attachment| {
        let artifact = Artifact::new(attachment, Some(subject))?;
        store.put(&artifact.document)?;
        store.put(&artifact.manifest)?;
        Ok(artifact.attached())
    };
    attachments.iter().map(put).collect()
}

/// Refuses what would contradict an earlier release, all of it at once. Where the release has a record, that stays, so
/// its word on what is attached counts, and on whether there is a chart. Gives whether it has one.
fn preflight(site: &mut Site<'_>) -> Result<bool> {
    let record = commit::fetch(site.destination, &site.plan.record, &site.plan.tags.version)?;
    let ours = site.chart.as_ref().map(|site| &site.chart);
    let contradictions = record.as_ref().map(|r| commit::compare(r, &site.plan.version, &site.images, ours));
    if record.as_ref().is_some_and(|record| record.chart.is_none()) && site.chart.take().is_some() {
        site.ui.note(&format!("{} was released without a chart, and stays so", site.plan.tags.version));
    }
    let (_, mut items) = moves::look(&site.named(), &site.plan.version)?;
    items.extend(contradictions.into_iter().flatten());
    if let Some(refusal) = moves::refusal(items) {
        return Err(refusal);
    }
    let Some(record) = record else { return Ok(false) };
    site.images = record.images;
    site.chart = record.chart.map(|chart| chart_site(chart, site.destination)).transpose()?;
    fetch_recorded(site)?;
    Ok(true)
}

/// Brings what the record lists into the store, so that a copy of the release has it too: a later run makes another
/// report than the one of the day of the release, and may have packed no chart.
fn fetch_recorded(site: &Site<'_>) -> Result<()> {
    let placed = site.placed();
    let attached = placed.iter().flat_map(|p| recorded(p.image).map(|a| (p.remote, &a.artifact, vec![&a.document])));
    let chart = site.chart.iter().map(|c| (&*c.remote, &c.chart.manifest, vec![&c.chart.config, &c.chart.archive]));
    let all: Vec<_> = attached.chain(chart).collect();
    // What the destination has lost, reading back tells.
    let fetched = pool::map(&all, REQUESTS, |(remote, manifest, blobs)| {
        if !can_be_sent(site.store, manifest)
            && let Some(document) = remote.manifest(&manifest.digest)?
        {
            site.store.put(&document)?;
        }
        for blob in blobs.iter().filter(|blob| !can_be_sent(site.store, blob)) {
            if remote.has_blob(blob)? {
                site.store.copy_in(blob, remote.blob(blob)?)?;
            }
        }
        Ok(())
    });
    fetched.map(drop)
}

/// All that is attached to an image's manifests.
fn recorded(image: &ReleasedImage) -> impl Iterator<Item = &Attached> {
    image.platforms.iter().flat_map(ReleasedPlatform::attached).chain(&image.attachments)
}

fn send_blobs(site: &Site<'_>) -> Result<()> {
    let mut blobs: BTreeMap<(usize, Digest), (&dyn Remote, Descriptor)> = BTreeMap::new();
    for (at, Placed { image, remote }) in site.placed().into_iter().enumerate() {
        let documents = recorded(image).map(|a| &a.document).filter(|d| can_be_sent(site.store, d));
        let parts = image.platforms.iter().flat_map(|p| p.layers.iter().chain([&p.config]));
        let all = parts.chain(documents).cloned().chain([empty().descriptor]);
        blobs.extend(all.map(|blob| ((at, blob.digest), (remote, blob))));
    }
    let chart =
        site.chart.iter().flat_map(|c| [&c.chart.config, &c.chart.archive].map(|blob| (&*c.remote, blob.clone())));
    let chart = chart.filter(|(_, blob)| can_be_sent(site.store, blob));
    let blobs: Vec<_> = blobs.into_values().chain(chart).collect();
    let there = pool::map(&blobs, REQUESTS, |(remote, blob)| remote.has_blob(blob))?;
    let mut missing: Vec<_> = blobs.iter().zip(there).filter(|(_, there)| !there).map(|(blob, _)| blob).collect();
    missing.sort_by_key(|(_, blob)| std::cmp::Reverse(blob.size));
    let total = missing.iter().map(|(_, blob)| blob.size).sum();
    let step = site.ui.transfer(format!("upload to {}", site.destination.describe()), total);
    pool::map(&missing, TRANSFERS, |(remote, blob)| remote.put_blob(blob, site.store, &|sent| step.advance(sent)))?;
    step.done(&format!("{} of {} blobs, {}", missing.len(), blobs.len(), ui::size(total)));
    Ok(())
}

/// Children before parents, and a subject before what refers to it.
fn send_manifests(site: &Site<'_>) -> Result<()> {
    let placed = site.placed();
    let platforms: Vec<_> =
        placed.iter().flat_map(|p| p.image.platforms.iter().map(|platform| (p.remote, platform))).collect();
    pool::map(&platforms, REQUESTS, |(remote, platform)| send(site, *remote, &platform.manifest))?;
    pool::map(&placed, REQUESTS, |p| send(site, p.remote, &p.image.index))?;
    // One subject's referrers one after another: where a registry has no referrers API, they share one list.
    pool::map(&subjects(&placed), REQUESTS, |subject| send_attached(site, subject))?;
    send_chart(site)
}

fn send_chart(site: &Site<'_>) -> Result<()> {
    let chart = site.chart.as_ref().filter(|c| can_be_sent(site.store, &c.chart.manifest));
    chart.map_or(Ok(()), |c| send(site, &*c.remote, &c.chart.manifest))
}

fn send(site: &Site<'_>, remote: &dyn Remote, descriptor: &Descriptor) -> Result<()> {
    match remote.manifest(&descriptor.digest)? {
        Some(_) => Ok(()),
        None => remote.put_manifest(&document(site.store, descriptor)?),
    }
}

/// A manifest, and what is to be attached to it.
struct Subject<'a> {
    remote: &'a dyn Remote,
    digest: Digest,
    attached: Vec<&'a Attached>,
}

/// Every manifest that something is attached to.
fn subjects<'a>(placed: &[Placed<'a>]) -> Vec<Subject<'a>> {
    let mut found = Vec::new();
    for &Placed { image, remote } in placed {
        let of_platform = |platform: &'a ReleasedPlatform| Subject {
            remote,
            digest: platform.manifest.digest,
            attached: platform.attached().collect(),
        };
        found.extend(image.platforms.iter().map(of_platform));
        found.push(Subject { remote, digest: image.index.digest, attached: image.attachments.iter().collect() });
    }
    found.retain(|subject| !subject.attached.is_empty());
    found
}

/// An artifact that is there but isn't listed is put again: an interrupted run may have stored but not listed it.
fn send_attached(site: &Site<'_>, subject: &Subject<'_>) -> Result<()> {
    let Subject { remote, digest, attached } = subject;
    let listed: BTreeSet<Digest> = remote.referrers(digest)?.iter().map(|d| d.digest).collect();
    let mut missing = Vec::new();
    for Attached { artifact, document: content, .. } in attached {
        if listed.contains(&artifact.digest) && remote.manifest(&artifact.digest)?.is_some() {
            continue;
        }
        if can_be_sent(site.store, artifact) && can_be_sent(site.store, content) {
            missing.push(document(site.store, artifact)?);
        }
    }
    remote.put_manifests(&missing)
}

/// Whether a part of an attachment is in the store: what a finished release has lost, and nobody makes again, isn't.
fn can_be_sent(store: &Store, descriptor: &Descriptor) -> bool {
    store.has(&descriptor.digest, descriptor.size)
}

impl<'a> Uploaded<'a> {
    /// Reads everything back by digest; all that isn't what was sent is listed (class verification).
    pub fn verify(self) -> Result<Verified<'a>> {
        let site = self.site;
        let found = site.read_back()?;
        if found.is_empty() {
            return Ok(Verified { site });
        }
        let message = format!("{} does not give back what was sent; no tag was set", site.destination.describe());
        Err(Error::verification(message)
            .items(found)
            .hint("remove what is damaged, there and in the build's cache, and run the same command again"))
    }
}

impl Verified<'_> {
    /// Sets the version tags of all repositories, then the floating tags.
    pub fn tag(self) -> Result<Published> {
        let site = self.site;
        let indexes = pool::map(&site.images, REQUESTS, |image| document(site.store, &image.index))?;
        let tag = site.plan.tags.version.as_str();
        let placed = site.remotes.iter().zip(&indexes);
        let tagging: Vec<Tagging<'_>> =
            placed.map(|(remote, document)| Tagging { remote: &**remote, tag, document }).collect();
        let manifest = site.chart.as_ref().map(|c| document(site.store, &c.chart.manifest)).transpose()?;
        let chart = site.chart.as_ref().zip(manifest.as_ref());
        let chart = chart.map(|(c, document)| Tagging { remote: &*c.remote, tag: &c.chart.tag, document });
        let tags = moves::apply(&tagging, chart.as_ref(), site.plan)?;
        let images = site.images.into_iter().zip(tags).map(|(image, tags)| PublishedImage { image, tags }).collect();
        let chart = site.chart.map(|site| site.chart);
        Ok(Published { plan: site.plan.clone(), images, chart, destination: site.destination.describe() })
    }
}

impl Published {
    /// What was to be released.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// In the order of the plan.
    pub fn images(&self) -> &[PublishedImage] {
        &self.images
    }

    /// The Helm chart.
    pub fn chart(&self) -> Option<&ReleasedChart> {
        self.chart.as_ref()
    }

    /// Whether this is what `record` describes, so that all of that has been read back.
    pub fn is(&self, record: &Record) -> bool {
        self.chart == record.chart && self.images.iter().map(PublishedImage::image).eq(&record.images)
    }

    /// Where it is, for people.
    pub fn destination(&self) -> &str {
        &self.destination
    }
}

impl PublishedImage {
    /// The image, down to the last blob.
    pub fn image(&self) -> &ReleasedImage {
        &self.image
    }

    /// `name@sha256:…`, what manifests are pinned to.
    pub fn reference(&self) -> &str {
        &self.image.reference
    }

    /// The version's tag first.
    pub fn tags(&self) -> &[TagMove] {
        &self.tags
    }
}

/// Tag → what became of it, sorted.
fn by_name<S: Serializer>(tags: &[TagMove], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    tags.iter().map(|m| (m.tag.as_str(), m.action)).collect::<BTreeMap<_, _>>().serialize(serializer)
}
