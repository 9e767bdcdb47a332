//! Rescan: what is known by now about images that are out, and what of it is new.
//!
//! Takes images at a destination, gives an [`Outcome`]: a report by the policy of now, and how it differs from the last
//! report that is attached to each image. Reads what is attached to an image and pulls layers only where nothing is.
//! Changes nothing; [`attach()`] adds the new report, in the same way as a release did.

mod attach;
mod diff;
mod evidence;
mod image;
mod pull;
mod sbom;

use serde::Serialize;

use crate::config;
use crate::error::{Class, Result};
use crate::go::Go;
use crate::pool;
use crate::scan::released::{self, Subject};
use crate::scan::{Options, Report};
use crate::ui::Ui;

pub use attach::attach;
pub use diff::Change;
pub use image::{Image, Part};

use evidence::Gathered;

#[cfg(test)]
mod tests;

/// How many platforms are looked at side by side.
const LOOKS: usize = 8;

/// How to scan again.
pub struct Request<'a> {
    /// The images.
    pub images: &'a [Image],
    /// The policy of now.
    pub policy: &'a config::Scan,
    /// The version of govulncheck.
    pub govulncheck: &'a semver::Version,
    /// Where things are kept.
    pub options: Options<'a>,
    /// The class of a failed read.
    pub trouble: Class,
}

/// What a rescan found.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The findings of now, judged.
    pub report: Report,
    /// What has changed, a platform of an image each, in the order of the report.
    pub changes: Vec<Change>,
}

/// Scans what `request` names.
pub fn rescan(request: &Request<'_>, go: &Go, ui: &Ui) -> Result<Outcome> {
    let step = ui.step("read what is attached");
    let parts: Vec<(&Image, &Part)> =
        request.images.iter().flat_map(|image| image.parts.iter().map(move |part| (image, part))).collect();
    let gathered = pool::map(&parts, LOOKS, |(image, part)| evidence::gather(image, part, request.trouble, ui))?;
    step.done(&format!("to {} platforms", parts.len()));
    // The folders of pulled programs stay until everything is scanned.
    let (subjects, last): (Vec<Subject>, Vec<_>) =
        gathered.into_iter().map(|Gathered { subject, last, pulled }| (subject, (last, pulled))).unzip();
    let report = released::rescan(&subjects, request.policy, request.govulncheck, &request.options, go, ui)?;
    let changes = report.platforms.iter().zip(last).map(|(now, (last, _))| Change::between(last, now)).collect();
    Ok(Outcome { report, changes })
}
