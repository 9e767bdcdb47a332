//! Building on several machines: what `build` exports and `release` imports.

use std::path::PathBuf;

use clap::Args;

use crate::build::Built;
use crate::error::Result;
use crate::exchange;
use crate::oci::store::Store;

use super::context::Context;

/// Flags of `build`.
#[derive(Debug, Args)]
#[command(next_help_heading = "On several machines")]
pub(super) struct Export {
    /// Also write what was built into a folder, for `release --import` on another machine
    #[arg(long = "export", value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// Flags of `release`.
#[derive(Debug, Args)]
#[command(next_help_heading = "On several machines")]
pub(super) struct Import {
    /// Build nothing; take what `build --export` wrote: its folder, or one that holds several; may be repeated
    #[arg(long = "import", value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

impl Export {
    /// To be asked before anything is built.
    pub(super) fn check(&self) -> Result<()> {
        self.folder.as_deref().map_or(Ok(()), exchange::check)
    }

    pub(super) fn write(&self, context: &Context, built: &Built, store: &Store) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let step = context.ui.step("export");
        exchange::export(built, store, folder)?;
        step.done(&format!("to {}", folder.display()));
        Ok(())
    }
}
