//! Programs that are already on this machine: on the PATH at exactly the pinned version, or in the cache.
//!
//! Takes the pins and where to look, gives what is found and what was passed over. Opens no socket and changes nothing;
//! asks a program for its version in a folder without anybody's settings. A hijacked release is an error wherever it
//! stands, and is not run where its build information gives it away.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::{BuildMetadata, Version};
use serde::Serialize;
use xshell::{Shell, cmd};

use super::cache::Shelf;
use super::known::{self, KNOWN, Known};
use crate::cmd::Run;
use crate::config::{Checksum, Machine, PinnedTool, Tools, hijacked};
use crate::error::{Class, Error, Result};
use crate::sbom::buildinfo;
use crate::ui::Ui;

/// How long a program may take to tell its version.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// A program that is ready to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Where it came from.
    pub how: How,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.how)
    }
}

/// How a program was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It was on the PATH at the pinned version.
    Path,
    /// It was in the machine's cache.
    Cache,
    /// It was downloaded from its publisher or a mirror, and has the pinned checksum.
    Download,
    /// It was compiled from the Go module proxy.
    GoInstall,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Path => "on the PATH",
            How::Cache => "cached",
            How::Download => "downloaded",
            How::GoInstall => "go install",
        })
    }
}

/// A program of the right name on the PATH that isn't the pinned one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Where it is.
    pub path: PathBuf,
    /// What it says that it is; `None` when it says nothing of the kind.
    pub version: Option<Version>,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.version {
            Some(version) => write!(f, " ({version})"),
            None => write!(f, " (of no known version)"),
        }
    }
}

/// What a search for one program came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    pub(super) found: Option<Found>,
    pub(super) passed_over: Vec<PassedOver>,
}

/// A program and how release.toml pins it.
pub(super) struct Tool {
    pub(super) known: &'static Known,
    pub(super) pin: PinnedTool,
}

impl Tool {
    /// What its publisher offers for this machine, where release.toml has its checksum.
    pub(super) fn checksum(&self) -> Option<(Machine, Checksum)> {
        let machine = this_machine().filter(|_| self.known.release.is_some())?;
        self.pin.sha256.get(&machine).map(|sha256| (machine, *sha256))
    }

    /// `trivy 0.74.0`
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.known.name, self.pin.version)
    }
}

/// Where programs are looked for.
pub(super) struct Finder<'a> {
    pub(super) tools: &'a Tools,
    pub(super) cache: PathBuf,
    pub(super) path: Option<OsString>,
}

impl Finder<'_> {
    /// The program `name` as release.toml pins it.
    pub(super) fn tool(&self, name: &str) -> Result<Tool> {
        let known = known::find(name).ok_or_else(|| {
            let names = KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
            Error::usage(format!("no tool is called `{name}`")).hint(format!("there are {names}"))
        })?;
        let pin = self.tools.pin(name).ok_or_else(|| {
            Error::usage(format!("release.toml pins no version of {name}"))
                .hint(format!("write `{name} = \"1.2.3\"` below [tools], with the version you want"))
        })?;
        Ok(Tool { known, pin })
    }

    /// The pinned ones, in the order of their names.
    pub(super) fn pinned(&self) -> impl Iterator<Item = Tool> {
        KNOWN.iter().filter_map(|known| Some(Tool { known, pin: self.tools.pin(known.name)? }))
    }

    /// Looks on the PATH, then in the cache.
    ///
    /// # Errors
    /// When the one on the PATH is a hijacked release.
    pub(super) fn search(&self, tool: &Tool, ui: &Ui) -> Result<Search> {
        let mut passed_over = Vec::new();
        let ask = tool.known.ask.unwrap_or_default();
        for path in self.on_path(tool.known.name) {
            // A hijacked program does its harm when it is run, if only to tell its version.
            let recorded = recorded(&path);
            let refused = |version: &Version| hijacked(tool.known.name, version).map(|why| refusal(&path, why));
            if let Some(error) = recorded.iter().find_map(refused) {
                return Err(error);
            }
            let version = if ask.is_empty() { None } else { version(&path, ask, ui) };
            if let Some(error) = version.as_ref().and_then(refused) {
                return Err(error);
            }
            if version.as_ref().is_some_and(|version| same(version, &tool.pin.version)) {
                return Ok(Search { found: Some(Found { path, how: How::Path }), passed_over });
            }
            passed_over.push(PassedOver { path, version });
        }
        Ok(Search { found: self.cached(tool), passed_over })
    }

    /// Looks in the cache.
    pub(super) fn cached(&self, tool: &Tool) -> Option<Found> {
        let shelf = self.shelf(tool);
        let downloaded = tool.checksum().map(|(_, sha256)| shelf.downloaded(&tool.pin.version, sha256));
        let built = shelf.built(&tool.pin.version, &self.toolchain(tool));
        let path = downloaded.into_iter().chain([built]).find(|path| runs(path))?;
        Some(Found { path, how: How::Cache })
    }

    pub(super) fn shelf(&self, tool: &Tool) -> Shelf {
        Shelf::new(&self.cache, tool.known.name)
    }

    /// The toolchain that compiles a program, `go1.27.4`.
    pub(super) fn toolchain(&self, tool: &Tool) -> String {
        format!("go{}", tool.known.source.toolchain.as_ref().unwrap_or(&self.tools.go))
    }

    /// The files of this name that a shell would run. A relative folder is the current one's owner's choice, not the
    /// user's, and is left out.
    fn on_path(&self, name: &str) -> Vec<PathBuf> {
        let folders = self.path.iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
        let mut files: Vec<PathBuf> = folders.map(|folder| folder.join(name)).filter(|file| runs(file)).collect();
        let mut seen = std::collections::BTreeSet::new();
        files.retain(|file| seen.insert(file.clone()));
        files
    }
}

/// The machine this program runs on; `None` on one that publishers are not asked for.
fn this_machine() -> Option<Machine> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some(Machine::LinuxAmd64),
        ("linux", "aarch64") => Some(Machine::LinuxArm64),
        ("macos", "x86_64") => Some(Machine::DarwinAmd64),
        ("macos", "aarch64") => Some(Machine::DarwinArm64),
        _ => None,
    }
}

fn refusal(path: &Path, why: &str) -> Error {
    let fix = "remove it, and change every secret that it could read";
    Error::new(Class::Preflight, format!("{} is {why}", path.display())).hint(fix)
}

fn runs(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The versions that a Go program was linked as: of its main module, and of what its linker was told to write into it.
/// None when it says nothing that can be read; then it is asked.
fn recorded(program: &Path) -> Vec<Version> {
    let Ok(info) = buildinfo::read(program) else { return Vec::new() };
    let ldflags = info.settings.get("-ldflags").map(String::as_str).unwrap_or_default();
    let words = ldflags.split(|c: char| c.is_whitespace() || matches!(c, '=' | '\'' | '"'));
    words.chain([info.main.version.as_str()]).filter_map(version_in).collect()
}

/// What a program says that its version is.
fn version(program: &Path, args: &[&str], ui: &Ui) -> Option<Version> {
    let shell = Shell::new().ok()?;
    shell.change_dir("/");
    let said = Run::new(cmd!(shell, "{program} {args...}")).limit(ASK_LIMIT).output(ui).ok()?;
    let text = [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    said.status.success().then(|| version_in(&text)).flatten()
}

/// The first word that is a version.
fn version_in(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| word.strip_prefix('v').unwrap_or(word).parse().ok())
}

/// Whether a program is the pinned release. Some add their commit as build metadata; what was built from a changed
/// checkout says so there and is another program.
fn same(said: &Version, pinned: &Version) -> bool {
    let bare = |version: &Version| Version { build: BuildMetadata::EMPTY, ..version.clone() };
    bare(said) == bare(pinned) && !said.build.contains("dirty")
}

#[cfg(test)]
mod tests;
