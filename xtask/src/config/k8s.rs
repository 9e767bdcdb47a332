//! `[k8s]`: what the manifests are checked against.
//!
//! Takes what a person wrote, gives [`K8s`]. Never knows what a manifest says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::types::{RelPath, string_type};
use crate::error::{Error, Result};

/// `[k8s]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct K8s {
    /// The folder that has `overlays/` and `helm/`.
    pub path: RelPath,
    /// Versions of Kubernetes, `1.30`, by whose schemas objects must be valid.
    pub schemas: Vec<String>,
    /// Objects that others make in the cluster, `Secret/goverse-postgres`.
    pub provided: BTreeSet<String>,
    /// The flags each image's program has, by the image's name in `[images]`.
    pub flags: BTreeMap<String, BTreeSet<String>>,
    /// Who talks to whom; all else is to be denied.
    pub flows: Vec<Flow>,
}

impl Default for K8s {
    fn default() -> K8s {
        K8s {
            path: RelPath::literal("k8s"),
            schemas: Vec::new(),
            provided: BTreeSet::new(),
            flags: BTreeMap::new(),
            flows: Vec::new(),
        }
    }
}

/// Connections from one to another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Flow {
    /// Who opens them.
    pub from: Peer,
    /// Who accepts them.
    pub to: Peer,
    /// The ports of the accepting container.
    pub ports: BTreeSet<u16>,
}

/// One end of a [`Flow`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Peer {
    /// Pods with this `app.kubernetes.io/name`, written as the name alone.
    Program(String),
    /// Every pod of ours, `*`.
    Programs,
    /// Any pod of another namespace, `namespace:monitoring`.
    Namespace(String),
    /// Any address, `anywhere`.
    Anywhere,
}

impl FromStr for Peer {
    type Err = Error;
    fn from_str(text: &str) -> Result<Peer> {
        let is_name = |name: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
            !name.is_empty() && name.chars().all(fits)
        };
        match (text, text.strip_prefix("namespace:")) {
            ("anywhere", _) => Ok(Peer::Anywhere),
            ("*", _) => Ok(Peer::Programs),
            (_, Some(name)) if is_name(name) => Ok(Peer::Namespace(name.into())),
            (name, None) if is_name(name) => Ok(Peer::Program(name.into())),
            _ => {
                Err(Error::usage(format!("`{text}` is no peer: write a program's name, *, namespace:NAME or anywhere")))
            }
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Program(name) => f.write_str(name),
            Peer::Programs => f.write_str("*"),
            Peer::Namespace(name) => write!(f, "namespace:{name}"),
            Peer::Anywhere => f.write_str("anywhere"),
        }
    }
}
string_type!(Peer);
