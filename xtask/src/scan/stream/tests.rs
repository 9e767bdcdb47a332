use super::*;

const DB: &str = "file:///cache/vulndb/v1";
const TIME: &str = "2026-11-05T23:49:57Z";

fn expected() -> Expected<'static> {
    Expected { scanner: "v1.9.0", database: DB, modified: TIME }
}

fn config() -> String {
    format!(
        r#"{{"config":{{"protocol_version":"v1.0.0","scanner_name":"govulncheck","scanner_version":"v1.9.0","db":"{DB}",
        "db_last_modified":"{TIME}","scan_level":"symbol","scan_mode":"binary"}}}}"#
    )
}

const SBOM: &str = r#"{"SBOM":{"go_version":"go1.27.3","modules":[{"path":"example.com/app","version":"(devel)"},
    {"path":"golang.org/x/text","version":"v0.3.5"},{"path":"stdlib","version":"go1.27.3"}],"roots":["example.com/app"]}}"#;
const OSV: &str = r#"{"osv":{"schema_version":"1.3.1","id":"GO-2021-0113","aliases":["CVE-2021-38561"],"summary":"Out-of-bounds read",
    "affected":[{"package":{"name":"golang.org/x/text","ecosystem":"Go"},"ecosystem_specific":{"imports":[
    {"path":"golang.org/x/text/language","symbols":["Parse"]}]}}]}}"#;
const PROGRESS: &str = r#"{"progress":{"message":"Scanning your binary for known vulnerabilities..."}}"#;

fn at(place: &str) -> String {
    format!(
        r#"{{"finding":{{"osv":"GO-2021-0113","fixed_version":"v0.3.7","trace":[{{"module":"golang.org/x/text","version":"v0.3.5"{place}}}]}}}}"#
    )
}

fn module() -> String {
    at("")
}

fn package() -> String {
    at(r#","package":"golang.org/x/text/language""#)
}

fn symbol() -> String {
    at(r#","package":"golang.org/x/text/language","function":"Parse""#)
}

fn read(messages: &[&str]) -> Result<Scan, String> {
    parse(messages.join("\n").as_bytes(), &expected())
}

#[test]
fn the_most_precise_level_counts_in_any_order() {
    let (config, module, package, symbol) = (config(), module(), package(), symbol());
    let symbol_seen = |findings: &[&str]| {
        let scan = read(&[&[config.as_str(), PROGRESS, SBOM, OSV], findings].concat()).unwrap();
        assert_eq!(scan.hits.len(), 1);
        scan.hits.into_values().next().unwrap()
    };
    let hit = |symbol| Hit { version: "v0.3.5".into(), fixed: Some("v0.3.7".into()), symbol };
    assert_eq!(symbol_seen(&[&module]), hit(false));
    assert_eq!(symbol_seen(&[&module, &package]), hit(false));
    assert_eq!(symbol_seen(&[&module, &package, &symbol]), hit(true));
    assert_eq!(symbol_seen(&[&symbol, &module, &package]), hit(true));
}

#[test]
fn a_whole_stream_without_findings_is_a_scan_that_found_nothing() {
    let scan = read(&[&config(), PROGRESS, SBOM, PROGRESS]).unwrap();
    assert!(scan.hits.is_empty());
    assert_eq!(scan.roots, ["example.com/app"]);
}

#[test]
fn a_stream_cut_inside_a_message_is_an_error() {
    let messages = [config(), SBOM.into(), OSV.into(), module()];
    let whole = messages.join("\n");
    // Between two messages a cut can't be seen; that is what the exit status is for.
    let whole_until_here = |end: usize| {
        let ends = messages.iter().scan(0, |at, m| {
            *at += m.len() + 1;
            Some(*at - 1)
        });
        ends.skip(1).any(|at| end == at || end == at + 1)
    };
    for end in (0..whole.len()).filter(|end| !whole_until_here(*end)) {
        assert!(parse(&whole.as_bytes()[..end], &expected()).is_err(), "{}", &whole[..end]);
    }
}

#[test]
fn a_stream_that_lacks_a_part_or_holds_something_else_is_an_error() {
    let (config, module) = (config(), module());
    for (messages, why) in [
        (&[][..], "no config"),
        (&[SBOM], "no config"),
        (&[&config], "which modules"),
        (&[&config, OSV, &module], "which modules"),
        (&[&config, SBOM, &module], "without describing"),
        (&[&config, SBOM, r#"{"finding":{"osv":"GO-1"}}"#], "where it is"),
        (&[&config, SBOM, r#"{"error":{"message":"boom"}}"#], "damaged"),
        (&[&config, SBOM, "panic: boom"], "damaged"),
        (&["null"], "damaged"),
    ] {
        let err = read(messages).unwrap_err();
        assert!(err.contains(why), "{messages:?}: {err}");
    }
}

#[test]
fn another_scan_than_the_one_asked_for_is_an_error() {
    for (from, to) in [
        ("v1.0.0", "v2.0.0"),
        ("v1.9.0", "v1.8.0"),
        (DB, "https://vuln.go.dev"),
        (TIME, "2020-01-01T00:00:00Z"),
        (r#""scan_level":"symbol""#, r#""scan_level":"module""#),
        (r#""scan_mode":"binary""#, r#""scan_mode":"source""#),
    ] {
        let config = config();
        assert!(config.contains(from), "{from}");
        assert!(read(&[&config.replace(from, to), SBOM]).is_err(), "{to}");
    }
}

#[test]
fn a_program_that_cannot_be_matched_with_the_database_is_an_error() {
    for (from, to) in [
        (r#""go_version":"go1.27.3""#, r#""go_version":"devel go1.28-abcdef""#),
        (r#""go_version":"go1.27.3""#, r#""go_version":"""#),
        (r#""roots":["example.com/app"]"#, r#""roots":[]"#),
        (r#""path":"stdlib""#, r#""path":"strings""#),
    ] {
        assert!(SBOM.contains(from), "{from}");
        assert!(read(&[&config(), &SBOM.replace(from, to)]).is_err(), "{to}");
    }
}
