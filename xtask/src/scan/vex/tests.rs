use super::*;
use crate::scan::tests::finding;

static ARM: std::sync::LazyLock<Platform> = std::sync::LazyLock::new(|| "linux/arm64".parse().unwrap());

/// The arm64 platform of the gate.
pub(in crate::scan) fn subject() -> Subject<'static> {
    Subject {
        image: "gate",
        reference: "ghcr.io/xiaonanln/goverse-gate".into(),
        tag: "v1.2.0",
        index: Digest::of(b"index"),
        manifest: Digest::of(b"manifest"),
        platform: &ARM,
        program: "/usr/local/bin/gate",
        others_known: true,
    }
}

fn document(statements: &str) -> String {
    format!(
        "{{\"@context\": \"{CONTEXT}\", \"@id\": \"https://example.com/1\", \"author\": \"us\",\n\
         \"timestamp\": \"2026-11-01T00:00:00Z\", \"version\": 1,\n\"statements\": [{statements}]}}"
    )
}

fn says(statements: &str, finding: &Finding) -> Option<String> {
    let mut all = parse(Path::new("vex.json"), document(statements).as_bytes()).unwrap();
    all.sort_by_key(|statement| statement.time);
    Statements(all).set_aside(finding, &subject())
}

fn statement(name: &str, status: &str, more: &str) -> String {
    let product = r#"{"@id": "pkg:oci/goverse-gate", "subcomponents": [{"@id": "pkg:golang/golang.org/x/net"}]}"#;
    format!(
        "{{\"vulnerability\": {{\"name\": \"{name}\"}}, \"products\": [{product}], \"status\": \"{status}\"{more}}}"
    )
}

const ABSENT: &str = r#", "justification": "vulnerable_code_not_present", "impact_statement": "it is cut out""#;

fn net() -> Finding {
    Finding { aliases: vec!["CVE-1".into()], ..finding("GO-1", "golang.org/x/net") }
}

#[test]
fn a_statement_is_about_any_name_of_the_package_in_the_image() {
    let why = "not affected by vex.json: vulnerable_code_not_present, it is cut out";
    assert_eq!(says(&statement("CVE-1", "not_affected", ABSENT), &net()).as_deref(), Some(why));
    assert_eq!(says(&statement("GO-1", "fixed", ""), &net()).as_deref(), Some("fixed by vex.json"));
    assert_eq!(says(&statement("CVE-2", "not_affected", ABSENT), &net()), None);
    let other = Finding { package: "golang.org/x/text".into(), ..net() };
    assert_eq!(says(&statement("CVE-1", "not_affected", ABSENT), &other), None);
    for status in ["affected", "under_investigation"] {
        assert_eq!(says(&statement("CVE-1", status, r#", "action_statement": "upgrade""#), &net()), None);
    }
}

#[test]
fn the_newest_statement_counts() {
    let at = |day: &str| format!("{ABSENT}, \"timestamp\": \"2026-11-{day}T00:00:00Z\"");
    let affected = |day: &str| {
        statement(
            "CVE-1",
            "affected",
            &format!(", \"action_statement\": \"x\", \"timestamp\": \"2026-11-{day}T00:00:00Z\""),
        )
    };
    let absent = |day: &str| statement("GO-1", "not_affected", &at(day));
    assert_eq!(says(&format!("{},{}", absent("05"), affected("06")), &net()), None);
    assert_eq!(says(&format!("{},{}", affected("06"), absent("05")), &net()), None);
    assert!(says(&format!("{},{}", absent("07"), affected("06")), &net()).is_some());
}

#[test]
fn a_product_may_be_the_package_itself_or_be_known_by_its_digest() {
    let of = |product: &str| {
        let statement = statement("CVE-1", "fixed", "");
        let start = statement.find("[{\"@id\"").unwrap();
        let end = statement.find(", \"status\"").unwrap();
        says(&format!("{}[{product}]{}", &statement[..start], &statement[end..]), &net()).is_some()
    };
    assert!(of(r#"{"@id": "pkg:golang/golang.org/x/net@v1.0.0"}"#));
    assert!(of(r#"{"identifiers": {"purl": "pkg:oci/goverse-gate"}}"#));
    assert!(of(&format!(r#"{{"hashes": {{"sha-256": "{}"}}}}"#, subject().manifest.hex())));
    assert!(!of(r#"{"@id": "pkg:oci/goverse-node"}"#));
    assert!(!of(r#"{"@id": "https://example.com/goverse"}"#));
    assert!(!of(r#"{}"#));
}

#[test]
fn a_document_that_is_not_openvex_is_an_error_with_its_place() {
    for (from, to, place, why) in [
        ("/v0.2.0", "", "1:37", "the format is"),
        ("\"us\"", "[]", "1:", "invalid type"),
        ("2026-11-01T00", "yesterday", "2:", "not an OpenVEX document"),
        ("not_affected", "harmless", "3:", "unknown variant"),
        ("vulnerable_code_not_present", "it_is_fine", "3:", "unknown variant"),
        (ABSENT, "", "3:", "neither a justification nor an impact_statement"),
        ("not_affected", "affected", "3:", "no action_statement"),
        (", \"version\": 1", "", "3:", "missing field `version`"),
        ("]}", "]", "3:", "EOF"),
    ] {
        let whole = document(&statement("CVE-1", "not_affected", ABSENT));
        assert!(whole.contains(from), "{from}");
        let end = whole.rfind(from).unwrap();
        let bad = format!("{}{to}{}", &whole[..end], &whole[end + from.len()..]);
        let err = parse(Path::new("security/vex.json"), bad.as_bytes()).unwrap_err();
        let shown = err.to_string();
        assert!(shown.starts_with(&format!("security/vex.json:{place}")) && shown.contains(why), "{to}: {shown}");
        assert_eq!(err.class(), Class::Usage);
    }
    assert!(parse(Path::new("x"), document("{}").as_bytes()).is_err());
}

#[test]
fn a_document_cut_anywhere_is_an_error() {
    let whole = document(&statement("CVE-1", "not_affected", ABSENT));
    assert!((0..whole.len()).all(|end| parse(Path::new("x"), &whole.as_bytes()[..end]).is_err()));
}
