//! Package URLs as VEX documents write them: which image or package one means.
//!
//! Takes text, answers whether it means a thing. One that can't be read, or that says more than is known about the
//! thing, means nothing: doubt sets nothing aside.

use std::collections::BTreeMap;

use super::Subject;
use crate::scan::Finding;

/// `pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS`
#[derive(Debug, PartialEq, Eq)]
pub(in crate::scan) struct Purl {
    kind: String,
    /// Namespace and name.
    name: String,
    version: Option<String>,
    qualifiers: BTreeMap<String, String>,
}

impl Purl {
    /// Reads one; `None` for anything else, and for one that means a part of a package.
    pub(in crate::scan) fn parse(text: &str) -> Option<Purl> {
        let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
        if rest.contains('#') {
            return None;
        }
        let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, path) = rest.split_once('/')?;
        // An npm scope starts with `@`, so a version's `@` has a name before it.
        let (name, version) = match path.rfind('@').filter(|at| *at > 0) {
            Some(at) => (path.get(..at)?, Some(decode(path.get(at + 1..)?)?)),
            None => (path, None),
        };
        let pairs = qualifiers.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_lowercase(), decode(value)?))
        });
        let name = decode(name.trim_matches('/'))?;
        Some(Purl { kind: kind.to_lowercase(), name, version, qualifiers: pairs.collect::<Option<_>>()? })
    }

    /// Whether this is the image, or one that it is a platform of.
    pub(super) fn is_image(&self, subject: &Subject<'_>) -> bool {
        let name = subject.reference.rsplit('/').next().unwrap_or_default();
        let qualified = self.qualifiers.iter().all(|(key, value)| match key.as_str() {
            "arch" => value == subject.platform.architecture(),
            "repository_url" => value.eq_ignore_ascii_case(&subject.reference),
            "tag" => value == subject.tag,
            _ => false,
        });
        let version = self
            .version
            .as_deref()
            .is_none_or(|version| version == subject.manifest.to_string() || version == subject.index.to_string());
        self.kind == "oci" && self.name.eq_ignore_ascii_case(name) && version && qualified
    }

    /// Whether this is the package that a finding is about. Findings don't say of which type a package is, so that one
    /// of another language than Go has to be named with its version.
    pub(in crate::scan) fn is_package(&self, finding: &Finding) -> bool {
        let bare = |version: &str| version.trim_start_matches("go").trim_start_matches('v').to_owned();
        match (self.kind.as_str(), &self.version) {
            ("oci", _) => false,
            ("golang", version) => {
                self.name.eq_ignore_ascii_case(&finding.package)
                    && version.as_deref().is_none_or(|version| bare(version) == bare(&finding.version))
            }
            (_, Some(version)) => {
                let name = self.name.rsplit('/').next();
                (name == Some(&finding.package) || self.name == finding.package) && *version == finding.version
            }
            (_, None) => false,
        }
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let pair = [bytes.next()?, bytes.next()?];
                decoded.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;
    use crate::sbom::purl;
    use crate::scan::tests::finding;
    use crate::scan::vex::tests::subject;

    fn is_package(purl: &str, package: &str, version: &str) -> bool {
        let finding = Finding { version: version.into(), ..finding("CVE-1", package) };
        Purl::parse(purl).is_some_and(|purl| purl.is_package(&finding))
    }

    #[test]
    fn a_package_is_meant_by_its_name_and_version_or_any_version() {
        assert!(is_package("pkg:golang/golang.org/x/net@v0.35.0", "golang.org/x/net", "v0.35.0"));
        assert!(is_package("pkg:golang/golang.org/x/net@0.35.0", "golang.org/x/net", "v0.35.0"));
        assert!(is_package("pkg:golang/github.com/burntsushi/toml", "github.com/BurntSushi/toml", "v1.4.0"));
        assert!(is_package("pkg:golang/stdlib@v1.27.4", "stdlib", "v1.27.4"));
        assert!(is_package("pkg:apk/alpine/libssl3@3.5.0-r0", "libssl3", "3.5.0-r0"));
        assert!(!is_package("pkg:golang/golang.org/x/net@v0.34.0", "golang.org/x/net", "v0.35.0"));
        assert!(!is_package("pkg:golang/golang.org/x/net#html", "golang.org/x/net", "v0.35.0"));
        assert!(!is_package("pkg:apk/alpine/libssl3", "libssl3", "3.5.0-r0"));
        assert!(!is_package("pkg:apk/alpine/libssl3@3.5.0-r0?arch=%zz", "libssl3", "3.5.0-r0"));
        assert!(!is_package("golang.org/x/net", "golang.org/x/net", "v0.35.0"));
    }

    #[test]
    fn an_image_is_meant_by_all_that_is_said_about_it() {
        let subject = subject();
        let ours = |digest: &Digest, arch| purl::oci(&subject.reference, digest, arch, None);
        for right in [
            ours(&subject.manifest, Some("arm64")),
            ours(&subject.index, None),
            "pkg:oci/goverse-gate".into(),
            "pkg:oci/goverse-gate?repository_url=ghcr.io/xiaonanln/goverse-gate&tag=v1.2.0".into(),
        ] {
            assert!(Purl::parse(&right).unwrap().is_image(&subject), "{right}");
        }
        for wrong in [
            ours(&subject.manifest, Some("amd64")),
            ours(&Digest::of(b"another"), None),
            "pkg:oci/goverse-node".into(),
            "pkg:oci/goverse-gate?repository_url=ghcr.io%2Fother%2Fgoverse-gate".into(),
            "pkg:oci/goverse-gate?tag=v1.2.1".into(),
            "pkg:oci/goverse-gate?mood=good".into(),
            "pkg:docker/goverse-gate".into(),
        ] {
            assert!(!Purl::parse(&wrong).unwrap().is_image(&subject), "{wrong}");
        }
    }
}
