use super::*;
use crate::config::Scan;
use crate::scan::tests::finding;

const REACH: [Option<bool>; 3] = [None, Some(false), Some(true)];

/// Every kind of vulnerability.
fn findings() -> impl Iterator<Item = Finding> {
    Severity::ALL.into_iter().flat_map(|severity| {
        REACH.into_iter().flat_map(move |reachable| {
            [None, Some("v1.2.3".to_owned())].into_iter().map(move |fixed| Finding {
                severity,
                reachable,
                fixed,
                ..finding("GO-1", "m")
            })
        })
    })
}

/// Every kind of policy about vulnerabilities.
fn policies() -> impl Iterator<Item = Scan> {
    let lists = (0..32_u8).filter_map(|bits| {
        let of = Severity::ALL.into_iter().enumerate().filter(move |(i, _)| bits & (1 << i) != 0);
        FailOn::try_from(of.map(|(_, severity)| severity).collect::<Vec<_>>()).ok()
    });
    let unknown = [None, Some(Unknown::Fail), Some(Unknown::Pass), Some(Unknown::As(Severity::Medium))];
    lists.flat_map(move |fail_on| {
        unknown.into_iter().flat_map(move |unknown| {
            let fail_on = fail_on.clone();
            (0..4_u8).map(move |bits| Scan {
                fail_on: fail_on.clone(),
                unknown,
                fixed_only: bits & 1 != 0,
                fail_on_reachable: bits & 2 != 0,
                ..Scan::default()
            })
        })
    })
}

fn fails(finding: &Finding, policy: &Scan) -> bool {
    judge(finding, &policy.rules(None)).is_some()
}

#[test]
fn by_default_high_critical_and_linked_with_a_fix_fail() {
    for finding in findings() {
        let wanted = match (finding.reachable, finding.severity, &finding.fixed) {
            (Some(false), _, _) => false,
            (_, Severity::High | Severity::Critical, _) => true,
            (Some(true), _, Some(_)) => true,
            _ => false,
        };
        assert_eq!(fails(&finding, &Scan::default()), wanted, "{finding:?}");
    }
}

#[test]
fn a_worse_finding_never_passes_where_a_lesser_one_fails() {
    for policy in policies() {
        for lesser in findings().filter(|finding| fails(finding, &policy)) {
            let severer =
                Severity::ALL.into_iter().filter(|s| *s >= lesser.severity && lesser.severity != Severity::Unknown);
            for severity in severer {
                assert!(fails(&Finding { severity, ..lesser.clone() }, &policy), "{severity} {lesser:?} {policy:?}");
            }
            assert!(fails(&Finding { reachable: Some(true), ..lesser.clone() }, &policy), "{lesser:?} {policy:?}");
            assert!(
                fails(&Finding { fixed: Some("v9.0.0".into()), ..lesser.clone() }, &policy),
                "{lesser:?} {policy:?}"
            );
        }
    }
}

#[test]
fn a_stricter_policy_never_passes_what_a_laxer_one_fails() {
    for policy in policies() {
        for finding in findings().filter(|finding| fails(finding, &policy)) {
            let all = FailOn::at_least(Severity::Unknown);
            for stricter in [
                Scan { fail_on: all.clone(), unknown: None, ..policy.clone() },
                Scan { fixed_only: false, ..policy.clone() },
                Scan { fail_on_reachable: true, ..policy.clone() },
                Scan { unknown: Some(Unknown::Fail), ..policy.clone() },
            ] {
                assert!(fails(&finding, &stricter), "{finding:?} {policy:?} {stricter:?}");
            }
        }
    }
}

#[test]
fn what_is_not_linked_and_what_is_set_aside_passes_every_policy() {
    for policy in policies() {
        for finding in findings() {
            let aside = Finding { set_aside: Some("it is known".into()), ..finding.clone() };
            assert!(!fails(&aside, &policy), "{aside:?} {policy:?}");
            assert!(finding.reachable != Some(false) || !fails(&finding, &policy), "{finding:?} {policy:?}");
        }
    }
}

#[test]
fn fixed_only_passes_a_severity_without_a_fix() {
    let policy = Scan { fixed_only: true, ..Scan::default() };
    let high = Finding { severity: Severity::High, ..finding("CVE-1", "m") };
    assert!(!fails(&high, &policy) && fails(&high, &Scan::default()));
    assert!(fails(&Finding { fixed: Some("v1.2.3".into()), ..high }, &policy));
}

#[test]
fn an_unknown_severity_is_what_the_table_says() {
    let unknown = finding("GO-1", "m");
    for (says, wanted) in [
        (None, false),
        (Some(Unknown::Fail), true),
        (Some(Unknown::Pass), false),
        (Some(Unknown::As(Severity::Medium)), false),
        (Some(Unknown::As(Severity::High)), true),
    ] {
        assert_eq!(fails(&unknown, &Scan { unknown: says, ..Scan::default() }), wanted, "{says:?}");
    }
}

#[test]
fn secrets_misconfigurations_and_licences_have_rules_of_their_own() {
    let of = |kind, id: &str, severity| Finding { kind, severity, ..finding(id, "m") };
    let policy = Scan { licences: vec!["AGPL-*".into(), "SSPL-1.0".into()], ..Scan::default() };
    for (finding, wanted) in [
        (of(Kind::Secret, "private-key", Severity::Low), true),
        (of(Kind::Misconfiguration, "DS-0002", Severity::High), true),
        (of(Kind::Misconfiguration, "DS-0026", Severity::Low), false),
        (of(Kind::Licence, "agpl-3.0-only", Severity::Low), true),
        (of(Kind::Licence, "SSPL-1.0", Severity::Low), true),
        (of(Kind::Licence, "LGPL-3.0-only", Severity::Critical), false),
    ] {
        assert_eq!(fails(&finding, &policy), wanted, "{finding:?}");
    }
}

#[test]
fn one_upgrade_a_module_mends_all_of_its_findings() {
    let fix = |id: &str, module: &str, fixed: &str| Finding {
        fixed: Some(fixed.into()),
        fix: Some(go_fix(module, fixed)),
        ..finding(id, module)
    };
    let findings = [
        fix("GO-1", "golang.org/x/net", "v0.9.0"),
        fix("GO-2", "golang.org/x/net", "v0.55.0"),
        fix("GO-3", "stdlib", "v1.27.4"),
        fix("GO-4", "golang.org/x/net", "v0.36.0"),
        finding("GO-5", "m"),
    ];
    assert_eq!(fixes(&findings), ["go get golang.org/x/net@v0.55.0", "set tools.go = \"1.27.4\" in release.toml"]);
}
