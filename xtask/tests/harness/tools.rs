//! Programs that read what xtask wrote, at pinned versions, installed by the go command into this checkout's caches.

use std::path::PathBuf;

use xtask::go::Go;
use xtask::ui::Ui;

use super::checkout;

/// The toolchain of release.toml.
pub(crate) fn go() -> Go {
    let config = xtask::config::Config::load(&checkout(), None).expect("release.toml is right");
    Go::new(&config.tools.go, &Ui::silent()).expect("go is installed")
}

fn install(package: &str, version: &str) -> PathBuf {
    let folder = checkout().join("target/xtask/tools");
    let version = version.parse().expect("a version");
    go().install(&folder, package, &version, &Ui::new(false)).expect("it can be installed")
}

/// go-containerregistry's command line.
pub(crate) fn crane() -> PathBuf {
    install("github.com/google/go-containerregistry/cmd/crane", "0.22.1")
}

/// ORAS.
pub(crate) fn oras() -> PathBuf {
    install("oras.land/oras/cmd/oras", "1.3.6")
}

/// The reference registry.
pub(crate) fn registry() -> PathBuf {
    install("github.com/distribution/distribution/v3/cmd/registry", "3.1.2")
}

/// ko, the peer in benchmarks.
pub(crate) fn ko() -> PathBuf {
    install("github.com/google/ko", "0.19.1")
}
