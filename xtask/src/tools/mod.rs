//! The toolbox: every program that xtask runs beside cargo, go and git, at the version and checksum of release.toml.
//!
//! Takes a name, gives a path: on the PATH at exactly that version, else from the machine's cache, else downloaded,
//! else compiled by `go install`. Never runs a program of another version, never unpacks what hasn't the pinned
//! checksum, never sends credentials, and never takes a wrong checksum for a reason to look elsewhere.

mod archive;
mod cache;
mod fetch;
mod find;
#[cfg(test)]
mod fixture;
mod known;
mod lock;
mod mirror;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use semver::Version;
use serde::Serialize;

pub use cache::machine_cache;
pub use find::{Found, How, PassedOver};
pub use lock::{Locked, Wish};
pub use mirror::Mirror;

use cache::{Held, Shelf};
use fetch::{Fetcher, LONGEST, Offer};
use find::{Finder, Search, Tool};

use crate::config::Tools;
use crate::error::{Class, Context, Error, Result};
use crate::fs;
use crate::go::{Go, Recipe};
use crate::pool;
use crate::registry::{Clock, Downloads, Policy, SystemClock};
use crate::ui::Ui;

/// The variable that names a mirror for every command.
pub const MIRROR: &str = "XTASK_TOOLS_MIRROR";

/// The largest release table.
const TABLE: u64 = 1 << 20;

/// Gets programs.
pub struct Toolbox<'a> {
    finder: Finder<'a>,
    go: &'a Go,
    mirror: Option<Mirror>,
    offline: bool,
    compile: bool,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

impl<'a> Toolbox<'a> {
    /// A toolbox of the programs in `tools`, kept below `cache` ([`machine_cache`]). `mirror` has publishers' files in
    /// their place; `offline` gets nothing new.
    pub fn new(tools: &'a Tools, go: &'a Go, cache: PathBuf, mirror: Option<Mirror>, offline: bool) -> Toolbox<'a> {
        let finder = Finder { tools, cache, path: std::env::var_os("PATH") };
        let (policy, clock) = (Policy::default(), Arc::new(SystemClock));
        Toolbox { finder, go, mirror, offline, compile: false, policy, clock }
    }

    /// The same, but what isn't on this machine is compiled and never downloaded.
    #[must_use]
    pub fn compiling(mut self) -> Toolbox<'a> {
        self.compile = true;
        self
    }

    /// Whether release.toml pins the program `name`.
    pub fn has(&self, name: &str) -> bool {
        self.finder.tools.pin(name).is_some()
    }

    /// The program `name`, got in one way or another.
    pub fn get(&self, name: &str, ui: &Ui) -> Result<PathBuf> {
        self.provide(name, ui).map(|found| found.path)
    }

    /// The program `name` where it is on this machine already.
    pub fn installed(&self, name: &str, ui: &Ui) -> Result<Option<PathBuf>> {
        let tool = self.finder.tool(name)?;
        Ok(self.finder.search(&tool, ui)?.found.map(|found| found.path))
    }

    /// The same as [`Toolbox::get`], with where it came from.
    pub fn provide(&self, name: &str, ui: &Ui) -> Result<Found> {
        let tool = self.finder.tool(name)?;
        if let Some(found) = self.finder.search(&tool, ui)?.found {
            return Ok(found);
        }
        if self.offline {
            let error = Error::new(Class::Preflight, format!("{} is not on this machine", tool.title()));
            return Err(error.hint(format!("run `cargo xtask tools install {name}` while the network is there")));
        }
        let shelf = self.finder.shelf(&tool);
        let held = shelf.lock(ui)?;
        // Another run may have got it while this one waited.
        if let Some(found) = self.finder.cached(&tool) {
            return Ok(found);
        }
        match self.download(&tool, &shelf, &held, ui) {
            Some(Err(error)) if error.class() == Class::Network => {
                let said = error.to_string();
                ui.warn(&format!("{}; compiling it instead", said.lines().next().unwrap_or_default()));
                self.build(&tool, ui)
            }
            Some(path) => Ok(Found { path: path?, how: How::Download }),
            None => self.build(&tool, ui),
        }
    }

    /// The program as its publisher offers it; `None` where that isn't asked for, or release.toml has no checksum for
    /// this machine.
    fn download(&self, tool: &Tool, shelf: &Shelf, held: &Held, ui: &Ui) -> Option<Result<PathBuf>> {
        let (machine, sha256) = tool.checksum().filter(|_| !self.compile)?;
        let release = tool.known.release.as_ref()?;
        let offer = Offer { name: tool.known.name, version: &tool.pin.version, machine, release };
        let downloads = Downloads::patient(self.policy, Arc::clone(&self.clock), LONGEST, ui);
        let fetcher = Fetcher { downloads, mirror: self.mirror.as_ref() };
        Some(fetcher.program(&offer, sha256, shelf, held, ui))
    }

    fn build(&self, tool: &Tool, ui: &Ui) -> Result<Found> {
        let source = &tool.known.source;
        let go = source.toolchain.as_ref().map(|version| self.go.at(version));
        let recipe = Recipe {
            name: tool.known.name,
            package: source.package,
            version: &tool.pin.version,
            env: source.env,
            ldflags: &known::filled(source.ldflags, &tool.pin.version, ""),
        };
        let path = self.finder.shelf(tool).built(&tool.pin.version, &self.finder.toolchain(tool));
        go.as_ref().unwrap_or(self.go).build(&recipe, &path, ui)?;
        Ok(Found { path, how: How::GoInstall })
    }
}

/// Looks up checksums and writes them into the release table at `file`, which `tools` was read from. Without `wishes`
/// all that have a publisher are looked up. Nothing is written unless everything was found.
///
/// # Errors
/// When a version that has a checksum would get another one, unless `force` is given.
pub fn lock(
    file: &Path,
    tools: &Tools,
    wishes: &[Wish],
    mirror: Option<&Mirror>,
    force: bool,
    ui: &Ui,
) -> Result<Vec<Locked>> {
    let fetcher = Fetcher { downloads: Downloads::new(LONGEST, ui), mirror };
    lock_by(&fetcher, file, tools, wishes, force)
}

fn lock_by(fetcher: &Fetcher<'_>, file: &Path, tools: &Tools, wishes: &[Wish], force: bool) -> Result<Vec<Locked>> {
    let finder = Finder { tools, cache: PathBuf::new(), path: None };
    let all = || {
        let offered = finder.pinned().filter(|tool| tool.known.release.is_some());
        offered.map(|tool| Wish { name: tool.known.name.to_owned(), version: None }).collect()
    };
    let wishes: Vec<Wish> = if wishes.is_empty() { all() } else { wishes.to_vec() };
    let mut locked = Vec::new();
    for wish in &wishes {
        let tool = finder.tool(&wish.name)?;
        let release = tool.known.release.as_ref().ok_or_else(|| {
            Error::usage(format!("{} has no checksum to lock", wish.name))
                .hint("it is compiled from the Go module proxy, and the go command checks it against sum.golang.org")
        })?;
        locked.push(lock::look_up(&tool, release, wish.version.as_ref(), fetcher, force)?);
    }
    let text = String::from_utf8(fs::read_small(file, TABLE)?).attempt(|| format!("read {}", file.display()))?;
    let new = lock::write(file, &text, &locked)?;
    if new != text {
        fs::write(file, new.as_bytes())?;
    }
    Ok(locked)
}

/// One program as release.toml pins it, and what there is of it on this machine.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// The pinned version.
    pub version: Version,
    /// What it is for.
    pub purpose: &'static str,
    /// Where it is; `None` when it has still to be got.
    pub found: Option<Found>,
    /// Others of its name on the PATH.
    pub passed_over: Vec<PassedOver>,
    /// Why it must not be used.
    pub refused: Option<String>,
    /// How it would be got.
    pub next: How,
}

/// The names of the programs that `tools` pins, in order.
pub fn pinned(tools: &Tools) -> Vec<String> {
    known::KNOWN.iter().map(|known| known.name).filter(|name| tools.pin(name).is_some()).map(Into::into).collect()
}

/// Looks for every pinned program; needs no Go and opens no socket.
pub fn survey(tools: &Tools, cache: PathBuf, ui: &Ui) -> Result<Vec<Status>> {
    let finder = Finder { tools, cache, path: std::env::var_os("PATH") };
    let status = |tool: &Tool| {
        let (search, refused) = match finder.search(tool, ui) {
            Ok(search) => (search, None),
            Err(error) => (Search::default(), Some(error.to_string())),
        };
        Ok(Status {
            name: tool.known.name,
            next: if tool.checksum().is_some() { How::Download } else { How::GoInstall },
            version: tool.pin.version.clone(),
            purpose: tool.known.purpose,
            found: search.found,
            passed_over: search.passed_over,
            refused,
        })
    };
    // Each is a program that is started; none waits for another.
    pool::map(&finder.pinned().collect::<Vec<_>>(), pool::cores(), status)
}

#[cfg(test)]
mod tests;
