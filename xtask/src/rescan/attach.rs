//! Attaching the new report: the part about a platform to its manifest, the whole to the index.
//!
//! Takes images and the [`Report`] about them, gives the digests of what was attached. An equal report that is there is
//! left alone; the release's own stays as it is.

use super::image::Image;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;
use crate::publish::referrer::{Artifact, Attachment};
use crate::publish::{attached, attachments};
use crate::scan::Report;
use crate::ui::Ui;

/// Attaches `report` to `images`; its documents go by way of `store`.
pub fn attach(images: &[Image], report: &Report, store: &Store, ui: &Ui) -> Result<Vec<Digest>> {
    let step = ui.step("attach the report");
    let mut sent = Vec::new();
    // One after another: where a registry has no referrers API, each addition rewrites a list.
    for image in images {
        for (subject, attachment) in documents(image, report)? {
            let artifact = Artifact::new(&attachment, Some(subject))?;
            let failed = |e: Error| e.within(format!("failed to attach the report to {}", image.remote.name()));
            if attached::attach(&*image.remote, &artifact, &subject.digest, store).map_err(failed)? {
                sent.push(artifact.manifest.descriptor.digest);
            }
        }
    }
    step.done(&match sent.len() {
        0 => "an equal one was there already".to_owned(),
        n => format!("{n} sent"),
    });
    Ok(sent)
}

/// What is to be attached to which of the image's manifests.
fn documents<'a>(image: &'a Image, report: &Report) -> Result<Vec<(&'a Descriptor, Attachment)>> {
    let mut found = Vec::new();
    let mut name = image.name.clone();
    for part in &image.parts {
        let Some(own) = report.of(&part.manifest.digest) else { continue };
        // The report's word for the image is the release's, so that an equal report has an equal file name.
        name = own.platforms.first().map_or(name, |platform| platform.image.clone());
        found.push((&part.manifest, attachments::report(&own, &name, Some(&part.platform))?));
    }
    if let Some(index) = &image.index {
        found.push((index, attachments::report(report, &name, None)?));
    }
    Ok(found)
}
