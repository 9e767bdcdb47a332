//! `Chart.yaml` as Helm reads it, and what an artifact says of it.
//!
//! Takes the file's text, gives [`Metadata`], whose JSON is that of Helm's own `chart.Metadata`: the same fields in the
//! same order, empty ones left out. Keys that Helm doesn't know are left out too, as Helm does. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::k8s;
use crate::oci::spec::{Annotations, annotation};

/// What a chart says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Its name.
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    home: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    /// Its version.
    pub version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keywords: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    maintainers: Vec<Maintainer>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    icon: String,
    api_version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    condition: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tags: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    app_version: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deprecated: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    kube_version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<Value>,
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Maintainer {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    email: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    url: String,
}

impl Metadata {
    /// Reads `text`; `path` is named in errors (class `Usage`).
    pub fn parse(path: &Path, text: &str) -> Result<Metadata> {
        let value = k8s::values(path, text)?.into_iter().next().unwrap_or_default();
        serde_json::from_value(value).map_err(|e| {
            let what = format!("{} is no chart's metadata", path.display());
            Error::usage(what).because(e).hint("put text that looks like a number in quotes")
        })
    }

    /// What the artifact's manifest says, as `helm push` would have it; `created` is RFC 3339.
    pub(super) fn annotations(&self, created: &str) -> Annotations {
        let mut found = self.annotations.clone();
        let mut put = |key: &str, value: &str| {
            if !value.is_empty() {
                found.insert(key.to_owned(), value.to_owned());
            }
        };
        put(annotation::DESCRIPTION, &self.description);
        put(annotation::TITLE, &self.name);
        put(annotation::VERSION, &self.version);
        put(annotation::URL, &self.home);
        put(annotation::CREATED, created);
        put(annotation::SOURCE, self.sources.first().map(String::as_str).unwrap_or_default());
        put(annotation::AUTHORS, &self.maintainers.iter().map(Maintainer::shown).collect::<Vec<_>>().join(", "));
        found
    }

    /// A chart that this one needs and that is not among `there`, the paths below `charts/`.
    pub(super) fn missing(&self, there: &BTreeSet<&str>) -> Option<&str> {
        let names = self.dependencies.iter().filter_map(|dependency| dependency.get("name")?.as_str());
        let mut missing = names.filter(|name| !there.iter().any(|path| is_of(path, name)));
        missing.next()
    }
}

/// Whether `path` is in the folder `name`, or its archive `name-1.2.0.tgz`.
fn is_of(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/') || rest.starts_with('-') && rest.ends_with(".tgz"))
}

impl Maintainer {
    fn shown(&self) -> String {
        match self.email.is_empty() {
            true => self.name.clone(),
            false => format!("{} ({})", self.name, self.email),
        }
    }
}
