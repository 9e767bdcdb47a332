//! Annotations: what failed, and what a scan objects to, beside the lines they are about.
//!
//! Takes errors and reports, gives lines. GitHub shows ten annotations of a step and drops the rest, so the last one
//! says how many there are.

use std::collections::BTreeMap;

use super::command::annotation;
use crate::error::Error;
use crate::scan::{Finding, Report};

/// How many annotations a step may have.
const SHOWN: usize = 10;

/// An annotation for the error, or for each failure that it lists.
pub(super) fn error(error: &Error) -> Vec<String> {
    let hint = |text: &str, hint: Option<&str>| hint.map_or_else(|| text.to_owned(), |hint| format!("{text}\n{hint}"));
    if error.listed().is_empty() {
        let message = hint(&error.headline(), error.hint_text());
        return vec![annotation("cargo xtask", error.place(), &message)];
    }
    let items = error.listed().iter().map(|item| hint(&item.what, item.fix.as_deref()));
    limited(items.map(|text| annotation(error.message(), None, &text)).collect())
}

/// One annotation a vulnerability, however many images have it, and one for each ignore that has to go.
pub(super) fn findings(report: &Report) -> Vec<String> {
    let all = report.platforms.iter().flat_map(|platform| &platform.findings);
    let bad = all.filter_map(|finding| Some((&finding.id, (finding, finding.violation.as_deref()?))));
    let distinct: BTreeMap<&String, (&Finding, &str)> = bad.collect();
    let line = |(id, (finding, why)): (&String, (&Finding, &str))| {
        let fix = finding.fix.as_ref().map(|fix| format!("\nfix: {fix}")).unwrap_or_default();
        let message = format!("{} {}: {why}\n{}{fix}", finding.package, finding.version, finding.summary);
        annotation(id, None, &message)
    };
    let lapsed = report.lapsed.iter().map(|lapsed| annotation(&lapsed.id, lapsed.at().as_ref(), &lapsed.why));
    limited(distinct.into_iter().map(line).chain(lapsed).collect())
}

fn limited(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > SHOWN {
        let more = format!("{} more are in the log", lines.len() - (SHOWN - 1));
        lines.truncate(SHOWN - 1);
        lines.push(annotation("cargo xtask", None, &more));
    }
    lines
}
