use jiff::civil::date;

use super::*;
use crate::scan::Severity;
use crate::scan::tests::finding;
use crate::scan::vex::tests::subject;

const TABLE: &str = r#"
fail-on = ["critical", "high", "medium", "low"]
vex = ["vex.json"]

[image.gate]
fail-on = ["critical"]

[[ignore]]
id = "CVE-2"
reason = "known"
expires = 2026-12-31
"#;
const VEX: &str = r#"{
  "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex/1", "author": "us",
  "timestamp": "2026-11-01T00:00:00Z", "version": 1,
  "statements": [{"vulnerability": {"name": "CVE-3"}, "status": "not_affected", "justification": "inline_mitigations_already_exist",
    "products": [{"@id": "pkg:oci/goverse-gate"}]}]
}"#;
const TRIVY: &str = "vulnerabilities:\n  - id: CVE-4\n    statement: not ours\n";

fn with_policy<T>(ask: impl FnOnce(&Policy<'_>) -> T) -> T {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("vex.json"), VEX).unwrap();
    std::fs::write(root.path().join(trivyignore::FILE), TRIVY).unwrap();
    let config: config::Scan = toml::from_str(TABLE).unwrap();
    ask(&Policy::read(root.path(), &config, date(2026, 11, 25)).unwrap())
}

fn low(id: &str) -> Finding {
    Finding { severity: Severity::Low, ..finding(id, "m") }
}

fn apply(mut findings: Vec<Finding>, subject: Option<&Subject<'_>>) -> Vec<Finding> {
    with_policy(|policy| policy.apply(&mut findings, subject, &mut BTreeSet::new()));
    findings
}

#[test]
fn documents_ignores_and_trivys_list_set_findings_of_every_scanner_aside_and_drop_none() {
    let node = Subject { image: "node", ..subject() };
    for scanner in ["trivy", "govulncheck"] {
        let of = |id: &str| Finding { scanner: scanner.into(), ..low(id) };
        let found = apply(["CVE-1", "CVE-2", "CVE-3", "CVE-4"].map(of).to_vec(), Some(&node));
        let verdicts: Vec<_> =
            found.iter().map(|f| (f.id.as_str(), f.set_aside.as_deref(), f.violation.is_some())).collect();
        assert_eq!(
            verdicts,
            [
                ("CVE-1", None, true),
                ("CVE-2", Some("ignored until 2026-12-31 by release.toml: known"), false),
                ("CVE-3", Some("not affected by vex.json: inline_mitigations_already_exist"), false),
                ("CVE-4", Some("ignored by .trivyignore.yaml:2:5: not ours"), false),
            ]
        );
    }
}

#[test]
fn only_what_govulncheck_has_shown_is_set_aside_as_not_linked() {
    let reach = |reachable| Finding { reachable, ..low("CVE-1") };
    let secret = Finding { kind: Kind::Secret, ..reach(Some(false)) };
    for (finding, aside) in
        [(reach(None), false), (reach(Some(true)), false), (reach(Some(false)), true), (secret, false)]
    {
        assert_eq!(apply(vec![finding.clone()], None)[0].set_aside.is_some(), aside, "{finding:?}");
    }
}

#[test]
fn an_image_is_judged_by_its_own_rules() {
    assert!(apply(vec![low("CVE-1")], Some(&subject()))[0].violation.is_none());
    assert!(apply(vec![low("CVE-1")], Some(&Subject { image: "node", ..subject() }))[0].violation.is_some());
    assert!(apply(vec![low("CVE-1")], None)[0].violation.is_some());
}

#[test]
fn every_order_gives_one_list_worst_first() {
    let all = || {
        let of = |id: &str, severity| Finding { severity, ..finding(id, "m") };
        vec![of("CVE-9", Severity::High), of("CVE-2", Severity::Low), of("CVE-1", Severity::High), low("CVE-2")]
    };
    let wanted = apply(all(), None);
    assert_eq!(wanted.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["CVE-1", "CVE-9", "CVE-2"]);
    for turn in 0..all().len() {
        let mut turned = all();
        turned.rotate_left(turn);
        assert_eq!(apply(turned, None), wanted);
    }
}

#[test]
fn an_ignore_is_needed_while_its_finding_is_there_whatever_else_sets_it_aside() {
    let mut used = BTreeSet::new();
    let mut findings = vec![Finding { reachable: Some(false), ..low("CVE-2") }];
    with_policy(|policy| {
        policy.apply(&mut findings, None, &mut used);
        assert_eq!(policy.lapsed(&used, Extent { all_images: true, by_trivy: true }), []);
        assert_eq!(policy.lapsed(&BTreeSet::new(), Extent { all_images: true, by_trivy: true }).len(), 1);
    });
}
