//! Which builder makes the images: the flag, the table, and the choice.
//!
//! Takes what a command has, gives a [`Builder`] that is ready. Never builds anything.

use clap::Args;

use super::context::Context;
use crate::build::buildx::{Buildx, Program};
use crate::build::native::Native;
use crate::build::{Builder, OpenBase};
use crate::config::{BuilderKind, Config};
use crate::error::{Error, Result};
use crate::go::Go;
use crate::plan::Plan;

/// Which builder.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Who makes the images; auto is native unless build.builder in release.toml says otherwise
    #[arg(long, value_name = "BUILDER", value_enum, default_value_t = BuilderKind::Auto)]
    pub builder: BuilderKind,
}

/// A builder and all it needs.
pub(super) enum Chosen<'a> {
    /// The go command.
    Native(Native<'a>),
    /// Docker buildx.
    Buildx(Buildx<'a>),
}

impl<'a> Chosen<'a> {
    /// The builder that `options` and `config` mean.
    pub(super) fn new(
        context: &'a Context,
        config: &'a Config,
        options: &Options,
        go: &'a Go,
        open_base: &'a OpenBase<'a>,
    ) -> Result<Chosen<'a>> {
        let workspace = &context.workspace;
        match options.builder.or(config.build.builder) {
            BuilderKind::Auto | BuilderKind::Native => Ok(Chosen::Native(Native { go, workspace, open_base })),
            BuilderKind::Buildx => {
                let toolbox = context.toolbox(&config.tools, go, None, false)?;
                let program = Program::find(|| toolbox.get("buildx", &context.ui), &context.ui)?;
                let settings = &config.build.buildx;
                Ok(Chosen::Buildx(Buildx { program, settings, go, workspace, open_base }))
            }
        }
    }

    /// Everything that would make a build fail later.
    pub(super) fn preflight(&self, plan: &Plan, context: &Context) -> Vec<Error> {
        match self {
            Chosen::Native(_) => Vec::new(),
            Chosen::Buildx(buildx) => buildx.preflight(plan, &context.ui),
        }
    }

    /// As what builds.
    pub(super) fn builder(&self) -> &dyn Builder {
        match self {
            Chosen::Native(native) => native,
            Chosen::Buildx(buildx) => buildx,
        }
    }
}
