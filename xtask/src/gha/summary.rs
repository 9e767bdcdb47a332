//! The job's summary: what was released, as a page shows it.
//!
//! Takes a record and where its parts are, gives Markdown.

use std::fmt::Write as _;

use super::Outcome;
use crate::record::Record;
use crate::ui::size;

/// What a job released.
pub struct Released<'a> {
    /// The release.
    pub record: &'a Record,
    /// Its page on GitHub.
    pub page: Option<&'a str>,
    /// What became of the pins.
    pub change: Option<&'a Outcome>,
}

/// The summary of a release.
pub fn release(released: &Released<'_>) -> String {
    let record = released.record;
    let mut text = format!("## Released {}\n\n", record.tags.version);
    text += "| Image | Platform | Size | Digest |\n|---|---|---|---|\n";
    for image in &record.images {
        let name = image.reference.split('@').next().unwrap_or_default();
        let _ = writeln!(text, "| `{name}` | index | | `{}` |", image.index.digest);
        for platform in &image.platforms {
            let (size, digest) = (size(platform.size), platform.manifest.digest);
            let _ = writeln!(text, "| | {} | {size} | `{digest}` |", platform.platform);
        }
    }
    if let Some(chart) = &record.chart {
        let (size, digest) = (size(chart.archive.size), chart.manifest.digest);
        let _ = writeln!(text, "| `{}` | Helm chart | {size} | `{digest}` |", chart.reference);
    }
    let counts: Vec<String> =
        record.scan.findings.iter().rev().map(|(severity, n)| format!("{n} {severity}")).collect();
    let found = match (&record.scan.skipped, counts.is_empty()) {
        (Some(reason), _) => format!("not scanned: {reason}"),
        (None, true) => "none".into(),
        (None, false) => counts.join(", "),
    };
    let _ = writeln!(text, "\n- Known vulnerabilities: {found}");
    if let Some(revision) = &record.source.revision {
        let _ = writeln!(text, "- Source: `{}` at `{revision}`", record.source.location);
    }
    if let Some(page) = released.page {
        let _ = writeln!(text, "- Release: {page}");
    }
    match released.change {
        Some(Outcome::Pinned) => text += "- Manifests: pinned already\n",
        Some(Outcome::Open(url) | Outcome::Updated(url) | Outcome::Opened(url)) => {
            let _ = writeln!(text, "- Manifests: {url}");
        }
        None => {}
    }
    let _ = writeln!(text, "- Verify: `cargo xtask verify {} --from {}`", record.tags.version, record.destination);
    text
}
