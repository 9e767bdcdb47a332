//! Package URLs (ECMA-427, and the type definitions `apk`, `deb`, `golang` and `oci` of package-url/purl-spec).
//!
//! Takes names, versions and digests, gives canonical purls: equal things have equal purls, so that a scanner, a VEX
//! statement and an SBOM mean the same.

use crate::oci::Digest;

/// A Go module, `pkg:golang/github.com/burntsushi/toml@v1.4.0`; with `package`, a slash-parted path below it, one
/// package of it.
///
/// Lower-cased, because the type's definition says so, although Go tells modules apart by case: a document keeps the
/// module's real spelling in its name.
pub fn golang(module: &str, version: Option<&str>, package: Option<&str>) -> String {
    let version = version.map(|v| format!("@{}", encode(v))).unwrap_or_default();
    let package = package.map(|p| format!("#{}", path(p))).unwrap_or_default();
    format!("pkg:golang/{}{version}{package}", path(&module.to_lowercase()))
}

/// An image manifest, `pkg:oci/gate@sha256:…?arch=amd64&repository_url=ghcr.io%2Fowner%2Fgate&tag=v1.2.0`. `reference`
/// is its repository with the registry; its last part is the package's name.
pub fn oci(reference: &str, digest: &Digest, arch: Option<&str>, tag: Option<&str>) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference).to_lowercase();
    // A bare name says nothing about where the image is.
    let repository = Some(reference).filter(|r| r.contains('/'));
    let qualifiers = qualifiers(&[("arch", arch), ("repository_url", repository), ("tag", tag)]);
    format!("pkg:oci/{}@{}{qualifiers}", encode(&name), encode(&digest.to_string()))
}

/// A distribution's package, `pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12`; `kind` is `apk` or `deb`, whose
/// type definitions want namespace and name in lower case.
pub fn system(kind: &str, namespace: &str, name: &str, version: &str, arch: &str, distro: Option<&str>) -> String {
    let (namespace, name) = (encode(&namespace.to_lowercase()), encode(&name.to_lowercase()));
    let qualifiers = qualifiers(&[("arch", Some(arch)), ("distro", distro)]);
    format!("pkg:{kind}/{namespace}/{name}@{}{qualifiers}", encode(version))
}

/// `?key=value&…`, in the order given, which has to be that of the keys; what has no value is left out.
fn qualifiers(pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs.iter().filter_map(|(key, value)| value.filter(|v| !v.is_empty()).map(|v| (key, encode(v))));
    let list = given.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&");
    if list.is_empty() { list } else { format!("?{list}") }
}

fn path(text: &str) -> String {
    text.split('/').filter(|part| !part.is_empty()).map(encode).collect::<Vec<_>>().join("/")
}

/// Percent-encodes all but letters, digits and `.-_~:` (ECMA-427, "Character encoding").
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    // The examples of types/golang-definition.json and its test suite.
    #[test]
    fn go_purls_are_those_of_the_specification() {
        assert_eq!(
            golang("google.golang.org/genproto", None, Some("/googleapis/api/annotations/")),
            "pkg:golang/google.golang.org/genproto#googleapis/api/annotations"
        );
        assert_eq!(
            golang("github.com/gorilla/context", Some("234fd47e07d1004f0aed9c"), Some("api")),
            "pkg:golang/github.com/gorilla/context@234fd47e07d1004f0aed9c#api"
        );
        assert_eq!(
            golang("GitHub.com/BurntSushi/toml", Some("v1.4.0"), None),
            "pkg:golang/github.com/burntsushi/toml@v1.4.0"
        );
    }

    #[test]
    fn versions_are_encoded() {
        assert_eq!(
            golang("github.com/docker/distribution", Some("v2.8.3+incompatible"), None),
            "pkg:golang/github.com/docker/distribution@v2.8.3%2Bincompatible"
        );
        let pseudo = "v0.0.0-20191109021931-daa7c04131f5";
        assert_eq!(golang("golang.org/x/net", Some(pseudo), None), format!("pkg:golang/golang.org/x/net@{pseudo}"));
        assert_eq!(
            golang("example.com/~user/a b", Some("v1/é?#@"), None),
            "pkg:golang/example.com/~user/a%20b@v1%2F%C3%A9%3F%23%40"
        );
    }

    // After the examples of types/apk-definition.json and types/deb-definition.json.
    #[test]
    fn purls_of_distributions_are_those_of_the_specification() {
        assert_eq!(system("apk", "alpine", "curl", "7.83.0-r0", "x86", None), "pkg:apk/alpine/curl@7.83.0-r0?arch=x86");
        assert_eq!(
            system("deb", "debian", "curl", "7.50.3-1", "i386", Some("jessie")),
            "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie"
        );
        assert_eq!(
            system("deb", "Debian", "libstdc++6", "1:12.2.0-14+deb12u1", "", Some("debian-12")),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?distro=debian-12"
        );
    }

    // The shape of tests/types/oci-test.json, "Build test": qualifiers sorted, the colon of the digest plain.
    #[test]
    fn image_purls_are_those_of_the_specification() -> Result<()> {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest: Digest = format!("sha256:{hex}").parse()?;
        assert_eq!(
            oci("docker.io/library/debian", &digest, Some("amd64"), Some("latest")),
            format!("pkg:oci/debian@sha256:{hex}?arch=amd64&repository_url=docker.io%2Flibrary%2Fdebian&tag=latest")
        );
        assert_eq!(
            oci("localhost:5000/gate", &digest, None, None),
            format!("pkg:oci/gate@sha256:{hex}?repository_url=localhost:5000%2Fgate")
        );
        assert_eq!(oci("Base", &digest, None, None), format!("pkg:oci/base@sha256:{hex}"));
        Ok(())
    }
}
