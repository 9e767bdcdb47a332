//! The Go modules of an SBOM: CycloneDX or SPDX JSON, from any tool.
//!
//! Takes a document, gives [`Modules`]: by package URL, which both formats have. Nothing else of it is believed.

use serde::Deserialize;

use crate::error::Result;
use crate::oci::spec::parse;
use crate::scan::extract::Modules;
use crate::scan::policy::STDLIB;

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

/// The modules that `bytes` names; `None` when it has none, or doesn't say which standard library is linked. `what`
/// names it in errors.
pub(super) fn modules(what: &str, bytes: &[u8]) -> Result<Option<Modules>> {
    let Document { components, packages } = parse(what, bytes)?;
    let mut named = Vec::new();
    nested(&components, &mut named);
    for package in &packages {
        let purls = package.external_refs.iter().filter(|r| r.reference_type == "purl");
        named.extend(purls.map(|r| (package.name.as_str(), r.reference_locator.as_str())));
    }
    let mut modules: Vec<_> = named.into_iter().filter_map(|(name, purl)| module(name, purl)).collect();
    modules.sort();
    modules.dedup();
    let Some(at) = modules.iter().position(|(path, _)| path == STDLIB) else { return Ok(None) };
    let (_, go) = modules.remove(at);
    let go = go.trim_start_matches("go").trim_start_matches('v').to_owned();
    Ok(Some(Modules { modules, go }))
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
        modules("x", json.to_string().as_bytes()).unwrap()
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
    fn one_that_does_not_say_which_go_is_no_ground() {
        assert_eq!(read(&json!({"components": [{"name": "m", "purl": "pkg:golang/m@v1.0.0"}]})), None);
        assert_eq!(read(&json!({})), None);
        assert_eq!(modules("the SBOM", b"[").unwrap_err().class(), Class::Verification);
    }
}
