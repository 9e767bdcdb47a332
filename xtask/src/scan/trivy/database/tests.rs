use super::*;
use crate::scan::trivy::fixture::{archive, database, metadata, publish};

const NOW: &str = "2026-11-25T12:00:00Z";
const MADE: &str = "2026-11-24T06:12:00Z";

/// A cache, and databases in layouts on disk.
struct Lab {
    folder: tempfile::TempDir,
    sources: Vec<DbSource>,
    offline: bool,
    max_age: u64,
}

impl Lab {
    fn new(sources: &[&str]) -> Lab {
        let sources = sources.iter().map(|source| source.parse().unwrap()).collect();
        Lab { folder: tempfile::tempdir().unwrap(), sources, offline: false, max_age: 48 }
    }

    fn publish(&self, name: &str, layer: &[u8]) -> Digest {
        publish(&self.folder.path().join(name), layer).digest
    }

    fn open(&self) -> Result<Database> {
        let wanted = Wanted {
            sources: &self.sources,
            root: self.folder.path(),
            refresh: Duration::from_secs(6 * 3600),
            max_age: Duration::from_secs(self.max_age * 3600),
            offline: self.offline,
            now: NOW.parse().unwrap(),
        };
        Database::open(&self.folder.path().join("cache"), &wanted, &Ui::silent())
    }

    fn withdraw(&self, name: &str) {
        std::fs::remove_dir_all(self.folder.path().join(name)).unwrap();
    }
}

#[test]
fn a_database_is_laid_out_as_trivy_reads_it() {
    let lab = Lab::new(&["oci:one"]);
    let digest = lab.publish("one", &database(MADE, "advisories"));
    let found = lab.open().unwrap();
    assert_eq!((found.digest, found.updated()), (digest, MADE));
    assert_eq!(std::fs::read(found.folder.join("db/trivy.db")).unwrap(), b"advisories");
    assert_eq!(std::fs::read(found.folder.join("db/metadata.json")).unwrap(), metadata(MADE));
    assert!(found.folder.join("java-db").is_dir());
}

#[test]
fn the_first_source_that_has_one_is_taken() {
    let lab = Lab::new(&["oci:missing", "oci:broken", "oci:other", "oci:last"]);
    lab.publish("broken", b"no archive");
    let other = lab.publish("other", &database(MADE, "other"));
    lab.publish("last", &database(MADE, "last"));
    assert_eq!(lab.open().unwrap().digest, other);
}

#[test]
fn that_no_source_has_one_is_exit_code_7_and_says_why_for_each() {
    let lab = Lab::new(&["oci:missing", "oci:old-schema"]);
    let schema_1 = br#"{"Version": 1, "UpdatedAt": "2026-11-24T06:12:00Z"}"#;
    lab.publish("old-schema", &archive(&[("trivy.db", b"x"), ("metadata.json", schema_1)]));
    let err = lab.open().unwrap_err();
    let text = err.to_string();
    assert_eq!(err.class(), Class::Network, "{text}");
    for part in ["oci:missing", "oci:old-schema", "schema is version 1", "db-repositories"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let left = walkdir::WalkDir::new(lab.folder.path().join("cache")).into_iter().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_type().is_file()), "nothing is left behind");
}

#[test]
fn a_database_that_was_altered_on_disk_is_fetched_again() {
    let lab = Lab::new(&["oci:one"]);
    lab.publish("one", &database(MADE, "advisories"));
    let path = lab.open().unwrap().folder.join("db/trivy.db");
    for damage in [&b"advisorieS"[..], b"", b"advisories and more"] {
        std::fs::write(&path, damage).unwrap();
        let found = lab.open().unwrap();
        assert_eq!(std::fs::read(found.folder.join("db/trivy.db")).unwrap(), b"advisories");
    }
    std::fs::remove_file(&path).unwrap();
    lab.open().unwrap().check().unwrap();
}

#[test]
fn a_database_that_was_altered_on_disk_and_cannot_be_fetched_is_exit_code_7() {
    let lab = Lab::new(&["oci:one"]);
    lab.publish("one", &database(MADE, "advisories"));
    let found = lab.open().unwrap();
    std::fs::write(found.folder.join("db/trivy.db"), b"advisorieS").unwrap();
    let damaged = found.check().unwrap_err();
    assert_eq!(damaged.class(), Class::Network, "{damaged}");
    lab.withdraw("one");
    assert_eq!(lab.open().unwrap_err().class(), Class::Network);
}

#[test]
fn when_no_source_answers_the_one_at_hand_is_used() {
    let lab = Lab::new(&["oci:one"]);
    let digest = lab.publish("one", &database(MADE, "advisories"));
    lab.open().unwrap();
    lab.withdraw("one");
    assert_eq!(lab.open().unwrap().digest, digest);
}

#[test]
fn a_newer_one_takes_the_place_of_an_older_and_few_are_kept() {
    let lab = Lab::new(&["oci:one"]);
    for (made, content) in
        [("2026-11-23T18:00:00Z", "1"), ("2026-11-24T00:00:00Z", "2"), ("2026-11-24T06:00:00Z", "3"), (MADE, "4")]
    {
        let digest = lab.publish("one", &database(made, content));
        let found = lab.open().unwrap();
        assert_eq!(found.digest, digest);
        let names = std::fs::read_dir(found.folder.parent().unwrap()).unwrap().flatten();
        let databases = names.filter(|entry| entry.file_name().len() == 64).count();
        assert!(databases <= KEPT, "{databases} are kept");
    }
}

#[test]
fn offline_only_this_machine_is_asked() {
    let mut lab = Lab::new(&["registry.invalid/db:2", "oci:one"]);
    lab.offline = true;
    let digest = lab.publish("one", &database(MADE, "advisories"));
    assert_eq!(lab.open().unwrap().digest, digest);
    let mut lab = Lab::new(&["registry.invalid/db:2"]);
    lab.offline = true;
    let err = lab.open().unwrap_err();
    assert_eq!(err.class(), Class::Network, "{err}");
    assert!(err.to_string().contains("--offline"), "{err}");
}

#[test]
fn another_list_of_sources_is_another_database() {
    let lab = Lab::new(&["oci:one"]);
    lab.publish("one", &database(MADE, "advisories"));
    lab.open().unwrap();
    let lab = Lab { sources: vec!["oci:two".parse().unwrap()], ..lab };
    assert!(lab.open().is_err(), "a database of another source is not taken for this one's");
}

#[test]
fn a_database_older_than_allowed_or_from_the_future_is_exit_code_7() {
    for (made, fine) in [
        ("2026-11-25T11:00:00Z", true),
        ("2026-11-23T12:00:00Z", true),
        ("2026-11-23T10:00:00Z", false),
        ("2026-11-25T20:00:00Z", true),
        ("2026-11-27T12:00:00Z", false),
    ] {
        let mut lab = Lab::new(&["oci:one"]);
        lab.publish("one", &database(made, "advisories"));
        for offline in [false, true] {
            lab.offline = offline;
            let opened = lab.open();
            assert_eq!(opened.is_ok(), fine, "{made}");
            assert!(opened.err().is_none_or(|e| e.class() == Class::Network && e.to_string().contains("max-db-age")));
        }
    }
}

#[test]
fn runs_at_the_same_time_agree() {
    let lab = Lab::new(&["oci:one"]);
    let digest = lab.publish("one", &database(MADE, "advisories"));
    let found = crate::pool::map(&[(); 8], 8, |()| lab.open()).unwrap();
    assert!(found.iter().all(|database| database.digest == digest && database.check().is_ok()));
}

#[test]
fn an_empty_list_is_a_mistake_in_the_table() {
    assert_eq!(Lab::new(&[]).open().unwrap_err().class(), Class::Usage);
}
