//! Source: a folder or a git revision becomes a pristine Go module with its generated code laid over it.
//!
//! Takes a [`SourceSpec`](crate::config::SourceSpec), gives [`Prepared`]. Never writes into a checkout.

use std::path::PathBuf;

use crate::plan::SourceFacts;

/// A Go module on disk.
#[derive(Clone, Debug)]
pub struct Source {
    /// The module's folder (it has go.mod).
    pub folder: PathBuf,
    /// What is known about it.
    pub facts: SourceFacts,
}

/// A source whose generated code is ready.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The module.
    pub source: Source,
    /// The file for `go build -overlay`; `None` when nothing is generated.
    pub overlay: Option<PathBuf>,
}
