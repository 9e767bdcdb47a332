//! What a scan found, as a table: each finding once, with the places it was found in.
//!
//! Takes a [`Report`], writes to the [`Ui`]. Decides nothing: what is red was judged before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Finding, Report, clock, policy};
use crate::ui::{Tone, Ui};

/// The longest summary that is shown, in characters.
const SUMMARY: usize = 70;

/// A finding and all the places it was found in.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The finding; the same in all of the places.
    pub finding: &'a Finding,
    /// `gate, node linux/arm64`
    pub places: String,
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { id, package, version, violation, .. } = self.finding;
        write!(f, "{id} in {package} {version} ({})", self.places)?;
        violation.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

/// The report's findings, each once: violations first, then by severity, then those that are linked.
pub(super) fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut places: BTreeMap<&Finding, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    for part in &report.platforms {
        *all.entry(&part.image).or_default() += 1;
        for finding in &part.findings {
            places.entry(finding).or_default().entry(&part.image).or_default().insert(part.platform.to_string());
        }
    }
    // A file says itself where it is.
    for finding in &report.files {
        places.entry(finding).or_default();
    }
    let mut rows: Vec<_> =
        places.into_iter().map(|(finding, images)| Row { finding, places: place(finding, &images, &all) }).collect();
    // A stable sort: rows that are equal here stay in the order of their ids.
    rows.sort_by_key(|Row { finding: f, .. }| {
        (f.violation.is_none(), std::cmp::Reverse(f.severity), f.reachable == Some(false))
    });
    rows
}

fn place(finding: &Finding, images: &BTreeMap<&str, BTreeSet<String>>, all: &BTreeMap<&str, usize>) -> String {
    match (images.is_empty(), &finding.location) {
        (true, Some(file)) => file.clone(),
        _ => describe(images, all),
    }
}

/// An image alone means all of its platforms.
fn describe(images: &BTreeMap<&str, BTreeSet<String>>, all: &BTreeMap<&str, usize>) -> String {
    let one = |(image, platforms): (&&str, &BTreeSet<String>)| match all.get(image) == Some(&platforms.len()) {
        true => (*image).to_owned(),
        false => format!("{image} {}", platforms.iter().map(String::as_str).collect::<Vec<_>>().join(" ")),
    };
    images.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Shows findings, violations in red, the upgrades that mend them, and how old the databases are.
pub fn show(report: &Report, ui: &Ui) {
    if let Some(why) = &report.skipped {
        ui.warn(&format!("nothing was scanned: {why}"));
        return;
    }
    let all = rows(report);
    let (aside, rows): (Vec<_>, Vec<_>) = all.into_iter().partition(|row| row.finding.set_aside.is_some());
    if !rows.is_empty() {
        let header = ["finding", "severity", "package", "version", "fixed in", "linked", "found in", "summary"];
        ui.table(&header, &rows.iter().map(|row| (tone(row.finding), cells(row))).collect::<Vec<_>>());
    }
    show_aside(&aside, ui);
    for database in &report.databases {
        ui.note(&format!("{}: database of {}", database.name, clock::age(&database.updated, clock::now())));
    }
    for lapsed in &report.lapsed {
        ui.line(Tone::Bad, &lapsed.to_string());
    }
    let (bad, rest): (Vec<_>, Vec<_>) = rows.iter().map(|row| row.finding).partition(|f| f.violation.is_some());
    for fix in policy::fixes(bad.iter().copied()) {
        ui.line(Tone::Warn, &format!("fix: {fix}"));
    }
    let aside = if aside.is_empty() { String::new() } else { format!(", {} set aside", aside.len()) };
    match (bad.len(), rest.len()) {
        (0, 0) if aside.is_empty() => ui.line(Tone::Good, "no known vulnerabilities"),
        (0, rest) => ui.line(Tone::Good, &format!("nothing above the policy; {rest} below it{aside}")),
        (bad, rest) => {
            let what = format!("{bad} above the policy, which a registry would refuse; {rest} below it{aside}");
            ui.line(Tone::Bad, &what);
        }
    }
}

/// How many findings were set aside for each kind of reason; with `--verbose` each one of them.
fn show_aside(aside: &[Row<'_>], ui: &Ui) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in aside {
        let why = row.finding.set_aside.as_deref().unwrap_or_default();
        *counts.entry(why.split(':').next().unwrap_or(why)).or_default() += 1;
        ui.detail(&format!("set aside: {}: {why}", one_line(&row.to_string())));
    }
    for (why, count) in counts {
        ui.note(&format!("{count} set aside: {why} (--verbose lists them)"));
    }
}

fn tone(finding: &Finding) -> Tone {
    match (finding.violation.is_some(), finding.reachable) {
        (true, _) => Tone::Bad,
        (false, Some(false)) => Tone::Dim,
        (false, _) => Tone::Warn,
    }
}

fn cells(row: &Row<'_>) -> Vec<String> {
    let finding = row.finding;
    let linked = match finding.reachable {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    };
    let fixed = finding.fixed.as_deref().unwrap_or("-");
    let cells = [
        &finding.id,
        &finding.severity.to_string(),
        &finding.package,
        &finding.version,
        fixed,
        linked,
        &row.places,
        &shorten(&finding.summary),
    ];
    // A cell is one line, whatever a database says.
    cells.iter().map(|cell| one_line(cell)).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shorten(text: &str) -> String {
    match text.chars().count() > SUMMARY {
        true => text.chars().take(SUMMARY - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;
    use crate::scan::tests::finding;
    use crate::scan::{PlatformReport, Severity};

    fn part(image: &str, platform: &str, findings: Vec<Finding>) -> PlatformReport {
        PlatformReport {
            image: image.into(),
            platform: platform.parse().unwrap(),
            manifest: Digest::of(image.as_bytes()),
            findings,
        }
    }

    fn report(platforms: Vec<PlatformReport>) -> Report {
        Report { platforms, ..Report::default() }
    }

    #[test]
    fn a_finding_in_many_places_is_one_row() {
        let one = || vec![finding("GO-1", "m")];
        let report = report(vec![
            part("gate", "linux/amd64", one()),
            part("gate", "linux/arm64", one()),
            part("node", "linux/amd64", Vec::new()),
            part("node", "linux/arm64", one()),
        ]);
        let rows = rows(&report);
        assert_eq!(rows.iter().map(|r| r.places.as_str()).collect::<Vec<_>>(), ["gate, node linux/arm64"]);
        assert_eq!(rows[0].to_string(), "GO-1 in m v1.0.0 (gate, node linux/arm64)");
    }

    #[test]
    fn violations_come_first_then_the_severe_then_the_linked() {
        let with = |id: &str, severity, reachable, violation: Option<&str>| Finding {
            severity,
            reachable,
            violation: violation.map(str::to_owned),
            ..finding(id, "m")
        };
        let report = report(vec![part(
            "gate",
            "linux/amd64",
            vec![
                with("A", Severity::Unknown, Some(false), None),
                with("B", Severity::High, Some(false), None),
                with("C", Severity::Unknown, Some(true), None),
                with("D", Severity::Unknown, Some(true), Some("linked")),
            ],
        )]);
        assert_eq!(rows(&report).iter().map(|r| r.finding.id.as_str()).collect::<Vec<_>>(), ["D", "B", "C", "A"]);
    }

    #[test]
    fn a_cell_is_one_short_line() {
        let summary = format!("two\nlines {}", "x".repeat(200));
        let finding = Finding { summary, ..finding("GO-1", "m") };
        let cells = cells(&Row { finding: &finding, places: String::new() });
        assert!(cells.iter().all(|cell| !cell.contains('\n') && cell.chars().count() <= SUMMARY));
    }
}
