//! Image references, `[registry/]repository[:tag][@digest]` (distribution spec, "Pulling manifests"; the grammar is
//! the one Docker's reference package fixed).
//!
//! Takes text, gives its parts. Never guesses a registry: what is not written is `None`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::Digest;
use crate::error::{Error, Result};

/// A parsed reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// `host[:port]`, when written.
    pub registry: Option<String>,
    /// The repository's path, without the registry.
    pub repository: String,
    /// The tag, when written.
    pub tag: Option<String>,
    /// The digest, when written.
    pub digest: Option<Digest>,
}

impl Reference {
    /// `registry/repository` without tag and digest.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// Where the name stands in `text`, a reference already known to parse.
    pub fn name_range(&self, text: &str) -> Range<usize> {
        0..self.name().len().min(text.len())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference> {
        let bad = |why: &str| Error::usage(format!("`{text}` is not an image reference")).because(why);
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag {
            check_tag(tag).map_err(|why| bad(&why))?;
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, path)) if is_host(first) => (Some(first), path),
            _ => (None, name),
        };
        check_repository(repository).map_err(|why| bad(&why))?;
        if let Some(host) = registry {
            check_host(host).map_err(|why| bad(&why))?;
        }
        Ok(Reference {
            registry: registry.map(Into::into),
            repository: repository.into(),
            tag: tag.map(Into::into),
            digest,
        })
    }
}

/// Whether a first component is a registry's host and not part of the path: it has a dot, a port, or is `localhost`.
pub fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.starts_with('[')
}

fn check_host(host: &str) -> std::result::Result<(), String> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let fine = match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-'),
    };
    match fine && port.is_none_or(|p| p.parse::<u16>().is_ok()) {
        true => Ok(()),
        false => Err(format!("`{host}` is not a host with an optional port")),
    }
}

/// Checks a repository path (distribution spec: lower-case components with single separators).
pub fn check_repository(path: &str) -> std::result::Result<(), String> {
    let component = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
        let doubled = ["..", "._", "_.", ".-", "-.", "_-", "-_", "___"].iter().any(|d| part.contains(d));
        edge(part.chars().next()) && edge(part.chars().last()) && inner && !doubled
    };
    match path.len() <= 255 && path.split('/').all(component) {
        true => Ok(()),
        false => Err(format!(
            "`{path}` is not a repository: lower-case letters, digits and single separators, at most 255 characters"
        )),
    }
}

/// Checks a tag (distribution spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).
pub fn check_tag(tag: &str) -> std::result::Result<(), String> {
    let first = tag.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let rest = tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    match first && rest && tag.len() <= 128 {
        true => Ok(()),
        false => Err(format!("`{tag}` is not a tag: letters, digits, `_`, `.` and `-`, at most 128 characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn parts_are_told_apart() -> Result<()> {
        let with_digest = format!("localhost:5000/team/app:v1@{D}");
        for (text, registry, repository, tag) in [
            ("app", None, "app", None),
            ("team/app:v1", None, "team/app", Some("v1")),
            ("localhost/app", Some("localhost"), "app", None),
            ("localhost:5000/app", Some("localhost:5000"), "app", None),
            ("ghcr.io/o/goverse-node:v1.2.0", Some("ghcr.io"), "o/goverse-node", Some("v1.2.0")),
            ("[::1]:5000/app:x", Some("[::1]:5000"), "app", Some("x")),
            (&with_digest, Some("localhost:5000"), "team/app", Some("v1")),
        ] {
            let r: Reference = text.parse()?;
            assert_eq!(
                (r.registry.as_deref(), r.repository.as_str(), r.tag.as_deref()),
                (registry, repository, tag),
                "{text}"
            );
            assert_eq!(r.to_string(), text);
        }
        Ok(())
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in [
            "",
            ":v1",
            "App",
            "ghcr.io/",
            "a//b",
            "a/b:",
            "a:b:c",
            "host:port/app",
            "app@sha256:00",
            "a..b",
            "-a",
            "a b",
            "${IMAGE}",
            "app:-x",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
