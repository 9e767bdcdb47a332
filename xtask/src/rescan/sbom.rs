//! What an SBOM lists: CycloneDX or SPDX JSON, from any tool.
//!
//! Takes a document, gives its Go modules as [`Modules`], and whether there is anything in it to look up: by package
//! URL, which both formats have. Nothing else of it is believed.

use serde::Deserialize;

use crate::error::Result;
use crate::oci::spec::parse;
use crate::scan::extract::Modules;
use crate::scan::policy::STDLIB;
use crate::scan::released::Sbom;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    /// CycloneDX.
    components: Vec<Component>,
    /// SPDX.
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Component {
    purl: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(default)]
    name: String,
    #[serde(default)]
    external_refs: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    reference_type: String,
    reference_locator: String,
}

/// Reads the document `bytes`, which errors call `name`: itself for a scanner of SBOMs, where it lists anything that can
/// be looked up, and its modules.
pub(super) fn read(name: String, bytes: Vec<u8>) -> Result<(Option<Sbom>, Option<Modules>)> {
    let document: Document = parse(&name, &bytes)?;
    let named = document.named();
    let lists = |kinds: &[&str]| named.iter().any(|(_, purl)| kinds.iter().any(|kind| purl.starts_with(kind)));
    let packages = lists(&["pkg:apk/", "pkg:deb/", "pkg:rpm/"]);
    let is_some = packages || lists(&["pkg:golang/"]);
    let modules = modules(named);
    Ok((is_some.then_some(Sbom { name, bytes, packages }), modules))
}

/// The Go modules among names and package URLs; without any, or without the version of the standard library that is
/// linked, they are no ground for a verdict.
fn modules(named: Vec<(&str, &str)>) -> Option<Modules> {
    let mut modules: Vec<_> = named.into_iter().filter_map(|(name, purl)| module(name, purl)).collect();
    modules.sort();
    modules.dedup();
    let at = modules.iter().position(|(path, _)| path == STDLIB)?;
    let (_, go) = modules.remove(at);
    let go = go.trim_start_matches("go").trim_start_matches('v').to_owned();
    Some(Modules { modules, go })
}

impl Document {
    /// Names and package URLs.
    fn named(&self) -> Vec<(&str, &str)> {
        let mut named = Vec::new();
        nested(&self.components, &mut named);
        for package in &self.packages {
            let purls = package.external_refs.iter().filter(|r| r.reference_type == "purl");
            named.extend(purls.map(|r| (package.name.as_str(), r.reference_locator.as_str())));
        }
        named
    }
}

fn nested<'a>(components: &'a [Component], named: &mut Vec<(&'a str, &'a str)>) {
    for component in components {
        named.extend(component.purl.as_deref().map(|purl| (component.name.as_str(), purl)));
        nested(&component.components, named);
    }
}

/// Path and version of a Go module. A purl is lower-cased, and Go tells modules apart by case: where the component's
/// name is the same but for case, it has the real spelling.
fn module(name: &str, purl: &str) -> Option<(String, String)> {
    let purl = purl.strip_prefix("pkg:golang/")?;
    // A subpath makes it a package of a module that is there under its own name.
    if purl.contains('#') {
        return None;
    }
    let (path, version) = purl.split('?').next()?.rsplit_once('@')?;
    let (path, version) = (decode(path)?, decode(version)?);
    let path = if name.eq_ignore_ascii_case(&path) { name.to_owned() } else { path };
    Some((path, version))
}

fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Class;

    fn read(json: &serde_json::Value) -> Option<Modules> {
        super::read("x".into(), json.to_string().into_bytes()).unwrap().1
    }

    #[test]
    fn both_formats_name_the_same_modules() {
        let wanted = Modules {
            modules: vec![
                ("github.com/BurntSushi/toml".into(), "v1.4.0".into()),
                ("github.com/docker/docker".into(), "v28.0.0+incompatible".into()),
            ],
            go: "1.27.3".into(),
        };
        let purls = [
            ("stdlib", "pkg:golang/stdlib@1.27.3"),
            ("github.com/BurntSushi/toml", "pkg:golang/github.com/burntsushi/toml@v1.4.0"),
            ("docker", "pkg:golang/github.com/docker/docker@v28.0.0%2Bincompatible?type=module"),
            ("toml/internal", "pkg:golang/github.com/burntsushi/toml@v1.4.0#internal"),
            ("musl", "pkg:apk/alpine/musl@1.2.5-r0"),
        ];
        let components: Vec<_> = purls.iter().map(|(name, purl)| json!({"name": name, "purl": purl})).collect();
        assert_eq!(read(&json!({"components": [{"name": "os", "components": components}]})).as_ref(), Some(&wanted));
        let packages: Vec<_> = purls
            .iter()
            .map(|(name, purl)| json!({"name": name, "externalRefs": [{"referenceType": "purl", "referenceLocator": purl}]}))
            .collect();
        assert_eq!(read(&json!({"packages": packages})), Some(wanted));
    }

    #[test]
    fn what_can_be_looked_up_is_told_from_what_cannot() {
        let packages = |purls: &[&str]| {
            let components: Vec<_> = purls.iter().map(|purl| json!({"name": "n", "purl": purl})).collect();
            let bytes = json!({"components": components}).to_string().into_bytes();
            let (sbom, _) = super::read("x".into(), bytes.clone()).unwrap();
            sbom.map(|sbom| (sbom.packages, sbom.bytes == bytes))
        };
        assert_eq!(packages(&["pkg:npm/left-pad@1.0.0", "pkg:golang/m@v1.0.0"]), Some((false, true)));
        assert_eq!(packages(&["pkg:deb/debian/libc6@2.41"]), Some((true, true)));
        assert_eq!(packages(&["pkg:npm/left-pad@1.0.0"]), None);
        assert_eq!(packages(&[]), None);
    }

    #[test]
    fn one_that_does_not_say_which_go_is_no_ground() {
        assert_eq!(read(&json!({"components": [{"name": "m", "purl": "pkg:golang/m@v1.0.0"}]})), None);
        assert_eq!(read(&json!({})), None);
        assert_eq!(super::read("the SBOM".into(), b"[".to_vec()).unwrap_err().class(), Class::Verification);
    }
}
