use super::*;
use crate::scan::Database;
use crate::scan::tests::finding;
use crate::scan::vex::tests::subject;
use crate::scan::vex::{Statements, parse};

fn checked(id: &str, reachable: Option<bool>) -> Finding {
    Finding { aliases: vec![id.replace("GO", "CVE")], reachable, ..finding(id, "golang.org/x/net") }
}

fn part(findings: Vec<Finding>) -> PlatformReport {
    let subject = subject();
    let (image, platform) = (subject.image.to_owned(), subject.platform.clone());
    PlatformReport { image, platform, manifest: subject.manifest, findings }
}

fn report() -> Report {
    let database = Database {
        name: "golang.org/x/vulndb".into(),
        version: "v0.0.0-20261105234957-abcdefabcdef".into(),
        updated: "2026-11-05T23:49:57Z".into(),
    };
    Report { scanners: vec!["govulncheck 1.9.0".into()], databases: vec![database], ..Report::default() }
}

fn written(findings: Vec<Finding>, subject: &Subject<'_>) -> Value {
    serde_json::from_slice(&document(&report(), &[(&part(findings), subject.clone())]).unwrap()).unwrap()
}

fn named(document: &Value) -> Vec<(&str, &str)> {
    let statements = document["statements"].as_array().unwrap().iter();
    statements.map(|s| (s["vulnerability"]["name"].as_str().unwrap(), s["status"].as_str().unwrap())).collect()
}

#[test]
fn what_is_linked_is_affected_and_what_is_not_linked_is_not_present_with_the_evidence() {
    let fix = Some("go get golang.org/x/net@v0.36.0".to_owned());
    let linked = Finding { fix, ..checked("GO-1", Some(true)) };
    let document = written(vec![linked, checked("GO-2", Some(false))], &subject());
    assert_eq!(named(&document), [("GO-1", "affected"), ("GO-2", "not_affected")]);
    let [affected, absent] = [&document["statements"][0], &document["statements"][1]];
    assert_eq!(affected["action_statement"], "go get golang.org/x/net@v0.36.0");
    assert_eq!(absent["justification"], "vulnerable_code_not_present");
    let evidence = absent["impact_statement"].as_str().unwrap();
    for part in ["govulncheck 1.9.0", "20261105234957", "2026-11-05T23:49:57Z", "/usr/local/bin/gate", "GO-2"] {
        assert!(evidence.contains(part), "{part}: {evidence}");
    }
    let product = absent["products"][0]["@id"].as_str().unwrap();
    assert!(product.starts_with("pkg:oci/goverse-gate@sha256:") && product.contains("arch=arm64"), "{product}");
    assert_eq!(absent["products"][0]["subcomponents"][0]["@id"], "pkg:golang/golang.org/x/net@v1.0.0");
    assert_eq!(document["timestamp"], "2026-11-05T23:49:57Z");
}

#[test]
fn nothing_is_said_of_what_govulncheck_did_not_check() {
    let apk = Finding { scanner: "trivy".into(), ..finding("CVE-2026-1", "libssl3") };
    let secret = Finding { kind: Kind::Secret, ..finding("private-key", "etc/key") };
    assert_eq!(named(&written(vec![apk, secret, checked("GO-1", None)], &subject())), []);
}

#[test]
fn nothing_is_not_affected_while_another_program_of_the_image_may_have_it() {
    let elsewhere = Finding { scanner: "trivy".into(), ..finding("CVE-1", "golang.org/x/net") };
    let both = vec![checked("GO-1", Some(false)), elsewhere.clone(), checked("GO-2", Some(false))];
    assert_eq!(named(&written(both, &subject())), [("GO-2", "not_affected")]);
    // Another version is another component.
    let older = Finding { version: "v0.9.0".into(), ..elsewhere };
    assert_eq!(named(&written(vec![checked("GO-1", Some(false)), older], &subject())), [("GO-1", "not_affected")]);
    // A base image into which nobody looked.
    let unknown = Subject { others_known: false, ..subject() };
    let findings = vec![checked("GO-1", Some(false)), checked("GO-2", Some(true))];
    assert_eq!(named(&written(findings, &unknown)), [("GO-2", "affected")]);
}

#[test]
fn a_document_about_an_image_says_of_each_platform_what_holds_there() {
    let (arm64, amd64) = (subject(), "linux/amd64".parse().unwrap());
    let amd64 = Subject { platform: &amd64, manifest: Digest::of(b"amd64"), ..subject() };
    let parts = [part(vec![checked("GO-1", Some(true))]), part(vec![checked("GO-1", Some(false))])];
    let bytes = document(&report(), &[(&parts[0], arm64.clone()), (&parts[1], amd64.clone())]).unwrap();
    assert_eq!(named(&serde_json::from_slice(&bytes).unwrap()), [("GO-1", "affected"), ("GO-1", "not_affected")]);
    let statements = Statements(parse(std::path::Path::new("vex.json"), &bytes).unwrap());
    let found = Finding { reachable: None, ..checked("GO-1", None) };
    assert_eq!(statements.set_aside(&found, &arm64), None);
    assert!(statements.set_aside(&found, &amd64).is_some());
}

#[test]
fn a_document_is_its_content_and_nothing_else() {
    let bytes = |findings| document(&report(), &[(&part(findings), subject())]).unwrap();
    assert_eq!(bytes(vec![checked("GO-1", Some(false))]), bytes(vec![checked("GO-1", Some(false))]));
    let id = |document: &Value| document["@id"].as_str().unwrap().to_owned();
    let one = written(vec![checked("GO-1", Some(false))], &subject());
    assert_ne!(id(&one), id(&written(vec![checked("GO-2", Some(false))], &subject())));
}

#[test]
fn what_is_written_says_the_same_when_it_is_read() {
    let findings = vec![checked("GO-1", Some(true)), checked("GO-2", Some(false)), checked("GO-3", None)];
    let bytes = document(&report(), &[(&part(findings.clone()), subject())]).unwrap();
    let statements = Statements(parse(std::path::Path::new("vex.json"), &bytes).unwrap());
    for finding in findings {
        // As Trivy names it: by an alias and with nothing known about its reach.
        let found = Finding { id: finding.aliases[0].clone(), aliases: Vec::new(), reachable: None, ..finding.clone() };
        assert_eq!(statements.set_aside(&found, &subject()).is_some(), finding.reachable == Some(false), "{finding:?}");
        let elsewhere = Subject { reference: "ghcr.io/xiaonanln/goverse-node".into(), ..subject() };
        assert_eq!(statements.set_aside(&found, &elsewhere), None);
    }
}
