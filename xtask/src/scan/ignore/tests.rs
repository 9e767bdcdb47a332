use jiff::civil::date;

use super::*;
use crate::scan::tests::finding;
use crate::scan::vex::tests::subject;

fn rule(id: &str) -> Rule {
    Rule {
        place: "release.toml:40:1".into(),
        kind: None,
        id: id.into(),
        reason: "no proxy is used".into(),
        expires: Some(date(2026, 12, 31)),
        images: Vec::new(),
        packages: Vec::new(),
        paths: Vec::new(),
        purls: Vec::new(),
        needed: true,
    }
}

fn found() -> Finding {
    Finding {
        aliases: vec!["CVE-1".into()],
        location: Some("usr/local/bin/gate".into()),
        ..finding("GO-1", "golang.org/x/net")
    }
}

fn set_aside(rule: Rule, finding: &Finding) -> Option<String> {
    Ignores::new(vec![rule], date(2026, 11, 25)).set_aside(finding, Some(&subject()), &mut BTreeSet::new())
}

#[test]
fn a_rule_is_about_every_name_of_a_finding_and_says_why_until_when_and_where() {
    for id in ["GO-1", "CVE-1"] {
        assert_eq!(
            set_aside(rule(id), &found()).unwrap(),
            "ignored until 2026-12-31 by release.toml:40:1: no proxy is used"
        );
    }
    assert_eq!(set_aside(rule("CVE-2"), &found()), None);
}

#[test]
fn whatever_narrows_a_rule_has_to_fit() {
    let narrow = |change: &dyn Fn(&mut Rule)| {
        let mut rule = rule("GO-1");
        change(&mut rule);
        set_aside(rule, &found()).is_some()
    };
    assert!(narrow(&|r| r.images = vec!["node".into(), "gate".into()]));
    assert!(narrow(&|r| r.packages = vec!["golang.org/x/net".into()]));
    assert!(narrow(&|r| r.paths = vec!["usr/**".into()]));
    assert!(narrow(&|r| r.purls = vec!["pkg:golang/golang.org/x/net@v1.0.0".into()]));
    assert!(narrow(&|r| r.kind = Some(Kind::Vulnerability)));
    assert!(!narrow(&|r| r.images = vec!["node".into()]));
    assert!(!narrow(&|r| r.packages = vec!["golang.org/x/text".into()]));
    assert!(!narrow(&|r| r.paths = vec!["usr/*".into()]));
    assert!(!narrow(&|r| r.purls = vec!["pkg:golang/golang.org/x/net@v2.0.0".into()]));
    assert!(!narrow(&|r| r.kind = Some(Kind::Secret)));
}

#[test]
fn ignoring_one_id_never_touches_another() {
    let ids = ["GO-1", "GO-2", "CVE-1", "GO-11"];
    for ignored in ids {
        for id in ids.iter().filter(|id| **id != ignored) {
            assert_eq!(set_aside(rule(ignored), &finding(id, "m")), None, "{ignored} {id}");
        }
    }
}

#[test]
fn from_the_day_of_its_expiry_on_a_rule_sets_nothing_aside_and_fails_by_its_line() {
    for (today, holds) in [(date(2026, 12, 30), true), (date(2026, 12, 31), false), (date(2027, 1, 1), false)] {
        let ignores = Ignores::new(vec![rule("GO-1")], today);
        let mut used = BTreeSet::new();
        assert_eq!(ignores.set_aside(&found(), None, &mut used).is_some(), holds, "{today}");
        let lapsed = ignores.lapsed(&used, Extent { all_images: true, by_trivy: true });
        let wanted: &[&str] =
            if holds { &[] } else { &["release.toml:40:1: the ignore of GO-1 expired on 2026-12-31"] };
        assert_eq!(lapsed.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted, "{today}");
    }
}

#[test]
fn an_unneeded_rule_fails_only_when_all_that_it_could_be_about_was_scanned() {
    let lapsed = |id: &str, needed, all_images, by_trivy| {
        let rule = Rule { needed, ..rule(id) };
        let ignores = Ignores::new(vec![rule], date(2026, 11, 25));
        ignores.lapsed(&BTreeSet::new(), Extent { all_images, by_trivy }).first().map(ToString::to_string)
    };
    let unneeded = Some("release.toml:40:1: the ignore of CVE-1 matches no finding".to_owned());
    assert_eq!(lapsed("CVE-1", true, true, true), unneeded);
    assert!(lapsed("GO-1", true, true, false).is_some());
    assert_eq!(lapsed("CVE-1", true, true, false), None);
    assert_eq!(lapsed("CVE-1", true, false, true), None);
    assert_eq!(lapsed("CVE-1", false, true, true), None);
}

#[test]
fn a_pattern_fits_names_and_folders() {
    for (pattern, path, wanted) in [
        ("usr/bin/gate", "usr/bin/gate", true),
        ("usr/bin/*", "usr/bin/gate", true),
        ("usr/*", "usr/bin/gate", false),
        ("**/gate", "usr/bin/gate", true),
        ("**/gate", "gate", true),
        ("usr/**", "usr/bin/gate", true),
        ("usr/**/gate", "usr/gate", true),
        ("*/bin/ga?e", "usr/bin/gate", true),
        ("g*te*", "gate", true),
        ("gate?", "gate", false),
        ("gate", "gates", false),
        ("", "gate", false),
    ] {
        assert_eq!(fits(pattern, path), wanted, "{pattern} {path}");
    }
}
