//! Which scalars of a document are images: the container lists and image volumes of anything with a `kind`, and
//! any `image` in a chart's values.
//!
//! Takes a document, notes edits. Follows each alias once for every role a node can play, so its work is bounded by
//! the text whatever refers to what; an aliased image is edited where it is written. Never looks into strings: YAML
//! inside a block scalar is data.

use std::path::Path;

use saphyr_parser::ScalarStyle;

use super::{Edit, FileEdits, Target, image, kustomization, value};
use crate::error::{Error, Place, Result};
use crate::yaml::{Document, Id, Kind, Offsets, place};

/// The lists of containers in a pod (Kubernetes API, core/v1 PodSpec), wherever a pod template is embedded.
const CONTAINER_LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// What a node is to its parent, as far as images go.
#[derive(Clone, Copy)]
enum Role {
    Other,
    Containers,
    Container,
    Volumes,
    Volume,
    /// `volumes[].image`, whose `reference` is an image (core/v1 ImageVolumeSource).
    ImageVolume,
    /// Anything in a chart's values, where an image has no kind around it.
    Values,
}

impl Role {
    /// The role of what a mapping in this role has under `key`.
    fn under(self, key: &str) -> Role {
        match (self, key) {
            // A merged mapping (YAML 1.1 `<<`) stands for the mapping it is merged into.
            (role, "<<") => role,
            (Role::Values, _) => Role::Values,
            (Role::Volume, "image") => Role::ImageVolume,
            (_, "volumes") => Role::Volumes,
            (_, key) if CONTAINER_LISTS.contains(&key) => Role::Containers,
            _ => Role::Other,
        }
    }

    /// The role of the items of a list in this role.
    fn item(self) -> Role {
        match self {
            Role::Containers => Role::Container,
            Role::Volumes => Role::Volume,
            role => role,
        }
    }

    /// The key whose value is an image.
    fn image_key(self) -> Option<&'static str> {
        match self {
            Role::Container | Role::Values => Some("image"),
            Role::ImageVolume => Some("reference"),
            _ => None,
        }
    }
}

/// Whether a file holds values of a chart: `values.yaml`, or one of its variants, `values-staging.yaml`.
fn is_values(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "values.yaml" || (name.starts_with("values-") && name.ends_with(".yaml"))
}

/// A document being searched.
pub(super) struct Finder<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) targets: &'a [Target],
    pub(super) offsets: &'a Offsets<'a>,
    pub(super) document: &'a Document<'a>,
    pub(super) found: &'a mut FileEdits,
}

impl<'a> Finder<'a> {
    /// Notes every edit in the document.
    pub(super) fn run(&mut self) -> Result<()> {
        if kustomization::is_one(self.path, self.document) {
            return self.kustomization();
        }
        match self.document.get(0, "kind").and_then(|kind| self.document.scalar(kind)) {
            Some(_) => self.objects(Role::Other),
            None if is_values(self.path) => self.objects(Role::Values),
            None => Ok(()),
        }
    }

    fn objects(&mut self, root: Role) -> Result<()> {
        let document = self.document;
        let mut seen = vec![0_u8; document.len()];
        let mut todo = vec![(0, root)];
        while let Some((id, role)) = todo.pop() {
            let Some((id, node)) = document.resolve(id) else { continue };
            let Some(roles) = seen.get_mut(id) else { continue };
            let bit = 1 << role as u8;
            if *roles & bit != 0 {
                continue;
            }
            *roles |= bit;
            match &node.kind {
                Kind::Sequence(items) => todo.extend(items.iter().map(|item| (*item, role.item()))),
                Kind::Mapping(pairs) => {
                    self.image_of(id, role)?;
                    todo.extend(
                        pairs
                            .iter()
                            .map(|(key, value)| (*value, role.under(document.scalar(*key).unwrap_or_default()))),
                    );
                }
                Kind::Scalar(..) | Kind::Alias(_) => {}
            }
        }
        Ok(())
    }

    fn image_of(&mut self, mapping: Id, role: Role) -> Result<()> {
        let Some(key) = role.image_key() else { return Ok(()) };
        let Some(at) = self.only(mapping, key)? else { return Ok(()) };
        let Some(value) = self.document.scalar(at) else { return Ok(()) };
        let Some(target) = image::target_of(self.targets, value) else { return Ok(()) };
        self.refuse_template(at, value)?;
        self.found.matched.insert(target);
        let pinned = self.target(target)?.pinned();
        self.set(at, &pinned, target)
    }

    /// The value under `key`; two of them are an error, because tools differ in which one counts.
    pub(super) fn only(&self, mapping: Id, key: &str) -> Result<Option<Id>> {
        let mut all = self.document.pairs(mapping).iter().filter(|(k, _)| self.document.scalar(*k) == Some(key));
        let first = all.next().map(|(_, value)| *value);
        match all.next() {
            None => Ok(first),
            Some((again, _)) => Err(Error::usage(format!("the key `{key}` is here twice"))
                .at(self.place(*again))
                .hint("remove one of the two")),
        }
    }

    /// An image of ours that something else is to fill in can't be pinned, and must not look as if it were.
    pub(super) fn refuse_template(&self, at: Id, value: &str) -> Result<()> {
        if !image::is_template(value.trim()) {
            return Ok(());
        }
        let name = value.trim();
        Err(Error::usage(format!("`{name}` names an image of this release but is a template"))
            .at(self.place(at))
            .hint("write a plain image reference; `pin` keeps it up to date"))
    }

    /// Makes the scalar at `at` say `wanted`, in the quotes it has, where it is written.
    pub(super) fn set(&mut self, at: Id, wanted: &str, target: usize) -> Result<()> {
        let Some((id, node)) = self.document.resolve(at) else { return Ok(()) };
        let Kind::Scalar(old, style) = &node.kind else {
            return Err(Error::usage("the value is not a string").at(self.place(at)));
        };
        let Some(range) = value::range(self.text, self.offsets.range(node.span), old, *style) else {
            return Err(Error::usage(format!("`{old}` is written in a way that can't be edited"))
                .at(self.place(id))
                .hint("write the value on one line"));
        };
        let text = if *style == ScalarStyle::Plain { value::plain(wanted) } else { wanted.to_owned() };
        if self.text.get(range.clone()) != Some(text.as_str()) {
            self.found.edits.push(Edit { range, old: old.trim().to_owned(), text, target, place: self.place(id) });
        }
        Ok(())
    }

    pub(super) fn target(&self, at: usize) -> Result<&'a Target> {
        self.targets.get(at).ok_or_else(|| Error::failed(format!("no image has number {at}")))
    }

    /// Where a node is written, for a person.
    pub(super) fn place(&self, id: Id) -> Place {
        place(self.path, self.document.node(id).map(|node| node.span.start).unwrap_or_default())
    }
}
