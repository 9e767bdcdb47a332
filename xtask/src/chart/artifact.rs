//! A chart's files as an artifact: the archive, the metadata, and the manifest that `helm pull` reads.
//!
//! Takes files that are ready to be released, gives a [`Chart`] whose parts are in the store. Archives are made as
//! layers are: sorted, root's, at the source's time.

use std::path::Path;

use super::{Chart, Files, LIMIT, METADATA, Metadata, media};
use crate::config::Compression;
use crate::error::{Error, Result};
use crate::oci::layer;
use crate::oci::spec::{Descriptor, Document, Manifest, annotation, media::MANIFEST};
use crate::oci::store::Store;
use crate::plan::{ChartPlan, Plan};

/// Charts are small, and what they hold is text.
const COMPRESSION: Compression = Compression::Gzip(9);

/// Makes the artifact of `files`.
pub(super) fn make(chart: &ChartPlan, files: &Files, plan: &Plan, store: &Store, notes: &Path) -> Result<Chart> {
    let archive = archive(chart, files, plan, store, notes)?;
    let metadata = Metadata::parse(Path::new(METADATA), files.text(METADATA)?)?;
    let config = Document::new(media::CONFIG, &metadata)?;
    let mut layer = archive.clone();
    layer.annotations.insert(annotation::TITLE.into(), chart.file.clone());
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.into(),
        artifact_type: None,
        config: config.descriptor.clone(),
        layers: vec![layer],
        subject: None,
        annotations: metadata.annotations(&plan.created()?),
    };
    let manifest = Document::new(MANIFEST, &manifest)?;
    store.put(&config)?;
    store.put(&manifest)?;
    Ok(Chart { plan: chart.clone(), manifest: manifest.descriptor, config: config.descriptor, archive })
}

fn archive(chart: &ChartPlan, files: &Files, plan: &Plan, store: &Store, notes: &Path) -> Result<Descriptor> {
    let packed = layer::make(&files.tree(&chart.name)?, plan.source.epoch, COMPRESSION, store, notes);
    let Descriptor { digest, size, .. } =
        packed.map_err(|e| e.within(format!("failed to pack the chart {}", chart.folder.display())))?.descriptor;
    match size <= LIMIT {
        true => Ok(Descriptor::new(media::CONTENT, digest, size)),
        false => {
            let what = format!("the chart {} has {size} bytes packed, more than {LIMIT}", chart.folder.display());
            Err(Error::usage(what)
                .hint("leave files out by a .helmignore: Helm keeps a chart in a Secret, which holds no more"))
        }
    }
}
