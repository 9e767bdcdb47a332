//! Writing an export: beside its folder, then renamed, so that nobody takes half of one for a whole.

use std::collections::BTreeMap;
use std::path::Path;

use super::{FILE, Manifest, SCHEMA, recipe};
use crate::build::{Built, BuiltPlatform, document};
use crate::error::{Context, Error, Result};
use crate::fs;
use crate::oci::layout::Layout;
use crate::oci::store::Store;

/// Refuses a folder that holds anything but an earlier export; to be asked before anything is built.
pub fn check(folder: &Path) -> Result<()> {
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::usage(format!("{} can't be exported to", folder.display())).because(e)),
    };
    match entries.next().is_none() || folder.join(FILE).is_file() {
        true => Ok(()),
        false => Err(Error::usage(format!("{} is neither empty nor an earlier export", folder.display()))
            .hint("name another folder with --export, or remove this one")),
    }
}

/// Writes what was built into `folder`, in place of an earlier export. Blobs are copied, and checked on the way: an
/// export outlives the store it came from.
pub fn export(built: &Built, store: &Store, folder: &Path) -> Result<()> {
    check(folder)?;
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || format!("create a folder in {}", parent.display());
    std::fs::create_dir_all(parent).attempt(attempt)?;
    let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).attempt(attempt)?;
    let draft = beside.path().join("export");
    let layout = Layout::create(&draft)?;
    for image in &built.images {
        for platform in &image.platforms {
            add(platform, store, &layout)?;
        }
    }
    let mut bytes = serde_json::to_vec_pretty(&manifest(built)?).attempt(|| format!("write {FILE}"))?;
    bytes.push(b'\n');
    fs::write(&draft.join(FILE), &bytes)?;
    let named = || format!("name {}", folder.display());
    if folder.exists() {
        std::fs::rename(folder, beside.path().join("earlier")).attempt(named)?;
    }
    std::fs::rename(&draft, folder).attempt(named)
}

fn add(platform: &BuiltPlatform, store: &Store, layout: &Layout) -> Result<()> {
    for blob in platform.layers.iter().chain([&platform.config]) {
        layout.store().copy_in(blob, store.open(blob)?)?;
    }
    layout.add_manifest(&document(store, &platform.manifest)?)
}

fn manifest(built: &Built) -> Result<Manifest> {
    let mut platforms: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for image in &built.images {
        for platform in &image.platforms {
            let share = platforms.entry(platform.platform.clone()).or_default();
            share.insert(image.plan.name.clone(), platform.manifest.clone());
        }
    }
    Ok(Manifest { schema: SCHEMA, xtask: env!("CARGO_PKG_VERSION").into(), recipe: recipe(&built.plan)?, platforms })
}
