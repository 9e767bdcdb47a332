//! Where in the manifests what was rendered is written.
//!
//! Takes the folder of manifests, gives places. An overlay's own file goes before a component's, and a component's
//! before the base's, where they say the very thing; else the nearest part above it is named. Never renders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use walkdir::WalkDir;

use super::object::Object;
use super::render::Target;
use super::yaml;
use crate::error::{Context, Place, Result};
use crate::fs;

/// No manifest is larger.
const MAX_BYTES: u64 = 16 << 20;

/// The objects, and parts of objects, that the files of a folder say.
#[derive(Debug, Default)]
pub struct Sources {
    parts: Vec<Part>,
    /// The templates of charts, by their path.
    templates: BTreeMap<PathBuf, String>,
}

#[derive(Debug)]
struct Part {
    file: PathBuf,
    kind: String,
    name: String,
    places: BTreeMap<String, (usize, usize)>,
}

impl Sources {
    /// Reads every manifest below `root/folder`; files are named as seen from `root`.
    pub fn read(root: &Path, folder: &Path) -> Result<Sources> {
        let mut sources = Sources::default();
        for entry in WalkDir::new(root.join(folder)).sort_by_file_name() {
            let entry = entry.attempt(|| format!("look for manifests in {}", folder.display()))?;
            let file = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
            let is_yaml = matches!(entry.path().extension().and_then(|e| e.to_str()), Some("yaml" | "yml"));
            if !is_yaml || !entry.file_type().is_file() {
                continue;
            }
            let text = text(entry.path())?;
            match in_templates(&file) {
                true => _ = sources.templates.insert(file, text),
                false => sources.add(&file, &text)?,
            }
        }
        Ok(sources)
    }

    fn add(&mut self, file: &Path, text: &str) -> Result<()> {
        for document in yaml::documents(file, text)? {
            let text = |pointer| document.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            self.generated(file, &document);
            self.parts.push(Part { file: file.to_owned(), kind, name, places: document.places });
        }
        Ok(())
    }

    /// What a kustomization generates is written where it is named.
    fn generated(&mut self, file: &Path, document: &yaml::Document) {
        for (key, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
            let items = document.value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate();
            for (index, value) in items {
                let at = document.places.get(&yaml::step(&format!("/{key}"), &yaml::item(value, index)));
                let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
                let places = at.map(|at| (String::new(), *at)).into_iter().collect();
                self.parts.push(Part { file: file.to_owned(), kind: kind.into(), name: name.into(), places });
            }
        }
    }

    /// Where `path` of `object`, rendered from `target`, is written.
    pub(super) fn place(&self, target: &Target, object: &Object, path: &str) -> String {
        if let Some(template) = &object.template {
            return self.in_template(&target.folder.join(template), object);
        }
        let parts = self.parts.iter().filter(|part| part.kind == object.kind() && is_name(&part.name, object.name()));
        let rank = |file: &Path| {
            let own = file.starts_with(&target.folder);
            let base = file.components().any(|part| part.as_os_str() == "base");
            (own, !base)
        };
        let of_part = |part| nearest(part, path).map(|(depth, at)| (depth, rank(&part.file), part, at));
        let best = parts.filter_map(of_part).max_by_key(|(depth, rank, ..)| (*depth, *rank));
        match best {
            Some((_, _, part, (line, column))) => {
                Place { file: part.file.display().to_string(), line, column }.to_string()
            }
            None => target.folder.display().to_string(),
        }
    }

    /// Templates aren't YAML, so only the line that names the object is known.
    fn in_template(&self, file: &Path, object: &Object) -> String {
        let named = format!("name: {}", object.name());
        let text = self.templates.get(file).map(String::as_str).unwrap_or_default();
        let kind = format!("kind: {}", object.kind());
        let from = text.find(&kind).unwrap_or_default();
        let at = text.get(from..).and_then(|rest| rest.find(&named)).map_or(from, |at| from + at);
        Place::at(file, text, at).to_string()
    }
}

/// A manifest's text; what is not UTF-8 in it is for `pin` to refuse.
pub(super) fn text(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read_small(path, MAX_BYTES)?).into_owned())
}

/// Whether a file is a chart's template, which is not YAML.
pub(super) fn in_templates(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "templates")
}

/// Whether a rendered name is `source`, with the hash that kustomize adds to generated ones or without.
fn is_name(source: &str, rendered: &str) -> bool {
    let rest = rendered.strip_prefix(source);
    rest.is_some_and(|rest| rest.is_empty() || (rest.len() == 11 && rest.starts_with('-')))
}

/// The longest part of `path` that `part` says.
fn nearest(part: &Part, path: &str) -> Option<(usize, (usize, usize))> {
    let mut path = path;
    loop {
        if let Some(at) = part.places.get(path) {
            return Some((path.len(), *at));
        }
        path = path.get(..path.rfind('/')?)?;
    }
}
