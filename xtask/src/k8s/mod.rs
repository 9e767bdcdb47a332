//! The manifests: rendered as a cluster gets them, and checked for what neither a schema nor an API server tells.
//!
//! Takes the folder of overlays and charts and what `[k8s]` says, gives [`Rendered`] objects and [`Finding`]s with the
//! place in the source and what to do. Never writes a manifest, never talks to a cluster or a registry.

mod check;
mod diff;
mod external;
mod object;
mod render;
mod source;
mod yaml;

use std::collections::BTreeSet;

use serde::Serialize;

pub use check::{Facts, check};
pub use diff::{at_revision, diff};
pub use external::{External, external};
pub use object::Object;
pub use render::{Programs, Rendered, Target, render, targets};
pub use source::Sources;
pub use yaml::values;

use crate::error::{Class, Error, Item};

/// Something that would fail, or be unsafe, in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Where it is written, `k8s/base/node.yaml:45:18`.
    pub place: String,
    /// Kind and name.
    pub object: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
    /// The overlays and charts that have it.
    pub targets: BTreeSet<String>,
}

/// All findings as one failure; `None` when there are none.
pub fn failure(findings: &[Finding]) -> Option<Error> {
    let item = |finding: &Finding| {
        let targets = finding.targets.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Item {
            what: format!("{}: {}: {} ({targets})", finding.place, finding.object, finding.what),
            fix: Some(finding.fix.clone()),
        }
    };
    let count = match findings.len() {
        0 => return None,
        1 => "the manifests have a fault".to_owned(),
        n => format!("the manifests have {n} faults"),
    };
    Some(Error::new(Class::Stale, count).items(findings.iter().map(item).collect()))
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
