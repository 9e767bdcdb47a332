//! Doctor: what is installed, what is missing, and how to get it.
//!
//! Asks each program for its version and looks into the caches; installs nothing and opens no socket.

use std::time::Duration;

use serde::Serialize;
use xshell::{Shell, cmd};

use crate::cmd::Run;
use crate::config::Config;
use crate::error::{Class, Context, Error, Item, Result};
use crate::plan::Workspace;
use crate::scan::vulndb;
use crate::tools::{self, How, Status};
use crate::ui::{Tone, Ui};

/// How long a program may take to tell its version.
const LIMIT: Duration = Duration::from_secs(20);

/// How much a thing is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Nothing works without it.
    Required,
    /// It comes by itself when it is first needed.
    Fetched,
    /// It is there and must not be used.
    Refused,
}

/// One thing a release may use.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What it is called.
    pub name: String,
    /// How much it is missed.
    pub need: Need,
    /// The version that is there; `None` when it is missing.
    pub found: Option<String>,
    /// What it is for.
    pub purpose: String,
    /// How to get it.
    pub get: String,
}

/// Looks at everything.
pub fn look(config: &Config, workspace: &Workspace, ui: &Ui) -> Result<Vec<Finding>> {
    let program = |name: &str, args: &[&str], purpose: &str, get: &str| Finding {
        name: name.to_owned(),
        need: Need::Required,
        found: version(name, args, ui),
        purpose: purpose.to_owned(),
        get: get.to_owned(),
    };
    let mut found = vec![
        program("cargo", &["--version"], "runs xtask", "https://rustup.rs"),
        program("go", &["version"], "builds the programs", "Go 1.21 or newer: https://go.dev/dl"),
        program("git", &["--version"], "says what is released", "your system's package `git`"),
    ];
    found.extend(tools(config, workspace, ui)?);
    found.push(Finding {
        name: "Go vulnerability database".to_owned(),
        need: Need::Fetched,
        found: vulndb::cached(&workspace.cache),
        purpose: "tells what is known about the programs".to_owned(),
        get: "from the Go module proxy, at the first scan".to_owned(),
    });
    Ok(found)
}

/// What release.toml pins, each as `cargo xtask tools list` shows it.
fn tools(config: &Config, workspace: &Workspace, ui: &Ui) -> Result<Vec<Finding>> {
    let finding = |status: Status| {
        let need = if status.refused.is_some() { Need::Refused } else { Need::Fetched };
        let get = match (status.refused, status.next) {
            (Some(why), _) => why,
            (None, How::Download) => "from its publisher, when first needed".to_owned(),
            (None, _) => "from the Go module proxy, when first needed".to_owned(),
        };
        Finding {
            name: format!("{} {}", status.name, status.version),
            need,
            found: status.found.map(|found| found.how.to_string()),
            purpose: status.purpose.to_owned(),
            get,
        }
    };
    Ok(tools::survey(&config.tools, workspace.tools.clone(), ui)?.into_iter().map(finding).collect())
}

/// Shows what there is; that something required is missing is an error (class preflight).
pub fn run(config: &Config, workspace: &Workspace, json: bool, ui: &Ui) -> Result<()> {
    let found = look(config, workspace, ui)?;
    if json {
        ui.data(&serde_json::to_string_pretty(&found).attempt(|| "write JSON".into())?);
    } else {
        let rows = found.iter().map(|f| {
            let (tone, state) = match (&f.found, f.need) {
                (Some(version), _) => (Tone::Good, version.clone()),
                (None, Need::Required) => (Tone::Bad, "missing".to_owned()),
                (None, Need::Fetched) => (Tone::Dim, "not yet fetched".to_owned()),
                (None, Need::Refused) => (Tone::Bad, "refused".to_owned()),
            };
            let get = if f.found.is_some() { String::new() } else { f.get.clone() };
            (tone, vec![f.name.clone(), state, f.purpose.clone(), get])
        });
        ui.table(&["what", "found", "for", "how to get it"], &rows.collect::<Vec<_>>());
    }
    let items: Vec<Item> = found.into_iter().filter_map(wrong).collect();
    match items.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Class::Preflight, "this machine can't make releases as it is").items(items)),
    }
}

fn wrong(finding: Finding) -> Option<Item> {
    match (finding.need, finding.found) {
        (Need::Required, None) => Some(Item { what: format!("{} is missing", finding.name), fix: Some(finding.get) }),
        (Need::Refused, _) => Some(Item { what: finding.get, fix: None }),
        _ => None,
    }
}

/// The first line of what a program says of itself.
fn version(program: &str, args: &[&str], ui: &Ui) -> Option<String> {
    let shell = Shell::new().ok()?;
    let said = Run::new(cmd!(shell, "{program} {args...}")).env("GOTOOLCHAIN", "local").limit(LIMIT).read(ui).ok()?;
    let text = String::from_utf8_lossy(&said).into_owned();
    text.lines().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}
