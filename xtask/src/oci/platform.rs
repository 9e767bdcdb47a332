//! Platforms, `os/architecture[/variant]`, and what they are to Go.
//!
//! Takes the names a person writes, gives the normal form every index uses. Only Linux: that is where the pods run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// An OCI architecture, a variant, and what Go is told.
type Known = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Every Linux architecture that Go builds without cgo.
const KNOWN: &[Known] = &[
    ("386", "", &[("GO386", "sse2")]),
    ("amd64", "", &[("GOAMD64", "v1")]),
    ("amd64", "v2", &[("GOAMD64", "v2")]),
    ("amd64", "v3", &[("GOAMD64", "v3")]),
    ("amd64", "v4", &[("GOAMD64", "v4")]),
    ("arm", "v7", &[("GOARM", "7")]),
    ("arm", "v6", &[("GOARM", "6")]),
    ("arm", "v5", &[("GOARM", "5")]),
    ("arm64", "", &[("GOARM64", "v8.0")]),
    ("loong64", "", &[]),
    ("mips", "", &[("GOMIPS", "hardfloat")]),
    ("mips64", "", &[("GOMIPS64", "hardfloat")]),
    ("mips64le", "", &[("GOMIPS64", "hardfloat")]),
    ("mipsle", "", &[("GOMIPS", "hardfloat")]),
    ("ppc64le", "", &[("GOPPC64", "power8")]),
    ("riscv64", "", &[("GORISCV64", "rva20u64")]),
    ("s390x", "", &[]),
];

/// A Linux platform in normal form (a row of [`KNOWN`]): `arm64/v8` and `amd64/v1` are written without their variant,
/// `arm` is `arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform(usize);

impl Platform {
    /// Always `linux`.
    pub fn os(&self) -> &'static str {
        "linux"
    }

    fn row(&self) -> (&'static str, &'static str, &'static [(&'static str, &'static str)]) {
        KNOWN.get(self.0).copied().unwrap_or_default()
    }

    /// GOARCH and OCI architecture are one vocabulary (OCI image spec, config.md).
    pub fn architecture(&self) -> &'static str {
        self.row().0
    }

    /// The CPU variant, where the architecture's default isn't meant.
    pub fn variant(&self) -> Option<&'static str> {
        Some(self.row().1).filter(|v| !v.is_empty())
    }

    /// The variables that make Go build for exactly this platform, whatever the machine's own settings.
    pub fn go_env(&self) -> Vec<(&'static str, &'static str)> {
        [("GOOS", "linux"), ("GOARCH", self.architecture())].into_iter().chain(self.row().2.iter().copied()).collect()
    }

    /// A name for files and folders: `linux-arm-v7`.
    pub fn slug(&self) -> String {
        self.to_string().replace('/', "-")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture())?;
        self.variant().map_or(Ok(()), |v| write!(f, "/{v}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Platform, Error> {
        let known = || (0..KNOWN.len()).map(|row| Platform(row).to_string()).collect::<Vec<_>>().join(", ");
        let bad = || Error::usage(format!("unknown platform `{text}`")).hint(format!("known platforms: {}", known()));
        let mut parts = text.split('/');
        let (os, architecture, variant) = (parts.next(), parts.next().ok_or_else(bad)?, parts.next());
        if os != Some("linux") || parts.next().is_some() {
            return Err(bad());
        }
        let variant = match (architecture, variant) {
            ("arm64", Some("v8")) | ("amd64", Some("v1")) => "",
            ("arm", None) => "v7",
            (_, None) => "",
            (_, Some("")) => return Err(bad()),
            (_, Some(variant)) => variant,
        };
        KNOWN.iter().position(|(a, v, _)| *a == architecture && *v == variant).map(Platform).ok_or_else(bad)
    }
}

impl TryFrom<String> for Platform {
    type Error = Error;

    fn try_from(text: String) -> Result<Platform, Error> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> String {
        platform.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_platform_has_one_name() {
        let shown = |text: &str| text.parse::<Platform>().map(|p| p.to_string()).unwrap_or_else(|e| e.to_string());
        assert_eq!(shown("linux/arm64/v8"), "linux/arm64");
        assert_eq!(shown("linux/amd64/v1"), "linux/amd64");
        assert_eq!(shown("linux/arm"), "linux/arm/v7");
        assert_eq!(shown("linux/arm/v6"), "linux/arm/v6");
    }

    #[test]
    fn unknown_platforms_are_refused_with_the_known_ones() {
        for bad in [
            "",
            "linux",
            "linux/",
            "linux/arm64/v9",
            "linux/amd64/",
            "windows/amd64",
            "linux/amd64/v3/x",
            "LINUX/amd64",
            "linux/x86_64",
        ] {
            let err = bad.parse::<Platform>().err().map(|e| e.to_string()).unwrap_or_default();
            assert!(err.contains("linux/arm64"), "{bad}: {err}");
        }
    }
}
