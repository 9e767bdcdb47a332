//! What there is to scan an image platform by: the extract of its program, else its SBOM, else its layers.
//!
//! Takes an image and one of its platforms, gives [`Gathered`]. Where a record lists what is attached, only that counts;
//! elsewhere everything that is attached does, so that nobody hides a finding by attaching one thing more.

use tempfile::TempDir;

use super::image::{Image, Part};
use super::{pull, sbom};
use crate::error::{Class, Error, Result};
use crate::oci::spec::{Descriptor, Referrer, annotation, media, parse};
use crate::publish::{attached, attachments};
use crate::sbom::Format;
use crate::scan::Report;
use crate::scan::extract::{self, Extract, Modules};
use crate::scan::released::{Evidence, Sbom, Subject};
use crate::ui::Ui;

/// What was found of one platform.
pub(super) struct Gathered {
    pub(super) subject: Subject,
    /// The last report that is attached.
    pub(super) last: Option<Report>,
    /// Where pulled programs are.
    pub(super) pulled: Option<TempDir>,
}

/// A document and its name in errors.
type Document = (String, Vec<u8>);

/// Reads what is attached to `part`.
pub(super) fn gather(image: &Image, part: &Part, trouble: Class, ui: &Ui) -> Result<Gathered> {
    let [cyclonedx, spdx] = [Format::CycloneDx, Format::Spdx].map(Format::media_type);
    let listed = listed(image, part)?;
    if let Some(lost) = part.recorded.iter().find(|digest| listed.iter().all(|d| d.digest != **digest)) {
        let message = format!("{} does not list {lost} for {}", image.remote.name(), part.manifest.digest);
        let error = Error::verification(message).because("the release's record says that it is attached");
        return Err(error.hint("cargo xtask verify tells all that is missing; releasing again sends it"));
    }
    let of = |kind: &'static str| Kind { image, part, trouble, listed: &listed, kind };
    let last = of(attachments::REPORT).last_report()?;
    let extracts = of(extract::ARTIFACT_TYPE).read()?;
    let Listed { sboms, modules } = listed_in([of(cyclonedx), of(spdx)], extracts.is_empty())?;
    let (evidence, pulled) = match evidence(&extracts, modules)? {
        Some(evidence) => (evidence, None),
        None => {
            let step = ui.step(format!("pull {} for {}: nothing is attached", image.remote.name(), part.platform));
            let (programs, folder) = pull::programs(&*image.remote, &part.manifest.digest, trouble)?;
            step.done(&format!("{} Go programs", programs.len()));
            ui.warn("only Go programs are scanned: packages of the base image are not");
            (Evidence::Programs(programs), Some(folder))
        }
    };
    let reported = last.as_ref().and_then(|report| report.platforms.first());
    let subject = Subject {
        image: reported.map_or_else(|| image.name.clone(), |platform| platform.image.clone()),
        reference: image.reference.clone(),
        tag: image.tag.clone(),
        index: image.index.as_ref().map(|index| index.digest),
        platform: part.platform.clone(),
        manifest: part.manifest.digest,
        evidence,
        sboms,
        known: reported.map(|platform| platform.findings.clone()).unwrap_or_default(),
    };
    Ok(Gathered { subject, last, pulled })
}

/// What refers to `part`. Some registries list an artifact under the type of its configuration, which is the empty one:
/// what such an artifact is, its manifest says.
fn listed(image: &Image, part: &Part) -> Result<Vec<Descriptor>> {
    let mut listed = image.remote.referrers(&part.manifest.digest)?;
    for entry in listed.iter_mut().filter(|d| d.artifact_type.as_deref().is_none_or(|kind| kind == media::EMPTY)) {
        let Some(document) = image.remote.manifest(&entry.digest)? else { continue };
        let referrer: Referrer = parse(&format!("{}@{}", image.remote.name(), entry.digest), &document.bytes)?;
        *entry = referrer.entry(&document);
    }
    Ok(listed)
}

/// What SBOMs say.
#[derive(Default)]
struct Listed {
    /// All of one format, the first that has any.
    sboms: Vec<Sbom>,
    /// Of the first document that is a ground for a verdict.
    modules: Option<Modules>,
}

/// Reads SBOMs, format by format: the second says the same as the first, and is read where that doesn't serve.
fn listed_in(formats: [Kind<'_>; 2], wants_modules: bool) -> Result<Listed> {
    let mut listed = Listed::default();
    for documents in formats {
        if !listed.sboms.is_empty() && (listed.modules.is_some() || !wants_modules) {
            break;
        }
        let mut found = Vec::new();
        for (name, bytes) in documents.read()? {
            let (sbom, modules) = sbom::read(name, bytes)?;
            found.extend(sbom);
            listed.modules = listed.modules.or(modules);
        }
        if listed.sboms.is_empty() {
            listed.sboms = found;
        }
    }
    Ok(listed)
}

fn evidence(extracts: &[Document], modules: Option<Modules>) -> Result<Option<Evidence>> {
    if extracts.is_empty() {
        return Ok(modules.map(Evidence::Modules));
    }
    let unpack = |(what, bytes): &Document| Extract::unpack(what, bytes);
    Ok(Some(Evidence::Extracts(extracts.iter().map(unpack).collect::<Result<_>>()?)))
}

/// The attachments of one type.
struct Kind<'a> {
    image: &'a Image,
    part: &'a Part,
    trouble: Class,
    listed: &'a [Descriptor],
    kind: &'static str,
}

impl Kind<'_> {
    fn all(&self) -> impl Iterator<Item = &Descriptor> {
        self.listed.iter().filter(|d| d.artifact_type.as_deref() == Some(self.kind))
    }

    /// Documents that count, each with its name in errors.
    fn read(&self) -> Result<Vec<Document>> {
        let counts = |d: &&Descriptor| self.part.recorded.is_empty() || self.part.recorded.contains(&d.digest);
        self.all().filter(counts).map(|d| Ok((self.name(d), self.content(d)?))).collect()
    }

    /// The report that knows most. A release's has its database's time too, so the newest is the one.
    fn last_report(&self) -> Result<Option<Report>> {
        let time = |d: &&Descriptor| {
            let created = d.annotations.get(annotation::CREATED);
            (created.and_then(|c| c.parse::<jiff::Timestamp>().ok()), d.digest)
        };
        let Some(last) = self.all().max_by_key(time) else { return Ok(None) };
        let report = Report::parse(&self.name(last), &self.content(last)?)?;
        let about = &self.part.manifest.digest;
        let own = report.of(about).ok_or_else(|| {
            Error::verification(format!("{} says nothing about {about}, which it is attached to", self.name(last)))
        });
        own.map(Some)
    }

    fn content(&self, artifact: &Descriptor) -> Result<Vec<u8>> {
        attached::read(&*self.image.remote, &artifact.digest, &self.part.manifest.digest, self.trouble)
    }

    fn name(&self, artifact: &Descriptor) -> String {
        format!("{}@{}", self.image.remote.name(), artifact.digest)
    }
}
