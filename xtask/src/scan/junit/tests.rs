use super::*;
use crate::oci::Digest;
use crate::scan::tests::finding;
use crate::scan::{Lapsed, PlatformReport};

fn report(findings: Vec<Finding>) -> Report {
    let platform = "linux/arm64".parse().unwrap();
    let part = PlatformReport { image: "gate".into(), platform, manifest: Digest::of(b""), findings };
    Report { platforms: vec![part], ..Report::default() }
}

fn xml(report: &Report) -> String {
    String::from_utf8(to_junit(report)).unwrap()
}

fn bad(id: &str, summary: &str) -> Finding {
    Finding { violation: Some(summary.into()), ..finding(id, "m") }
}

#[test]
fn a_test_fails_by_what_the_policy_fails_and_shows_the_rest() {
    let aside = Finding { set_aside: Some("not linked".into()), ..finding("GO-2", "m") };
    let text = xml(&report(vec![bad("GO-1", "severity high"), aside]));
    let document = roxmltree::Document::parse(&text).unwrap();
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    let failed: Vec<_> = cases.iter().filter(|case| case.children().any(|c| c.has_tag_name("failure"))).collect();
    assert_eq!(failed.len(), 1);
    let case = failed[0];
    assert_eq!(
        (case.attribute("classname"), case.attribute("name")),
        (Some("gate linux/arm64"), Some("vulnerabilities"))
    );
    let inside = |tag: &str| case.children().find(|c| c.has_tag_name(tag)).and_then(|c| c.text()).unwrap().to_owned();
    assert!(inside("failure").contains("GO-1 in m v1.0.0: severity high") && !inside("failure").contains("GO-2"));
    assert!(inside("system-out").contains("GO-2 in m v1.0.0: set aside: not linked"));
    let root = document.root_element();
    assert_eq!(root.attribute("failures"), Some("1"));
    assert_eq!(root.attribute("tests"), Some(cases.len().to_string().as_str()));
}

#[test]
fn nothing_found_is_a_pass_and_a_skipped_scan_is_none() {
    assert!(!xml(&report(Vec::new())).contains("<failure"));
    let skipped = xml(&Report { skipped: Some("no network".into()), ..Report::default() });
    assert!(skipped.contains("<skipped message=\"no network\"/>") && skipped.contains("skipped=\"1\""));
}

#[test]
fn a_lapsed_ignore_fails_a_test_of_its_own() {
    let lapsed = Lapsed { place: "release.toml:40:1".into(), id: "CVE-1".into(), why: "matches no finding".into() };
    let text = xml(&Report { lapsed: vec![lapsed], ..Report::default() });
    assert!(text.contains("release.toml:40:1: the ignore of CVE-1 matches no finding"), "{text}");
}

#[test]
fn whatever_a_database_says_is_text() {
    let nasty = "</failure><x a=\"&\u{0}\u{1b}\u{ffff}']]>";
    let text = xml(&report(vec![bad(nasty, nasty)]));
    let document = roxmltree::Document::parse(&text).unwrap();
    assert!(!document.descendants().any(|node| node.has_tag_name("x")));
    assert!(document.descendants().any(|node| node.text().is_some_and(|t| t.contains("</failure><x a=\"&"))));
}
