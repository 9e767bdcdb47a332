//! `notes`: what changed, and what was released, as Markdown.

use clap::Args;

use super::context::Context;
use crate::config::{Config, Destination, SourceSpec};
use crate::error::Result;
use crate::notes::{self, Notes, changelog};
use crate::plan::{self, SourceFacts};
use crate::publish;
use crate::record::Record;
use crate::source;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The version, v1.2.0
    pub version: String,
    /// Where it was released; before it is, the notes have no digests [default: publish.to]
    #[arg(long, value_name = "DESTINATION")]
    pub from: Option<Destination>,
    /// The Go module whose history is told [default: source.path]
    #[arg(long, value_name = "PATH|URL@REV")]
    pub source: Option<SourceSpec>,
}

/// `cargo xtask notes`
pub(super) fn notes(context: &Context, options: &Options) -> Result<()> {
    let config = context.config()?;
    let version = plan::version(&options.version)?;
    let tag = config.publish.tags.version.tag(&version);
    let destination = context.destination(options.from.as_ref().unwrap_or(&config.publish.to), &[])?;
    let record = publish::fetch(&*destination, config.publish.record.as_ref(), &tag)?;
    let spec = context.spec(&config, options.source.as_ref());
    let facts = source::peek(&spec, &context.workspace, super::context::source_date_epoch()?, &context.ui)?;
    if record.is_none() {
        context.ui.note(&format!("{} has no release {tag} yet: these notes are a draft", destination.describe()));
    }
    let facts = record.as_ref().map_or(&facts, |record| &record.source);
    let told = Told { config: &config, spec: &spec, facts, version: &version, tag: &tag };
    context.ui.data(told.notes(context, record.as_ref())?.trim_end());
    Ok(())
}

/// What notes are about.
pub(super) struct Told<'a> {
    pub config: &'a Config,
    pub spec: &'a SourceSpec,
    pub facts: &'a SourceFacts,
    pub version: &'a semver::Version,
    pub tag: &'a str,
}

impl Told<'_> {
    /// The notes of a release, or without a record their draft.
    pub(super) fn notes(&self, context: &Context, record: Option<&Record>) -> Result<String> {
        let section = changelog(context, self.config, self.version)?;
        // A fetched source has one commit and no history.
        let history = match (self.spec, &self.facts.revision) {
            (SourceSpec::Path(folder), Some(revision)) => notes::read(folder, revision, self.version, &context.ui)?,
            _ => None,
        };
        if history.as_ref().is_some_and(|history| history.cut) {
            context.ui.warn("the checkout doesn't have all commits since the version before; the notes say so");
        }
        let notes = Notes { tag: self.tag, history: history.as_ref(), changelog: section.as_deref(), record };
        Ok(notes.to_markdown())
    }
}

/// What the changelog says of a version, where the table names one.
pub(super) fn changelog(context: &Context, config: &Config, version: &semver::Version) -> Result<Option<String>> {
    let file = config.release.changelog.as_ref();
    file.map(|file| changelog::section(&context.workspace.root, file, version)).transpose()
}
