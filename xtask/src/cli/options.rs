//! The flags, grouped by what they are about. Each names the key of `release.toml` that it takes the place of.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::exchange::{Export, Import};
use crate::config::{self, Base, Compression, Destination, Severity, SourceSpec, When};
use crate::oci::Platform;
use crate::plan::Overrides;

use super::reports::Reports;

/// Flags of every command.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The release table [default: release.toml of this repository]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show every command that is run
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// What is built.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is built")]
pub(super) struct What {
    /// A Go module: a folder, or GIT_URL@REV [default: source.path]
    #[arg(long, value_name = "PATH|URL@REV")]
    pub source: Option<SourceSpec>,
    /// A platform, in place of build.platforms; may be repeated
    #[arg(long = "platform", value_name = "OS/ARCH", value_delimiter = ',')]
    pub platforms: Vec<Platform>,
    /// An image, in place of all; may be repeated
    #[arg(long = "image", value_name = "NAME", value_delimiter = ',')]
    pub images: Vec<String>,
    /// scratch, or an image by digest [default: build.base]
    #[arg(long, value_name = "IMAGE@DIGEST")]
    pub base: Option<Base>,
    /// gzip, zstd, or with a level gzip:9 [default: build.compression]
    #[arg(long)]
    pub compression: Option<Compression>,
    #[command(flatten)]
    pub builder: super::builder::Options,
}

/// Where it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where it goes")]
pub(super) struct Where {
    /// A registry (ghcr.io/OWNER, localhost:5000) or a folder of OCI layouts [default: publish.to]
    #[arg(long, value_name = "DESTINATION")]
    pub to: Option<Destination>,
}

/// How it is scanned.
#[derive(Debug, Args)]
#[command(next_help_heading = "How it is scanned")]
pub(super) struct How {
    /// Scan with the databases that are cached
    #[arg(long)]
    pub offline: bool,
    /// Use Trivy when-installed, always or never [default: scan.trivy.when]
    #[arg(long, value_name = "WHEN")]
    pub trivy: Option<When>,
    /// Refuse a database of Trivy's that is older [default: scan.trivy.max-db-age]
    #[arg(long, value_name = "HOURS")]
    pub max_db_age: Option<u32>,
    /// Let vulnerabilities of this severity fail, and worse ones [default: scan.fail-on]
    #[arg(long, value_name = "SEVERITY", value_parser = severity())]
    pub fail_on: Option<Severity>,
}

/// The severities that a database gives, worst first.
fn severity() -> impl TypedValueParser<Value = Severity> {
    let named = |name: String| Severity::ALL.into_iter().find(|s| s.to_string() == name).ok_or("no such severity");
    PossibleValuesParser::new(["critical", "high", "medium", "low"]).try_map(named)
}

impl How {
    /// Changes the table's policy by these flags.
    pub(super) fn apply(&self, scan: &mut config::Scan) {
        scan.trivy.when = self.trivy.unwrap_or(scan.trivy.when);
        scan.trivy.max_db_age = self.max_db_age.unwrap_or(scan.trivy.max_db_age);
        scan.fail_on = self.fail_on.map_or_else(|| scan.fail_on.clone(), |least| scan.fail_on.starting_at(least));
    }
}

#[derive(Debug, Args)]
pub(super) struct Release {
    /// The version, v1.2.0
    pub version: String,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub to: Where,
    #[command(flatten)]
    pub how: How,
    #[command(flatten)]
    pub import: Import,
    /// Build a source that differs from its commit, or has none; the record says so
    #[arg(long)]
    pub allow_dirty: bool,
    /// Let findings above the policy fail a local layout too
    #[arg(long)]
    pub strict: bool,
    /// Scan nothing, for a reason that goes into the record
    #[arg(long, value_name = "REASON", conflicts_with = "strict")]
    pub skip_scan: Option<String>,
    /// Build and scan, print digests and every tag move, publish nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Leave the manifests of this repository as they are, and release no Helm chart; the bundle has a pinned copy
    #[arg(long)]
    pub no_pin: bool,
    /// Print the record (with --dry-run, the tag moves) as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The version, v1.2.0
    pub version: String,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub to: Where,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Build {
    /// The version, v1.2.0
    pub version: String,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub export: Export,
    /// Print the digests as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Scan {
    #[command(flatten)]
    pub released: super::rescan::Released,
    #[command(flatten)]
    pub how: How,
    #[command(flatten)]
    pub reports: Reports,
}

#[derive(Debug, Args)]
pub(super) struct Pin {
    /// A released version, v1.2.0
    #[arg(required_unless_present = "external")]
    pub version: Option<String>,
    /// Pin the images of others instead, to what their registries have under their tags
    #[arg(long, conflicts_with_all = ["version", "from"])]
    pub external: bool,
    /// Where it was released [default: publish.to]
    #[arg(long, value_name = "DESTINATION")]
    pub from: Option<Destination>,
    /// Change nothing; exit 5 with a diff when something would change
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A released version, v1.2.0
    pub version: String,
    /// Where it was released [default: publish.to]
    #[arg(long, value_name = "DESTINATION")]
    pub from: Option<Destination>,
    /// Print the verdict as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}

impl What {
    /// What these flags change in the table.
    pub(super) fn overrides(&self, to: Option<&Destination>) -> Overrides {
        Overrides {
            platforms: self.platforms.clone(),
            to: to.cloned(),
            base: self.base.clone(),
            compression: self.compression,
            images: self.images.clone(),
            no_chart: None,
        }
    }
}
