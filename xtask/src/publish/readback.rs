//! Reading back: is what a destination gives by digest what was released, to the last byte, and is it complete?
//!
//! Takes released images and their remotes, gives every mismatch as an item that names repository and digest. Hashes
//! everything itself, whatever the remote says it checked. Streams layers; changes nothing. Trouble in reaching the
//! destination is an error of its own, never a mismatch.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::referrer::{FORMATS, bare, empty};
use super::{Destination, Remote, attached};
use crate::chart::{self, Metadata};
use crate::error::{Class, Error, Item, Result};
use crate::oci::Digest;
use crate::oci::digest::Checked;
use crate::oci::spec::{Descriptor, Document, ImageConfig, Index, Manifest, PlatformSpec, parse};
use crate::oci::store::DOCUMENT_LIMIT;
use crate::pool;
use crate::record::{Attached, ReleasedChart, ReleasedImage, ReleasedPlatform};
use crate::ui::Ui;

/// How many blobs are read side by side.
const READS: usize = 8;

/// One image and where it should be.
pub struct Placed<'a> {
    /// The image.
    pub image: &'a ReleasedImage,
    /// Its repository.
    pub remote: &'a dyn Remote,
}

/// The chart and where it should be.
pub struct PlacedChart<'a> {
    /// The chart.
    pub chart: &'a ReleasedChart,
    /// Its repository.
    pub remote: &'a dyn Remote,
}

/// What the images must say about themselves.
pub struct Labels<'a> {
    /// `org.opencontainers.image.version`
    pub version: &'a str,
    /// `org.opencontainers.image.revision`, when the commit is known.
    pub revision: Option<&'a str>,
}

/// How to read.
pub struct Reading<'a> {
    /// What the labels must be.
    pub labels: Labels<'a>,
    /// The class of a failed read: a registry's may pass, a disk's will not.
    pub trouble: Class,
}

/// The class of a failed read at `destination`.
pub fn trouble(destination: &dyn Destination) -> Class {
    if destination.is_registry() { Class::Network } else { Class::Failed }
}

/// One piece of work; the large come first, so that the last to end is a small one.
enum Task<'a> {
    Layer(&'a dyn Remote, &'a Descriptor),
    Platform(&'a dyn Remote, &'a ReleasedPlatform),
    Attached(&'a dyn Remote, Digest, &'a Attached),
    Index(&'a dyn Remote, &'a ReleasedImage),
    /// The configuration that all of a repository's artifacts share.
    Empty(&'a dyn Remote),
    Chart(&'a dyn Remote, &'a ReleasedChart),
}

/// Reads everything of `images` and `chart` back; gives what doesn't agree, in the order of the images.
pub fn check(
    images: &[Placed<'_>],
    chart: Option<&PlacedChart<'_>>,
    reading: &Reading<'_>,
    ui: &Ui,
) -> Result<Vec<Item>> {
    let mut tasks = tasks(images);
    tasks.extend(chart.map(|placed| Task::Chart(placed.remote, placed.chart)));
    let total = tasks.iter().map(bytes).sum();
    let step = ui.transfer("read back", total);
    let found = pool::map(&tasks, READS, |task| {
        let found = reading.run(task);
        step.advance(bytes(task));
        found
    })?;
    let found: Vec<Item> = found.into_iter().flatten().collect();
    if found.is_empty() {
        step.done(&format!("{} by digest", crate::ui::size(total)));
    }
    Ok(found)
}

fn tasks<'a>(images: &[Placed<'a>]) -> Vec<Task<'a>> {
    let mut layers: BTreeMap<(usize, Digest), Task<'a>> = BTreeMap::new();
    let mut documents = Vec::new();
    for (at, &Placed { image, remote }) in images.iter().enumerate() {
        documents.push(Task::Index(remote, image));
        documents.push(Task::Empty(remote));
        let subject = image.index.digest;
        documents.extend(image.attachments.iter().map(|attached| Task::Attached(remote, subject, attached)));
        for platform in &image.platforms {
            documents.push(Task::Platform(remote, platform));
            let subject = platform.manifest.digest;
            documents.extend(platform.attached().map(|attached| Task::Attached(remote, subject, attached)));
            layers.extend(platform.layers.iter().map(|layer| ((at, layer.digest), Task::Layer(remote, layer))));
        }
    }
    let mut layers: Vec<Task<'a>> = layers.into_values().collect();
    layers.sort_by_key(|task| std::cmp::Reverse(bytes(task)));
    layers.into_iter().chain(documents).collect()
}

fn bytes(task: &Task<'_>) -> u64 {
    match task {
        Task::Layer(_, layer) => layer.size,
        Task::Platform(_, platform) => platform.manifest.size + platform.config.size,
        Task::Attached(_, _, attached) => attached.artifact.size + attached.document.size,
        Task::Index(_, image) => image.index.size,
        Task::Empty(_) => empty().descriptor.size,
        Task::Chart(_, chart) => chart.manifest.size + chart.config.size + chart.archive.size,
    }
}

/// Either what was asked for, or why it isn't that.
type Found<T> = std::result::Result<T, String>;

impl Reading<'_> {
    fn run(&self, task: &Task<'_>) -> Result<Vec<Item>> {
        let (remote, found) = match task {
            Task::Layer(remote, layer) => (remote, self.layer(*remote, layer)?),
            Task::Platform(remote, platform) => (remote, self.platform(*remote, platform)?),
            Task::Attached(remote, subject, attached) => (remote, self.attached(*remote, subject, attached)?),
            Task::Index(remote, image) => (remote, self.index(*remote, image)?),
            Task::Empty(remote) => (remote, self.empty(*remote)?),
            Task::Chart(remote, chart) => (remote, self.chart(*remote, chart)?),
        };
        let item = |what: String| Item { what: format!("{}: {what}", remote.name()), fix: None };
        Ok(found.into_iter().map(item).collect())
    }

    fn layer(&self, remote: &dyn Remote, layer: &Descriptor) -> Result<Vec<String>> {
        let found = self.stream(remote, layer, &mut io::sink())?;
        Ok(found.err().map(|why| format!("layer {}: {why}", layer.digest)).into_iter().collect())
    }

    fn index(&self, remote: &dyn Remote, image: &ReleasedImage) -> Result<Vec<String>> {
        let found = document(remote, &image.index)?.and_then(|bytes| json::<Index>("an index", &bytes));
        let mut problems = match found {
            Err(why) => vec![why],
            Ok(index) => check_index(&index, &image.platforms),
        };
        if !image.attachments.is_empty() {
            problems.extend(unlisted(remote, &image.index.digest, image.attachments.iter())?);
        }
        Ok(problems.into_iter().map(|why| format!("index {}: {why}", image.index.digest)).collect())
    }

    fn empty(&self, remote: &dyn Remote) -> Result<Vec<String>> {
        let Descriptor { digest, .. } = empty().descriptor;
        let found = self.small(remote, &empty().descriptor, DOCUMENT_LIMIT)?;
        Ok(found.err().map(|why| format!("artifacts' config {digest}: {why}")).into_iter().collect())
    }

    fn platform(&self, remote: &dyn Remote, platform: &ReleasedPlatform) -> Result<Vec<String>> {
        let name = &platform.platform;
        let mut found = Vec::new();
        let manifest = document(remote, &platform.manifest)?.and_then(|bytes| json::<Manifest>("a manifest", &bytes));
        let manifest = manifest.and_then(|m| check_manifest(&m, platform));
        found.extend(manifest.err().map(|why| format!("{name} manifest {}: {why}", platform.manifest.digest)));
        let config = self.small(remote, &platform.config, DOCUMENT_LIMIT)?;
        let problems = match config.and_then(|bytes| json::<ImageConfig>("a configuration", &bytes)) {
            Err(why) => vec![why],
            Ok(config) => check_config(&config, platform, &self.labels),
        };
        found.extend(problems.into_iter().map(|why| format!("{name} config {}: {why}", platform.config.digest)));
        let lacks = |format: &&str| platform.sboms.iter().all(|s| s.format != *format);
        let lacking = FORMATS.map(|f| f.media_type()).into_iter().filter(lacks);
        let problems: Vec<String> = lacking.map(|format| format!("it has no {format} SBOM")).collect();
        let unlisted = unlisted(remote, &platform.manifest.digest, platform.attached())?;
        let problems = problems.into_iter().chain(unlisted);
        found.extend(problems.map(|why| format!("{name} manifest {}: {why}", platform.manifest.digest)));
        Ok(found)
    }

    fn attached(&self, remote: &dyn Remote, subject: &Digest, attached: &Attached) -> Result<Vec<String>> {
        let Attached { format, artifact, document: content } = attached;
        let mut found = Vec::new();
        let manifest = document(remote, artifact)?.and_then(|bytes| json::<Manifest>("a manifest", &bytes));
        let manifest = manifest.and_then(|a| check_artifact(&a, subject, attached));
        found.extend(manifest.err().map(|why| format!("{format} {}: {why}", artifact.digest)));
        let is_sbom = FORMATS.iter().any(|f| f.media_type() == format);
        let names = |bytes: Vec<u8>| {
            let hex = subject.hex();
            let named = !is_sbom || bytes.windows(hex.len()).any(|window| window == hex.as_bytes());
            named.then_some(()).ok_or_else(|| format!("it doesn't name manifest {subject}"))
        };
        let content_is = self.small(remote, content, attached::LIMIT)?.and_then(names);
        found.extend(content_is.err().map(|why| format!("{format} document {}: {why}", content.digest)));
        Ok(found)
    }

    fn chart(&self, remote: &dyn Remote, chart: &ReleasedChart) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let manifest = document(remote, &chart.manifest)?.and_then(|bytes| json::<Manifest>("a manifest", &bytes));
        let manifest = manifest.and_then(|m| check_parts(&m, &chart.config, std::slice::from_ref(&chart.archive)));
        found.extend(manifest.err().map(|why| format!("chart manifest {}: {why}", chart.manifest.digest)));
        let config = self.small(remote, &chart.config, DOCUMENT_LIMIT)?;
        let config = config.and_then(|bytes| json::<Metadata>("a chart's metadata", &bytes));
        let config = config.and_then(|metadata| check_metadata(&metadata, chart, &self.labels));
        found.extend(config.err().map(|why| format!("chart config {}: {why}", chart.config.digest)));
        let archive = self.small(remote, &chart.archive, chart::LIMIT)?;
        found.extend(archive.err().map(|why| format!("chart archive {}: {why}", chart.archive.digest)));
        Ok(found)
    }

    fn small(&self, remote: &dyn Remote, descriptor: &Descriptor, limit: u64) -> Result<Found<Vec<u8>>> {
        if descriptor.size > limit {
            return Ok(Err(format!("it has {} bytes, more than {limit}", descriptor.size)));
        }
        let mut bytes = Vec::new();
        Ok(self.stream(remote, descriptor, &mut bytes)?.map(|()| bytes))
    }

    fn stream(&self, remote: &dyn Remote, descriptor: &Descriptor, into: &mut impl io::Write) -> Result<Found<()>> {
        let blob = match remote.blob(descriptor) {
            Ok(blob) => blob,
            // Which failure it was that a blob isn't there is best asked, not guessed from a message.
            Err(_) if !remote.has_blob(descriptor)? => return Ok(Err("it isn't there".to_owned())),
            Err(e) if e.class() == Class::Verification => return Ok(Err(e.to_string())),
            Err(e) => return Err(e),
        };
        // One byte more than expected is enough to know.
        let blob = blob.take(descriptor.size.saturating_add(1));
        match io::copy(&mut Checked::new(blob, descriptor.digest, descriptor.size), into) {
            Ok(_) => Ok(Ok(())),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(Err(e.to_string())),
            Err(e) => {
                let message = format!("failed to read blob {} of {}", descriptor.digest, remote.name());
                Err(Error::new(self.trouble, message).because(e))
            }
        }
    }
}

/// What of `wanted` isn't found from `subject`.
fn unlisted<'a>(
    remote: &dyn Remote,
    subject: &Digest,
    wanted: impl Iterator<Item = &'a Attached>,
) -> Result<Vec<String>> {
    let listed: BTreeSet<Digest> = remote.referrers(subject)?.iter().map(|d| d.digest).collect();
    let missing = wanted.filter(|a| !listed.contains(&a.artifact.digest));
    Ok(missing.map(|a| format!("its referrers lack {} {}", a.format, a.artifact.digest)).collect())
}

/// A manifest or index, hashed here.
fn document(remote: &dyn Remote, wanted: &Descriptor) -> Result<Found<Vec<u8>>> {
    let Document { bytes, .. } = match remote.manifest(&wanted.digest) {
        Ok(Some(document)) => document,
        Ok(None) => return Ok(Err("it isn't there".into())),
        Err(e) if e.class() == Class::Verification => return Ok(Err(e.to_string())),
        Err(e) => return Err(e),
    };
    let actual = Digest::of(&bytes);
    match actual == wanted.digest {
        true => Ok(Ok(bytes)),
        false => Ok(Err(format!("its content hashes to {actual}"))),
    }
}

fn json<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Found<T> {
    parse(what, bytes).map_err(|e| e.to_string())
}

fn check_index(index: &Index, platforms: &[ReleasedPlatform]) -> Vec<String> {
    let entries: Vec<_> =
        index.manifests.iter().map(|m| (m.digest, m.platform.as_ref().and_then(PlatformSpec::known))).collect();
    let wanted: Vec<_> = platforms.iter().map(|p| (p.manifest.digest, Some(p.platform.clone()))).collect();
    let missing = wanted.iter().filter(|w| !entries.contains(w));
    let missing = missing.map(|(digest, p)| format!("it has no {} with manifest {digest}", shown(p.as_ref())));
    let extra = entries.iter().filter(|e| !wanted.contains(e));
    let extra = extra
        .map(|(digest, p)| format!("it has {} with manifest {digest}, which the release has not", shown(p.as_ref())));
    missing.chain(extra).collect()
}

fn shown(platform: Option<&crate::oci::Platform>) -> String {
    platform.map_or_else(|| "an unknown platform".to_owned(), ToString::to_string)
}

fn check_manifest(manifest: &Manifest, platform: &ReleasedPlatform) -> Found<()> {
    check_parts(manifest, &platform.config, &platform.layers)
}

fn check_parts(manifest: &Manifest, config: &Descriptor, layers: &[Descriptor]) -> Found<()> {
    if bare(&manifest.config) != bare(config) {
        return Err(format!("its config is {}, not {}", manifest.config.digest, config.digest));
    }
    let same = manifest.layers.iter().map(bare).eq(layers.iter().map(bare));
    same.then_some(()).ok_or_else(|| "its layers are not those of the release".to_owned())
}

fn check_metadata(metadata: &Metadata, chart: &ReleasedChart, labels: &Labels<'_>) -> Found<()> {
    let Metadata { name, version, .. } = metadata;
    let wanted = chart.repository.name();
    match name == wanted && labels.version.strip_prefix('v') == Some(version) {
        true => Ok(()),
        false => Err(format!("it is {name} {version}, the release's is {wanted} {}", labels.version)),
    }
}

fn check_config(config: &ImageConfig, platform: &ReleasedPlatform, labels: &Labels<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let said = config.platform();
    if said.known().as_ref() != Some(&platform.platform) {
        found.push(format!("it is for {said}"));
    }
    if config.rootfs.diff_ids.len() != platform.layers.len() {
        found.push(format!(
            "it counts {} layers, the manifest {}",
            config.rootfs.diff_ids.len(),
            platform.layers.len()
        ));
    }
    let label = |key: &str| config.config.labels.get(&format!("org.opencontainers.image.{key}")).map(String::as_str);
    for (key, wanted) in [("version", Some(labels.version)), ("revision", labels.revision)] {
        if wanted.is_some() && label(key) != wanted {
            let (said, wanted) = (label(key).unwrap_or("absent"), wanted.unwrap_or_default());
            found.push(format!("its label {key} is {said}, the release's {wanted}"));
        }
    }
    found
}

fn check_artifact(artifact: &Manifest, subject: &Digest, attached: &Attached) -> Found<()> {
    if artifact.subject.as_ref().map(|s| s.digest) != Some(*subject) {
        return Err(format!("its subject is not manifest {subject}"));
    }
    if artifact.artifact_type.as_deref() != Some(attached.format.as_str()) {
        return Err(format!("its artifact type is not {}", attached.format));
    }
    match artifact.layers.as_slice() {
        [only] if only.digest == attached.document.digest => Ok(()),
        _ => Err(format!("its one layer is not {}", attached.document.digest)),
    }
}
