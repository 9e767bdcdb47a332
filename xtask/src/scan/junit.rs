//! A report as JUnit XML, which every CI system shows as a list of tests.
//!
//! Takes a [`Report`], gives bytes: a suite an image platform, and in it a test a kind of finding that the policy
//! speaks of. A test fails by what the policy fails and by nothing else. No times: the same report gives the same bytes.

use std::fmt::Write;

use super::{Finding, Kind, Report};

/// What the policy speaks of, and what the test is called.
const POLICIES: [(Kind, &str); 4] = [
    (Kind::Vulnerability, "vulnerabilities"),
    (Kind::Secret, "secrets"),
    (Kind::Misconfiguration, "misconfigurations"),
    (Kind::Licence, "licences"),
];

/// One test.
struct Case {
    name: &'static str,
    outcome: Outcome,
    /// Everything that was looked at, a line each.
    details: String,
}

enum Outcome {
    Passed,
    Failed { message: String, details: String },
    Skipped(String),
}

/// The report for a CI system.
pub fn to_junit(report: &Report) -> Vec<u8> {
    let suites = suites(report);
    let (tests, failures, skipped) = suites.iter().fold((0, 0, 0), |(tests, failures, skipped), (_, cases)| {
        (tests + cases.len(), failures + failed(cases), skipped + left_out(cases))
    });
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"");
    line(&mut xml, &format!("<testsuites name=\"cargo xtask scan\" {counts}>"));
    for (name, cases) in &suites {
        write_suite(&mut xml, name, cases);
    }
    line(&mut xml, "</testsuites>");
    xml.into_bytes()
}

fn suites(report: &Report) -> Vec<(String, Vec<Case>)> {
    if let Some(why) = &report.skipped {
        let case = Case { name: "scan", outcome: Outcome::Skipped(why.clone()), details: String::new() };
        return vec![("scan".into(), vec![case])];
    }
    let mut suites: Vec<_> = report
        .platforms
        .iter()
        .map(|part| (format!("{} {}", part.image, part.platform), cases(&part.findings)))
        .collect();
    suites.push(("repository".into(), cases(&report.files)));
    let outcome = match report.lapsed.len() {
        0 => Outcome::Passed,
        count => Outcome::Failed {
            message: format!("{count} no longer hold"),
            details: report.lapsed.iter().map(|lapsed| format!("{lapsed}\n")).collect(),
        },
    };
    suites.push(("policy".into(), vec![Case { name: "ignores", outcome, details: String::new() }]));
    suites
}

fn cases(findings: &[Finding]) -> Vec<Case> {
    POLICIES.into_iter().map(|(kind, name)| case(name, findings.iter().filter(|f| f.kind == kind))).collect()
}

fn case<'a>(name: &'static str, findings: impl Iterator<Item = &'a Finding>) -> Case {
    let (bad, rest): (Vec<_>, Vec<_>) = findings.partition(|finding| finding.violation.is_some());
    let outcome = match bad.len() {
        0 => Outcome::Passed,
        count => Outcome::Failed {
            message: format!("{count} above the policy"),
            details: bad.into_iter().map(describe).collect(),
        },
    };
    Case { name, outcome, details: rest.into_iter().map(describe).collect() }
}

fn describe(finding: &Finding) -> String {
    let Finding { id, package, version, severity, .. } = finding;
    let verdict = match (&finding.violation, &finding.set_aside) {
        (Some(why), _) => why.clone(),
        (None, Some(why)) => format!("set aside: {why}"),
        (None, None) => format!("severity {severity}, below the policy"),
    };
    let fix = finding.fix.as_ref().map(|fix| format!("; fix: {fix}")).unwrap_or_default();
    format!("{id} in {package} {version}: {verdict}{fix}\n")
}

fn failed(cases: &[Case]) -> usize {
    cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed { .. })).count()
}

fn left_out(cases: &[Case]) -> usize {
    cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped(_))).count()
}

fn write_suite(xml: &mut String, name: &str, cases: &[Case]) {
    let (suite, failures, skipped) = (escape(name), failed(cases), left_out(cases));
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"", cases.len());
    line(xml, &format!("  <testsuite name=\"{suite}\" {counts}>"));
    for Case { name, outcome, details } in cases {
        line(xml, &format!("    <testcase classname=\"{suite}\" name=\"{name}\">"));
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed { message, details } => {
                let (message, details) = (escape(message), escape(details));
                line(xml, &format!("      <failure message=\"{message}\" type=\"policy\">{details}</failure>"));
            }
            Outcome::Skipped(why) => line(xml, &format!("      <skipped message=\"{}\"/>", escape(why))),
        }
        if !details.is_empty() {
            line(xml, &format!("      <system-out>{}</system-out>", escape(details)));
        }
        line(xml, "    </testcase>");
    }
    line(xml, "  </testsuite>");
}

fn line(xml: &mut String, text: &str) {
    // Writing to memory doesn't fail.
    let _ = writeln!(xml, "{text}");
}

/// For text and attributes (XML 1.0); a character that XML can't hold is shown as one that says so.
fn escape(text: &str) -> String {
    let one = |c: char| match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        '\n' | '\t' => c.to_string(),
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => "\u{fffd}".into(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests;
