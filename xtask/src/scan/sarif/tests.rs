use super::*;
use crate::scan::tests::finding;

fn files() -> Files {
    Files { module: "docker/sample/go.mod".into(), table: "release.toml".into() }
}

fn part(platform: &str, findings: Vec<Finding>) -> PlatformReport {
    let manifest = Digest::of(platform.as_bytes());
    PlatformReport { image: "gate".into(), platform: platform.parse().unwrap(), manifest, findings }
}

fn run(report: &Report) -> Value {
    let sarif: Value = serde_json::from_slice(&to_sarif(report, &files()).unwrap()).unwrap();
    sarif["runs"][0].clone()
}

fn one(finding: Finding) -> Value {
    run(&Report { platforms: vec![part("linux/amd64", vec![finding])], ..Report::default() })
}

fn of(id: &str, severity: Severity) -> Finding {
    Finding { severity, reachable: Some(true), ..finding(id, "golang.org/x/net") }
}

#[test]
fn every_severity_is_there_with_the_level_and_number_that_github_reads() {
    for (severity, level, score) in [
        (Severity::Critical, "error", Some(9.0..=10.0)),
        (Severity::High, "error", Some(7.0..=8.9)),
        (Severity::Medium, "warning", Some(4.0..=6.9)),
        (Severity::Low, "note", Some(0.1..=3.9)),
        (Severity::Unknown, "warning", None),
    ] {
        let run = one(of("GO-1", severity));
        assert_eq!(run["results"][0]["level"], level);
        let rule = &run["tool"]["driver"]["rules"][0];
        let number = rule["properties"]["security-severity"].as_str().map(|text| text.parse::<f64>().unwrap());
        assert_eq!(number.is_some(), score.is_some(), "{severity}");
        assert!(number.zip(score).is_none_or(|(number, range)| range.contains(&number)), "{severity}");
    }
}

#[test]
fn a_finding_is_shown_in_the_file_that_mends_it() {
    let stdlib = Finding { package: policy::STDLIB.into(), ..of("GO-1", Severity::High) };
    let base = Finding { reachable: None, fix: Some("set build.base".into()), ..of("CVE-1", Severity::High) };
    for (finding, file) in
        [(of("GO-1", Severity::High), "docker/sample/go.mod"), (stdlib, "release.toml"), (base, "release.toml")]
    {
        let run = one(finding);
        let place = &run["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!((&place["artifactLocation"]["uri"], &place["region"]["startLine"]), (&json!(file), &json!(1)));
    }
    let location = Some("docker/Dockerfile.node:7".to_owned());
    let misconfigured = Finding { kind: Kind::Misconfiguration, location, ..finding("DS-0002", "Dockerfile") };
    let run = run(&Report { files: vec![misconfigured], ..Report::default() });
    let place = &run["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "docker/Dockerfile.node");
    assert_eq!(place["region"]["startLine"], 7);
}

#[test]
fn what_is_set_aside_is_there_and_suppressed_and_nothing_else_is() {
    let aside = Finding { set_aside: Some("not linked".into()), ..of("GO-1", Severity::High) };
    let run = run(&Report {
        platforms: vec![part("linux/amd64", vec![aside, of("GO-2", Severity::Low)])],
        ..Report::default()
    });
    assert_eq!(run["results"][0]["suppressions"][0]["justification"], "not linked");
    assert!(run["results"][1].get("suppressions").is_none());
}

#[test]
fn a_fingerprint_tells_image_platforms_apart_and_stays_from_version_to_version() {
    let print = |run: &Value, at: usize| run["results"][at]["partialFingerprints"]["primaryLocationLineHash"].clone();
    let two = run(&Report {
        platforms: vec![
            part("linux/amd64", vec![of("GO-1", Severity::High)]),
            part("linux/arm64", vec![of("GO-1", Severity::High)]),
        ],
        ..Report::default()
    });
    assert_ne!(print(&two, 0), print(&two, 1));
    let newer = Finding { version: "v9.0.0".into(), ..of("GO-1", Severity::Critical) };
    assert_eq!(print(&one(newer), 0), print(&two, 0));
    // One rule for both.
    assert_eq!(two["tool"]["driver"]["rules"].as_array().unwrap().len(), 1);
}

#[test]
fn a_skipped_scan_is_no_successful_one() {
    let run = run(&Report { skipped: Some("no network".into()), ..Report::default() });
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert!(run.to_string().contains("nothing was scanned: no network"));
}

#[test]
fn a_lapsed_ignore_is_shown_at_its_line() {
    let lapsed = Lapsed { place: "release.toml:40:1".into(), id: "CVE-1".into(), why: "expired on 2026-12-31".into() };
    let run = run(&Report { lapsed: vec![lapsed], ..Report::default() });
    let place = &run["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "release.toml");
    assert_eq!(place["region"]["startLine"], 40);
    assert_eq!(run["results"][0]["ruleId"], run["tool"]["driver"]["rules"][0]["id"]);
}
