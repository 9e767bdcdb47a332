//! The real govulncheck and the real database on real programs: what the unit tests' hand-written streams stand for.

#![expect(clippy::expect_used, reason = "a test that can't be set up fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use semver::Version;
use xtask::go::Go;
use xtask::oci::Digest;
use xtask::scan::Finding;
use xtask::scan::govulncheck::Govulncheck;
use xtask::scan::vulndb::VulnDb;
use xtask::ui::Ui;

const GO: Version = Version::new(1, 27, 4);
const GOVULNCHECK: Version = Version::new(1, 9, 0);

/// A scanner whose downloads are kept between runs, and a folder for programs.
struct Bench {
    folder: tempfile::TempDir,
    scanner: Govulncheck,
}

impl Bench {
    fn new() -> Bench {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tempfile::tempdir().expect("a folder");
        let go = Go::new(&GO, &Ui::silent()).expect("go is installed");
        let db = VulnDb::open(&go, kept, 24, false, &Ui::silent()).expect("the database can be downloaded");
        let offline = VulnDb::open(&go, kept, 24, true, &Ui::silent()).expect("the database is kept");
        assert_eq!(db, offline);
        let tools = xtask::tools::machine_cache().expect("the machine has a cache");
        // Results are kept in the folder that goes away: every run scans.
        let scanner = Govulncheck::install(&go, &GOVULNCHECK, &tools, folder.path(), db, &Ui::silent());
        Bench { folder, scanner: scanner.expect("govulncheck can be installed") }
    }

    fn build(&self, fixture: &str, ldflags: &str, architecture: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
        let program = self.folder.path().join(format!("{fixture}-{architecture}{}", ldflags.replace(' ', "")));
        let mut go = Command::new("go");
        go.current_dir(source).args(["build", "-mod=readonly", "-trimpath", "-ldflags", ldflags, "-o"]).arg(&program);
        go.envs([("GOOS", "linux"), ("GOARCH", architecture), ("CGO_ENABLED", "0"), ("GOFLAGS", "-buildvcs=false")]);
        let built = go.env("GOTOOLCHAIN", format!("go{GO}")).status().expect("go runs");
        assert!(built.success(), "{fixture} builds");
        program
    }

    fn scan(&self, program: &Path) -> Vec<Finding> {
        let digest = Digest::of(&std::fs::read(program).expect("the program is there"));
        self.scanner.scan(program, &digest, &Ui::silent()).expect("the program can be scanned").findings
    }
}

fn reach(findings: &[Finding]) -> BTreeMap<(&str, &str), Option<bool>> {
    findings.iter().map(|f| ((f.id.as_str(), f.package.as_str()), f.reachable)).collect()
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn known_vulnerabilities_are_found_by_name_with_their_reach_and_fix() {
    let bench = Bench::new();
    for (architecture, ldflags) in
        [("amd64", ""), ("amd64", "-s -w"), ("arm64", "-s -w"), ("s390x", "-s -w"), ("386", "-s -w")]
    {
        let found = bench.scan(&bench.build("vulnerable", ldflags, architecture));
        let of =
            |id: &str| found.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("{id} in {architecture} {ldflags}"));
        // language.Parse, which the program calls: https://pkg.go.dev/vuln/GO-2021-0113
        let called = of("GO-2021-0113");
        assert_eq!(called.package, "golang.org/x/text");
        assert_eq!((called.version.as_str(), called.fixed.as_deref()), ("v0.3.5", Some("v0.3.7")));
        assert_eq!(called.reachable, Some(true));
        assert!(called.aliases.iter().any(|a| a == "CVE-2021-38561"), "{:?}", called.aliases);
        // language.ParseAcceptLanguage, which it doesn't: https://pkg.go.dev/vuln/GO-2022-1059
        assert_eq!(of("GO-2022-1059").reachable, Some(false), "{architecture} {ldflags}");
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn stripping_a_program_changes_nothing() {
    let bench = Bench::new();
    let (whole, stripped) =
        (bench.scan(&bench.build("vulnerable", "", "amd64")), bench.scan(&bench.build("vulnerable", "-s -w", "amd64")));
    assert_eq!(reach(&whole), reach(&stripped));
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_program_without_dependencies_has_no_findings_but_those_of_its_toolchain() {
    let bench = Bench::new();
    let found = bench.scan(&bench.build("clean", "-s -w", "amd64"));
    assert!(found.iter().all(|f| f.package == "stdlib"), "{found:?}");
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn what_is_no_go_program_is_an_error() {
    let bench = Bench::new();
    let file = bench.folder.path().join("file");
    std::fs::write(&file, b"not a program").expect("a file");
    assert!(bench.scanner.scan(&file, &Digest::of(b"not a program"), &Ui::silent()).is_err());
}
