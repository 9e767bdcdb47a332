//! `publish.chart`: whether a release has a Helm chart, and where it goes.
//!
//! Takes what a person wrote, gives a [`ChartKey`]. Never looks whether the chart is there.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::types::Repository;
use crate::error::Error;

/// Where charts go unless the table says otherwise.
const DEFAULT: &str = "charts/goverse";

/// The value of `publish.chart`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChartKey {
    /// Nothing is said: the chart goes to this repository, where there is one.
    IfThere(Repository),
    /// `false` or `""`.
    Off,
    /// A chart that has to be there.
    At(Repository),
}

impl ChartKey {
    /// The chart's repository; its last part is the chart's name, as Helm wants it.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            ChartKey::IfThere(repository) | ChartKey::At(repository) => Some(repository),
            ChartKey::Off => None,
        }
    }
}

impl Default for ChartKey {
    fn default() -> ChartKey {
        ChartKey::IfThere(Repository::literal(DEFAULT))
    }
}

impl Serialize for ChartKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.repository() {
            Some(repository) => repository.serialize(serializer),
            None => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for ChartKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ChartKey, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = ChartKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a repository such as \"charts/goverse\", or false")
    }

    fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<ChartKey, E> {
        match on {
            false => Ok(ChartKey::Off),
            true => Err(E::invalid_value(Unexpected::Bool(true), &self)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ChartKey, E> {
        match text {
            "" => Ok(ChartKey::Off),
            text => text.parse().map(ChartKey::At).map_err(|e: Error| E::custom(e)),
        }
    }
}
