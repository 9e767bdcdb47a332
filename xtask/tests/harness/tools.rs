//! Programs that read what xtask wrote, at pinned versions, compiled by the go command into the machine's own cache.
//!
//! What release.toml pins is installed by the toolbox that users have; its versions are written nowhere else.

use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::config::Config;
use xtask::go::Go;
use xtask::tools::{Toolbox, machine_cache};
use xtask::ui::Ui;

use super::checkout;

fn config() -> Config {
    Config::load(&checkout(), None).expect("release.toml is right")
}

/// The toolchain of release.toml.
pub(crate) fn go() -> Go {
    Go::new(&config().tools.go, &Ui::silent()).expect("go is installed")
}

/// A program that release.toml pins. Compiled, because a test machine may reach nothing but the Go module proxy.
fn pinned(name: &str) -> PathBuf {
    let (config, go) = (config(), go());
    let cache = machine_cache().expect("the machine has a cache");
    let toolbox = Toolbox::new(&config.tools, &go, cache, None, false).compiling();
    toolbox.get(name, &Ui::new(false)).expect("it can be installed")
}

/// A program that only tests need.
fn install(package: &str, version: &str) -> PathBuf {
    let cache = machine_cache().expect("the machine has a cache");
    let version = version.parse().expect("a version");
    go().install(&cache, package, &version, &Ui::new(false)).expect("it can be installed")
}

/// The files of a Go module, which the go command has checked.
pub(crate) fn module(path: &str, version: &str) -> PathBuf {
    let target = format!("{path}@v{version}");
    let run = go().run(&std::env::temp_dir(), None, &["mod", "download", "-json", &target]).expect("a folder");
    let said = run.read(&Ui::new(false)).expect("the Go module proxy has it");
    let said: serde_json::Value = serde_json::from_slice(&said).expect("JSON");
    PathBuf::from(said["Dir"].as_str().expect("it has a folder"))
}

/// go-containerregistry's command line.
pub(crate) fn crane() -> PathBuf {
    pinned("crane")
}

/// ORAS.
pub(crate) fn oras() -> PathBuf {
    pinned("oras")
}

/// The image scanner; its first compilation takes minutes.
pub(crate) fn trivy() -> PathBuf {
    pinned("trivy")
}

/// The peer in SBOMs.
pub(crate) fn syft() -> PathBuf {
    pinned("syft")
}

/// Renders overlays.
pub(crate) fn kustomize() -> PathBuf {
    pinned("kustomize")
}

/// Renders charts.
pub(crate) fn helm() -> PathBuf {
    pinned("helm")
}

/// Checks workflows.
pub(crate) fn actionlint() -> PathBuf {
    pinned("actionlint")
}

/// Checks manifests against Kubernetes' schemas.
pub(crate) fn kubectl_validate() -> PathBuf {
    pinned("kubectl-validate")
}

/// Builds from Dockerfiles.
pub(crate) fn buildx() -> PathBuf {
    pinned("buildx")
}

/// Signs images and verifies signatures.
pub(crate) fn cosign() -> PathBuf {
    pinned("cosign")
}

/// The reference registry.
pub(crate) fn registry() -> PathBuf {
    install("github.com/distribution/distribution/v3/cmd/registry", "3.1.2")
}

/// ko, the peer in benchmarks.
pub(crate) fn ko() -> PathBuf {
    install("github.com/google/ko", "0.19.1")
}

/// The program is taken from the PATH by `xtask tools list`, which asks it for its version and wants the pinned one.
#[track_caller]
pub(crate) fn assert_found_at_its_version(program: &Path) {
    let (name, folder) = (program.file_name().expect("a name"), program.parent().expect("a folder"));
    let empty = tempfile::tempdir().expect("a folder");
    let mut list = Command::new(env!("CARGO_BIN_EXE_xtask"));
    list.args(["tools", "list", "--json"]).current_dir(checkout()).env("PATH", folder);
    let output = list.env("XDG_CACHE_HOME", empty.path()).output().expect("xtask runs");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("xtask wrote JSON");
    let row = rows.iter().find(|row| row["name"].as_str() == name.to_str()).expect("it is listed");
    assert_eq!(row["found"]["path"].as_str().map(Path::new), Some(program), "{row}");
}

/// Prometheus' checks of rules. Its module replaces others, so `go install` refuses it; a module of our own that
/// requires it is built instead.
pub(crate) fn promtool() -> PathBuf {
    const VERSION: &str = "0.306.0";
    const PACKAGE: &str = "github.com/prometheus/prometheus/cmd/promtool";
    let shelf = machine_cache().expect("the machine has a cache").join("promtool").join(VERSION);
    let program = shelf.join("promtool");
    if program.is_file() {
        return program;
    }
    let beside = tempfile::tempdir_in(checkout().join("target")).expect("a folder to build in");
    std::fs::write(beside.path().join("go.mod"), "module promtool\n\ngo 1.26.0\n").expect("it can be written");
    let got = format!("{PACKAGE}@v{VERSION}");
    for arguments in [&["get", &got][..], &["build", "-mod=mod", "-trimpath", "-o", "promtool", PACKAGE]] {
        go().run(beside.path(), None, arguments).and_then(|run| run.read(&Ui::new(false))).expect("promtool builds");
    }
    std::fs::create_dir_all(&shelf).expect("the shelf can be made");
    // The cache may be on another file system: copied beside, then renamed.
    let copied = shelf.join(format!(".new-{}", std::process::id()));
    std::fs::copy(beside.path().join("promtool"), &copied).expect("it can be copied");
    std::fs::rename(&copied, &program).expect("it can be put there");
    program
}
