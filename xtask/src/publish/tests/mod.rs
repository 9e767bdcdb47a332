mod charts;
mod faults;
mod order;
mod races;
mod refusals;
mod tags;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fixture;
use crate::error::Result;
use crate::oci::Digest;
use crate::oci::layout::Layout;
use crate::oci::spec::Descriptor;
use crate::remote::LayoutDestination;

/// An empty destination that calls itself the same wherever it is.
struct Site {
    folder: tempfile::TempDir,
    destination: LayoutDestination,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let destination = LayoutDestination::below(folder.path(), Path::new("oci"));
        Site { folder, destination }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("oci")
    }

    fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fixture::snapshot(&self.root())
    }

    /// Repository → its layout.
    fn layouts(&self) -> BTreeMap<String, Layout> {
        let entries = walkdir::WalkDir::new(self.root()).into_iter().filter_map(std::result::Result::ok);
        let layout = |entry: walkdir::DirEntry| {
            let name = entry.path().strip_prefix(self.root()).unwrap().to_string_lossy().into_owned();
            Some((name, Layout::find(entry.path()).unwrap()?))
        };
        entries.filter(|entry| entry.file_type().is_dir()).filter_map(layout).collect()
    }

    /// Repository and tag → what it names.
    fn tags(&self) -> Result<BTreeMap<(String, String), Digest>> {
        let mut found = BTreeMap::new();
        for (name, layout) in self.layouts() {
            for tag in layout.tags()? {
                let named = layout.resolve(&tag)?.unwrap().digest;
                found.insert((name.clone(), tag), named);
            }
        }
        Ok(found)
    }

    /// What a user relies on at any moment: whatever a tag names can be pulled whole, with all that is attached to it, and a version that
    /// has a record has all its tags.
    fn assert_sound(&self, when: &str) -> Result<()> {
        let layouts = self.layouts();
        for ((repository, tag), digest) in self.tags()? {
            let layout = &layouts[&repository];
            assert_whole(layout, &digest, &format!("{when}: {repository}:{tag}"))?;
            if repository == "goverse-release" {
                for image in ["goverse-gate", "goverse-node"] {
                    assert!(
                        layouts[image].resolve(&tag)?.is_some(),
                        "{when}: {image} has no {tag} but there is a record"
                    );
                }
                let version = tag.trim_start_matches('v');
                assert!(layouts["charts/goverse"].resolve(version)?.is_some(), "{when}: there is no chart {version}");
            }
        }
        Ok(())
    }
}

/// Everything that a manifest or index reaches is there, byte for byte.
fn assert_whole(layout: &Layout, digest: &Digest, what: &str) -> Result<()> {
    let bytes = std::fs::read(layout.store().path(digest)).unwrap_or_else(|e| panic!("{what}: {digest}: {e}"));
    assert_eq!(Digest::of(&bytes), *digest, "{what}");
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let pointers = |key: &str| json[key].as_array().cloned().unwrap_or_default();
    let children = pointers("manifests");
    let mut attached = Vec::new();
    for child in &children {
        let child: Descriptor = serde_json::from_value(child.clone()).unwrap();
        assert_whole(layout, &child.digest, what)?;
        let referrers = layout.referrers(&child.digest)?;
        assert_eq!(referrers.len(), 5, "{what}: two SBOMs, report, extract and VEX of {}", child.digest);
        attached.extend(referrers);
    }
    if !children.is_empty() {
        let referrers = layout.referrers(digest)?;
        assert_eq!(referrers.len(), 2, "{what}: the whole report and VEX of {digest}");
        attached.extend(referrers);
    }
    for referrer in attached {
        assert_whole(layout, &referrer.digest, what)?;
    }
    for blob in pointers("layers").into_iter().chain(json.get("config").cloned()) {
        let blob: Descriptor = serde_json::from_value(blob).unwrap();
        let bytes = std::fs::read(layout.store().path(&blob.digest)).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(Digest::of(&bytes), blob.digest, "{what}");
    }
    Ok(())
}
