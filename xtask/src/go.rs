//! The go command at the pinned version, deaf to the machine's own settings.
//!
//! Takes a version, gives commands. The Go module proxy delivers the toolchain and the go command checks it
//! (`GOTOOLCHAIN`), so any Go from 1.21 on will do. Proxy and cache settings of the user are kept; everything that
//! could change the bytes of a program is fixed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use semver::Version;
use xshell::{Shell, cmd};

use crate::cmd::Run;
use crate::error::{Context, Error, Result};
use crate::oci::Platform;
use crate::ui::Ui;

/// Settings that say where modules come from and are kept, never what is built.
const KEPT: &[&str] = &[
    "GOPROXY",
    "GONOPROXY",
    "GOPRIVATE",
    "GOSUMDB",
    "GONOSUMDB",
    "GOINSECURE",
    "GOAUTH",
    "GOVCS",
    "GOMODCACHE",
    "GOCACHE",
];

/// Those of them that hold on another machine too.
pub const MODULES: &[&str] = &["GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE"];

/// Variables of the caller's environment that change what a build gives.
const DROPPED: &[&str] = &[
    "GOFLAGS",
    "GOEXPERIMENT",
    "GOROOT",
    "GOBIN",
    "GOWORK",
    "GO111MODULE",
    "GOOS",
    "GOARCH",
    "GOAMD64",
    "GOARM",
    "GOARM64",
    "GO386",
    "GOMIPS",
    "GOMIPS64",
    "GOPPC64",
    "GORISCV64",
    "GOFIPS140",
    "GODEBUG",
    "GCCGO",
    "GO_EXTLINK_ENABLED",
    "GOCOVERDIR",
];

/// One pinned Go toolchain.
pub struct Go {
    program: PathBuf,
    version: Version,
    settings: BTreeMap<String, String>,
}

impl Go {
    /// Asks the installed go command for the user's proxy and cache settings.
    pub fn new(version: &Version, ui: &Ui) -> Result<Go> {
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        let read = Run::new(cmd!(shell, "go env -json {KEPT...}").env("GOTOOLCHAIN", "local"));
        let read = read.hint("install Go 1.21 or newer, from your system's packages or https://go.dev/dl");
        let settings = serde_json::from_slice(&read.read(ui)?).attempt(|| "read `go env -json`".into())?;
        Ok(Go { program: "go".into(), version: version.clone(), settings })
    }

    /// A stand-in for the go command.
    #[cfg(test)]
    pub(crate) fn scripted(program: &Path, version: Version) -> Go {
        Go { program: program.to_owned(), version, settings: BTreeMap::new() }
    }

    /// The toolchain's name, `go1.27.3`.
    pub fn toolchain(&self) -> String {
        format!("go{}", self.version)
    }

    /// Where modules are kept.
    pub fn module_cache(&self) -> Option<PathBuf> {
        self.settings.get("GOMODCACHE").map(PathBuf::from)
    }

    /// Where modules come from, by variable: the user's proxy and checksum settings, for a go command that runs
    /// elsewhere. A setting that says nothing is left out.
    pub fn module_settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let said = self.settings.iter().filter(|(name, value)| MODULES.contains(&name.as_str()) && !value.is_empty());
        said.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `go ARGS` in `folder`, for this machine; `platform` makes it build for that one.
    pub fn run(&self, folder: &Path, platform: Option<&Platform>, args: &[&str]) -> Result<Run> {
        // A shell is a current folder and an environment; one a command keeps `Go` shareable between threads.
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        shell.change_dir(folder);
        let program = &self.program;
        let mut command = cmd!(shell, "{program} {args...}");
        for name in DROPPED {
            command = command.env_remove(name);
        }
        for (name, value) in &self.settings {
            command = command.env(name, value);
        }
        command = command
            .env("GOENV", "off")
            .env("GOTOOLCHAIN", self.toolchain())
            .env("GOWORK", "off")
            .env("CGO_ENABLED", "0");
        for (name, value) in platform.map(Platform::go_env).unwrap_or_default() {
            command = command.env(name, value);
        }
        Ok(Run::new(command))
    }

    /// The same machine's go command at another version.
    pub fn at(&self, version: &Version) -> Go {
        Go { program: self.program.clone(), version: version.clone(), settings: self.settings.clone() }
    }

    /// The program of `package@vVERSION`, built once into `folder/NAME/VERSION/` and kept.
    pub fn install(&self, folder: &Path, package: &str, version: &Version, ui: &Ui) -> Result<PathBuf> {
        let name = package.rsplit('/').next().unwrap_or(package);
        let program = kept(folder, name, version, &self.toolchain());
        if !program.is_file() {
            self.build(&Recipe { name, package, version, env: &[], ldflags: "" }, &program, ui)?;
        }
        Ok(program)
    }

    /// Makes `program` by `go install`: beside it, then renamed.
    pub fn build(&self, recipe: &Recipe<'_>, program: &Path, ui: &Ui) -> Result<()> {
        let Recipe { name, package, version, env, ldflags } = recipe;
        let bin = program.parent().unwrap_or(Path::new("."));
        let shelf = bin.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(shelf).attempt(|| format!("create {}", shelf.display()))?;
        let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(shelf);
        let beside = beside.attempt(|| format!("create a folder in {}", shelf.display()))?;
        let step = ui.step(format!("install {name} {version}"));
        let target = format!("{package}@v{version}");
        let ldflags = format!("-ldflags=-s -w {ldflags}");
        let install = self.run(shelf, None, &["install", "-trimpath", ldflags.trim_end(), &target])?;
        let install = env.iter().fold(install, |run, (name, value)| run.env(name, value));
        let hint = format!("check the version of {name} in release.toml, and that the Go module proxy can be reached");
        install.env("GOBIN", beside.path()).hint(&hint).read(ui)?;
        let made = beside.path().join(name);
        if !made.is_file() {
            return Err(Error::failed(format!("go install {target} gave no program called {name}")).hint(hint));
        }
        std::fs::create_dir_all(bin).attempt(|| format!("create {}", bin.display()))?;
        std::fs::rename(made, program).attempt(|| format!("name {}", program.display()))?;
        step.done("");
        Ok(())
    }
}

/// Where a program is kept that `toolchain` made. A folder may be shared by machines of several kinds.
pub fn kept(folder: &Path, name: &str, version: &Version, toolchain: &str) -> PathBuf {
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    folder.join(name).join(format!("{version}-{toolchain}-{os}-{architecture}")).join(name)
}

/// What `go install` makes a program of.
pub struct Recipe<'a> {
    /// What the program is called.
    pub name: &'a str,
    /// The package of its `main`.
    pub package: &'a str,
    /// Its version, without `v`.
    pub version: &'a Version,
    /// What the go command needs in its environment.
    pub env: &'a [(&'a str, &'a str)],
    /// For the linker.
    pub ldflags: &'a str,
}
