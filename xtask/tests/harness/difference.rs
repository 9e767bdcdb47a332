//! What two images have in common and what they don't, as a container sees them: files with their kind, owner, mode,
//! time and content, and how the program is run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use xtask::oci::Digest;
use xtask::oci::store::Store;

/// Everything of one image platform that a container sees, as lines by what they are about.
pub(crate) type Seen = BTreeMap<String, String>;

/// Every platform of every image that was last built in `repo`, by image and platform.
pub(crate) fn last_built(repo: &Path) -> BTreeMap<String, Seen> {
    let cache = repo.join("target/xtask");
    let text = std::fs::read(cache.join("built.json")).expect("something was built");
    let built: Value = serde_json::from_slice(&text).expect("it is JSON");
    let store = Store::new(cache.join("store"));
    let mut found = BTreeMap::new();
    for image in built["images"].as_array().expect("it has images") {
        for platform in image["platforms"].as_array().expect("it has platforms") {
            let name = format!("{} {}", image["plan"]["name"], platform["platform"]).replace('"', "");
            found.insert(name, seen(&store, &platform["manifest"]["digest"]));
        }
    }
    found
}

/// What a container of the manifest `digest` sees.
pub(crate) fn seen(store: &Store, digest: &Value) -> Seen {
    let manifest = document(store, digest);
    let config = document(store, &manifest["config"]["digest"]);
    let mut seen = Seen::new();
    for layer in manifest["layers"].as_array().expect("a manifest has layers") {
        stack(&mut seen, open(store, &layer["digest"]));
    }
    let run = config["config"].as_object().expect("a configuration");
    for (key, value) in run {
        match (key.as_str(), value) {
            ("Env", Value::Array(lines)) => {
                let named = lines.iter().filter_map(|line| line.as_str()?.split_once('='));
                seen.extend(named.map(|(name, value)| (format!("Env {name}"), value.to_owned())));
            }
            (_, Value::Object(entries)) => {
                seen.extend(entries.iter().map(|(name, value)| (format!("{key} {name}"), value.to_string())));
            }
            (_, value) => drop(seen.insert(key.clone(), value.to_string())),
        }
    }
    for key in ["architecture", "os", "variant", "created"] {
        seen.insert(key.to_owned(), config[key].to_string());
    }
    let annotations = manifest["annotations"].as_object().into_iter().flatten();
    seen.extend(annotations.map(|(key, value)| (format!("annotation {key}"), value.to_string())));
    seen
}

/// Lays a layer over what is seen.
fn stack(seen: &mut Seen, layer: impl Read) {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(layer));
    for entry in archive.entries().expect("a layer is an archive") {
        let mut entry = entry.expect("an archive has entries");
        let path = entry.path().expect("an entry has a name").display().to_string();
        let path = format!("/{}", path.trim_start_matches("./").trim_matches('/'));
        let (folder, name) = path.rsplit_once('/').expect("it starts with a slash");
        if let Some(removed) = name.strip_prefix(".wh.") {
            let removed = format!("{folder}/{removed}");
            seen.retain(|path, _| *path != removed && !path.starts_with(&format!("{removed}/")));
            continue;
        }
        let (digest, size) = Digest::of_reader(&mut entry).expect("an entry has content");
        let header = entry.header();
        let number = |read: std::io::Result<u64>| read.expect("a header has numbers");
        let line = format!(
            "{:?} {}:{} {:o} time {} size {size} {digest} {:?}",
            header.entry_type(),
            number(header.uid()),
            number(header.gid()),
            header.mode().expect("a header has a mode"),
            number(header.mtime()),
            entry.link_name().expect("a name is readable"),
        );
        seen.insert(path, line);
    }
}

/// Every line on which two images differ.
pub(crate) fn differences(left: &Seen, right: &Seen) -> Vec<String> {
    let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
    keys.sort();
    keys.dedup();
    let none = "nothing".to_owned();
    let pairs = keys.into_iter().map(|key| (key, left.get(key).unwrap_or(&none), right.get(key).unwrap_or(&none)));
    pairs.filter(|(_, l, r)| l != r).map(|(key, l, r)| format!("{key}: {l} | {r}")).collect()
}

fn open(store: &Store, digest: &Value) -> File {
    let digest = digest.as_str().and_then(|text| text.parse().ok()).expect("a digest");
    File::open(store.path(&digest)).expect("the blob is in the store")
}

fn document(store: &Store, digest: &Value) -> Value {
    serde_json::from_reader(open(store, digest)).expect("it is JSON")
}
