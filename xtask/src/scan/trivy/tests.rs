use std::path::PathBuf;

use serde_json::{Value, json};

use super::fixture::{database, publish};
use super::*;
use crate::scan::tests::{platform, script};

/// Far shorter than any real scan, far longer than a shell takes to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Trivy that is a shell script, a database that is a few bytes, and the layout of an image with nothing in it.
struct Bench {
    folder: tempfile::TempDir,
    program: PathBuf,
    image: BuiltPlatform,
    offline: bool,
    config: config::Trivy,
    limit: Duration,
}

impl Bench {
    /// `body` is what each command but `version` does; it may use `$HERE`, a folder.
    fn new(version: &str, body: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        fs::write(&folder.path().join("layout/blobs/sha256/x"), b"").unwrap();
        let body = format!("case $1 in\nversion) echo '{version}' ;;\n*)\n{body}\n;; esac");
        let program = script(folder.path(), NAME, &body.replace("$HERE", here));
        publish(&folder.path().join("db"), &database(&clock::now().to_string(), "advisories"));
        let config = config::Trivy { db_repositories: vec!["oci:db".parse().unwrap()], ..config::Trivy::default() };
        let image = platform("gate", "linux/arm64", Path::new("gate"));
        let bench = Bench { folder, program, image, offline: false, config, limit: PATIENCE };
        bench.put("report", &report(&bench.image));
        bench
    }

    fn answering(report: &Value) -> Bench {
        let bench = Bench::new(VERSION, "echo run >> '$HERE/runs'; cat '$HERE/report'");
        bench.put("report", report);
        bench
    }

    fn put(&self, name: &str, value: &Value) {
        fs::write(&self.folder.path().join(name), value.to_string().as_bytes()).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// How often Trivy was run, but for its version.
    fn runs(&self) -> usize {
        self.read("runs").lines().count()
    }

    fn trivy(&self) -> Result<Trivy> {
        let (root, cache) = (self.folder.path(), self.folder.path().join("cache"));
        let options = Options { root, cache: &cache, config: &self.config, refresh_hours: 6, offline: self.offline };
        Trivy::open_with(&self.program, &options, self.limit, &Ui::silent())
    }

    fn scan(&self) -> Result<Vec<Hit>> {
        self.trivy()?.scan(&self.folder.path().join("layout"), &self.image, None, &Ui::silent())
    }
}

const VERSION: &str = r#"{"Version": "0.75.0"}"#;

fn report(image: &BuiltPlatform) -> Value {
    json!({
        "SchemaVersion": 2, "ArtifactName": "layout", "ArtifactType": "container_image",
        "Metadata": {"ImageID": image.config.digest, "ImageConfig": {"architecture": "arm64", "os": "linux"}},
        "Results": [{"Target": "usr/local/bin/gate", "Class": "lang-pkgs", "Type": "gobinary",
                     "Packages": [{"Name": "stdlib", "Identifier": {"PURL": "pkg:golang/stdlib@v1.27.4"}}]}]
    })
}

fn has(args: &str, wanted: &str) -> bool {
    format!(" {} ", args.trim_end()).contains(&format!(" {wanted} "))
}

#[test]
fn only_the_manifest_asked_for_is_looked_at_in_a_folder_without_settings() {
    let look = "ls -a > '$HERE/seen'; echo \"$@\" > '$HERE/args'; cp layout/index.json '$HERE/'; ls layout/blobs/sha256 >&2; cat '$HERE/report'";
    let mut bench = Bench::new(VERSION, look);
    assert!(bench.scan().unwrap().is_empty());
    assert_eq!(bench.read("seen").split_whitespace().collect::<Vec<_>>(), [".", "..", "layout", "modules"]);
    let index: Value = serde_json::from_str(&bench.read("index.json")).unwrap();
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(index["manifests"][0]["digest"], json!(bench.image.manifest.digest));
    let args = bench.read("args");
    for wanted in ["--platform linux/arm64", "--scanners vuln,secret", "--skip-db-update", "--show-suppressed"] {
        assert!(has(&args, wanted), "{wanted}: {args}");
    }
    assert!(!has(&args, "--offline-scan") && !args.contains("--ignorefile") && !args.contains("--vex"), "{args}");
    bench.offline = true;
    bench.config.licences = true;
    bench.scan().unwrap();
    let args = bench.read("args");
    assert!(has(&args, "--offline-scan") && has(&args, "--scanners vuln,secret,license"), "{args}");
}

#[test]
fn an_ignore_file_and_a_vex_document_are_passed_on_and_nothing_is_dropped_by_them() {
    let bench = Bench::new(
        VERSION,
        "echo \"$@\" > '$HERE/args'; cat .trivyignore.yaml vex.json > '$HERE/seen'; cat '$HERE/report'",
    );
    let mut said = report(&bench.image);
    said["Results"][0]["ExperimentalModifiedFindings"] = json!([
        {"Type": "vulnerability", "Status": "ignored", "Statement": "accepted", "Source": ".trivyignore.yaml",
         "Finding": {"VulnerabilityID": "CVE-1", "PkgName": "m", "InstalledVersion": "v1.0.0", "Severity": "HIGH"}}
    ]);
    bench.put("report", &said);
    fs::write(&bench.folder.path().join(IGNORES), b"vulnerabilities: []\n").unwrap();
    let vex = bench.folder.path().join("gate.vex");
    fs::write(&vex, b"{}").unwrap();
    let hits =
        bench.trivy().unwrap().scan(&bench.folder.path().join("layout"), &bench.image, Some(&vex), &Ui::silent());
    assert_eq!(bench.read("seen"), "vulnerabilities: []\n{}");
    let args = bench.read("args");
    assert!(has(&args, "--ignorefile .trivyignore.yaml") && has(&args, "--vex vex.json"), "{args}");
    assert_eq!(hits.unwrap()[0].finding.set_aside.as_deref(), Some("ignored: accepted (.trivyignore.yaml)"));
}

#[test]
fn nothing_is_scanned_twice_and_a_change_of_anything_is_scanned() {
    let mut bench = Bench::answering(&json!({}));
    bench.put("report", &report(&bench.image));
    for _ in 0..3 {
        bench.scan().unwrap();
    }
    assert_eq!(bench.runs(), 1);
    bench.config.licences = true;
    bench.scan().unwrap();
    assert_eq!(bench.runs(), 2, "other scanners");
    fs::write(&bench.folder.path().join(IGNORES), b"vulnerabilities: []\n").unwrap();
    bench.scan().unwrap();
    assert_eq!(bench.runs(), 3, "another ignore file");
    publish(&bench.folder.path().join("db"), &database(&clock::now().to_string(), "more advisories"));
    bench.scan().unwrap();
    assert_eq!(bench.runs(), 4, "another database");
    bench.image = platform("node", "linux/arm64", Path::new("node"));
    bench.put("report", &report(&bench.image));
    bench.scan().unwrap();
    assert_eq!(bench.runs(), 5, "another image");
}

#[test]
fn a_kept_report_that_was_damaged_is_made_again() {
    let bench = Bench::answering(&json!({}));
    bench.put("report", &report(&bench.image));
    let results = bench.trivy().unwrap().database.folder.join("results");
    bench.scan().unwrap();
    for file in std::fs::read_dir(&results).unwrap().flatten() {
        std::fs::write(file.path(), "{}").unwrap();
    }
    bench.scan().unwrap();
    assert_eq!(bench.runs(), 2);
}

#[test]
fn hijacked_releases_are_refused_by_name() {
    for (version, fine) in [("0.69.3", true), ("0.69.4", false), ("0.69.5", false), ("0.69.6", false), ("0.69.7", true)]
    {
        let result = Bench::new(&json!({"Version": version}).to_string(), "").trivy();
        assert_eq!(result.is_ok(), fine, "{version}");
        let err = result.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(fine || (err.contains(version) && err.contains("CVE-2026-33634")), "{err}");
    }
}

#[test]
fn whatever_goes_wrong_is_an_error_and_is_not_kept() {
    for body in [
        "",
        "exit 0",
        "exit 1",
        "echo '{}'",
        "echo '[]'",
        "echo garbage",
        "head -c 60 '$HERE/report'",
        "cat '$HERE/report' '$HERE/report'",
        "cat '$HERE/report'; exit 1",
        "cat '$HERE/report'; kill -9 $$",
        "echo 'panic: assertion failed' >&2; cat '$HERE/report'; exit 2",
    ] {
        let bench = Bench::new(VERSION, body);
        assert_eq!(bench.scan().expect_err(body).class(), Class::Failed, "{body}");
        assert!(!bench.trivy().unwrap().database.folder.join("results").exists(), "{body}");
    }
    for version in ["{}", "\"0.75.0\"", "{\"Version\": \"dev\"}", ""] {
        assert!(Bench::new(version, "").trivy().is_err(), "{version}");
    }
}

#[test]
fn a_report_about_another_platform_is_an_error() {
    for (pointer, value) in [
        ("/Metadata/ImageConfig/architecture", json!("amd64")),
        ("/Metadata/ImageID", json!(Digest::of(b"another"))),
        ("/ArtifactType", json!("repository")),
    ] {
        let bench = Bench::answering(&json!({}));
        let mut other = report(&bench.image);
        *other.pointer_mut(pointer).unwrap() = value;
        bench.put("report", &other);
        assert_eq!(bench.scan().unwrap_err().class(), Class::Failed, "{pointer}");
    }
}

#[test]
fn a_trivy_that_hangs_is_given_up_even_where_a_child_of_it_holds_its_output() {
    for body in ["exec sleep 60", "sleep 60", "cat '$HERE/report'; sleep 60 & exit 0"] {
        let mut bench = Bench::new(VERSION, body);
        bench.limit = Duration::from_millis(200);
        assert_eq!(bench.scan().expect_err(body).class(), Class::Failed, "{body}");
    }
}

#[test]
fn a_run_that_fails_says_why_in_a_line() {
    let fatal = "2026-11-25T13:32:42Z\tFATAL\tFatal error\trun error: no such file";
    let bench = Bench::new(VERSION, &format!("echo noise >&2; printf '{fatal}\\n' >&2; echo more >&2; exit 1"));
    let err = bench.scan().unwrap_err().to_string();
    assert!(err.contains("run error: no such file") && !err.contains("noise"), "{err}");
}

#[test]
fn a_database_that_is_damaged_under_way_is_exit_code_7() {
    let damage = "echo x >> $(find '$HERE/cache' -name trivy.db); exit 2";
    let err = Bench::new(VERSION, damage).scan().unwrap_err();
    assert_eq!(err.class(), Class::Network, "{err}");
    assert!(err.hint_text().is_some_and(|hint| hint.contains("--offline")), "{err}");
}

#[test]
fn a_database_that_trivy_cannot_read_is_exit_code_7() {
    let fatal = "2026-11-25T13:32:42Z\tFATAL\tFatal error\tinit error: DB error: failed to open db: invalid database";
    let trace = "panic: assertion failed: Page expected to be: 264, but self identifies as 0\n\tgo.etcd.io/bbolt@v1.5.0/tx.go:640";
    for said in [fatal, trace] {
        let err = Bench::new(VERSION, &format!("printf '{said}\n' >&2; exit 1")).scan().unwrap_err();
        assert_eq!(err.class(), Class::Network, "{err}");
    }
}

#[test]
fn a_database_that_cannot_be_had_is_exit_code_7() {
    let mut bench = Bench::new(VERSION, "cat '$HERE/report'");
    std::fs::remove_dir_all(bench.folder.path().join("db")).unwrap();
    for offline in [false, true] {
        bench.offline = offline;
        let err = bench.scan().unwrap_err();
        assert_eq!(err.class(), Class::Network, "{err}");
    }
}

#[test]
fn the_database_is_named_by_digest_and_age() {
    let bench = Bench::new(VERSION, "");
    let layer = publish(&bench.folder.path().join("db"), &database("2026-11-24T06:12:00Z", "advisories"));
    let bench = Bench { config: config::Trivy { max_db_age: u32::MAX, ..bench.config.clone() }, ..bench };
    let database = bench.trivy().unwrap().database();
    assert_eq!((database.name.as_str(), database.updated.as_str()), ("trivy-db", "2026-11-24T06:12:00Z"));
    assert_eq!(database.version, layer.digest.to_string());
}

#[test]
fn an_sbom_is_scanned_and_every_package_of_it_has_to_be_seen() {
    let bench = Bench::answering(&json!({
        "SchemaVersion": 2, "ArtifactType": "cyclonedx",
        "Results": [{"Target": "", "Type": "gobinary", "Packages": [{"Identifier": {"PURL": "pkg:golang/m@v1.0.0"}}]}]
    }));
    let sbom = bench.folder.path().join("gate.cdx.json");
    let scan = || bench.trivy().unwrap().scan_sbom("gate", &std::fs::read(&sbom).unwrap(), &Ui::silent());
    bench.put("gate.cdx.json", &json!({"components": [{"purl": "pkg:golang/m@v1.0.0"}]}));
    assert_eq!(scan().unwrap(), Vec::new());
    bench.put("gate.cdx.json", &json!({"components": [{"purl": "pkg:golang/m@v1.0.0"}, {"purl": "pkg:golang/n@v1"}]}));
    assert!(scan().unwrap_err().to_string().contains("pkg:golang/n"));
    bench.put("gate.cdx.json", &json!({}));
    assert!(scan().is_err());
}

#[test]
fn a_folder_is_scanned_again_when_a_file_of_it_changes() {
    let bench = Bench::answering(&json!({
        "SchemaVersion": 2, "ArtifactType": "filesystem",
        "Results": [{"Target": "Dockerfile", "Type": "dockerfile", "Class": "config", "Misconfigurations": [
            {"ID": "DS-0001", "Severity": "MEDIUM", "Title": "t", "Status": "FAIL", "CauseMetadata": {"StartLine": 1}}]}]
    }));
    let root = bench.folder.path().join("repository");
    let scan = || bench.trivy().unwrap().scan_repository(&root, &bench.config, &Ui::silent());
    fs::write(&root.join("docker/Dockerfile"), b"FROM x\n").unwrap();
    for _ in 0..2 {
        let hits = scan().unwrap();
        assert_eq!(hits[0].finding.location.as_deref(), Some("docker/Dockerfile:1"));
    }
    assert_eq!(bench.runs(), 1);
    fs::write(&root.join("docker/Dockerfile"), b"FROM y\n").unwrap();
    scan().unwrap();
    assert_eq!(bench.runs(), 2);
    fs::write(&root.join("docker/Dockerfile.node"), b"FROM y\n").unwrap();
    assert!(scan().is_err(), "nothing was said about Dockerfile.node");
}
