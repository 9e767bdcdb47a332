use super::*;
use crate::config::Config;

const TABLE: &str = r#"
[images.gate]
package = "./cmd/gate"
repository = "goverse-gate"

[publish]
registry = "ghcr.io/xiaonanln"

[tools]
go = "1.27.3"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.9.0"

[scan]
fail-on = ["critical"]
unknown = "as-medium"
licences = ["AGPL-*"]
vex = ["security/vex.json"]

[scan.image.gate]
fail-on = ["critical", "high"]
fixed-only = true

[[scan.ignore]]
id = "CVE-2025-22870"
reason = "no proxy is used"
expires = 2026-12-31
images = ["gate"]
"#;

fn parse(text: &str) -> Result<Config> {
    Config::parse(Path::new("release.toml"), text)
}

#[test]
fn an_image_has_its_own_rules_and_else_those_of_all() {
    let scan = parse(TABLE).unwrap().scan;
    let (gate, files) = (scan.rules(Some("gate")), scan.rules(None));
    assert!(gate.fail_on.contains(Severity::High) && gate.fixed_only);
    assert!(!files.fail_on.contains(Severity::High) && !files.fixed_only);
    assert_eq!((gate.unknown, gate.licences), (Some(Unknown::As(Severity::Medium)), files.licences));
}

#[test]
fn an_ignore_knows_its_line() {
    let scan = parse(TABLE).unwrap().scan;
    assert_eq!(scan.ignore[0].place.as_ref().unwrap().to_string(), "release.toml:25:1");
    assert_eq!(scan.ignore[0].expires.to_string(), "2026-12-31");
}

#[test]
fn a_policy_survives_the_plan_that_is_kept_on_disk() {
    let scan = parse(TABLE).unwrap().scan;
    let kept = serde_json::to_string(&scan).unwrap();
    assert_eq!(serde_json::to_string(&serde_json::from_str::<Scan>(&kept).unwrap()).unwrap(), kept);
}

#[test]
fn every_bad_value_is_an_error_with_its_place() {
    for (from, to, place, says) in [
        ("[\"critical\"]", "[\"low\"]", "16:11", "`low` would fail and `medium` pass"),
        ("[\"critical\"]", "[\"critical\", \"unknown\"]", "17:11", "say it once"),
        ("\"as-medium\"", "\"as-unknown\"", "17:11", "write fail, pass or as-high"),
        ("\"security/vex.json\"", "\"../vex.json\"", "19:7", "leaves the tree"),
        ("[scan.image.gate]", "[scan.image.gat]", "21:13", "`gat` is no image"),
        ("images = [\"gate\"]", "images = [\"gat\"]", "25:1", "`gat` is no image"),
        ("expires = 2026-12-31\n", "", "25:1", "write it as 2026-12-31"),
        ("2026-12-31", "2026-12-31T10:00:00Z", "28:11", "write it as 2026-12-31"),
        ("2026-12-31", "\"soon\"", "28:11", "write it as 2026-12-31"),
        ("\"no proxy is used\"", "\" \"", "27:10", "needs an id and a reason"),
        ("expires", "expire", "28:1", "unknown field"),
    ] {
        assert!(TABLE.contains(from), "{from}");
        let err = parse(&TABLE.replacen(from, to, 1)).unwrap_err();
        let text = err.to_string();
        assert!(text.starts_with(&format!("release.toml:{place}: ")) && text.contains(says), "{to}: {text}");
        assert_eq!(err.class() as u8, 2);
    }
}

#[test]
fn a_day_may_be_text_too() {
    let text = TABLE.replace("2026-12-31", "\"2026-12-31\"");
    assert_eq!(parse(&text).unwrap().scan.ignore[0].expires.to_string(), "2026-12-31");
}

#[test]
fn licences_are_looked_at_where_any_policy_forbids_one() {
    let names = |text: &str| parse(text).unwrap().scan.names_licences();
    let none = TABLE.replace("licences = [\"AGPL-*\"]\n", "");
    assert!(names(TABLE) && !names(&none));
    assert!(names(&none.replace("fixed-only = true", "licences = [\"SSPL-1.0\"]")));
}
