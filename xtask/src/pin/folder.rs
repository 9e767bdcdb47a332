//! Folders of manifests: what pinning changes in them, computed in full before the first byte is written.
//!
//! Takes folders, gives a [`PinPlan`]. Reads YAML files only; never follows a symbolic link, never enters a hidden
//! folder, and skips a chart's `templates/`, which are not YAML before Helm has rendered them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use similar::TextDiff;
use walkdir::{DirEntry, WalkDir};

use super::{Edit, Target, edits, kustomization};
use crate::error::{Class, Context, Error, Item, Place, Result};
use crate::pool;

/// The largest manifest read; the largest known custom resource definitions are below 2 MiB.
const MAX_BYTES: u64 = 16 << 20;

/// What pinning changes: plain data, nothing of it done yet.
#[derive(Debug)]
pub struct PinPlan {
    /// The folders that were read, in order.
    pub(super) roots: Vec<PathBuf>,
    /// The files whose bytes change.
    pub(super) changes: BTreeMap<PathBuf, Change>,
    tag: String,
}

/// A file before and after.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) old: String,
    pub(super) new: String,
    edits: Vec<Edit>,
}

/// Computes what pinning `targets` changes in all manifests below `roots`.
///
/// Errors of class `Usage`: a missing folder, files that can't be read as YAML (all of them listed), and targets that
/// no manifest refers to.
pub fn plan(roots: &[PathBuf], targets: &[Target]) -> Result<PinPlan> {
    let files = manifests(roots)?;
    // Each file's failure is kept, so that one run names them all.
    let read = pool::map(&files, pool::cores(), |path| Ok(read(path, targets)))?;
    let (mut changes, mut matched, mut failed) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for (path, outcome) in files.iter().zip(read) {
        match outcome {
            Ok((found, change)) => {
                matched.extend(found);
                changes.extend(change.map(|change| (path.clone(), change)));
            }
            Err(error) => failed.push(error),
        }
    }
    all_read(failed)?;
    all_matched(targets, &matched, roots, files.len())?;
    let tag = targets.first().map(|target| target.tag.clone()).unwrap_or_default();
    Ok(PinPlan { roots: roots.to_vec(), changes, tag })
}

impl PinPlan {
    /// Whether every manifest says what it should.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the file at `path`, as it was found below a root, is going to say; `None` when it stays as it is.
    pub fn text(&self, path: &Path) -> Option<&str> {
        self.changes.get(path).map(|change| change.new.as_str())
    }

    /// Whether `folder` was searched for images.
    pub fn covers(&self, folder: &Path) -> bool {
        self.roots.iter().any(|root| folder.starts_with(root))
    }

    /// Every change, by file and place.
    pub fn edits(&self) -> impl Iterator<Item = &Edit> {
        self.changes.values().flat_map(|change| &change.edits)
    }

    /// Writes the files that change, each at once and with the permissions it had; how many there were.
    pub fn write(&self) -> Result<usize> {
        for (path, change) in &self.changes {
            let attempt = || format!("pin {}", path.display());
            let permissions = fs::metadata(path).attempt(attempt)?.permissions();
            crate::fs::write(path, change.new.as_bytes())?;
            if fs::metadata(path).attempt(attempt)?.permissions() != permissions {
                fs::set_permissions(path, permissions).attempt(attempt)?;
            }
        }
        Ok(self.changes.len())
    }

    /// The changes as a unified diff that `patch -p1` and `git apply` read; empty when there are none.
    pub fn diff(&self) -> String {
        let one = |(path, change): (&PathBuf, &Change)| {
            let name = path.display().to_string();
            let name = name.trim_start_matches("./").trim_start_matches('/');
            TextDiff::from_lines(&change.old, &change.new)
                .unified_diff()
                .header(&format!("a/{name}"), &format!("b/{name}"))
                .to_string()
        };
        self.changes.iter().map(one).collect()
    }

    /// The failure of a check: `None` when nothing would change.
    pub fn stale(&self) -> Option<Error> {
        if self.is_empty() {
            return None;
        }
        let item = |edit: &Edit| {
            let was = if edit.old.is_empty() { "nothing" } else { &edit.old };
            Item { what: format!("{}: {was}, should be {}", edit.place, edit.text.trim()), fix: None }
        };
        let files = match self.changes.len() {
            1 => "1 file".to_owned(),
            n => format!("{n} files"),
        };
        let stale =
            Error::new(Class::Stale, format!("pins are stale in {files}")).items(self.edits().map(item).collect());
        Some(stale.hint(format!("run `cargo xtask pin {}` and commit what it changes", self.tag)))
    }
}

/// A walk over `root` that follows no links and enters no hidden folder.
pub(super) fn walk(root: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let is_hidden = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    let enter = move |entry: &DirEntry| entry.depth() == 0 || !entry.file_type().is_dir() || !is_hidden(entry);
    WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(enter)
}

fn manifests(roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    for root in roots {
        for entry in walk(root) {
            let entry = entry
                .attempt(|| format!("look for manifests in {}", root.display()))
                .map_err(|e| e.reclass(Class::Usage))?;
            if entry.file_type().is_file() && is_manifest(entry.path()) && !in_chart_templates(root, entry.path()) {
                files.insert(entry.into_path());
            }
        }
    }
    Ok(files.into_iter().collect())
}

fn is_manifest(path: &Path) -> bool {
    matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml")) || kustomization::is_file(path)
}

/// Whether `path` is below the `templates` of a chart that is below `root`.
fn in_chart_templates(root: &Path, path: &Path) -> bool {
    let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    folders.filter(|folder| folder.ends_with("templates")).any(|folder| folder.with_file_name("Chart.yaml").is_file())
}

fn read(path: &Path, targets: &[Target]) -> Result<(BTreeSet<usize>, Option<Change>)> {
    let old = text(path)?;
    let found = edits(path, &old, targets)?;
    let new = found.apply(&old);
    let change = (new != old).then_some(Change { old, new, edits: found.edits });
    Ok((found.matched, change))
}

fn text(path: &Path) -> Result<String> {
    let bytes = crate::fs::read_small(path, MAX_BYTES)?;
    let start = Place { file: path.display().to_string(), line: 1, column: 1 };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Error::usage("the file is UTF-16").at(start).hint("save it as UTF-8"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
        Error::usage("the file is not UTF-8").at(Place::at(path, &before, valid)).hint("save it as UTF-8")
    })
}

fn all_read(mut failed: Vec<Error>) -> Result<()> {
    match (failed.pop(), failed.len()) {
        (None, _) => Ok(()),
        (Some(only), 0) => Err(only),
        (Some(last), n) => {
            failed.push(last);
            let items = failed.into_iter().flat_map(Error::into_items).collect();
            Err(Error::usage(format!("failed to read {} manifests", n + 1)).items(items))
        }
    }
}

fn all_matched(targets: &[Target], matched: &BTreeSet<usize>, roots: &[PathBuf], files: usize) -> Result<()> {
    let missing = targets.iter().enumerate().filter(|(at, _)| !matched.contains(at));
    let items: Vec<Item> = missing
        .map(|(_, target)| Item {
            what: format!("no manifest refers to {}", target.repository),
            fix: Some(format!(
                "add an `image:` that ends in /{}, or take the image out of release.toml",
                target.repository
            )),
        })
        .collect();
    if items.is_empty() {
        return Ok(());
    }
    let places = roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(Error::usage(format!("not every image is in a manifest (looked at {files} files in {places})")).items(items))
}

#[cfg(test)]
mod tests;
