//! A layout on disk stands in for a registry.

use std::path::Path;

use super::*;
use crate::oci::layout::Layout;
use crate::oci::spec::{Annotations, Document, Execution, RootFs, media};
use crate::remote;

const TABLE: &str = r#"# what is released
[build]
base = "registry.example.com/base:1.2.0" # small
platforms = ["linux/amd64"]

[build.buildx]
# compiles
go-image = 'registry.example.com/golang:1.27.1-bookworm@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
"#;

/// An image made at `created`, under `tags`.
fn put(folder: &Path, created: &str, tags: &[&str]) -> Digest {
    let layout = Layout::create(folder).unwrap();
    let config = ImageConfig {
        created: Some(created.into()),
        architecture: "amd64".into(),
        os: "linux".into(),
        variant: None,
        config: Execution::default(),
        rootfs: RootFs { kind: "layers".into(), diff_ids: Vec::new() },
        history: Vec::new(),
    };
    let config = Document::new(media::CONFIG, &config).unwrap();
    layout.store().put(&config).unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.into(),
        artifact_type: None,
        config: config.descriptor,
        layers: Vec::new(),
        subject: None,
        annotations: Annotations::new(),
    };
    let manifest = Document::new(media::MANIFEST, &manifest).unwrap();
    layout.add_manifest(&manifest).unwrap();
    for tag in tags {
        layout.set_tag(tag, &manifest).unwrap();
    }
    manifest.descriptor.digest
}

fn base_only(text: &str) -> Vec<Entry> {
    entries(Path::new("release.toml"), text).unwrap().into_iter().filter(|entry| entry.key == "build.base").collect()
}

#[test]
fn a_tag_is_locked_once_and_moves_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let open = |_: &Reference| remote::layout::open(folder.path());
    let first = put(folder.path(), "2026-01-02T03:04:05Z", &["1.2.0", "1.10.0", "2.0.0-alpine"]);

    let states = survey(&base_only(TABLE), &open).unwrap();
    assert!(!states[0].is_current(), "nothing is locked yet");
    assert_eq!(states[0].created.as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(states[0].newer.as_deref(), Some("1.10.0"));
    let (text, changed) = rewrite(Path::new("release.toml"), TABLE, &states, false).unwrap();
    assert_eq!(text, TABLE.replace("base:1.2.0\"", &format!("base:1.2.0@{first}\"")), "nothing else has changed");
    assert_eq!(changed.len(), 1);

    let second = put(folder.path(), "2026-02-02T03:04:05Z", &["1.2.0"]);
    let states = survey(&base_only(&text), &open).unwrap();
    assert!(!states[0].is_current(), "the tag has moved");
    assert_eq!(states[0].created.as_deref(), Some("2026-01-02T03:04:05Z"), "the age of what is used");
    assert_eq!(rewrite(Path::new("release.toml"), &text, &states, false).unwrap(), (text.clone(), Vec::new()));
    let (text, _) = rewrite(Path::new("release.toml"), &text, &states, true).unwrap();
    assert!(text.contains(&second.to_string()) && !text.contains(&first.to_string()), "{text}");
    assert!(survey(&base_only(&text), &open).unwrap()[0].is_current());
}

#[test]
fn what_cannot_be_looked_up_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "2026-01-02T03:04:05Z", &["other"]);
    let open = |_: &Reference| remote::layout::open(folder.path());
    let error = survey(&base_only(TABLE), &open).unwrap_err().to_string();
    assert!(error.contains("has no tag 1.2.0") && error.contains("build.base"), "{error}");
    let gone = TABLE.replace("1.2.0\"", &format!("other@{}\"", Digest::of(b"gone")));
    let error = survey(&base_only(&gone), &open).unwrap_err().to_string();
    assert!(error.contains("not in the registry any more") && error.contains("base update"), "{error}");
}

#[test]
fn a_base_without_registry_or_tag_has_a_place() {
    for (base, words) in
        [("alpine:3", "docker.io/library/alpine:3"), ("registry.example.com/base", "neither tag nor digest")]
    {
        let text = TABLE.replace("registry.example.com/base:1.2.0", base);
        let error = entries(Path::new("release.toml"), &text).unwrap_err().to_string();
        assert!(error.starts_with("release.toml:3:9") && error.contains(words), "{error}");
    }
    for base in ["scratch", "oci:base"] {
        assert!(base_only(&TABLE.replace("registry.example.com/base:1.2.0", base)).is_empty(), "{base}");
    }
}
