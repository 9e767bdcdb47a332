//! The changelog a person writes (keepachangelog.com): whether it has a section for a version, and what that says.
//!
//! Takes the file's text, gives the section. Never writes.

use std::path::Path;

use semver::Version;

use crate::config::RelPath;
use crate::error::{Error, Result};
use crate::fs;

/// The largest changelog read.
const LIMIT: u64 = 16 << 20;

/// The section of `version` in the changelog of the repository at `root`. Without one, and without one that says
/// something, a release must not go out.
pub fn section(root: &Path, file: &RelPath, version: &Version) -> Result<String> {
    let bytes = fs::read_small(&root.join(file.as_path()), LIMIT)
        .map_err(|err| err.hint(format!("write {file}, or take `changelog` out of [release] in release.toml")))?;
    let text = String::from_utf8_lossy(&bytes);
    match find(&text, version) {
        Some((_, section)) if !section.is_empty() => Ok(section),
        Some((line, _)) => Err(Error::usage(format!("{file}:{line}: the section of v{version} is empty"))
            .hint("say there what a user will notice")),
        None => Err(Error::usage(format!("{file} has no section for v{version}"))
            .hint(format!("add the line `## [{version}]` to {file}, and below it what a user will notice"))),
    }
}

/// The line of a version's heading, from 1, and what stands below it up to the next heading of that level.
fn find(text: &str, version: &Version) -> Option<(usize, String)> {
    let (at, _) = text.lines().enumerate().find(|(_, line)| heading(line).is_some_and(|v| v == *version))?;
    let below = text.lines().skip(at + 1).take_while(|line| !line.starts_with("## ") && !is_link(line));
    Some((at + 1, below.collect::<Vec<_>>().join("\n").trim().to_owned()))
}

/// The version in `## [1.2.0] - 2026-01-02`, `## v1.2.0`, `## 1.2.0 (2026-01-02)` or `## [v1.2.0](link)`.
fn heading(line: &str) -> Option<Version> {
    let name = line.strip_prefix("## ")?.trim_start().trim_start_matches('[').trim_start_matches('v');
    let end = name.find([' ', ']', '(']).unwrap_or(name.len());
    name.get(..end)?.parse().ok()
}

/// `[1.2.0]: https://…`, as they stand at the end of the file.
fn is_link(line: &str) -> bool {
    line.starts_with('[') && line.contains("]: ")
}
