//! Vulnerability databases that are nothing but a few bytes, published as the artifact that Trivy's are.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::artifact::LAYER;
use crate::oci::layout::Layout;
use crate::oci::spec::{Descriptor, Document, media};

/// A tar+gzip of these files.
pub(super) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        // The crate refuses to write the names that a bad archive has.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// What a database of schema 2 made at `updated` says of itself.
pub(super) fn metadata(updated: &str) -> Vec<u8> {
    json!({"Version": 2, "NextUpdate": updated, "UpdatedAt": updated, "DownloadedAt": "0001-01-01T00:00:00Z"})
        .to_string()
        .into_bytes()
}

/// The usual two files.
pub(super) fn database(updated: &str, content: &str) -> Vec<u8> {
    archive(&[("trivy.db", content.as_bytes()), ("metadata.json", &metadata(updated))])
}

/// Makes `layout` one that holds nothing but `layer`, as a database.
pub(super) fn publish(layout: &Path, layer: &[u8]) -> Descriptor {
    let _ = std::fs::remove_dir_all(layout);
    let place = Layout::create(layout).unwrap();
    let store = |media_type: &str, bytes: &[u8]| {
        let descriptor = Descriptor::of(media_type, bytes);
        place.store().copy_in(&descriptor, bytes).unwrap();
        descriptor
    };
    let config = store("application/vnd.aquasec.trivy.config.v1+json", b"{}");
    let layer = store(LAYER, layer);
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [layer]});
    place.add_manifest(&Document::new(media::MANIFEST, &manifest).unwrap()).unwrap();
    layer
}
