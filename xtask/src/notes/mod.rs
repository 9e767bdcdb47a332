//! Release notes: what changed since the version before, and what was released, as Markdown.
//!
//! Takes a repository's history, a changelog and a record, gives text that is the same for the same input. Knows no
//! clock, and never alters the changelog.

pub mod changelog;
mod commit;
pub mod history;
mod markdown;

use crate::record::Record;

pub use commit::{Change, Kind};
pub use history::{History, read};

/// The file's name in a bundle.
pub const FILE: &str = "NOTES.md";

/// What notes are written from.
#[derive(Debug)]
pub struct Notes<'a> {
    /// The version's tag.
    pub tag: &'a str,
    /// What changed; `None` for a source whose history isn't at hand.
    pub history: Option<&'a History>,
    /// What a person wrote about this version.
    pub changelog: Option<&'a str>,
    /// What was released; `None` before it is.
    pub record: Option<&'a Record>,
}

impl Notes<'_> {
    /// The notes.
    pub fn to_markdown(&self) -> String {
        markdown::document(self)
    }
}

#[cfg(test)]
mod tests;
