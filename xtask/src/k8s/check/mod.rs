//! The checks, one a file; each looks at all objects of one target.
//!
//! Takes what was rendered, gives every finding at once, sorted, each once however many targets have it. Only
//! [`schema`] starts a process.

mod budgets;
mod flags;
mod flows;
mod images;
mod memory;
mod ports;
mod references;
mod schema;
mod security;
mod selectors;

use std::collections::{BTreeMap, BTreeSet};

use super::object::{Object, Pod};
use super::render::{Programs, Rendered, Target};
use super::{Finding, Sources};
use crate::config::K8s;
use crate::error::Result;
use crate::ui::Ui;

/// What the manifests must agree with.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `[k8s]`
    pub config: &'a K8s,
    /// The repositories of our own images by the image's name: `node` → `goverse-node`.
    pub images: &'a BTreeMap<String, String>,
    /// Whether images of ours need no digest yet, because nothing has been released.
    pub unreleased: bool,
}

/// A target under inspection.
struct Bench<'a> {
    facts: Facts<'a>,
    target: &'a Target,
    objects: &'a [Object],
    sources: &'a Sources,
    found: Vec<Finding>,
}

/// Looks at every target.
pub fn check(
    facts: Facts<'_>,
    rendered: &[Rendered],
    sources: &Sources,
    programs: Option<&Programs>,
    ui: &Ui,
) -> Result<Vec<Finding>> {
    let mut all: BTreeMap<(String, String, String), Finding> = BTreeMap::new();
    for one in rendered {
        let mut bench = Bench { facts, target: &one.target, objects: &one.objects, sources, found: Vec::new() };
        let checks: [fn(&mut Bench<'_>); 9] = [
            images::check,
            flags::check,
            ports::check,
            selectors::check,
            budgets::check,
            memory::check,
            references::check,
            security::check,
            flows::check,
        ];
        checks.iter().for_each(|check| check(&mut bench));
        if let Some(programs) = programs {
            schema::check(&mut bench, &programs.validate, ui)?;
        }
        for finding in bench.found {
            // The same fault of the same object counts once, where it is written first.
            let key = (finding.object.clone(), finding.what.clone(), finding.fix.clone());
            all.entry(key)
                .or_insert_with(|| Finding { targets: BTreeSet::new(), ..finding })
                .targets
                .insert(one.target.name.clone());
        }
    }
    let mut found: Vec<Finding> = all.into_values().collect();
    found.sort();
    Ok(found)
}

impl<'a> Bench<'a> {
    /// Notes a fault of `object` at `path`.
    fn report(&mut self, object: &Object, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.found.push(Finding {
            place: self.sources.place(self.target, object, path),
            object: object.id(),
            what: what.into(),
            fix: fix.into(),
            targets: BTreeSet::new(),
        });
    }

    /// Every pod, or what makes pods.
    fn pods(&self) -> Vec<Pod<'a>> {
        self.objects.iter().filter_map(Object::pod).collect()
    }

    /// Every object of a kind.
    fn kind(&self, kind: &str) -> Vec<&'a Object> {
        self.objects.iter().filter(|object| object.kind() == kind).collect()
    }

    /// The object of a kind and name.
    fn named(&self, kind: &str, name: &str) -> Option<&'a Object> {
        self.objects.iter().find(|object| object.kind() == kind && object.name() == name)
    }

    /// Whether there is such an object, or others make it.
    fn exists(&self, kind: &str, name: &str) -> bool {
        self.named(kind, name).is_some() || self.facts.config.provided.contains(&format!("{kind}/{name}"))
    }
}
