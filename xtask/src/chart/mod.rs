//! Chart: the Helm chart that deploys what was built, as Helm's own OCI artifact.
//!
//! Takes [`Scanned`] and the chart's folder, gives [`Packed`], the only thing that can be published: its images are
//! those of the build, by digest, and its version is the release's. The same input gives the same bytes. Never runs
//! Helm, never changes the folder, knows no clock.

mod artifact;
mod content;
mod files;
mod ignore;
mod metadata;

use std::path::{Path, PathBuf};

pub use content::{LIMIT, values};
pub use files::Files;
pub use metadata::Metadata;

use crate::build::{Built, BuiltImage};
use crate::error::{Error, Result};
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;
use crate::pin::{self, PinPlan, Target};
use crate::plan::ChartPlan;
use crate::scan::Scanned;

/// Media types of Helm's artifacts (helm.sh, "Use OCI-based registries").
pub mod media {
    /// The chart's metadata as JSON.
    pub const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
    /// The chart as an archive.
    pub const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
}

/// The file with a chart's name and version.
pub const METADATA: &str = "Chart.yaml";
/// The file with a chart's values.
pub const VALUES: &str = "values.yaml";

/// Where a chart is made from.
pub struct Place<'a> {
    /// Its folder.
    pub folder: &'a Path,
    /// The folders whose manifests are pinned; it is in one of them.
    pub pinned: &'a [PathBuf],
    /// A folder of notes on archives that were already made.
    pub notes: &'a Path,
}

/// A scanned build, and the chart of its plan; made only by this module.
#[derive(Clone, Debug)]
pub struct Packed<'a> {
    scanned: &'a Scanned,
    chart: Option<Chart>,
}

/// A chart whose parts are in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// What was to be made.
    pub plan: ChartPlan,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its metadata.
    pub config: Descriptor,
    /// Its archive.
    pub archive: Descriptor,
}

impl Packed<'_> {
    /// What was scanned.
    pub fn scanned(&self) -> &Scanned {
        self.scanned
    }

    /// What was built.
    pub fn built(&self) -> &Built {
        self.scanned.built()
    }

    /// The chart; `None` where the plan has none.
    pub fn chart(&self) -> Option<&Chart> {
        self.chart.as_ref()
    }
}

/// Packs the chart of the plan, pinned to what was built, into `store`.
pub fn pack<'a>(scanned: &'a Scanned, place: &Place<'_>, store: &Store) -> Result<Packed<'a>> {
    let built = scanned.built();
    let Some(plan) = built.plan.chart.released() else { return Ok(Packed { scanned, chart: None }) };
    let pins = pin::plan(place.pinned, &targets(built))?;
    let files = read(plan, place.folder, &pins, &built.plan.version)?;
    let chart = artifact::make(plan, &files, &built.plan, store, place.notes)?;
    Ok(Packed { scanned, chart: Some(chart) })
}

/// The files of the chart in `folder` as `pins` and the version change them. What would keep it from being packed is an
/// error of class `Usage`.
pub fn read(plan: &ChartPlan, folder: &Path, pins: &PinPlan, version: &semver::Version) -> Result<Files> {
    if !folder.join(METADATA).is_file() {
        return Err(Error::usage(format!("the chart {} has no {METADATA}", folder.display()))
            .hint("name its folder by publish.chart in release.toml, or say publish.chart = false"));
    }
    if !pins.covers(folder) {
        return Err(Error::usage(format!("the chart {} is in none of pin.paths", folder.display()))
            .hint("add its folder to pin.paths in release.toml: its images have to be pinned"));
    }
    Files::read(folder, pins)?.released(&plan.name, folder, version)
}

/// What the chart's values are to name.
fn targets(built: &Built) -> Vec<Target> {
    let target = |image: &BuiltImage| Target {
        repository: image.plan.repository.to_string(),
        reference: image.plan.reference.clone(),
        tag: built.plan.tags.version.clone(),
        digest: image.index.digest,
    };
    built.images.iter().map(target).collect()
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
