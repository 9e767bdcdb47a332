//! Trivy on files of this repository: Dockerfiles and Kubernetes manifests, and secrets beside them.
//!
//! Takes a folder, gives misconfigurations and secrets with file and line. A Dockerfile that Trivy says nothing about
//! is an error. The checks are those built into the program: none are fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::report::Subject;
use super::view::{self, View};
use super::{FILE_LIMIT, Hit, Trivy};
use crate::config;
use crate::error::{Context, Error, Result};
use crate::fs;
use crate::oci::Digest;
use crate::ui::Ui;

impl Trivy {
    /// What is found in `folder` of the repository at `root`; places are relative to `root`.
    pub fn scan_files(&self, root: &Path, folder: &Path, ui: &Ui) -> Result<Vec<Hit>> {
        let path = std::path::absolute(root.join(folder)).attempt(|| format!("find {}", folder.display()))?;
        let files = digests(&path)?;
        let dockerfiles: BTreeSet<String> = files.keys().filter(|name| is_dockerfile(name)).cloned().collect();
        let manifests = files.keys().any(|name| is_manifest(&path.join(name)));
        let attempt = || format!("scan {}", folder.display());
        let name = folder.to_str().ok_or("its path is not UTF-8").attempt(attempt)?.trim_start_matches("./");
        let target = path.to_str().ok_or("its path is not UTF-8").attempt(attempt)?;
        let view = View::new(self.ignores.as_deref(), None)?;
        let subject = Subject::Folder { name, dockerfiles: &dockerfiles, manifests };
        let args = vec!["fs", target, "--scanners", "misconfig,secret", "--module-dir", view::MODULES];
        let more = vec!["--cache-backend", "memory", "--skip-check-update"];
        self.look(&view, args, more, &json!({"files": files}), &subject, ui)
    }
}

impl Trivy {
    /// What is found in the folders of `config`, one after the other: compiling the checks takes all cores.
    pub fn scan_repository(&self, root: &Path, config: &config::Trivy, ui: &Ui) -> Result<Vec<Hit>> {
        let mut found = Vec::new();
        for folder in folders(root, config)? {
            let within = |e: Error| e.within(format!("failed to scan {}", folder.display()));
            found.extend(self.scan_files(root, &folder, ui).map_err(within)?);
        }
        Ok(found)
    }
}

/// The folders to look at: those of the table, which must be there, or else the usual ones that are.
fn folders(root: &Path, config: &config::Trivy) -> Result<Vec<PathBuf>> {
    let Some(listed) = &config.files else {
        let usual = config::Trivy::FOLDERS.iter().map(PathBuf::from);
        return Ok(usual.filter(|folder| root.join(folder).is_dir()).collect());
    };
    let folder = |path: &config::RelPath| match root.join(path.as_path()).is_dir() {
        true => Ok(path.as_path().to_owned()),
        false => Err(Error::usage(format!("scan.trivy.files lists `{path}`, which is no folder"))),
    };
    listed.iter().map(folder).collect()
}

/// Every file below `root` by its path there.
fn digests(root: &Path) -> Result<BTreeMap<String, Digest>> {
    let attempt = || format!("read {}", root.display());
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.attempt(attempt)?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(root).unwrap_or(entry.path()).display().to_string();
            files.insert(name, Digest::of(&fs::read_small(entry.path(), FILE_LIMIT)?));
        }
    }
    Ok(files)
}

/// As Trivy tells a Dockerfile: by its name before or after a dot.
fn is_dockerfile(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let parts = name.split_once('.').into_iter().flat_map(|(first, _)| [first]).chain(name.rsplit('.').next());
    parts.chain([name.as_str()]).any(|part| matches!(part, "dockerfile" | "containerfile"))
}

/// Whether a file holds an object of Kubernetes that isn't kustomize's own.
fn is_manifest(path: &Path) -> bool {
    let yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let Ok(bytes) = fs::read_small(path, FILE_LIMIT) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    yaml && has("apiVersion:") && has("kind:") && !has("kind: Kustomization") && !has("kind: Component")
}

#[cfg(test)]
mod tests;
