//! What a release attaches to its images: on each platform's manifest its SBOMs, its part of the scan's report, the
//! extract of its program and what is known of its reach as OpenVEX; on the index the whole report and all that is known
//! of reach.
//!
//! Takes [`Scanned`], gives [`Attachment`]s in a fixed order. No clock: an SBOM has the source's time, a report that of
//! the databases. A scan that was skipped leaves no report: an empty one would read as "nothing was found".

use super::referrer::{Attachment, FORMATS};
use crate::build::{BuiltImage, BuiltPlatform};
use crate::error::{Error, Result};
use crate::oci::Platform;
use crate::oci::spec::{Descriptor, annotation};
use crate::sbom::Sbom;
use crate::scan::{Report, Scanned, VexDocument, extract, vex as openvex};

/// The artifact type of a scan's report.
pub const REPORT: &str = "application/vnd.goverse.scan-report.v1+json";
/// Annotation of a report: the databases it was made with, `golang.org/x/vulndb@v0.0.0-…`, parted by commas.
pub const DATABASES: &str = "io.github.xiaonanln.goverse.databases";

/// The SBOMs of one image platform, one for each of [`FORMATS`]; a missing one is an error.
pub fn sboms(scanned: &Scanned, image: &str, platform: &BuiltPlatform, created: &str) -> Result<Vec<Attachment>> {
    let find = |format: &crate::sbom::Format| {
        let of = |s: &&Sbom| s.image == image && s.manifest == platform.manifest.digest && s.format == *format;
        let missing = || {
            let (platform, kind) = (&platform.platform, format.media_type());
            Error::failed(format!("failed to publish {image} for {platform}: it has no {kind} SBOM"))
        };
        let sbom = scanned.sboms().documents.iter().find(of).ok_or_else(missing)?;
        Ok(Attachment::sbom(sbom, created))
    };
    FORMATS.iter().map(find).collect()
}

/// What else one image platform gets; `vex` are the documents of all.
pub fn of_platform(
    scanned: &Scanned,
    vex: &[VexDocument],
    image: &str,
    platform: &BuiltPlatform,
    created: &str,
) -> Result<Vec<Attachment>> {
    let mut found = Vec::new();
    if let Some(part) = scanned.report().of(&platform.manifest.digest) {
        found.push(report(&part, image, Some(&platform.platform))?);
    }
    if let Some(extract) = scanned.extract(&platform.program_digest) {
        let title = format!("{image}-{}.extract.json.gz", platform.platform.slug());
        let attachment = Attachment::new(extract::ARTIFACT_TYPE, title, extract.to_vec(), created);
        found.push(Attachment { media_type: extract::MEDIA_TYPE.into(), ..attachment });
    }
    found.extend(about(vex, &platform.manifest, created));
    Ok(found)
}

/// What the index of `image` gets; `vex` are the documents of all.
pub fn of_index(scanned: &Scanned, vex: &[VexDocument], image: &BuiltImage, created: &str) -> Result<Vec<Attachment>> {
    let whole = scanned.report();
    if whole.skipped.is_some() {
        return Ok(Vec::new());
    }
    let report = report(whole, &image.plan.name, None)?;
    Ok([report].into_iter().chain(about(vex, &image.index, created)).collect())
}

fn about(vex: &[VexDocument], subject: &Descriptor, created: &str) -> Option<Attachment> {
    let document = vex.iter().find(|document| document.about == subject.digest)?;
    let title = format!("{}.vex.json", document.title());
    Some(Attachment::new(openvex::write::MEDIA_TYPE, title, document.bytes.clone(), created))
}

/// A report about `image`, or about one platform of it. Its time is that of its newest database: the same report has
/// the same digest, and of two the one that knows more is the later.
pub fn report(report: &Report, image: &str, platform: Option<&Platform>) -> Result<Attachment> {
    let part = platform.map(|p| format!("-{}", p.slug())).unwrap_or_default();
    let updated = report.databases.iter().map(|d| d.updated.as_str()).max().unwrap_or_default();
    let mut attachment = Attachment::new(REPORT, format!("{image}{part}.scan.json"), report.to_json()?, updated);
    if updated.is_empty() {
        attachment.annotations.remove(annotation::CREATED);
    }
    let databases: Vec<String> = report.databases.iter().map(|d| format!("{}@{}", d.name, d.version)).collect();
    attachment.annotations.insert(DATABASES.into(), databases.join(","));
    Ok(attachment)
}
