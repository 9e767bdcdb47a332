//! The one error type: what was attempted, on what, why it failed, and the next command to type.
//!
//! Takes causes from every module and gives an exit code (table in README.md). Never holds a secret: callers
//! pass URLs and commands already redacted.

use std::fmt;
use std::path::Path;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a run ended, as a script sees it: each class is one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// A step failed: a compiler, a disk, a bug.
    Failed = 1,
    /// The command line or a file the user wrote is wrong.
    Usage = 2,
    /// Something needed is missing; every such thing is listed.
    Preflight = 3,
    /// Findings above the policy.
    Findings = 4,
    /// Pins are stale, or a check would change files.
    Stale = 5,
    /// What was read back is not what was written or recorded.
    Verification = 6,
    /// A registry or the network failed; the same command may work later.
    Network = 7,
    /// A version tag exists with another digest.
    TagConflict = 8,
}

/// A place in a file the user wrote, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of byte `offset` in `text`; an offset past the end is the end.
    pub fn at(file: &Path, text: &str, offset: usize) -> Place {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Place {
            file: file.display().to_string(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One of several failures reported together, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// A failure, ready to be shown. Boxed, so that a `Result` stays as small as its value.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    class: Class,
    message: String,
    causes: Vec<String>,
    items: Vec<Item>,
    place: Option<Place>,
    hint: Option<String>,
}

impl Error {
    /// An error of `class`; `message` is a lower-case fragment such as `failed to read release.toml`.
    pub fn new(class: Class, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            class,
            message: message.into(),
            causes: Vec::new(),
            items: Vec::new(),
            place: None,
            hint: None,
        }))
    }

    /// A step that failed.
    pub fn failed(message: impl Into<String>) -> Error {
        Error::new(Class::Failed, message)
    }

    /// A wrong command line or a wrong file of the user's.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Class::Usage, message)
    }

    /// A registry or network that failed.
    pub fn network(message: impl Into<String>) -> Error {
        Error::new(Class::Network, message)
    }

    /// Something read back that is not what it should be.
    pub fn verification(message: impl Into<String>) -> Error {
        Error::new(Class::Verification, message)
    }

    /// What to do next, shown on a line of its own.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Where in a file of the user's.
    #[must_use]
    pub fn at(mut self, place: Place) -> Error {
        self.0.place = Some(place);
        self
    }

    /// A lower-level reason.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Error {
        self.0.causes.push(cause.to_string());
        self
    }

    /// The failures found together.
    #[must_use]
    pub fn items(mut self, items: Vec<Item>) -> Error {
        self.0.items = items;
        self
    }

    /// The same failure seen from further out: `message` becomes the headline, this one its cause.
    #[must_use]
    pub fn within(mut self, message: impl Into<String>) -> Error {
        let inner = std::mem::replace(&mut self.0.message, message.into());
        self.0.causes.insert(0, inner);
        self
    }

    /// The same failure in another class, where the caller knows better what it means.
    #[must_use]
    pub fn reclass(mut self, class: Class) -> Error {
        self.0.class = class;
        self
    }

    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The headline alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The headline with its place and its causes, without items and hint.
    pub fn headline(&self) -> String {
        Headline(&self.0).to_string()
    }

    /// Where in a file of the user's, when it is about one.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// The failures found together.
    pub fn listed(&self) -> &[Item] {
        &self.0.items
    }

    /// The remedy, where one is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The failures this one was made of; one that stands for itself becomes the only one. To be listed with others.
    pub fn into_items(self) -> Vec<Item> {
        if self.0.items.is_empty() {
            return vec![Item { what: Headline(&self.0).to_string(), fix: self.0.hint }];
        }
        self.0.items
    }
}

/// An error without its items and its hint.
struct Headline<'a>(&'a Inner);

impl fmt::Display for Headline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.0.message)?;
        self.0.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Headline(&self.0).fmt(f)?;
        for item in &self.0.items {
            write!(f, "\n  - {}", item.what)?;
            if let Some(fix) = &item.fix {
                write!(f, "\n    fix: {fix}")?;
            }
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Turns any error into [`Error`] with the attempt that failed as its headline.
pub trait Context<T> {
    /// Names what was attempted: `failed to {attempt}: {cause}`, class [`Class::Failed`].
    fn attempt(self, attempt: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn attempt(self, attempt: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::failed(format!("failed to {}", attempt())).because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a = 1\nbé = \"x\"\n";
        let place = Place::at(Path::new("release.toml"), text, text.find('"').unwrap_or(0));
        assert_eq!(place.to_string(), "release.toml:2:6");
    }

    #[test]
    fn an_error_reads_outside_in_with_its_hint_last() {
        let err = Error::network("failed to get https://r/v2/")
            .because("timed out")
            .within("failed to publish goverse-node")
            .hint("run it again");
        assert_eq!(
            err.to_string(),
            "failed to publish goverse-node: failed to get https://r/v2/: timed out\nhint: run it again"
        );
        assert_eq!(err.class() as u8, 7);
    }
}
