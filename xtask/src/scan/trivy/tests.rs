use serde_json::{Value, json};

use super::*;
use crate::scan::tests::{platform, script};

/// A Trivy that is a shell script, and the layout of an image with nothing in it.
struct Bench {
    folder: tempfile::TempDir,
    program: PathBuf,
    image: BuiltPlatform,
}

impl Bench {
    /// `image` is what `trivy image` does; it may use `$HERE`, a folder.
    fn new(about: &Value, image: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        fs::write(&folder.path().join("layout/blobs/sha256/x"), b"").unwrap();
        let body = format!("case $1 in\nversion) echo '{about}' ;;\nimage)\n{image}\n;; esac");
        let program = script(folder.path(), NAME, &body.replace("$HERE", here));
        Bench { program, image: platform("gate", "linux/arm64", Path::new("gate")), folder }
    }

    fn trivy(&self, offline: bool) -> Result<Trivy> {
        Trivy::new(&self.program, offline, &Ui::silent())
    }

    fn scan(&self, offline: bool) -> Result<Vec<Hit>> {
        self.trivy(offline)?.scan(&self.folder.path().join("layout"), &self.image, &Ui::silent())
    }
}

fn about(version: &str) -> Value {
    json!({"Version": version, "VulnerabilityDB": {"Version": 2, "UpdatedAt": "2026-11-24T06:12:00Z", "NextUpdate": "2026-11-25T06:12:00Z"}})
}

fn report(image: &BuiltPlatform) -> Value {
    json!({
        "SchemaVersion": 2,
        "Metadata": {"ImageID": image.config.digest, "ImageConfig": {"architecture": "arm64", "os": "linux"}},
        "Results": [{"Target": "usr/local/bin/gate", "Class": "lang-pkgs", "Type": "gobinary"}]
    })
}

#[test]
fn only_the_manifest_asked_for_is_looked_at_in_a_folder_without_settings() {
    let bench = Bench::new(
        &about("0.75.0"),
        "ls -a > '$HERE/seen'; echo \"$@\" > '$HERE/args'; cp layout/index.json '$HERE/'; ls layout/blobs/sha256 >&2 && cat '$HERE/report'",
    );
    fs::write(&bench.folder.path().join("report"), report(&bench.image).to_string().as_bytes()).unwrap();
    assert!(bench.scan(false).unwrap().is_empty());
    let read = |name: &str| std::fs::read_to_string(bench.folder.path().join(name)).unwrap();
    assert_eq!(read("seen").split_whitespace().collect::<Vec<_>>(), [".", "..", "layout"]);
    let index: Value = serde_json::from_str(&read("index.json")).unwrap();
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(index["manifests"][0]["digest"], json!(bench.image.manifest.digest));
    assert!(
        read("args").contains("--platform linux/arm64") && !read("args").contains("--offline-scan"),
        "{}",
        read("args")
    );
    bench.scan(true).unwrap();
    assert!(read("args").contains("--offline-scan") && read("args").contains("--skip-db-update"), "{}", read("args"));
}

#[test]
fn hijacked_releases_are_refused_by_name() {
    for (version, fine) in [("0.69.3", true), ("0.69.4", false), ("0.69.5", false), ("0.69.6", false), ("0.69.7", true)]
    {
        let result = Bench::new(&about(version), "").trivy(false);
        assert_eq!(result.is_ok(), fine, "{version}");
        let err = result.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(fine || (err.contains(version) && err.contains("CVE-2026-33634")), "{err}");
    }
}

#[test]
fn whatever_goes_wrong_is_an_error() {
    for body in [
        "",
        "exit 0",
        "exit 1",
        "echo '{}'",
        "echo garbage",
        "head -c 60 '$HERE/report'",
        "cat '$HERE/report'; exit 1",
        "kill -9 $$",
    ] {
        let bench = Bench::new(&about("0.75.0"), body);
        fs::write(&bench.folder.path().join("report"), report(&bench.image).to_string().as_bytes()).unwrap();
        assert_eq!(bench.scan(false).expect_err(body).class(), Class::Failed, "{body}");
    }
    for about in [json!({}), json!("0.75.0"), json!({"Version": "dev"})] {
        assert!(Bench::new(&about, "").trivy(false).is_err(), "{about}");
    }
}

#[test]
fn a_database_that_cannot_be_had_is_exit_code_7() {
    let without = json!({"Version": "0.75.0"});
    for (about, body, offline) in [(&about("0.75.0"), "exit 1", false), (&without, "", false), (&without, "", true)] {
        let bench = Bench::new(about, body);
        let err = bench.trivy(offline).unwrap().prepare(&Ui::silent()).unwrap_err();
        assert_eq!(err.class(), Class::Network, "{err}");
    }
}

#[test]
fn offline_the_database_at_hand_is_used_and_named() {
    let bench = Bench::new(&about("0.75.0"), "exit 1");
    let database = bench.trivy(true).unwrap().prepare(&Ui::silent()).unwrap();
    assert_eq!((database.name.as_str(), database.updated.as_str()), ("trivy-db", "2026-11-24T06:12:00Z"));
}

#[test]
fn it_is_found_on_the_path_when_it_can_be_run() {
    let bench = Bench::new(&about("0.75.0"), "");
    let other = tempfile::tempdir().unwrap();
    fs::write(&other.path().join(NAME), b"not a program").unwrap();
    let path = std::env::join_paths([other.path(), bench.folder.path()]).unwrap();
    assert_eq!(find(Some(&path)), Some(bench.program.clone()));
    assert_eq!(find(Some(other.path().as_os_str())), None);
    assert_eq!(find(None), None);
}
