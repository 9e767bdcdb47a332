//! The images of others that the manifests name.
//!
//! Takes the folder of manifests, gives each image once with its tag and where it is said first. What their digests
//! are, only a registry knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use walkdir::WalkDir;

use super::source::{in_templates, text};
use super::yaml;
use crate::error::{Context, Error, Item, Place, Result};
use crate::oci::Reference;

/// An image of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// As the manifests name it, with its tag and, where it has one, its digest.
    pub reference: Reference,
    /// The name as it is written, without tag and digest.
    pub name: String,
    /// Where it is said first.
    pub place: Place,
}

/// The images below `root/folder` that are none of `ours` (repositories, `goverse-node`), by name. Two tags of one
/// image are an error: one of them would be forgotten.
pub fn external(root: &Path, folder: &Path, ours: &BTreeSet<String>) -> Result<Vec<External>> {
    let mut found: BTreeMap<String, External> = BTreeMap::new();
    let mut clashes = Vec::new();
    for file in manifests(root, folder)? {
        for (image, place) in images(root, &file)? {
            let reference: Reference =
                image.parse().map_err(|e: Error| e.within(format!("`{image}` is no image")).at(place.clone()))?;
            let name = image.get(reference.name_range(&image)).unwrap_or(&image).to_owned();
            if ours.iter().any(|repository| is_below(&name, repository)) {
                continue;
            }
            let one = External { reference, name: name.clone(), place };
            match found.get(&name) {
                Some(other) if other.reference.tag != one.reference.tag => clashes.push(clash(other, &one)),
                Some(_) => {}
                None => _ = found.insert(name, one),
            }
        }
    }
    match clashes.is_empty() {
        true => Ok(found.into_values().collect()),
        false => Err(Error::usage("an image of others has two tags").items(clashes)),
    }
}

/// Whether `name` is `repository`, or ends with it after a slash.
fn is_below(name: &str, repository: &str) -> bool {
    name.strip_suffix(repository).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn clash(first: &External, second: &External) -> Item {
    let tag = |one: &External| one.reference.tag.clone().unwrap_or_else(|| "none".into());
    Item {
        what: format!(
            "{}: {} has tag {}, at {} it has {}",
            second.place,
            second.name,
            tag(second),
            first.place,
            tag(first)
        ),
        fix: Some("give both the same".into()),
    }
}

fn manifests(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(root.join(folder)).sort_by_file_name() {
        let entry = entry.attempt(|| format!("look for manifests in {}", folder.display()))?;
        let file = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
        let is_yaml = matches!(file.extension().and_then(|e| e.to_str()), Some("yaml" | "yml"));
        if is_yaml && entry.file_type().is_file() && !in_templates(&file) {
            files.push(file);
        }
    }
    Ok(files)
}

/// What a file says under `image`, with its place.
fn images(root: &Path, file: &Path) -> Result<Vec<(String, Place)>> {
    let mut found = Vec::new();
    for document in yaml::documents(file, &text(&root.join(file))?)? {
        collect(&document.value, "", &mut |path, image| {
            let (line, column) = document.places.get(path).copied().unwrap_or((document.line, 1));
            found.push((image.to_owned(), Place { file: file.display().to_string(), line, column }));
        });
    }
    Ok(found)
}

fn collect(value: &Value, path: &str, found: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = yaml::step(path, key);
                match value {
                    Value::String(image) if key == "image" => found(&path, image),
                    value => collect(value, &path, found),
                }
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                collect(value, &yaml::step(path, &yaml::item(value, at)), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "kind: Pod\nspec:\n  containers:\n    - name: a\n      image: quay.io/coreos/etcd:v3.6.11\n    \
                       - name: b\n      image: ghcr.io/x/goverse-node:v1\n    - name: c\n      image: node:24\n";

    fn find(files: &[(&str, &str)]) -> Result<Vec<External>> {
        let root = tempfile::tempdir().attempt(|| "create a folder".into())?;
        for (name, text) in files {
            let path = root.path().join("k8s").join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(root.path())).attempt(|| "create a folder".into())?;
            crate::fs::write(&path, text.as_bytes())?;
        }
        external(root.path(), "k8s".as_ref(), &BTreeSet::from(["goverse-node".to_owned()]))
    }

    #[test]
    fn others_images_are_found_once_and_ours_are_not() -> Result<()> {
        let values = "etcd:\n  image: quay.io/coreos/etcd:v3.6.11\n";
        let template = "image: {{ .Values.etcd.image }}\n";
        let found = find(&[("pod.yaml", POD), ("c/values.yaml", values), ("c/templates/a.yaml", template)])?;
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["node", "quay.io/coreos/etcd"]);
        assert_eq!(found.get(1).map(|one| one.place.to_string()), Some("k8s/c/values.yaml:2:10".into()));
        Ok(())
    }

    #[test]
    fn two_tags_of_one_image_are_an_error_at_both_places() {
        let other = POD.replace("v3.6.11", "v3.6.10");
        let told = find(&[("a.yaml", POD), ("b.yaml", &other)]).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told.contains("k8s/a.yaml:5:14") && told.contains("k8s/b.yaml:5:14"), "{told}");
    }
}
