//! What there is to scan an image platform by: the extract of its program, else its SBOM, else its layers.
//!
//! Takes an image and one of its platforms, gives [`Gathered`]. Where a record lists what is attached, only that counts;
//! elsewhere everything that is attached does, so that nobody hides a finding by attaching one thing more.

use tempfile::TempDir;

use super::image::{Image, Part};
use super::{pull, sbom};
use crate::error::{Class, Error, Result};
use crate::oci::spec::{Descriptor, annotation};
use crate::publish::{attached, attachments};
use crate::sbom::Format;
use crate::scan::Report;
use crate::scan::extract::{self, Extract};
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
    let listed = image.remote.referrers(&part.manifest.digest)?;
    if let Some(lost) = part.recorded.iter().find(|digest| listed.iter().all(|d| d.digest != **digest)) {
        let message = format!("{} does not list {lost} for {}", image.remote.name(), part.manifest.digest);
        let error = Error::verification(message).because("the release's record says that it is attached");
        return Err(error.hint("cargo xtask verify tells all that is missing; releasing again sends it"));
    }
    let of = |kind: &'static str| Kind { image, part, trouble, listed: &listed, kind };
    let last = of(attachments::REPORT).last_report()?;
    let documents = [of(cyclonedx).read()?, of(spdx).read()?];
    let sboms = sboms(&documents)?;
    let (evidence, pulled) = match evidence(of(extract::ARTIFACT_TYPE), &documents.concat())? {
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

/// All of one format, the first that has any: the other says the same.
fn sboms(by_format: &[Vec<Document>; 2]) -> Result<Vec<Sbom>> {
    for documents in by_format {
        let mut found = Vec::new();
        for (name, bytes) in documents {
            found.extend(sbom::listing(name, bytes)?);
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

fn evidence(extracts: Kind<'_>, sboms: &[Document]) -> Result<Option<Evidence>> {
    let all = extracts.read()?;
    if !all.is_empty() {
        let unpack = |(what, bytes): &Document| Extract::unpack(what, bytes);
        return Ok(Some(Evidence::Extracts(all.iter().map(unpack).collect::<Result<_>>()?)));
    }
    for (what, bytes) in sboms {
        // One without Go modules, or without the version of the standard library, is no ground for a verdict.
        if let Some(modules) = sbom::modules(what, bytes)? {
            return Ok(Some(Evidence::Modules(modules)));
        }
    }
    Ok(None)
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
