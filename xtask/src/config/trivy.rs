//! `[scan.trivy]`: when Trivy is used, on what, and where its vulnerability database comes from.
//!
//! Plain values, checked where they are made. Looks for no program and no database.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RelPath;
use super::types::string_type;
use crate::error::{Error, Result};
use crate::oci::{Digest, Reference};

/// The tag of Trivy's databases: the version of their schema.
const DB_TAG: &str = "2";

/// `[scan.trivy]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Trivy {
    /// When Trivy is used.
    pub when: When,
    /// Where its vulnerability database comes from; the first that has it is taken.
    pub db_repositories: Vec<DbSource>,
    /// Hours after which a database is too old to be relied on.
    pub max_db_age: u32,
    /// Whether licences are looked at.
    pub licences: bool,
    /// Folders whose Dockerfiles and manifests are looked at; `None` is those of [`Trivy::FOLDERS`] that are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<RelPath>>,
}

impl Trivy {
    /// Where Dockerfiles and manifests are when the table says nothing.
    pub const FOLDERS: [&str; 2] = ["docker", "k8s"];
}

impl Default for Trivy {
    /// Trivy's own repositories in its own order, and a week.
    fn default() -> Trivy {
        let repositories = ["mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2"];
        Trivy {
            when: When::default(),
            db_repositories: repositories.iter().filter_map(|text| text.parse().ok()).collect(),
            max_db_age: 7 * 24,
            licences: false,
            files: None,
        }
    }
}

/// When Trivy is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum When {
    /// Where it is installed.
    #[default]
    WhenInstalled,
    /// Always; that it isn't installed is an error.
    Always,
    /// Never.
    Never,
}

impl FromStr for When {
    type Err = Error;
    fn from_str(text: &str) -> Result<When> {
        match text {
            "when-installed" => Ok(When::WhenInstalled),
            "always" => Ok(When::Always),
            "never" => Ok(When::Never),
            _ => Err(Error::usage(format!("`{text}` is not when-installed, always or never"))),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            When::WhenInstalled => "when-installed",
            When::Always => "always",
            When::Never => "never",
        })
    }
}
string_type!(When);

/// Where a vulnerability database can be had as an OCI artifact.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum DbSource {
    /// `registry/repository[:tag][@sha256:…]`
    Registry(Reference),
    /// `oci:PATH[@sha256:…]`, a layout on disk.
    Layout(PathBuf, Option<Digest>),
}

impl DbSource {
    /// Whether it is on this machine, so that it can be had offline.
    pub fn is_local(&self) -> bool {
        matches!(self, DbSource::Layout(..))
    }
}

impl FromStr for DbSource {
    type Err = Error;
    fn from_str(text: &str) -> Result<DbSource> {
        if let Some(rest) = text.strip_prefix("oci:") {
            let (path, digest) = rest.rsplit_once('@').map_or((rest, None), |(path, digest)| (path, Some(digest)));
            if path.is_empty() {
                return Err(Error::usage(format!("`{text}` names no folder: write it as oci:PATH")));
            }
            return Ok(DbSource::Layout(path.into(), digest.map(str::parse).transpose()?));
        }
        let mut reference: Reference = text.parse()?;
        if reference.registry.is_none() {
            return Err(Error::usage(format!("database `{text}` names no registry"))
                .hint("write it as ghcr.io/aquasecurity/trivy-db:2, or oci:PATH for a layout on disk"));
        }
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some(DB_TAG.into());
        }
        Ok(DbSource::Registry(reference))
    }
}

impl fmt::Display for DbSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DbSource::Registry(reference) => write!(f, "{reference}"),
            DbSource::Layout(path, None) => write!(f, "oci:{}", path.display()),
            DbSource::Layout(path, Some(digest)) => write!(f, "oci:{}@{digest}", path.display()),
        }
    }
}
string_type!(DbSource);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_trivys_own_repositories() {
        let names: Vec<_> = Trivy::default().db_repositories.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2"]);
    }

    #[test]
    fn a_source_is_a_registry_or_a_layout_and_reads_as_it_was_written() {
        let digest = Digest::of(b"database");
        for (text, local) in [
            ("ghcr.io/o/trivy-db:2".to_owned(), false),
            (format!("localhost:5000/db@{digest}"), false),
            ("oci:security/db".to_owned(), true),
            (format!("oci:/srv/db@{digest}"), true),
        ] {
            let source: DbSource = text.parse().unwrap();
            assert_eq!((source.to_string(), source.is_local()), (text, local));
        }
        let untagged: DbSource = "ghcr.io/o/trivy-db".parse().unwrap();
        assert_eq!(untagged.to_string(), "ghcr.io/o/trivy-db:2");
        for bad in ["", "oci:", "trivy-db:2", "oci:db@latest", "https://ghcr.io/o/db"] {
            assert!(bad.parse::<DbSource>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_table_is_read_and_a_wrong_value_is_refused() {
        let read = |text: &str| toml::from_str::<Trivy>(text).map_err(|e| e.message().to_owned());
        let table =
            read("when = \"always\"\ndb-repositories = [\"oci:db\"]\nmax-db-age = 24\nfiles = [\"k8s\"]").unwrap();
        assert_eq!((table.when, table.max_db_age, table.licences), (When::Always, 24, false));
        assert_eq!(table.files.unwrap().len(), 1);
        assert_eq!(read("when = \"sometimes\""), Err("`sometimes` is not when-installed, always or never".into()));
        for bad in ["max-db-age = -1", "db-repositories = [\"db\"]", "files = [\"../x\"]", "whenn = \"never\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
