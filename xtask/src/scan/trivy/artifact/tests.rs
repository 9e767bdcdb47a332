use super::*;
use crate::scan::trivy::fixture::{archive, database, gzip, metadata};

const MADE: &str = "2026-11-24T06:12:00Z";

fn read(layer: &[u8]) -> (Result<Unpacked>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (unpack(layer, folder.path(), 1 << 20), folder)
}

#[test]
fn two_files_are_unpacked_and_known_by_content_and_age() {
    let dotted = archive(&[("./trivy.db", b"advisories"), ("./metadata.json", &metadata(MADE))]);
    for layer in [database(MADE, "advisories"), dotted] {
        let (unpacked, folder) = read(&layer);
        let unpacked = unpacked.unwrap();
        assert_eq!(unpacked.database, Digest::of(b"advisories"));
        assert_eq!(unpacked.metadata.updated_at, MADE);
        assert_eq!(std::fs::read(folder.path().join(DATABASE)).unwrap(), b"advisories");
        assert_eq!(std::fs::read(folder.path().join(METADATA)).unwrap(), metadata(MADE));
    }
}

#[test]
fn an_archive_that_holds_anything_else_is_refused_and_writes_nothing_outside() {
    let meta = metadata(MADE);
    for name in ["../trivy.db", "/trivy.db", "db/trivy.db", "../../etc/passwd", "trivy.db/../../x", "java.db", ""] {
        let (unpacked, folder) = read(&archive(&[(name, b"x"), ("trivy.db", b"x"), ("metadata.json", &meta)]));
        assert!(unpacked.is_err(), "{name}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
    }
    let twice = archive(&[("trivy.db", b"x"), ("trivy.db", b"y"), ("metadata.json", &meta)]);
    assert!(read(&twice).0.is_err());
}

#[test]
fn links_and_devices_are_refused() {
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Char, tar::EntryType::Fifo] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_path("trivy.db").unwrap();
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
        let (unpacked, folder) = read(&gzip(&tar.into_inner().unwrap()));
        assert!(unpacked.is_err(), "{kind:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{kind:?}");
    }
}

#[test]
fn a_database_of_another_schema_or_without_an_age_is_refused() {
    for text in [
        r#"{"Version": 1, "UpdatedAt": "2026-11-24T06:12:00Z"}"#,
        r#"{"Version": 3, "UpdatedAt": "2026-11-24T06:12:00Z"}"#,
        r#"{"Version": 2, "UpdatedAt": "lately"}"#,
        r#"{"Version": 2}"#,
        "{",
        "",
    ] {
        let err = read(&archive(&[("trivy.db", b"x"), ("metadata.json", text.as_bytes())])).0.unwrap_err();
        assert_eq!(err.class(), Class::Network, "{text}: {err}");
    }
    assert!(read(&archive(&[("trivy.db", b"x")])).0.is_err());
    assert!(read(&archive(&[("metadata.json", &metadata(MADE))])).0.is_err());
}

#[test]
fn a_layer_cut_off_anywhere_is_an_error() {
    let whole = database(MADE, "advisories");
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).0.is_err(), "cut at {end} of {}", whole.len());
    }
}

#[test]
fn a_layer_that_unpacks_to_more_than_is_allowed_is_refused() {
    let zeros = vec![0; 2 << 20];
    assert!(read(&archive(&[("trivy.db", &zeros), ("metadata.json", &metadata(MADE))])).0.is_err());
    let mut padded = tar::Builder::new(Vec::new()).into_inner().unwrap();
    padded.extend(zeros);
    assert!(read(&gzip(&padded)).0.is_err());
}

#[test]
fn what_follows_the_archive_counts_for_the_digest_too() {
    let mut layer = database(MADE, "advisories");
    let digest = Digest::of(&layer);
    layer.extend_from_slice(b"more");
    let folder = tempfile::tempdir().unwrap();
    let checked = crate::oci::digest::Checked::new(layer.as_slice(), digest, layer.len() as u64);
    assert!(unpack(checked, folder.path(), 1 << 20).is_err());
}

#[test]
fn only_a_manifest_of_one_layer_of_the_right_type_is_a_database() {
    let one = |media_type: &str, size: u64| serde_json::json!({"mediaType": media_type, "digest": Digest::of(b""), "size": size});
    let manifest = |layers: Vec<serde_json::Value>| serde_json::json!({"layers": layers}).to_string().into_bytes();
    assert!(layer(&manifest(vec![one(LAYER, 10)])).is_ok());
    for wrong in [
        vec![],
        vec![one(LAYER, 10), one(LAYER, 10)],
        vec![one("application/vnd.oci.image.layer.v1.tar+gzip", 10)],
        vec![one(LAYER, LAYER_LIMIT + 1)],
    ] {
        assert!(layer(&manifest(wrong.clone())).is_err(), "{wrong:?}");
    }
    assert!(layer(b"{}").is_err());
}

#[test]
fn a_repository_that_sheds_load_is_left_alone_for_a_second_at_least_and_not_asked_for_ever() {
    let zero = Some(Duration::ZERO);
    let pauses: Vec<_> = (1..10).map_while(|failed| PATIENCE.pause(failed, zero)).collect();
    assert!(!pauses.is_empty() && pauses.len() < 5, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause >= Duration::from_secs(1)), "{pauses:?}");
}
