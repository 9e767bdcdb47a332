//! The chart: its tag, and whether its values name the images of the release.
//!
//! Takes what the record says and the chart's repository, gives what is wrong. That its parts are what they were is
//! read back with the images'.

use std::path::Path;

use super::{item, names};
use crate::chart::{LIMIT, VALUES, values};
use crate::error::{Class, Item, Result};
use crate::pin;
use crate::plan;
use crate::publish::Remote;
use crate::publish::attached::blob;
use crate::record::{Record, ReleasedChart};

/// Checks `chart`; `trouble` is the class of a failed read.
pub(super) fn check(record: &Record, chart: &ReleasedChart, remote: &dyn Remote, trouble: Class) -> Result<Vec<Item>> {
    let wanted = plan::chart_tag(&record.version);
    let of_itself = (chart.tag != wanted).then(|| format!("the record's chart has tag {}, not {wanted}", chart.tag));
    let mut found: Vec<Item> = of_itself.map(item).into_iter().collect();
    match remote.resolve(&chart.tag)?.map(|d| d.digest) {
        Some(digest) if digest == chart.manifest.digest => {}
        other => found.push(names(remote, &chart.tag, other, &format!("the record says {}", chart.manifest.digest))),
    }
    let archive = match remote.has_blob(&chart.archive)? {
        true => blob(remote, &chart.archive, LIMIT, trouble),
        // Reading back says that it isn't there.
        false => return Ok(found),
    };
    match archive {
        Ok(archive) => found.extend(check_values(record, chart, remote, &archive)),
        // And that it isn't what it was.
        Err(e) if e.class() == Class::Verification => {}
        Err(e) => return Err(e),
    }
    Ok(found)
}

/// Whatever image of the release the values name, they name by its digest.
fn check_values(record: &Record, chart: &ReleasedChart, remote: &dyn Remote, archive: &[u8]) -> Vec<Item> {
    let name = chart.repository.name();
    let stale = values(name, archive).and_then(|text| match text {
        Some(text) => pin::edits(Path::new(VALUES), &text, &record.pins()),
        None => Ok(pin::FileEdits::default()),
    });
    let shown = format!("{}@{}", remote.name(), chart.manifest.digest);
    match stale {
        Ok(stale) => {
            let wrong = stale.edits().iter().map(|e| format!("{shown}: {}: {}, should be {}", e.place, e.old, e.text));
            wrong.map(item).collect()
        }
        Err(e) => e.into_items().into_iter().map(|i| item(format!("{shown}: {}", i.what))).collect(),
    }
}
