//! The base images that release.toml names, and their digests written into it.
//!
//! Takes the file's text, gives text in which nothing but these values differs: comments, order and quotes stay.

use std::path::Path;

use toml_edit::{DocumentMut, Formatted, Item, Value};

use super::State;
use crate::error::{Error, Place, Result};
use crate::oci::{Digest, Reference};

/// Where base images are named.
const KEYS: [&[&str]; 2] = [&["build", "base"], &["build", "buildx", "go-image"]];

/// One base image as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key, `build.base`.
    pub key: String,
    /// What is written there.
    pub reference: Reference,
}

/// The base images that come from a registry. `scratch` and layouts on disk have nothing to follow.
pub fn entries(file: &Path, text: &str) -> Result<Vec<Entry>> {
    let document = document(file, text)?;
    let mut found = Vec::new();
    for path in KEYS {
        let Some(value) = at(document.as_item(), path).and_then(Item::as_str) else { continue };
        if value == "scratch" || value.starts_with("oci:") {
            continue;
        }
        let key = path.join(".");
        let place = text.find(value).map_or(0, |at| at);
        let wrong = |error: Error| error.at(Place::at(file, text, place));
        let reference: Reference = value.parse().map_err(wrong)?;
        if reference.registry.is_none() {
            let error = Error::usage(format!("{key} `{value}` names no registry"));
            return Err(wrong(error.hint(format!("write docker.io/library/{value}"))));
        }
        if reference.tag.is_none() && reference.digest.is_none() {
            return Err(wrong(Error::usage(format!("{key} `{value}` has neither tag nor digest"))));
        }
        found.push(Entry { key, reference });
    }
    Ok(found)
}

/// The text with what each tag names now: where nothing is locked yet, or with `all` everywhere. Also gives the values
/// that changed, old and new.
pub fn rewrite(file: &Path, text: &str, states: &[State], all: bool) -> Result<(String, Vec<(String, String)>)> {
    let mut document = document(file, text)?;
    let mut changed = Vec::new();
    for state in states {
        let Some(current) = state.current.filter(|_| all || state.locked.is_none()) else { continue };
        let path = KEYS.into_iter().find(|path| path.join(".") == state.key).unwrap_or_default();
        let Some(value) = at_mut(document.as_item_mut(), path).and_then(Item::as_value_mut) else { continue };
        let (old, new) = (value.as_str().unwrap_or_default().to_owned(), locked(&state.name, &current));
        if old != new {
            let mut formatted = Formatted::new(new.clone());
            *formatted.decor_mut() = value.decor().clone();
            *value = Value::String(formatted);
            changed.push((old, new));
        }
    }
    Ok((document.to_string(), changed))
}

fn locked(name: &str, digest: &Digest) -> String {
    format!("{name}@{digest}")
}

fn document(file: &Path, text: &str) -> Result<DocumentMut> {
    text.parse().map_err(|e: toml_edit::TomlError| {
        let place = Place::at(file, text, e.span().map_or(0, |span| span.start));
        Error::usage(e.message().to_owned()).at(place)
    })
}

fn at<'a>(item: &'a Item, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(item, |item, key| item.get(key))
}

fn at_mut<'a>(item: &'a mut Item, path: &[&str]) -> Option<&'a mut Item> {
    path.iter().try_fold(item, |item, key| item.get_mut(key))
}
