//! The native builder against buildx and against ko: the sample's images for both platforms, into OCI layouts. Needs
//! root, and Debian's runc and busybox-static.
//!
//! Prints one table: once with nothing in any cache, then the best of several runs with nothing changed and with one
//! line changed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that can't be set up has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::path::Path;
use std::process::Command;

use harness::buildkit::{Buildkit, go_image, use_buildx};
use harness::peers::{Peers, time};
use harness::tools;
use tempfile::TempDir;

/// How often each thing is done with warm caches; the best counts.
const RUNS: usize = 5;

const BUILDERS: [&str; 3] = ["native", "buildx", "ko"];

struct Bench {
    peers: Peers,
    buildkit: Buildkit,
    ko: std::path::PathBuf,
    /// What the go command has compiled, of each that runs it on this machine.
    compiled: [TempDir; 2],
    modules: TempDir,
}

impl Bench {
    fn new() -> Bench {
        let peers = Peers::new();
        use_buildx(&peers.repo, &go_image(&format!("{}/golang:1", peers.registry.address())));
        let folder = || TempDir::new().unwrap();
        Bench { peers, buildkit: Buildkit::start(), ko: tools::ko(), compiled: [folder(), folder()], modules: folder() }
    }

    /// What `builder` runs to build everything.
    fn build(&self, builder: &str) -> Command {
        match builder {
            "native" => with_caches(self.peers.xtask(&["build", "v1.0.0"]), self.compiled[0].path(), &self.modules),
            "buildx" => {
                let mut command = self.peers.xtask(&["build", "v1.0.0", "--builder", "buildx"]);
                self.buildkit.reach(&mut command);
                command
            }
            _ => {
                // ko takes the path for a repository as well, which a temporary folder's name can't be.
                let args = ["--push=false", "--sbom=none", "--oci-layout-path=../../target/ko"];
                with_caches(self.peers.ko(&self.ko, &args), self.compiled[1].path(), &self.modules)
            }
        }
    }

    /// Removes what the go command of this machine and xtask have kept. A builder instance starts empty.
    fn forget(&self, builder: &str) {
        // ko is given the code that xtask generated.
        if builder != "ko" {
            std::fs::remove_dir_all(self.peers.repo.path().join("target/xtask")).unwrap();
        }
        let mut clean = with_caches(Command::new("go"), self.compiled[0].path(), &self.modules);
        time(clean.args(["clean", "-modcache"]).env("GOTOOLCHAIN", "local"));
        // The toolchain itself is part of the image that buildx compiles in.
        let mut fetch = with_caches(Command::new("go"), self.compiled[0].path(), &self.modules);
        time(fetch.arg("version").env("GOTOOLCHAIN", tools::go().toolchain()));
    }
}

fn with_caches(mut command: Command, compiled: &Path, modules: &TempDir) -> Command {
    command.env("GOCACHE", compiled).env("GOMODCACHE", modules.path());
    command
}

fn main() {
    let mut bench = Bench::new();
    let mut rows = [
        ("cold", [f64::INFINITY; 3]),
        ("nothing changed", [f64::INFINITY; 3]),
        ("one line changed", [f64::INFINITY; 3]),
    ];
    for (column, builder) in BUILDERS.iter().enumerate().rev() {
        bench.forget(builder);
        rows[0].1[column] = time(&mut bench.build(builder)).as_secs_f64();
    }
    for (column, builder) in BUILDERS.iter().enumerate() {
        time(&mut bench.build(builder));
        for _ in 0..RUNS {
            rows[1].1[column] = rows[1].1[column].min(time(&mut bench.build(builder)).as_secs_f64());
        }
    }
    for _ in 0..RUNS {
        for (column, builder) in BUILDERS.iter().enumerate() {
            bench.peers.edit();
            rows[2].1[column] = rows[2].1[column].min(time(&mut bench.build(builder)).as_secs_f64());
        }
    }
    println!("| | native | buildx | ko | native / buildx | native / ko |");
    println!("|---|---|---|---|---|---|");
    for (what, [native, buildx, ko]) in rows {
        println!(
            "| {what} | {native:.1} s | {buildx:.1} s | {ko:.1} s | {:.2} | {:.2} |",
            native / buildx,
            native / ko
        );
    }
}
