//! The bundle: `dist/v1.2.0/`, a release as files, complete or not there at all.
//!
//! Takes what a release made, gives a folder: `oci/` (one layout a repository), `sbom/`, `scan/`, the pinned
//! manifests, `release.json`, `SHA256SUMS`. Written beside and renamed into place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Context, Result};
use crate::fs;
use crate::oci::Digest;
use crate::record::SUMS;
use crate::sbom::Sboms;
use crate::scan::{Scanned, junit, sarif};

/// A bundle being written.
pub struct Draft {
    beside: TempDir,
    target: PathBuf,
}

impl Draft {
    /// Starts the bundle that will be `target`.
    pub fn new(target: &Path) -> Result<Draft> {
        let parent = target.parent().unwrap_or(Path::new("."));
        let attempt = || format!("create a folder in {}", parent.display());
        std::fs::create_dir_all(parent).attempt(attempt)?;
        let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).attempt(attempt)?;
        Ok(Draft { beside, target: target.to_owned() })
    }

    /// Where to write.
    pub fn folder(&self) -> &Path {
        self.beside.path()
    }

    /// Adds a file.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        fs::write(&self.folder().join(name), bytes)
    }

    /// Adds the SBOMs, `sbom/gate-linux-amd64.cdx.json` and so on.
    pub fn sboms(&self, sboms: &Sboms) -> Result<()> {
        for sbom in &sboms.documents {
            self.file(
                &format!("sbom/{}-{}.{}", sbom.image, sbom.platform.slug(), sbom.format.extension()),
                &sbom.bytes,
            )?;
        }
        Ok(())
    }

    /// Adds what the scan says: `scan/report.json`, `.sarif` and `junit.xml`, and `scan/vex/gate.json`,
    /// `scan/vex/gate-linux-amd64.json` and so on.
    pub fn scan(&self, scanned: &Scanned, files: &sarif::Files) -> Result<()> {
        let report = scanned.report();
        self.file("scan/report.json", &report.to_json()?)?;
        self.file("scan/report.sarif", &sarif::to_sarif(report, files)?)?;
        self.file("scan/junit.xml", &junit::to_junit(report))?;
        for document in scanned.vex()? {
            self.file(&format!("scan/vex/{}.json", document.title()), &document.bytes)?;
        }
        Ok(())
    }

    /// Adds the checksums and gives the bundle its name, in place of an earlier one of the same version.
    pub fn finish(self) -> Result<PathBuf> {
        let sums: String =
            list(self.folder())?.into_iter().map(|(name, digest)| format!("{}  {name}\n", digest.hex())).collect();
        self.file(SUMS, sums.as_bytes())?;
        let attempt = || format!("name {}", self.target.display());
        let old = self
            .target
            .with_file_name(format!(".old-{}", self.target.file_name().unwrap_or_default().to_string_lossy()));
        remove(&old)?;
        if self.target.exists() {
            std::fs::rename(&self.target, &old).attempt(attempt)?;
        }
        let folder = self.beside.keep();
        std::fs::set_permissions(&folder, browsable()).attempt(attempt)?;
        std::fs::rename(&folder, &self.target).attempt(attempt)?;
        remove(&old)?;
        Ok(self.target)
    }
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).attempt(|| format!("remove {}", folder.display())),
        _ => Ok(()),
    }
}

fn browsable() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o755)
}

/// Every file of a bundle but the list itself.
fn list(folder: &Path) -> Result<BTreeMap<String, Digest>> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.attempt(|| format!("list {}", folder.display()))?;
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_string_lossy().into_owned();
        if entry.file_type().is_file() && name != SUMS {
            let digest = blob(entry.path()).map_or_else(|| hash(entry.path()), Ok)?;
            files.insert(name, digest);
        }
    }
    Ok(files)
}

fn hash(path: &Path) -> Result<Digest> {
    let attempt = || format!("read {}", path.display());
    Digest::of_reader(std::fs::File::open(path).attempt(attempt)?).map(|(digest, _)| digest).attempt(attempt)
}

/// What a blob of a layout hashes to: publishing has just read it back under this name.
fn blob(path: &Path) -> Option<Digest> {
    let hex = path.file_name()?.to_str()?;
    let digest = format!("sha256:{hex}").parse().ok()?;
    path.parent()?.ends_with("blobs/sha256").then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_replaces_the_earlier_one_and_lists_every_file() {
        let dist = tempfile::tempdir().unwrap();
        let target = dist.path().join("v1.2.0");
        for content in ["one", "two"] {
            let draft = Draft::new(&target).unwrap();
            draft.file("sbom/a.json", content.as_bytes()).unwrap();
            draft.finish().unwrap();
        }
        assert_eq!(std::fs::read_to_string(target.join("sbom/a.json")).unwrap(), "two");
        let names: Vec<_> = std::fs::read_dir(dist.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["v1.2.0"]);
        // `printf two | sha256sum`
        let sums = std::fs::read_to_string(target.join(SUMS)).unwrap();
        assert_eq!(sums, "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3  sbom/a.json\n");
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let dist = tempfile::tempdir().unwrap();
        drop(Draft::new(&dist.path().join("v1")).unwrap());
        assert_eq!(std::fs::read_dir(dist.path()).unwrap().count(), 0);
    }
}
