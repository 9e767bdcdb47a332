//! A real vulnerability database for Trivy, made from golang.org/x/vulndb by Trivy's own library (`trivydb/`), and what
//! the same entries say without Trivy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::oci::layout::Layout;
use xtask::oci::spec::{Descriptor, Document, media};
use xtask::ui::Ui;

use super::{checkout, tools};

/// The entries of one day: those of a later one say more about today's programs.
const ENTRIES: &str = "golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018";
/// The media type that Trivy looks for.
const LAYER: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";

/// A database on disk.
pub(crate) struct TrivyDb {
    folder: TempDir,
    entries: PathBuf,
}

/// The database, made once a test program.
pub(crate) fn trivydb() -> &'static TrivyDb {
    static MADE: OnceLock<TrivyDb> = OnceLock::new();
    MADE.get_or_init(|| TrivyDb::make(0))
}

/// Another one, of at least so many MiB.
pub(crate) fn large_trivydb(mebibytes: u32) -> TrivyDb {
    TrivyDb::make(mebibytes)
}

impl TrivyDb {
    fn make(mebibytes: u32) -> TrivyDb {
        let (folder, go) = (TempDir::new().expect("a temporary folder"), tools::go());
        let run = |folder: &Path, args: &[&str]| {
            go.run(folder, None, args).and_then(|run| run.read(&Ui::silent())).expect("the go command succeeds")
        };
        let module = run(folder.path(), &["mod", "download", "-json", ENTRIES]);
        let module: Value = serde_json::from_slice(&module).expect("go writes JSON");
        let entries = Path::new(module["Dir"].as_str().expect("a folder")).join("data/osv");
        let out = folder.path().join("db");
        let (from, to) = (entries.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
        let pad = format!("-pad={mebibytes}");
        run(&checkout().join("xtask/tests/harness/trivydb"), &["run", ".", &pad, "-entries", from, "-out", to]);
        TrivyDb { folder, entries }
    }

    /// `trivy.db` or `metadata.json`.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join("db").join(name)).expect("the database is there")
    }

    /// Makes `layout` one that holds the database.
    pub(crate) fn publish(&self, layout: &Path) -> Descriptor {
        publish(layout, &self.read("trivy.db"), &self.read("metadata.json"))
    }

    /// The ids under which Trivy lists what is known about `module` at `version`: CVE ids where an entry has some, else
    /// its own. By the ranges of the entries (<https://ossf.github.io/osv-schema>), withdrawn ones left out.
    pub(crate) fn known_about(&self, module: &str, version: &str) -> BTreeSet<String> {
        let version = version.parse().expect("a version");
        let files = std::fs::read_dir(&self.entries).expect("the entries are there").flatten();
        let entries = files.map(|file| -> Value {
            serde_json::from_slice(&std::fs::read(file.path()).expect("an entry")).expect("an entry is JSON")
        });
        let affects = |entry: &Value| {
            let affected = entry["affected"].as_array().into_iter().flatten();
            let ranges =
                affected.filter(|a| a["package"]["name"] == module).flat_map(|a| a["ranges"].as_array()).flatten();
            ranges.into_iter().any(|range| is_in(range, &version))
        };
        entries
            .filter(|entry| entry.get("withdrawn").is_none() && affects(entry))
            .flat_map(|entry| ids(&entry))
            .collect()
    }
}

fn ids(entry: &Value) -> Vec<String> {
    let aliases = entry["aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let cves: Vec<_> = aliases.filter(|alias| alias.starts_with("CVE-")).map(str::to_owned).collect();
    match cves.is_empty() {
        true => entry["id"].as_str().map(str::to_owned).into_iter().collect(),
        false => cves,
    }
}

/// Whether `version` is in a range: the last event at or before it decides.
fn is_in(range: &Value, version: &semver::Version) -> bool {
    let mut inside = false;
    for event in range["events"].as_array().into_iter().flatten() {
        let at = |name: &str| event[name].as_str().map(|v| if v == "0" { "0.0.0-0" } else { v });
        let reached = |v: &str| v.parse::<semver::Version>().is_ok_and(|v| v <= *version);
        if at("introduced").is_some_and(reached) {
            inside = true;
        }
        if at("fixed").is_some_and(reached) {
            inside = false;
        }
    }
    inside
}

/// Makes `layout` one that holds a database of these two files, as Trivy's own are published.
pub(crate) fn publish(layout: &Path, database: &[u8], metadata: &[u8]) -> Descriptor {
    let _ = std::fs::remove_dir_all(layout);
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in [("trivy.db", database), ("metadata.json", metadata)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).expect("an archive takes a file");
    }
    let layer = archive.into_inner().and_then(GzEncoder::finish).expect("an archive ends");
    let place = Layout::create(layout).expect("a layout can be made");
    let store = |media_type: &str, bytes: &[u8]| {
        let descriptor = Descriptor::of(media_type, bytes);
        place.store().copy_in(&descriptor, bytes).expect("a blob can be stored");
        descriptor
    };
    let config = store("application/vnd.aquasec.trivy.config.v1+json", b"{}");
    let mut layer = store(LAYER, &layer);
    layer.annotations.insert("org.opencontainers.image.title".into(), "db.tar.gz".into());
    let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [layer]});
    let manifest = Document::new(media::MANIFEST, &manifest).expect("a manifest is JSON");
    place.add_manifest(&manifest).expect("a manifest can be stored");
    layer
}
