//! Pin: manifests refer to what was published, by byte-span edits of their image values.
//!
//! Takes texts and [`Target`]s, gives edits ([`edits`]); takes folders, gives a [`PinPlan`] that is then written,
//! shown or copied ([`plan`]); takes keys, gives them new values ([`set`]). Every byte outside such a value stays as it
//! is: comments, quotes, line endings, anchors. Never re-serialises YAML, never expands an alias, never opens a socket or
//! starts a process.

mod copy;
mod find;
mod folder;
mod image;
mod keys;
mod kustomization;
mod value;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

pub use folder::{PinPlan, plan};
pub use keys::set;

use crate::error::{Error, Place, Result};
use crate::oci::Digest;
use crate::yaml::{Offsets, Reader};
use find::Finder;

/// An image that manifests are to refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The repository's path without a registry, `goverse-node`: by this an image value is known as this image,
    /// whatever stands before it.
    pub repository: String,
    /// The full name, `ghcr.io/xiaonanln/goverse-node`.
    pub reference: String,
    /// The version's tag, `v1.2.0`.
    pub tag: String,
    /// The index's digest.
    pub digest: Digest,
}

impl Target {
    /// What an `image:` value says, `ghcr.io/xiaonanln/goverse-node:v1.2.0@sha256:…`.
    pub fn pinned(&self) -> String {
        format!("{}:{}@{}", self.reference, self.tag, self.digest)
    }
}

/// One change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes to replace; empty where a key is added to a kustomization.
    pub range: Range<usize>,
    /// The value that was there; empty where there was none.
    pub old: String,
    /// What to write instead.
    pub text: String,
    /// Which of the targets.
    pub target: usize,
    /// Where the value is, for a person.
    pub place: Place,
}

/// What [`edits`] found in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileEdits {
    edits: Vec<Edit>,
    matched: BTreeSet<usize>,
}

impl FileEdits {
    /// The changes, in the order of their places, without overlap.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// The targets found in this file, changed or not.
    pub fn matched(&self) -> &BTreeSet<usize> {
        &self.matched
    }

    /// Whether the file says what it should.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// `text`, from which these edits were made, after them.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.edits.iter().map(|edit| edit.text.len()).sum::<usize>());
        let mut done = 0;
        for edit in &self.edits {
            out.push_str(text.get(done..edit.range.start).unwrap_or_default());
            out.push_str(&edit.text);
            done = edit.range.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }

    /// Sorts the edits; one found twice, through an alias, counts once.
    fn settle(&mut self) -> Result<()> {
        self.edits.sort_by(|a, b| (a.range.start, a.range.end, &a.text).cmp(&(b.range.start, b.range.end, &b.text)));
        self.edits.dedup_by(|a, b| a.range == b.range && a.text == b.text);
        for (edit, next) in self.edits.iter().zip(self.edits.iter().skip(1)) {
            if next.range.start < edit.range.end || next.range == edit.range {
                let clash = Error::usage("two images are to be written to the same place").at(next.place.clone());
                return Err(clash.hint("give each image a value of its own instead of an alias"));
            }
        }
        Ok(())
    }
}

/// What has to change in `text` so that every image value of `targets` is pinned. Pure; `path` decides whether it is
/// a kustomization and is named in errors.
///
/// Images are the `image` of containers in anything with a `kind`, image volumes, the `images` of a kustomization, and
/// any `image` in a chart's `values.yaml`. Text that isn't YAML, a duplicate `image` key and an image that is a template are errors of class
/// `Usage` with their place.
pub fn edits(path: &Path, text: &str, targets: &[Target]) -> Result<FileEdits> {
    let offsets = Offsets::new(text);
    let mut reader = Reader::new(path, text);
    let mut found = FileEdits::default();
    while let Some(document) = reader.document()? {
        Finder { path, text, targets, offsets: &offsets, document: &document, found: &mut found }.run()?;
    }
    found.settle()?;
    Ok(found)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
