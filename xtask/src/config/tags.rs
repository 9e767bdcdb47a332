//! Tags: templates such as `v{version}` and `v{major}.{minor}`, and which of them float.
//!
//! Takes texts, gives checked values that turn versions into tags and tags back into versions. Knows no registry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::types::string_type;
use crate::error::{Error, Result};
use crate::oci::reference::check_tag;

/// A tag with `{version}`, `{major}`, `{minor}`, `{patch}` left open.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagTemplate(String);

/// `text` as a tag: `+`, which no tag may hold, becomes `_`.
pub fn as_tag(text: &str) -> String {
    text.replace('+', "_")
}

impl TagTemplate {
    /// Whether it stands for fewer versions than a range of them.
    fn names_one_version(&self) -> bool {
        self.0.contains("{version}") || self.0.contains("{patch}")
    }

    /// The tag of `version`.
    pub fn tag(&self, version: &semver::Version) -> String {
        let text = self.0.replace("{version}", &version.to_string());
        let text = text.replace("{major}", &version.major.to_string()).replace("{minor}", &version.minor.to_string());
        as_tag(&text.replace("{patch}", &version.patch.to_string()))
    }

    /// The version whose tag this would be; only for a template with `{version}`.
    pub fn version_of(&self, tag: &str) -> Option<semver::Version> {
        let (before, after) = self.0.split_once("{version}")?;
        let version = tag.strip_prefix(before)?.strip_suffix(after)?.replace('_', "+").parse().ok()?;
        Some(version).filter(|v| self.tag(v) == tag)
    }
}

impl FromStr for TagTemplate {
    type Err = Error;
    fn from_str(text: &str) -> Result<TagTemplate> {
        let template = TagTemplate(text.into());
        check_tag(&template.tag(&semver::Version::new(1, 2, 3)))
            .map_err(|why| Error::usage(why).hint("a tag template may hold {version}, {major}, {minor} and {patch}"))?;
        Ok(template)
    }
}

impl fmt::Display for TagTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_type!(TagTemplate);

/// The version's own tag, which never moves, then those that float.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<TagTemplate>", into = "Vec<TagTemplate>")]
pub struct TagTemplates {
    /// Contains `{version}`.
    pub version: TagTemplate,
    /// Contain neither `{version}` nor `{patch}`.
    pub floating: Vec<TagTemplate>,
}

impl Default for TagTemplates {
    fn default() -> TagTemplates {
        let floating = ["v{major}.{minor}", "v{major}", "latest"].map(|t| TagTemplate(t.into()));
        TagTemplates { version: TagTemplate("v{version}".into()), floating: floating.into() }
    }
}

impl TryFrom<Vec<TagTemplate>> for TagTemplates {
    type Error = Error;
    fn try_from(templates: Vec<TagTemplate>) -> Result<TagTemplates> {
        let (version, floating) =
            templates.split_first().ok_or_else(|| Error::usage("no tag is listed: the first is the version's own"))?;
        if !version.0.contains("{version}") {
            return Err(Error::usage("the first tag is the version's own and must contain {version}"));
        }
        match floating.iter().any(TagTemplate::names_one_version) {
            true => Err(Error::usage("only the first tag may contain {version} or {patch}: the others float")),
            false => Ok(TagTemplates { version: version.clone(), floating: floating.into() }),
        }
    }
}

impl From<TagTemplates> for Vec<TagTemplate> {
    fn from(tags: TagTemplates) -> Vec<TagTemplate> {
        std::iter::once(tags.version).chain(tags.floating).collect()
    }
}
