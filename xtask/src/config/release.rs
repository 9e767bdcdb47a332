//! `[release]`: what a version has to come with.

use serde::{Deserialize, Serialize};

use super::RelPath;

/// `[release]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Release {
    /// The changelog that must have a section for the version; without one nothing is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changelog: Option<RelPath>,
}
