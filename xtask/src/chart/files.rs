//! A chart's files as they are released: pinned, with the release's version, and without what `.helmignore` leaves out.
//!
//! Takes the chart's folder and a plan of pins, gives [`Files`]. Hidden folders stay behind; a symbolic link is an
//! error, because a chart has to stand alone. Never writes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use semver::Version;
use walkdir::{DirEntry, WalkDir};

use super::ignore::{self, Rules};
use super::{METADATA, Metadata};
use crate::error::{Context, Error, Result};
use crate::fs;
use crate::oci::layer::Tree;
use crate::oci::store::DOCUMENT_LIMIT;
use crate::pin::{self, PinPlan};

/// The modes of files in an archive, as in an image.
const FILE: u32 = 0o644;
const PROGRAM: u32 = 0o755;

/// Files by their path below the chart's folder.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: BTreeMap<String, File>,
}

#[derive(Clone, Debug)]
struct File {
    mode: u32,
    bytes: Vec<u8>,
}

impl Files {
    /// The files of `folder`, pinned.
    pub(super) fn read(folder: &Path, pins: &PinPlan) -> Result<Files> {
        let rules = rules(folder)?;
        let is_left = |entry: &DirEntry| {
            let is_folder = entry.file_type().is_dir();
            let is_hidden = is_folder && entry.file_name().to_string_lossy().starts_with('.');
            is_hidden || rules.ignore(&below(folder, entry.path()), is_folder)
        };
        let is_kept = |entry: &DirEntry| entry.depth() == 0 || !is_left(entry);
        let mut found = Files::default();
        for entry in WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(is_kept) {
            let entry = entry.attempt(|| format!("list {}", folder.display()))?;
            if !entry.file_type().is_dir() {
                found.files.insert(below(folder, entry.path()), file(&entry, pins)?);
            }
        }
        Ok(found)
    }

    /// The same as a release's: its name checked, its version and that of the application set.
    pub(super) fn released(mut self, name: &str, folder: &Path, version: &Version) -> Result<Files> {
        let path = folder.join(METADATA);
        let version = version.to_string();
        let text = pin::set(&path, self.text(METADATA)?, &[("version", &version), ("appVersion", &version)])?;
        let metadata = Metadata::parse(&path, &text)?;
        if metadata.name != name {
            let what = format!("{} says that the chart is called {}, not {name}", path.display(), metadata.name);
            return Err(Error::usage(what).hint("Helm wants the last part of the repository to be the chart's name"));
        }
        let there: BTreeSet<&str> = self.files.keys().filter_map(|file| file.strip_prefix("charts/")).collect();
        if let Some(missing) = metadata.missing(&there) {
            let what = format!("{} names the chart {missing}, which is not in charts/", path.display());
            return Err(Error::usage(what).hint(format!("helm dependency update {}", folder.display())));
        }
        if let Some(file) = self.files.get_mut(METADATA) {
            file.bytes = text.into_bytes();
        }
        Ok(self)
    }

    /// The text of a file that has to be there.
    pub(super) fn text(&self, name: &str) -> Result<&str> {
        let bytes = self.files.get(name).map(|file| file.bytes.as_slice());
        let bytes =
            bytes.ok_or_else(|| Error::usage(format!("the chart has no {name}: {} leaves it out", ignore::FILE)))?;
        std::str::from_utf8(bytes).map_err(|e| Error::usage(format!("{name} of the chart is not UTF-8")).because(e))
    }

    /// As an archive has them, in a folder called `name`.
    pub(super) fn tree(&self, name: &str) -> Result<Tree> {
        let mut tree = Tree::default();
        for (path, file) in &self.files {
            tree.bytes(&format!("/{name}/{path}").parse()?, file.mode, file.bytes.clone());
        }
        Ok(tree)
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Files {
        let file = |text: &str| File { mode: FILE, bytes: text.as_bytes().to_vec() };
        Files { files: files.iter().map(|(name, text)| ((*name).to_owned(), file(text))).collect() }
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }
}

fn rules(folder: &Path) -> Result<Rules> {
    let path = folder.join(ignore::FILE);
    match path.is_file() {
        true => Rules::parse(&path, &String::from_utf8_lossy(&fs::read_small(&path, DOCUMENT_LIMIT)?)),
        false => Rules::parse(&path, ""),
    }
}

fn below(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
}

fn file(entry: &DirEntry, pins: &PinPlan) -> Result<File> {
    let path = entry.path();
    if !entry.file_type().is_file() {
        let what = format!("{} of the chart is neither a file nor a folder", path.display());
        return Err(Error::usage(what).hint("replace it by a file, so that the chart stands alone"));
    }
    let bytes = match pins.text(path) {
        Some(pinned) => pinned.as_bytes().to_vec(),
        None => fs::read_small(path, DOCUMENT_LIMIT)?,
    };
    let permissions = entry.metadata().attempt(|| format!("read {}", path.display()))?.permissions();
    Ok(File { mode: if permissions.mode() & 0o111 != 0 { PROGRAM } else { FILE }, bytes })
}
