//! Ignores: findings that people set aside, in `[[scan.ignore]]` of release.toml and in `.trivyignore.yaml`.
//!
//! Takes both and a day, says which rule is about a finding. A rule that has expired sets nothing aside and is itself
//! a failure, and so is one of release.toml's that was needed nowhere: a list that only grows hides what it was made for.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::vex::{Purl, Subject};
use super::{Finding, Kind, names};
use crate::config;
use crate::error::Place;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Where it is written, `release.toml:40:1`.
    pub(super) place: String,
    /// What kind of finding it is about; `None` is any.
    pub(super) kind: Option<Kind>,
    /// One of the finding's names.
    pub(super) id: String,
    /// Why it is there.
    pub(super) reason: String,
    /// The first day on which it doesn't hold.
    pub(super) expires: Option<Date>,
    /// Only in these images.
    pub(super) images: Vec<String>,
    /// Only in these packages.
    pub(super) packages: Vec<String>,
    /// Only in files that one of these patterns fits.
    pub(super) paths: Vec<String>,
    /// Only in the packages that one of these purls means.
    pub(super) purls: Vec<String>,
    /// Whether it has to be needed somewhere.
    pub(super) needed: bool,
}

/// A rule that has to go or to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapsed {
    /// Where it is written, `release.toml:40:1`.
    pub place: String,
    /// The id it is about.
    pub id: String,
    /// What is wrong with it.
    pub why: String,
}

impl Lapsed {
    /// Where it is written, when that is a line of a file.
    pub fn at(&self) -> Option<Place> {
        let mut parts = self.place.rsplitn(3, ':');
        let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Place { file: parts.next()?.to_owned(), line, column })
    }
}

impl std::fmt::Display for Lapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: the ignore of {} {}", self.place, self.id, self.why)
    }
}

/// What was scanned, for the question whether an unneeded rule is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Every image and platform of the table.
    pub(super) all_images: bool,
    /// By Trivy too.
    pub(super) by_trivy: bool,
}

/// All rules, and the day on which they are asked.
#[derive(Debug)]
pub(super) struct Ignores {
    rules: Vec<Rule>,
    today: Date,
}

impl Rule {
    /// The rule of a `[[scan.ignore]]`.
    pub(super) fn of_table(ignore: &config::Ignore) -> Rule {
        Rule {
            place: ignore.place.as_ref().map_or_else(|| config::FILE.to_owned(), ToString::to_string),
            kind: None,
            id: ignore.id.clone(),
            reason: ignore.reason.clone(),
            expires: Some(ignore.expires.date()),
            images: ignore.images.clone(),
            packages: ignore.packages.clone(),
            paths: Vec::new(),
            purls: Vec::new(),
            needed: true,
        }
    }

    fn is_about(&self, finding: &Finding, subject: Option<&Subject<'_>>) -> bool {
        let image = subject.map(|subject| subject.image);
        let file = finding.location.as_deref().map(|place| place.rsplit_once(':').map_or(place, |(file, _)| file));
        names(finding).contains(self.id.as_str())
            && self.kind.is_none_or(|kind| kind == finding.kind)
            && (self.images.is_empty() || image.is_some_and(|image| self.images.iter().any(|name| name == image)))
            && (self.packages.is_empty() || self.packages.contains(&finding.package))
            && (self.paths.is_empty() || file.is_some_and(|file| self.paths.iter().any(|path| fits(path, file))))
            && (self.purls.is_empty()
                || self.purls.iter().filter_map(|text| Purl::parse(text)).any(|purl| purl.is_package(finding)))
    }
}

impl Ignores {
    pub(super) fn new(rules: Vec<Rule>, today: Date) -> Ignores {
        Ignores { rules, today }
    }

    /// Why a finding doesn't count. The places of all rules about it are added to `used`.
    pub(super) fn set_aside(
        &self,
        finding: &Finding,
        subject: Option<&Subject<'_>>,
        used: &mut BTreeSet<String>,
    ) -> Option<String> {
        let about = self.rules.iter().filter(|rule| rule.is_about(finding, subject));
        let mut why = None;
        for rule in about {
            used.insert(rule.place.clone());
            if !self.has_expired(rule) && why.is_none() {
                let until = rule.expires.map(|day| format!(" until {day}")).unwrap_or_default();
                let reason = if rule.reason.is_empty() { String::new() } else { format!(": {}", rule.reason) };
                why = Some(format!("ignored{until} by {}{reason}", rule.place));
            }
        }
        why
    }

    /// Rules that have expired, and those that were needed nowhere although all that they could be about was scanned.
    pub(super) fn lapsed(&self, used: &BTreeSet<String>, extent: Extent) -> Vec<Lapsed> {
        let why = |rule: &Rule| match rule.expires {
            Some(day) if self.has_expired(rule) => Some(format!("expired on {day}")),
            // Trivy reports everything under other names than those of the Go database.
            _ if rule.needed
                && extent.all_images
                && (extent.by_trivy || rule.id.starts_with("GO-"))
                && !used.contains(&rule.place) =>
            {
                Some("matches no finding".to_owned())
            }
            _ => None,
        };
        let of = |rule: &Rule| Some(Lapsed { place: rule.place.clone(), id: rule.id.clone(), why: why(rule)? });
        self.rules.iter().filter_map(of).collect()
    }

    fn has_expired(&self, rule: &Rule) -> bool {
        rule.expires.is_some_and(|day| self.today >= day)
    }
}

/// Whether a path fits a pattern: `*` is anything within a folder's or file's name, `?` one character of it, and a
/// folder called `**` any folders or none.
fn fits(pattern: &str, path: &str) -> bool {
    fits_folders(&pattern.split('/').collect::<Vec<_>>(), &path.split('/').collect::<Vec<_>>())
}

fn fits_folders(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            fits_folders(rest, path) || matches!(path, [_, below @ ..] if fits_folders(pattern, below))
        }
        ([one, rest @ ..], [name, below @ ..]) => fits_name(one, name) && fits_folders(rest, below),
        _ => false,
    }
}

fn fits_name(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut given) = (pattern.chars(), name.chars());
    match (wanted.next(), given.next()) {
        (None, None) => true,
        (Some('*'), next) => fits_name(wanted.as_str(), name) || (next.is_some() && fits_name(pattern, given.as_str())),
        (Some('?'), Some(_)) => fits_name(wanted.as_str(), given.as_str()),
        (Some(one), Some(other)) => one == other && fits_name(wanted.as_str(), given.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
