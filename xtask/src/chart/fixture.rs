//! A chart made in memory, for tests.

use super::{Files, Packed, artifact, targets};
use crate::error::Result;
use crate::oci::store::Store;
use crate::scan::Scanned;

/// `scanned` with a chart whose values are its images.
pub(crate) fn packed<'a>(scanned: &'a Scanned, store: &Store) -> Result<Packed<'a>> {
    with_values(scanned, store, "")
}

/// The same with more values.
pub(crate) fn with_values<'a>(scanned: &'a Scanned, store: &Store, more: &str) -> Result<Packed<'a>> {
    let built = scanned.built();
    let Some(plan) = built.plan.chart.released() else { return Ok(Packed { scanned, chart: None }) };
    let image = |target: &crate::pin::Target| format!("{}:\n  image: {}\n", target.repository, target.pinned());
    let values: String = targets(built).iter().map(image).collect::<String>() + more;
    let metadata = format!("apiVersion: v2\nname: {0}\nversion: {1}\nappVersion: {1}\n", plan.name, built.plan.version);
    let files = Files::of(&[("Chart.yaml", &metadata), ("values.yaml", &values), ("templates/all.yaml", "{{ . }}\n")]);
    let chart = artifact::make(plan, &files, &built.plan, store, &store.root().join("notes"))?;
    Ok(Packed { scanned, chart: Some(chart) })
}

/// `scanned` as a release without a chart.
pub(crate) fn bare(scanned: &Scanned) -> Packed<'_> {
    Packed { scanned, chart: None }
}
