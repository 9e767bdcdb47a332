//! The `images:` list of a kustomization: `newName`, `newTag` and `digest` of the entries that name our images.
//!
//! Kustomize 5 renders `newTag` and `digest` together as `name:tag@digest`, so both are written. `newName` is written
//! where it is there already or where the image moves to another registry. This is the one place where `pin` adds
//! something that wasn't there: a missing key, in the indentation and line ending of its neighbour.

use std::collections::BTreeMap;
use std::path::Path;

use saphyr_parser::ScalarStyle;

use super::find::Finder;
use super::{Edit, Target, image, value};
use crate::error::{Error, Result};
use crate::yaml::{Document, Id, Kind, Node};

/// An entry's keys (kustomize, api/types/image.go), in the order in which they are written.
const KEYS: [&str; 4] = ["name", "newName", "newTag", "digest"];

/// Files that are a kustomization whatever they say, and need not say it.
const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

const GROUP: &str = "kustomize.config.k8s.io/";

/// Whether a file of this name is a kustomization.
pub(super) fn is_file(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| FILES.contains(&name))
}

/// Whether `document` is a kustomization, by its file's name or by what it says.
pub(super) fn is_one(path: &Path, document: &Document) -> bool {
    let says = |key| document.get(0, key).and_then(|at| document.scalar(at)).unwrap_or_default();
    is_file(path) || (matches!(says("kind"), "Kustomization" | "Component") && says("apiVersion").starts_with(GROUP))
}

impl Finder<'_> {
    /// Notes the edits of a kustomization.
    pub(super) fn kustomization(&mut self) -> Result<()> {
        let document = self.document;
        let Some(images) = document.get(0, "images") else { return Ok(()) };
        let Some((_, Node { kind: Kind::Sequence(items), .. })) = document.resolve(images) else { return Ok(()) };
        for item in items {
            // An entry repeated by an alias is edited where it is written.
            if let Some((mapping, _)) = document.resolve(*item) {
                self.entry(mapping)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, mapping: Id) -> Result<()> {
        let fields = self.fields(mapping)?;
        let said = |key| fields.get(key).and_then(|(_, at)| Some((*at, self.document.scalar(*at)?)));
        let named = ["newName", "name"].into_iter().find_map(|key| said(key).filter(|(_, text)| !is_nothing(text)));
        let Some((at, current)) = named else { return Ok(()) };
        let Some(number) = image::target_of(self.targets, current) else { return Ok(()) };
        self.refuse_template(at, current)?;
        self.refuse_suffix(mapping)?;
        self.found.matched.insert(number);
        let wanted = wanted(self.target(number)?, current, fields.contains_key("newName"));
        let mut missing: BTreeMap<Id, Vec<String>> = BTreeMap::new();
        let mut after = at;
        for key in KEYS {
            match (fields.get(key), wanted.get(key)) {
                (Some((_, at)), value) => {
                    after = *at;
                    value.map_or(Ok(()), |value| self.set_field(key, *at, value, number))?;
                }
                (None, Some(value)) => {
                    missing.entry(after).or_default().push(format!("{key}: {}", value::plain(value)))
                }
                (None, None) => {}
            }
        }
        missing.into_iter().try_for_each(|(after, lines)| self.insert(mapping, after, &lines, number))
    }

    /// The key and value nodes of the [`KEYS`] an entry has.
    fn fields(&self, mapping: Id) -> Result<BTreeMap<&'static str, (Id, Id)>> {
        let mut fields = BTreeMap::new();
        for key in KEYS {
            let Some(value) = self.only(mapping, key)? else { continue };
            let pair = self.document.pairs(mapping).iter().find(|(_, v)| *v == value);
            fields.extend(pair.map(|pair| (key, *pair)));
        }
        Ok(fields)
    }

    fn refuse_suffix(&self, mapping: Id) -> Result<()> {
        match self.only(mapping, "tagSuffix")? {
            None => Ok(()),
            Some(at) => {
                let clash = Error::usage("`tagSuffix` can't stand beside a digest").at(self.place(at));
                Err(clash.hint("remove it: `pin` writes the whole tag"))
            }
        }
    }

    /// Makes the value of `key` say `wanted`. An alias is replaced: what it refers to may be another image's tag.
    fn set_field(&mut self, key: &str, at: Id, wanted: &str, target: usize) -> Result<()> {
        let Some(node) = self.document.node(at) else { return Ok(()) };
        let range = self.offsets.range(node.span);
        match &node.kind {
            Kind::Alias(_) => {
                let old = self.document.scalar(at).unwrap_or_default().to_owned();
                self.found.edits.push(Edit { range, old, text: value::plain(wanted), target, place: self.place(at) });
                Ok(())
            }
            Kind::Scalar(old, ScalarStyle::Plain) if old.is_empty() => {
                let empty = Error::usage(format!("`{key}` has no value")).at(self.place(at));
                Err(empty.hint("give it a value or remove the key"))
            }
            _ => self.set(at, wanted, target),
        }
    }

    /// Adds `lines` (`key: value`) to an entry, behind the value at `after`.
    fn insert(&mut self, mapping: Id, after: Id, lines: &[String], target: usize) -> Result<()> {
        let (Some(node), Some((first, _))) = (self.document.node(after), self.document.pairs(mapping).first()) else {
            return Ok(());
        };
        let range = self.offsets.range(node.span);
        let end = match node.kind {
            Kind::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded) => {
                let block = Error::usage("a block scalar is no place for an image's name or tag").at(self.place(after));
                return Err(block.hint("write the value on one line"));
            }
            Kind::Scalar(_, style) => value::end(self.text, range, style),
            _ => range.end,
        };
        let (at, text) = match self.is_flow(mapping, *first) {
            true => (end, lines.iter().map(|line| format!(", {line}")).collect()),
            false => {
                let column = self.document.node(*first).map_or(0, |key| key.span.start.col());
                let (at, line_end) = line_end(self.text, end);
                (at, lines.iter().map(|line| format!("{line_end}{}{line}", " ".repeat(column))).collect())
            }
        };
        self.found.edits.push(Edit { range: at..at, old: String::new(), text, target, place: self.place(after) });
        Ok(())
    }

    /// Whether a mapping is written in braces: only then does it start before its first key.
    fn is_flow(&self, mapping: Id, first_key: Id) -> bool {
        let start = |id| {
            let from = self.document.node(id).map_or(0, |node| self.offsets.byte(node.span.start));
            value::start(self.text, from..self.text.len())
        };
        start(mapping) != start(first_key)
    }
}

/// What an entry must say about `target`; `current` is the name it renders now.
fn wanted(target: &Target, current: &str, has_new_name: bool) -> BTreeMap<&'static str, String> {
    let mut wanted = BTreeMap::from([("newTag", target.tag.clone()), ("digest", target.digest.to_string())]);
    if has_new_name || current != target.reference {
        wanted.insert("newName", target.reference.clone());
    }
    wanted
}

/// Whether a plain scalar is YAML's null.
fn is_nothing(value: &str) -> bool {
    matches!(value, "" | "~" | "null")
}

/// The end of the line that holds byte `from`, and how lines end there or, on a last line without an end, elsewhere.
fn line_end(text: &str, from: usize) -> (usize, &'static str) {
    let style = |rest: &str| match rest {
        rest if rest.starts_with("\r\n") => "\r\n",
        rest if rest.starts_with('\r') => "\r",
        _ => "\n",
    };
    let next = |from| text.get(from..).and_then(|rest: &str| Some(from + rest.find(['\r', '\n'])?));
    let at = next(from);
    let line_end = at.or(next(0)).and_then(|at| text.get(at..)).map_or("\n", style);
    (at.unwrap_or(text.len()), line_end)
}
