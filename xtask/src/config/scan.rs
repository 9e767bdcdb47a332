//! `[scan]`: what may go out. Which findings fail, for which image, and which are set aside until when and why.
//!
//! Plain values, checked where they are made; what depends on other tables is checked by [`Scan::check`]. Knows no
//! clock: whether an ignore has expired is the scan's to say.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use jiff::civil::Date;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::types::string_type;
use super::{RelPath, Severity, Trivy};
use crate::error::{Error, Place, Result};

/// `[scan]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Scan {
    /// Severities of vulnerabilities that fail.
    pub fail_on: FailOn,
    /// Whether a severity fails only what has a fix.
    pub fixed_only: bool,
    /// Whether a vulnerable symbol that is linked and has a fix fails, whatever its severity.
    pub fail_on_reachable: bool,
    /// What becomes of a severity that no database gives; `None` is as `fail-on` lists it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// Licences that fail, such as `AGPL-3.0-only`, or with a `*` at the end all that start so.
    pub licences: Vec<String>,
    /// Severities of secrets that fail.
    pub secrets: FailOn,
    /// Severities of misconfigurations that fail.
    pub misconfigurations: FailOn,
    /// OpenVEX documents of this repository.
    pub vex: Vec<RelPath>,
    /// What is otherwise for one image.
    pub image: BTreeMap<String, ImageScan>,
    /// Findings that are set aside.
    pub ignore: Vec<Ignore>,
    /// Hours after which a newer database is looked for.
    pub refresh_hours: u32,
    /// When and how Trivy is used.
    pub trivy: Trivy,
}

impl Default for Scan {
    fn default() -> Scan {
        Scan {
            fail_on: FailOn::at_least(Severity::High),
            fixed_only: false,
            fail_on_reachable: true,
            unknown: None,
            licences: Vec::new(),
            secrets: FailOn::at_least(Severity::Unknown),
            misconfigurations: FailOn::at_least(Severity::High),
            vex: Vec::new(),
            image: BTreeMap::new(),
            ignore: Vec::new(),
            refresh_hours: 6,
            trivy: Trivy::default(),
        }
    }
}

/// `[scan.image.NAME]`: what is written here stands in place of `[scan]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ImageScan {
    /// [`Scan::fail_on`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_on: Option<FailOn>,
    /// [`Scan::fixed_only`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_only: Option<bool>,
    /// [`Scan::fail_on_reachable`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_on_reachable: Option<bool>,
    /// [`Scan::unknown`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// [`Scan::licences`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licences: Option<Vec<String>>,
    /// [`Scan::secrets`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<FailOn>,
}

/// The policy as it is for one image, or for the files of the repository.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// [`Scan::fail_on`]
    pub fail_on: &'a FailOn,
    /// [`Scan::fixed_only`]
    pub fixed_only: bool,
    /// [`Scan::fail_on_reachable`]
    pub fail_on_reachable: bool,
    /// [`Scan::unknown`]
    pub unknown: Option<Unknown>,
    /// [`Scan::licences`]
    pub licences: &'a [String],
    /// [`Scan::secrets`]
    pub secrets: &'a FailOn,
    /// [`Scan::misconfigurations`]
    pub misconfigurations: &'a FailOn,
}

/// `[[scan.ignore]]`: a finding that is set aside for a time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ignore {
    /// Any of the finding's names: `CVE-2025-22870`, `GO-2025-3503`.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Why; shown wherever the finding is.
    #[serde(deserialize_with = "text")]
    pub reason: String,
    /// From this day on, in UTC, it doesn't hold any more.
    pub expires: Day,
    /// Only in these images; none are all of them.
    #[serde(default)]
    pub images: Vec<String>,
    /// Only in these packages or modules; none are all of them.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Where it is written.
    #[serde(skip)]
    pub place: Option<Place>,
}

/// Severities that fail. With one known severity every worse one is in it, so that worse never passes where less fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<Severity>", into = "Vec<Severity>")]
pub struct FailOn(Vec<Severity>);

impl FailOn {
    /// All from `least` on.
    pub fn at_least(least: Severity) -> FailOn {
        FailOn(Severity::ALL.into_iter().rev().filter(|severity| *severity >= least).collect())
    }

    /// All from `least` on, and those that no database gives if they are in this one.
    #[must_use]
    pub fn starting_at(&self, least: Severity) -> FailOn {
        let unknown = self.0.iter().filter(|severity| **severity == Severity::Unknown);
        FailOn(FailOn::at_least(least).0.into_iter().chain(unknown.copied()).collect())
    }

    /// Whether `severity` fails.
    pub fn contains(&self, severity: Severity) -> bool {
        self.0.contains(&severity)
    }
}

impl TryFrom<Vec<Severity>> for FailOn {
    type Error = Error;
    fn try_from(list: Vec<Severity>) -> Result<FailOn> {
        let least = list.iter().filter(|severity| **severity > Severity::Unknown).min();
        let missing = Severity::ALL.iter().find(|s| least.is_some_and(|least| *s > least) && !list.contains(s));
        match (least, missing) {
            (Some(least), Some(missing)) => Err(Error::usage(format!("`{least}` would fail and `{missing}` pass"))
                .hint(format!("list `{missing}` too"))),
            _ => Ok(FailOn(list)),
        }
    }
}

impl From<FailOn> for Vec<Severity> {
    fn from(list: FailOn) -> Vec<Severity> {
        list.0
    }
}

/// What becomes of a severity that no database gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Unknown {
    /// It fails.
    Fail,
    /// It passes.
    Pass,
    /// It is taken for this one.
    As(Severity),
}

impl FromStr for Unknown {
    type Err = Error;
    fn from_str(text: &str) -> Result<Unknown> {
        let named = |name: &str| Severity::ALL.into_iter().find(|s| *s != Severity::Unknown && s.to_string() == name);
        match text {
            "fail" => Ok(Unknown::Fail),
            "pass" => Ok(Unknown::Pass),
            _ => text.strip_prefix("as-").and_then(named).map(Unknown::As).ok_or_else(|| {
                Error::usage(format!("`{text}` says nothing about unknown severities: write fail, pass or as-high"))
            }),
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unknown::Fail => f.write_str("fail"),
            Unknown::Pass => f.write_str("pass"),
            Unknown::As(severity) => write!(f, "as-{severity}"),
        }
    }
}
string_type!(Unknown);

/// A day, written as a TOML date or as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Day(Date);

impl Day {
    /// As a date.
    pub fn date(self) -> Date {
        self.0
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.0.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Day, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Date(toml::value::Datetime),
            Text(String),
        }
        let wrong = || serde::de::Error::custom("no day, or not one: write it as 2026-12-31");
        let text = match Written::deserialize(from).map_err(|_| wrong())? {
            Written::Date(date) => date.to_string(),
            Written::Text(text) => text,
        };
        // A time of day would be dropped, which nobody who wrote one expects.
        text.parse().ok().filter(|_| text.len() == "2026-12-31".len()).map(Day).ok_or_else(wrong)
    }
}

/// Something has to be said.
fn text<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.trim().is_empty() {
        true => Err(serde::de::Error::custom("empty: every ignore needs an id and a reason")),
        false => Ok(text),
    }
}

/// Where in the text things of `[scan]` are that say nothing about it themselves.
#[derive(Deserialize)]
pub(super) struct Spans {
    #[serde(default)]
    scan: ScanSpans,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScanSpans {
    ignore: Vec<Spanned<IgnoredAny>>,
    image: BTreeMap<Spanned<String>, IgnoredAny>,
    unknown: Option<Spanned<IgnoredAny>>,
}

impl Scan {
    /// The policy of an image; `None` is that of the repository's files.
    pub fn rules(&self, image: Option<&str>) -> Rules<'_> {
        let own = image.and_then(|name| self.image.get(name));
        Rules {
            fail_on: own.and_then(|o| o.fail_on.as_ref()).unwrap_or(&self.fail_on),
            fixed_only: own.and_then(|o| o.fixed_only).unwrap_or(self.fixed_only),
            fail_on_reachable: own.and_then(|o| o.fail_on_reachable).unwrap_or(self.fail_on_reachable),
            unknown: own.and_then(|o| o.unknown).or(self.unknown),
            licences: own.and_then(|o| o.licences.as_deref()).unwrap_or(&self.licences),
            secrets: own.and_then(|o| o.secrets.as_ref()).unwrap_or(&self.secrets),
            misconfigurations: &self.misconfigurations,
        }
    }

    /// Whether the policy of all or of one image forbids a licence.
    pub fn names_licences(&self) -> bool {
        let of_images = self.image.values().filter_map(|own| own.licences.as_ref());
        of_images.chain([&self.licences]).any(|licences| !licences.is_empty())
    }

    /// Gives every ignore its place, for messages about it.
    pub(super) fn locate(&mut self, spans: &Spans, file: &Path, text: &str) {
        for (ignore, span) in self.ignore.iter_mut().zip(&spans.scan.ignore) {
            ignore.place = Some(Place::at(file, text, span.span().start));
        }
    }

    /// What the names of the images and other keys decide. An error is a byte offset and why.
    pub(super) fn check(
        &self,
        spans: &Spans,
        is_image: impl Fn(&str) -> bool,
    ) -> std::result::Result<(), (usize, String)> {
        if let Some(name) = spans.scan.image.keys().find(|name| !is_image(name.as_ref())) {
            return Err((name.span().start, format!("`{}` is no image of this table", name.as_ref())));
        }
        for (ignore, span) in self.ignore.iter().zip(&spans.scan.ignore) {
            if let Some(name) = ignore.images.iter().find(|name| !is_image(name)) {
                return Err((span.span().start, format!("`{name}` is no image of this table")));
            }
        }
        match &spans.scan.unknown {
            Some(span) if self.fail_on.contains(Severity::Unknown) => {
                Err((span.span().start, "fail-on lists `unknown` already: say it once".into()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
