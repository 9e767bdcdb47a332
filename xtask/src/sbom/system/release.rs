//! What a distribution says of itself: lines of `NAME=value` in the shell's quotes (os-release(5)).
//!
//! Takes the text, gives a [`Release`]. Expands nothing: the format has no variables.

use serde::{Deserialize, Serialize};

/// A distribution and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Release {
    /// `alpine`, `debian`; lower case.
    pub(in super::super) id: String,
    /// `3.22.1`, `12`; one that has no versions says nothing.
    pub(in super::super) version: Option<String>,
    /// For people.
    pub(in super::super) name: String,
}

impl Release {
    /// Reads the text; one that doesn't say which distribution it is says nothing.
    pub(super) fn parse(text: &str) -> Option<Release> {
        let value = |name: &str| {
            // Of a name given twice, a shell keeps the last.
            let given = text.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
            given.map(unquoted).filter(|value| !value.is_empty())
        };
        let id = value("ID")?.to_lowercase();
        Some(Release { name: value("NAME").unwrap_or_else(|| id.clone()), version: value("VERSION_ID"), id })
    }

    /// The distribution and its version, as purls have it: `alpine-3.22.1`.
    pub(in super::super) fn distro(&self) -> String {
        self.version.as_ref().map_or_else(|| self.id.clone(), |version| format!("{}-{version}", self.id))
    }
}

/// A value out of the shell's quotes.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    if let Some(inner) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut escaped = false;
    let kept = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    inner.chars().filter(kept).collect()
}
