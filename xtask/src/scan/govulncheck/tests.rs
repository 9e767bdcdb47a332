use serde_json::{Value, json};

use super::*;
use crate::error::Class;
use crate::scan::tests::script;

const DATABASE: &str = "v0.0.0-20261105234957-e22db6528018";

/// A scanner that is a shell script, a database folder, and a program.
struct Bench {
    folder: tempfile::TempDir,
    scanner: Govulncheck,
    program: PathBuf,
    digest: Digest,
}

impl Bench {
    /// `body` may use `$URL`, the database's URL, and `$RUNS`, a file.
    fn new(body: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("gate");
        fs::write(&program, &elf()).unwrap();
        let database = folder.path().join("vulndb").join(DATABASE);
        let scanner = Govulncheck {
            program: PathBuf::new(),
            version: Version::new(1, 9, 0),
            db: VulnDb::for_tests(database.clone()),
            kept: folder.path().join("scan"),
            limit: Duration::from_secs(30),
        };
        let mut bench = Bench { scanner, program, digest: Digest::of(&elf()), folder };
        bench.load(database, body);
        bench
    }

    /// Takes another database, and a scanner that answers from it.
    fn load(&mut self, database: PathBuf, body: &str) {
        let folder = self.folder.path();
        self.scanner.db = VulnDb::for_tests(database);
        let runs = folder.join("runs");
        let body = body.replace("$URL", &self.scanner.db.url()).replace("$RUNS", runs.to_str().unwrap());
        self.scanner.program = script(folder, "govulncheck", &body);
    }

    fn scan(&self) -> Result<Vec<Finding>> {
        self.scanner.scan(&self.program, &self.digest, &Ui::silent()).map(|program| program.findings)
    }

    /// How often the scanner ran in a mode.
    fn runs(&self, mode: &str) -> usize {
        let runs = std::fs::read_to_string(self.folder.path().join("runs")).unwrap_or_default();
        runs.lines().filter(|run| *run == mode).count()
    }

    /// The one kept file whose name ends so.
    fn kept(&self, end: &str) -> PathBuf {
        let files = std::fs::read_dir(self.folder.path().join("scan")).unwrap().map(|file| file.unwrap().path());
        files.into_iter().find(|file| file.to_string_lossy().ends_with(end)).unwrap()
    }
}

/// An ELF file without sections: a program that is stripped of everything.
fn elf() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(64, 0);
    for (at, value) in [(16, 2), (18, 62), (20, 1), (52, 64), (54, 56), (58, 64)] {
        header[at] = value;
    }
    header
}

const GOOD: &str = r#"echo "$2" >> '$RUNS'
if [ "$2" = extract ]; then echo '{}'; exit; fi
cat <<'EOF'
{"config":{"protocol_version":"v1.0.0","scanner_version":"v1.9.0","db":"$URL","db_last_modified":"2026-11-05T23:49:57Z","scan_level":"symbol","scan_mode":"binary"}}
{"SBOM":{"go_version":"go1.27.3","modules":[{"path":"stdlib"}],"roots":["example.com/app"]}}
{"osv":{"id":"GO-1","aliases":["CVE-1"],"summary":"a flaw","affected":[{"package":{"name":"stdlib"}}]}}
{"finding":{"osv":"GO-1","fixed_version":"v1.27.4","trace":[{"module":"stdlib","version":"v1.27.3"}]}}
EOF
"#;

#[test]
fn a_result_is_kept_and_not_scanned_for_again() {
    let bench = Bench::new(GOOD);
    let found = bench.scan().unwrap();
    assert_eq!((found.len(), found[0].id.as_str(), found[0].fixed.as_deref()), (1, "GO-1", Some("v1.27.4")));
    assert_eq!(bench.scan().unwrap(), found);
    assert_eq!((bench.runs("extract"), bench.runs("binary")), (1, 1));
}

#[test]
fn a_newer_database_is_asked_without_the_program() {
    let mut bench = Bench::new(GOOD);
    let found = bench.scan().unwrap();
    std::fs::remove_file(&bench.program).unwrap();
    let newer = bench.folder.path().join("vulndb/v0.0.0-20261106000000-e22db6528018");
    bench.load(newer, &GOOD.replace("2026-11-05T23:49:57Z", "2026-11-06T00:00:00Z"));
    assert_eq!(bench.scan().unwrap(), found);
    assert_eq!((bench.runs("extract"), bench.runs("binary")), (1, 2));
}

#[test]
fn a_damaged_or_misplaced_result_is_made_again() {
    let bench = Bench::new(GOOD);
    let found = bench.scan().unwrap();
    let file = bench.kept(".json");
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut kept = kept.clone();
        kept[key] = value;
        kept.to_string()
    };
    let damages = [
        String::new(),
        "{}".into(),
        kept.to_string()[..40].to_owned(),
        with("program", json!(Digest::of(b"another"))),
        with("database", json!("v0")),
        with("scanner", json!("1.8.0")),
        with("schema", json!(0)),
    ];
    for (runs, damage) in damages.iter().enumerate() {
        std::fs::write(&file, damage).unwrap();
        assert_eq!(bench.scan().unwrap(), found, "{damage}");
        assert_eq!((bench.runs("extract"), bench.runs("binary")), (1, runs + 2), "{damage}");
    }
    let extract = bench.kept(".json.gz");
    let whole = std::fs::read(&extract).unwrap();
    std::fs::write(&extract, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(bench.scan().unwrap(), found);
    assert_eq!((bench.runs("extract"), bench.runs("binary")), (2, damages.len() + 1));
    assert_eq!(std::fs::read(&extract).unwrap(), whole);
    for other in [Extract::for_tests(Digest::of(b"another")).pack().unwrap(), b"{}".to_vec()] {
        std::fs::write(&extract, &other).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(bench.scan().unwrap(), found);
        assert_eq!(std::fs::read(&extract).unwrap(), whole);
    }
}

#[test]
fn whatever_goes_wrong_is_an_error_and_leaves_no_result() {
    let ended = |status: u8| format!("{GOOD}exit {status}");
    let cut = GOOD.replace(r#""fixed_version""#, "\nEOF\nexit 0\n");
    for body in
        ["", "exit 1", "echo boom >&2; exit 2", "echo garbage", "echo '{}'", "kill -9 $$", &ended(1), &ended(3), &cut]
    {
        let bench = Bench::new(body);
        let err = bench.scan().expect_err(body);
        assert_eq!(err.class(), Class::Failed, "{body}: {err}");
        assert!(err.to_string().contains("failed to scan"), "{err}");
        assert!(!bench.folder.path().join("scan").exists(), "{body}");
    }
}

#[test]
fn a_scanner_that_hangs_is_an_error() {
    let mut bench = Bench::new("exec sleep 600");
    bench.scanner.limit = Duration::from_millis(100);
    let err = bench.scan().unwrap_err().to_string();
    assert!(err.contains("did not end within"), "{err}");
}

#[test]
fn a_program_other_than_the_one_built_is_not_scanned() {
    let mut bench = Bench::new(GOOD);
    bench.digest = Digest::of(b"another");
    assert_eq!(bench.scan().unwrap_err().class(), Class::Verification);
    assert_eq!((bench.runs("extract"), bench.runs("binary")), (0, 0));
}

fn advisory(imports: Value) -> Advisory {
    let affected = json!([{"package": {"name": "example.com/m"}, "ecosystem_specific": {"imports": imports}}]);
    serde_json::from_value(json!({"id": "GO-1", "affected": affected})).unwrap()
}

#[test]
fn in_a_stripped_program_its_own_function_table_says_what_is_linked() {
    let functions = Functions::Stripped(Linked::for_tests(&["example.com/m/a.(*T).Do", "main.main"]));
    for (imports, linked) in [
        (json!([{"path": "example.com/m/a", "symbols": ["T.Do"]}]), true),
        (json!([{"path": "example.com/m/a", "symbols": ["Other", "T.Do"]}]), true),
        (json!([{"path": "example.com/m/a", "symbols": ["T.Undo"]}]), false),
        (json!([{"path": "example.com/m/b", "symbols": ["T.Do"]}]), false),
        (json!([{"path": "example.com/m/a"}]), true),
        (json!([{"path": "example.com/m/b"}]), false),
        (json!([]), true),
    ] {
        // govulncheck's own answer is a guess then, and must not matter.
        for found in [true, false] {
            assert_eq!(
                is_linked(&functions, &advisory(imports.clone()), "example.com/m", false, found),
                linked,
                "{imports}"
            );
        }
    }
}

#[test]
fn what_cannot_be_known_counts_as_linked() {
    let advisory = advisory(json!([{"path": "example.com/m/b", "symbols": ["F"]}]));
    let stripped = |names: &[&str]| Functions::Stripped(Linked::for_tests(names));
    assert!(is_linked(&Functions::Unknown, &advisory, "example.com/m", false, false));
    assert!(
        is_linked(&stripped(&["example.com/m/a.G"]), &advisory, "example.com/m", true, false),
        "the program's own module"
    );
    assert!(
        is_linked(&stripped(&["example.com/fork/a.G"]), &advisory, "example.com/m", false, false),
        "a replaced module"
    );
    assert!(!is_linked(&Functions::NotStripped, &advisory, "example.com/m", false, false));
    assert!(is_linked(&Functions::NotStripped, &advisory, "example.com/m", false, true));
}

#[test]
fn a_module_that_only_begins_like_the_vulnerable_one_is_not_reported() {
    let hit = |symbol| Hit { version: "v1.0.0".into(), fixed: None, symbol };
    let modules = |hits: &[(&str, bool)]| {
        let scan = Scan {
            roots: Vec::new(),
            advisories: BTreeMap::from([("GO-1".into(), advisory(json!([])))]),
            hits: hits.iter().map(|(module, symbol)| (("GO-1".into(), (*module).into()), hit(*symbol))).collect(),
        };
        findings(scan, &Functions::NotStripped).into_iter().map(|f| f.package).collect::<Vec<_>>()
    };
    assert_eq!(modules(&[("example.com/m", false), ("example.com/m-extra", true)]), ["example.com/m"]);
    assert_eq!(modules(&[("example.com/m-extra", true)]), ["example.com/m-extra"], "never the only one");
}
