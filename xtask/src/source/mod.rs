//! Source: a folder or a git revision becomes a pristine Go module with its generated code laid over it.
//!
//! Takes a [`SourceSpec`], gives [`Prepared`]. Never writes into a checkout: what git is asked takes no lock, and
//! generated code lives in the cache. Submodules and Git LFS are not fetched.

pub mod git;
mod overlay;
mod path;
mod plugin;
mod proto;
mod remote;

use std::path::PathBuf;

use crate::config::{self, SourceSpec};
use crate::error::Result;
use crate::go::Go;
use crate::plan::{SourceFacts, Workspace};
use crate::ui::Ui;

/// A Go module on disk.
#[derive(Clone, Debug)]
pub struct Source {
    /// The module's folder (it has go.mod), absolute and without symbolic links.
    pub folder: PathBuf,
    /// What is known about it.
    pub facts: SourceFacts,
    /// The files that make it dirty, relative to the top of the checkout; a folder that is new as a whole ends in `/`.
    /// Empty for a module that is under no commit.
    pub dirty_files: Vec<String>,
}

/// A source whose generated code is ready.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The module.
    pub source: Source,
    /// The file for `go build -overlay`; `None` when nothing is generated.
    pub overlay: Option<PathBuf>,
}

/// Finds the module on disk, fetching `URL@REV` unless that very commit is in the cache. A relative path is relative
/// to the current folder; `source_date_epoch` wins over the commit's time.
///
/// Errors: [`Class::Usage`](crate::error::Class::Usage) for what is no Go module or no revision,
/// [`Class::Network`](crate::error::Class::Network) for a repository that can't be reached.
pub fn resolve(spec: &SourceSpec, workspace: &Workspace, source_date_epoch: Option<i64>, ui: &Ui) -> Result<Source> {
    match spec {
        SourceSpec::Path(path) => path::resolve(path, workspace, source_date_epoch, ui),
        SourceSpec::Git(source) => remote::resolve(source, workspace, source_date_epoch, ui),
    }
}

/// What [`resolve`] would say, as far as it is known without a network and without touching any file: a branch or a
/// tag has no revision yet, and a commit that isn't in the cache no time.
pub fn peek(spec: &SourceSpec, workspace: &Workspace, source_date_epoch: Option<i64>, ui: &Ui) -> Result<SourceFacts> {
    match spec {
        SourceSpec::Path(path) => path::resolve(path, workspace, source_date_epoch, ui).map(|source| source.facts),
        SourceSpec::Git(source) => remote::peek(source, workspace, source_date_epoch, ui),
    }
}

/// Generates the Go code of the module's protos into the cache and writes the overlay that puts it in place. Nothing
/// is started and nothing compiled when neither protos nor versions have changed since an earlier run.
pub fn prepare(
    source: Source,
    config: &config::Source,
    tools: &config::Tools,
    go: &Go,
    workspace: &Workspace,
    ui: &Ui,
) -> Result<Prepared> {
    let install = |plugin: &plugin::Plugin| go.install(&workspace.tools, plugin.package, &plugin.version, ui);
    let overlay =
        overlay::prepare(&source, config, &plugin::plugins(tools), &go.toolchain(), &workspace.cache, install, ui)?;
    Ok(Prepared { source, overlay })
}

#[cfg(test)]
mod tests;
