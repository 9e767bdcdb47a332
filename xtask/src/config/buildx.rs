//! `[build] builder` and `[build.buildx]`: which builder makes the images, and what Docker buildx is told beyond the
//! plan.
//!
//! Holds references only: a secret or a build argument is named here and read by buildx itself, never by this program.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::types::{RelPath, string_type};
use super::{Base, Image};
use crate::error::{Error, Result};

/// Cache back ends of BuildKit that keep a cache outside the builder.
const CACHES: [&str; 5] = ["registry", "local", "gha", "s3", "azblob"];

/// Keys of a cache that hold a credential. Its value would be in a file under version control.
const CACHE_SECRETS: [&str; 6] =
    ["token", "access_key_id", "secret_access_key", "session_token", "secret_key", "account_key"];

/// Who makes the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BuilderKind {
    /// Native, unless release.toml says otherwise.
    #[default]
    Auto,
    /// The go command and nothing else.
    Native,
    /// Docker buildx, from the Dockerfiles.
    Buildx,
}

impl BuilderKind {
    /// The builder that is meant when `table` is what release.toml says.
    #[must_use]
    pub fn or(self, table: BuilderKind) -> BuilderKind {
        match (self, table) {
            (BuilderKind::Auto, BuilderKind::Auto) => BuilderKind::Native,
            (BuilderKind::Auto, table) => table,
            (flag, _) => flag,
        }
    }
}

/// `[build.buildx]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Buildx {
    /// The builder instance; buildx's current one when none is named.
    pub instance: Option<String>,
    /// The folder of `Dockerfile.NAME`, and of `docker-bake.hcl` where there is one.
    pub dockerfiles: RelPath,
    /// The image that compiles; the Dockerfiles' own when none is named.
    pub go_image: Option<Base>,
    /// Caches to read from.
    pub cache_from: Vec<Cache>,
    /// Caches to write to.
    pub cache_to: Vec<Cache>,
    /// Build arguments, by the name of the environment variable that holds each.
    pub args: Vec<VariableName>,
    /// Secrets, by where they are kept.
    pub secrets: Vec<Secret>,
}

impl Default for Buildx {
    fn default() -> Buildx {
        Buildx {
            instance: None,
            dockerfiles: RelPath::literal("docker"),
            go_image: None,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            args: Vec::new(),
            secrets: Vec::new(),
        }
    }
}

impl Buildx {
    /// What no single value shows.
    pub(super) fn check<K>(&self, images: &BTreeMap<K, Image>) -> std::result::Result<(), String> {
        if self.go_image == Some(Base::Scratch) {
            return Err("build.buildx.go-image is `scratch`, which compiles nothing".into());
        }
        match self.cache_to.iter().find(|cache| images.len() > 1 && !cache.0.contains(Cache::IMAGE)) {
            Some(cache) => Err(format!(
                "build.buildx.cache-to `{cache}` is the same for every image, so each would overwrite the other's: write \
                 {} into its ref, scope or dest",
                Cache::IMAGE
            )),
            None => Ok(()),
        }
    }
}

/// A cache as buildx takes it, `type=registry,ref=ghcr.io/owner/cache:{image}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cache(String);

impl Cache {
    /// What an image's name takes the place of.
    const IMAGE: &str = "{image}";

    /// The cache of one image.
    pub fn of(&self, image: &str) -> String {
        self.0.replace(Cache::IMAGE, image)
    }

    /// The folder of a `local` cache, of one image.
    pub fn folder(&self, image: &str) -> Option<String> {
        let local = self.0.split(',').any(|part| part == "type=local");
        let path = self.0.split(',').find_map(|part| part.strip_prefix("src=").or(part.strip_prefix("dest=")));
        path.filter(|_| local).map(|path| path.replace(Cache::IMAGE, image))
    }
}

impl FromStr for Cache {
    type Err = Error;
    fn from_str(text: &str) -> Result<Cache> {
        let pairs: Vec<_> = text.split(',').filter_map(|part| part.split_once('=')).collect();
        let kind = pairs.iter().find(|(key, _)| *key == "type").map(|(_, value)| *value);
        if kind.is_none_or(|kind| !CACHES.contains(&kind)) || pairs.len() != text.split(',').count() {
            return Err(Error::usage(format!("`{text}` is not a cache: write type={},KEY=VALUE…", CACHES.join("|"))));
        }
        match pairs.iter().find(|(key, _)| CACHE_SECRETS.contains(key)) {
            Some((key, _)) => Err(Error::usage(format!(
                "a cache has `{key}` in it, which is a secret: leave it out, and buildx takes it from the environment"
            ))),
            None => Ok(Cache(text.to_owned())),
        }
    }
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_type!(Cache);

/// The name of an environment variable, which is the name of a build argument too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct VariableName(String);

impl VariableName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableName {
    type Err = Error;
    fn from_str(text: &str) -> Result<VariableName> {
        let inner = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match inner && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            true => Ok(VariableName(text.into())),
            false => Err(Error::usage(format!("`{text}` is not the name of an environment variable"))
                .hint("its value stays in the environment; write only the name")),
        }
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_type!(VariableName);

/// A secret for `RUN --mount=type=secret,id=ID`, by where it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Secret {
    /// In an environment variable.
    Variable {
        /// Its name in the Dockerfile.
        id: String,
        /// The variable.
        env: VariableName,
    },
    /// In a file.
    File {
        /// Its name in the Dockerfile.
        id: String,
        /// The file.
        file: std::path::PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_table_and_auto_is_native() {
        use BuilderKind::{Auto, Buildx, Native};
        for (flag, table, meant) in [
            (Auto, Auto, Native),
            (Auto, Buildx, Buildx),
            (Native, Buildx, Native),
            (Buildx, Auto, Buildx),
            (Buildx, Native, Buildx),
        ] {
            assert_eq!(flag.or(table), meant, "{flag:?} over {table:?}");
        }
    }

    #[test]
    fn a_cache_is_one_that_buildkit_has_and_holds_no_secret() {
        let cache: Cache = "type=registry,ref=ghcr.io/o/cache:{image},mode=max".parse().unwrap();
        assert_eq!(cache.of("gate"), "type=registry,ref=ghcr.io/o/cache:gate,mode=max");
        let local: Cache = "type=local,dest=/var/cache/{image}".parse().unwrap();
        assert_eq!(local.folder("node").as_deref(), Some("/var/cache/node"));
        assert_eq!(cache.folder("node"), None);
        for bad in ["", "registry", "type=inline", "ref=x", "type=gha,scope", "type=s3,bucket=b,secret_access_key=k"] {
            assert!(bad.parse::<Cache>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_build_argument_is_a_name_and_never_a_value() {
        assert!("HTTPS_PROXY".parse::<VariableName>().is_ok());
        for bad in ["", "A=b", "1A", "a-b", "${A}"] {
            assert!(bad.parse::<VariableName>().is_err(), "{bad}");
        }
    }
}
