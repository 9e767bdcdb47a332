//! Doctor: what is installed, what is missing, and how to get it.
//!
//! Asks each program for its version and looks into the caches; installs nothing and opens no socket.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use xshell::{Shell, cmd};

use crate::cmd::Run;
use crate::config::Config;
use crate::error::{Class, Context, Error, Item, Result};
use crate::plan::Workspace;
use crate::scan::{trivy, vulndb};
use crate::ui::{Tone, Ui};

/// How long a program may take to tell its version.
const LIMIT: Duration = Duration::from_secs(20);

/// How much a thing is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Nothing works without it.
    Required,
    /// It makes more possible.
    Optional,
    /// It comes by itself when it is first needed.
    Fetched,
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
pub fn look(config: &Config, workspace: &Workspace, ui: &Ui) -> Vec<Finding> {
    let program = |name: &str, need, args: &[&str], purpose: &str, get: &str| Finding {
        name: name.to_owned(),
        need,
        found: version(name, args, ui),
        purpose: purpose.to_owned(),
        get: get.to_owned(),
    };
    let mut found = vec![
        program("cargo", Need::Required, &["--version"], "runs xtask", "https://rustup.rs"),
        program("go", Need::Required, &["version"], "builds the programs", "Go 1.21 or newer: https://go.dev/dl"),
        program("git", Need::Required, &["--version"], "says what is released", "your system's package `git`"),
        program("trivy", Need::Optional, &["--version"], "scans base images and gives severities", trivy::RELEASES),
    ];
    let tools = &config.tools;
    let fetched = [
        ("protoc-gen-go", &tools.protoc_gen_go, "generates protobuf code"),
        ("protoc-gen-go-grpc", &tools.protoc_gen_go_grpc, "generates gRPC code"),
        ("govulncheck", &tools.govulncheck, "scans Go programs"),
    ];
    found.extend(fetched.map(|(name, version, purpose)| Finding {
        name: format!("{name} {version}"),
        need: Need::Fetched,
        found: installed(&workspace.cache.join("tools").join(name), &format!("{version}-")),
        purpose: purpose.to_owned(),
        get: "from the Go module proxy, when first needed".to_owned(),
    }));
    found.push(Finding {
        name: "Go vulnerability database".to_owned(),
        need: Need::Fetched,
        found: vulndb::cached(&workspace.cache),
        purpose: "tells what is known about the programs".to_owned(),
        get: "from the Go module proxy, at the first scan".to_owned(),
    });
    found
}

/// Shows what there is; that something required is missing is an error (class preflight).
pub fn run(config: &Config, workspace: &Workspace, json: bool, ui: &Ui) -> Result<()> {
    let found = look(config, workspace, ui);
    if json {
        ui.data(&serde_json::to_string_pretty(&found).attempt(|| "write JSON".into())?);
    } else {
        let rows = found.iter().map(|f| {
            let (tone, state) = match (&f.found, f.need) {
                (Some(version), _) => (Tone::Good, version.clone()),
                (None, Need::Required) => (Tone::Bad, "missing".to_owned()),
                (None, Need::Optional) => (Tone::Warn, "not installed".to_owned()),
                (None, Need::Fetched) => (Tone::Dim, "not yet fetched".to_owned()),
            };
            let get = if f.found.is_some() { String::new() } else { f.get.clone() };
            (tone, vec![f.name.clone(), state, f.purpose.clone(), get])
        });
        ui.table(&["what", "found", "for", "how to get it"], &rows.collect::<Vec<_>>());
    }
    let missing = found.into_iter().filter(|f| f.need == Need::Required && f.found.is_none());
    let items: Vec<Item> = missing.map(|f| Item { what: format!("{} is missing", f.name), fix: Some(f.get) }).collect();
    match items.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Class::Preflight, "something that every release needs is missing").items(items)),
    }
}

/// The first line of what a program says of itself.
fn version(program: &str, args: &[&str], ui: &Ui) -> Option<String> {
    let shell = Shell::new().ok()?;
    let said = Run::new(cmd!(shell, "{program} {args...}")).env("GOTOOLCHAIN", "local").limit(LIMIT).read(ui).ok()?;
    let text = String::from_utf8_lossy(&said).into_owned();
    text.lines().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

fn installed(folder: &Path, prefix: &str) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).max().map(|_| "installed".to_owned())
}
