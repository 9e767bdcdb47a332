//! The values of `release.toml`, each checked where it is made, so that a [`super::Config`] never holds a bad one.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::ChartKey;
use crate::error::{Error, Result};
use crate::oci::reference::{check_repository, is_host};
use crate::oci::{Digest, Platform, Reference};

/// Gives a string type serde by way of `FromStr` and `Display`.
macro_rules! string_type {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<$name> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}
pub(super) use string_type;

/// A path that stays below the folder it is relative to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(PathBuf);

impl RelPath {
    /// The folder itself.
    pub fn here() -> RelPath {
        RelPath(PathBuf::from("."))
    }

    pub(super) fn literal(path: &'static str) -> RelPath {
        RelPath(path.into())
    }

    /// As a path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for RelPath {
    type Err = Error;
    fn from_str(text: &str) -> Result<RelPath> {
        let leaves = Path::new(text).components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir));
        if text.is_empty() || leaves || text.contains('\0') {
            return Err(Error::usage(format!("path `{text}` leaves the tree: it must be relative and without `..`")));
        }
        Ok(RelPath(PathBuf::from(text)))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}
string_type!(RelPath);

/// An absolute path in a container, in normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsPath(String);

impl AbsPath {
    pub(super) fn root() -> AbsPath {
        AbsPath("/".into())
    }

    /// As text, starting with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AbsPath {
    type Err = Error;
    fn from_str(text: &str) -> Result<AbsPath> {
        let parts = || text.trim_end_matches('/').split('/').skip(1);
        if !text.starts_with('/') || text.contains('\0') || parts().any(|p| matches!(p, "" | "." | "..")) {
            return Err(Error::usage(format!("`{text}` is not an absolute path in normal form, such as /app/web")));
        }
        Ok(AbsPath(if text == "/" { text.into() } else { text.trim_end_matches('/').into() }))
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_type!(AbsPath);

/// A Go package of the source module, `./cmd/gate` or `.`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Package(String);

impl Package {
    /// As the go command takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Package {
    type Err = Error;
    fn from_str(text: &str) -> Result<Package> {
        let path = text.strip_prefix("./").unwrap_or(if text == "." { "." } else { "" });
        let fine = !text.contains("...")
            && !text.contains(|c: char| c.is_whitespace() || c == '\\')
            && path.parse::<RelPath>().is_ok();
        if !fine {
            return Err(Error::usage(format!(
                "`{text}` is not one package of the source module: write it as ./cmd/gate"
            )));
        }
        Ok(Package(text.trim_end_matches('/').into()))
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_type!(Package);

/// A repository below a registry prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository(String);

impl Repository {
    pub(super) fn literal(path: &'static str) -> Repository {
        Repository(path.into())
    }

    /// The part behind the last slash.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = Error;
    fn from_str(text: &str) -> Result<Repository> {
        let lower = text.to_lowercase();
        check_repository(&lower).map_err(Error::usage)?;
        Ok(Repository(lower))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_type!(Repository);

/// `host[:port][/path]`, to which repositories are appended; lower-cased, as registries want it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

impl Prefix {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The registry, `host[:port]`, and the path below it, which may be empty.
    pub fn split(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }

    /// The path of a repository at the registry, `owner/goverse-node`.
    pub fn path(&self, repository: &Repository) -> String {
        match self.split().1 {
            "" => repository.to_string(),
            path => format!("{path}/{repository}"),
        }
    }

    /// `prefix/repository`.
    pub fn join(&self, repository: &Repository) -> String {
        format!("{}/{repository}", self.0)
    }
}

impl FromStr for Prefix {
    type Err = Error;
    fn from_str(text: &str) -> Result<Prefix> {
        let bad = || Error::usage(format!("`{text}` is not a registry: write it as ghcr.io/OWNER or localhost:5000"));
        let lower = text.trim_end_matches('/').to_lowercase();
        let host = lower.split('/').next().unwrap_or_default();
        let reference: Reference = format!("{lower}/x").parse().map_err(|_| bad())?;
        match is_host(host) && reference.tag.is_none() && reference.digest.is_none() {
            true => Ok(Prefix(lower)),
            false => Err(bad()),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_type!(Prefix);

/// Where images are published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Destination {
    /// A registry.
    Registry(Prefix),
    /// A folder with one OCI layout a repository.
    Layout(PathBuf),
}

impl Default for Destination {
    fn default() -> Destination {
        Destination::Layout("dist/oci".into())
    }
}

impl FromStr for Destination {
    type Err = Error;
    /// `ghcr.io/OWNER` and `localhost:5000` are registries; `oci:PATH` and other paths are layouts.
    fn from_str(text: &str) -> Result<Destination> {
        if let Some(path) = text.strip_prefix("oci:") {
            return Ok(Destination::Layout(path.into()));
        }
        let first = text.split('/').next().unwrap_or_default();
        match first {
            "" if text.is_empty() => {
                Err(Error::usage("an empty destination").hint("write ghcr.io/OWNER, localhost:5000 or a folder"))
            }
            "" | "." | ".." => Ok(Destination::Layout(text.into())),
            host if is_host(host) => Ok(Destination::Registry(text.parse()?)),
            _ => Ok(Destination::Layout(text.into())),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Registry(prefix) => write!(f, "{prefix}"),
            Destination::Layout(path) => write!(f, "oci:{}", path.display()),
        }
    }
}
string_type!(Destination);

/// `scratch`, an image of a registry by digest, or one in a layout on disk by digest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Base {
    /// Nothing below.
    Scratch,
    /// `registry/repository[:tag]@sha256:…`
    Registry(Reference),
    /// `oci:PATH@sha256:…`
    Layout(PathBuf, Digest),
}

impl FromStr for Base {
    type Err = Error;
    fn from_str(text: &str) -> Result<Base> {
        let unpinned = || {
            Error::usage(format!("base `{text}` has no digest")).hint(
                "`cargo xtask base lock` writes it as NAME:TAG@sha256:…, so that every build stands on the same bytes",
            )
        };
        if text == "scratch" {
            return Ok(Base::Scratch);
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (path, digest) = rest.rsplit_once('@').ok_or_else(unpinned)?;
            return Ok(Base::Layout(path.into(), digest.parse()?));
        }
        let reference: Reference = text.parse()?;
        if reference.registry.is_none() {
            return Err(Error::usage(format!("base `{text}` names no registry"))
                .hint(format!("write docker.io/library/{text}, or oci:PATH@sha256:… for a layout on disk")));
        }
        match reference.digest {
            Some(_) => Ok(Base::Registry(reference)),
            None => Err(unpinned()),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Base::Scratch => f.write_str("scratch"),
            Base::Registry(reference) => write!(f, "{reference}"),
            Base::Layout(path, digest) => write!(f, "oci:{}@{digest}", path.display()),
        }
    }
}
string_type!(Base);

/// How layers are compressed: `gzip`, `zstd`, or with a level `gzip:9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compression {
    /// RFC 1952, read by everything; level 1 to 9.
    Gzip(u32),
    /// RFC 8878, for containerd 1.5 and later; level 1 to 19.
    Zstd(i32),
}

impl Default for Compression {
    /// Of a Go program, level 2 makes a layer 7 % larger than level 6 in half the time (docs/performance.md).
    fn default() -> Compression {
        Compression::Gzip(2)
    }
}

impl FromStr for Compression {
    type Err = Error;
    fn from_str(text: &str) -> Result<Compression> {
        let (kind, level) = text.split_once(':').map_or((text, None), |(k, l)| (k, Some(l)));
        let bad =
            || Error::usage(format!("unknown compression `{text}`: gzip, gzip:1 to gzip:9, zstd, zstd:1 to zstd:19"));
        let level = level.map(|l| l.parse::<u32>().map_err(|_| bad())).transpose()?;
        match (kind, level) {
            ("gzip", None) => Ok(Compression::default()),
            ("gzip", Some(l @ 1..=9)) => Ok(Compression::Gzip(l)),
            ("zstd", None) => Ok(Compression::Zstd(3)),
            ("zstd", Some(l @ 1..=19)) => Ok(Compression::Zstd(l as i32)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::Gzip(level) => write!(f, "gzip:{level}"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}
string_type!(Compression);

/// Who runs in the container: `uid:gid` or `uid:gid:name`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct User {
    /// User id; never 0.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The name of both in /etc/passwd and /etc/group.
    pub name: String,
}

impl Default for User {
    fn default() -> User {
        User { uid: 1000, gid: 1000, name: "app".into() }
    }
}

impl FromStr for User {
    type Err = Error;
    fn from_str(text: &str) -> Result<User> {
        let bad = || {
            Error::usage(format!("`{text}` is not a user: write it as 1000:1000:goverse, with a user id other than 0"))
        };
        let mut parts = text.splitn(3, ':');
        let mut id = || parts.next().and_then(|p| p.parse::<u32>().ok()).ok_or_else(bad);
        let (uid, gid) = (id()?, id()?);
        let name = parts.next().unwrap_or("app").to_owned();
        let named = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
        match uid != 0 && named && !name.is_empty() {
            true => Ok(User { uid, gid, name }),
            false => Err(bad()),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.uid, self.gid, self.name)
    }
}
string_type!(User);

/// A TCP port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Port(std::num::NonZeroU16);

impl Port {
    /// As a number.
    pub fn number(self) -> u16 {
        self.0.get()
    }
}

/// One platform or more, each once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<Platform>", into = "Vec<Platform>")]
pub struct Platforms(Vec<Platform>);

impl Platforms {
    /// In the order they are listed.
    pub fn as_slice(&self) -> &[Platform] {
        &self.0
    }
}

impl Default for Platforms {
    /// What Kubernetes clusters are made of.
    fn default() -> Platforms {
        Platforms(["linux/amd64", "linux/arm64"].iter().filter_map(|p| p.parse().ok()).collect())
    }
}

impl TryFrom<Vec<Platform>> for Platforms {
    type Error = Error;
    fn try_from(platforms: Vec<Platform>) -> Result<Platforms> {
        if platforms.is_empty() {
            return Err(Error::usage("no platform is listed: linux/amd64 or more are needed"));
        }
        let twice = platforms.iter().enumerate().find(|(at, p)| platforms.iter().take(*at).any(|other| other == *p));
        match twice {
            Some((_, platform)) => Err(Error::usage(format!("platform `{platform}` is listed twice"))),
            None => Ok(Platforms(platforms)),
        }
    }
}

impl From<Platforms> for Vec<Platform> {
    fn from(platforms: Platforms) -> Vec<Platform> {
        platforms.0
    }
}

/// `goverse-release`.
pub(super) fn default_record() -> Spanned<Repository> {
    Spanned::new(0..0, Repository::literal("goverse-release"))
}

/// A chart where there is one.
pub(super) fn default_chart() -> Spanned<ChartKey> {
    Spanned::new(0..0, ChartKey::default())
}

/// An exact version (semver 2.0), without `v`.
pub(super) fn version<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<semver::Version, D::Error> {
    exact_version(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// The same of a text; the error is why it is none.
pub(super) fn exact_version(text: &str) -> std::result::Result<semver::Version, String> {
    text.parse().map_err(|e| format!("`{text}` is not an exact version such as 1.2.3: {e}"))
}

/// An image's name is also its program's name in the container.
pub(super) fn check_image_name(name: &str) -> std::result::Result<(), String> {
    let inner = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    match inner && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 63 {
        true => Ok(()),
        false => {
            Err(format!("`{name}` is not an image name: lower-case letters, digits and `-`, starting with a letter"))
        }
    }
}

/// A Go module named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// A folder.
    Path(PathBuf),
    /// A repository at a revision.
    Git(GitSource),
}

/// `URL@REV`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// Anything git fetches from over https, ssh or from disk.
    pub url: String,
    /// A branch, tag or commit.
    pub revision: String,
}

impl FromStr for SourceSpec {
    type Err = Error;
    /// `scheme://…@REV` and `git@host:path@REV` are git, all else is a path.
    fn from_str(text: &str) -> Result<SourceSpec> {
        if !text.contains("://") && !text.starts_with("git@") {
            return Ok(SourceSpec::Path(text.into()));
        }
        let bad = || {
            Error::usage(format!("git source `{text}` has no revision"))
                .hint("write it as URL@REV, with a tag, a branch or a commit")
        };
        let (url, revision) =
            text.rsplit_once('@').filter(|(url, rev)| !rev.contains('/') || !url.ends_with("://")).ok_or_else(bad)?;
        let fine = !revision.is_empty() && !revision.starts_with('-') && !revision.contains([':', ' ']);
        match fine && (url.contains("://") || url.contains(':')) {
            true => Ok(SourceSpec::Git(GitSource { url: url.into(), revision: revision.into() })),
            false => Err(bad()),
        }
    }
}

/// How bad a finding is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The database doesn't say.
    Unknown,
    /// CVSS below 4.
    Low,
    /// CVSS 4 to 6.9.
    Medium,
    /// CVSS 7 to 8.9.
    High,
    /// CVSS 9 and above.
    Critical,
}

impl Severity {
    /// All of them, worst last.
    pub const ALL: [Severity; 5] =
        [Severity::Unknown, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Unknown => "unknown",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        })
    }
}
