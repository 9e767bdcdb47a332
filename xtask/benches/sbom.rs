//! The SBOMs of a release against Syft and Trivy on the same image platforms, in one run: wall time and peak memory.
//!
//! Prints one table of the best of several runs. Ours is all of what `xtask` does to describe three images for two
//! platforms in two formats; a peer is one process an image platform, one format, because it can't do more at a time.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that can't be set up has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::{Repo, tools};
use xtask::build::Built;
use xtask::oci::store::Store;
use xtask::sbom::{self, Sources};
use xtask::ui::Ui;

/// How often each thing is done; the best counts.
const RUNS: usize = 5;

/// Set for the process that measures our own: where the repository is.
const OURS: &str = "XTASK_BENCH_SBOM";

/// What a run took.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    /// KiB.
    memory: u64,
}

impl Cost {
    const WORST: Cost = Cost { time: Duration::MAX, memory: u64::MAX };

    fn best(self, other: Cost) -> Cost {
        Cost { time: self.time.min(other.time), memory: self.memory.min(other.memory) }
    }
}

/// Runs a command to its end, looking at its peak memory, which the kernel keeps.
fn run(command: &mut Command) -> Cost {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let ended = loop {
        memory = memory.max(peak(&status));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(ended.success(), "{command:?}");
    Cost { time: start.elapsed(), memory }
}

fn peak(status: &str) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:").map(|rest| rest.trim().to_owned()));
    line.and_then(|line| line.trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// Describes what was last built in the repository, and tells how long that took and how much memory there ever was.
fn describe(repo: &Path) {
    let cache = repo.join("target/xtask");
    let built: Built = serde_json::from_slice(&std::fs::read(cache.join("built.json")).unwrap()).unwrap();
    let store = Store::new(cache.join("store"));
    let sources = Sources { store: &store, notes: &cache, modules: tools::go().module_cache(), module: None };
    let start = Instant::now();
    let documents = sbom::generate(&built, &sources, &Ui::silent()).unwrap().documents;
    let took = start.elapsed();
    assert_eq!(documents.len(), 12);
    println!("{} {}", took.as_nanos(), peak("/proc/self/status"));
}

fn ours(repo: &Path) -> Cost {
    let program = std::env::current_exe().unwrap();
    let said = Command::new(program).env(OURS, repo).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let (nanos, memory) = said.trim().split_once(' ').unwrap();
    Cost { time: Duration::from_nanos(nanos.parse().unwrap()), memory: memory.parse().unwrap() }
}

/// Each image platform in a layout of its own.
fn layouts(repo: &Path) -> Vec<(PathBuf, String)> {
    let mut layouts = Vec::new();
    for image in ["gate", "inspector", "node"] {
        for platform in ["linux/amd64", "linux/arm64"] {
            let to = repo.join("target/single").join(image).join(platform);
            harness::single::platform(&repo.join("dist/v1.2.0/oci").join(format!("goverse-{image}")), platform, &to);
            layouts.push((to, platform.to_owned()));
        }
    }
    layouts
}

/// One process an image platform, one after the other: the times add up, the largest memory counts.
fn each(layouts: &[(PathBuf, String)], mut command: impl FnMut(&Path, &str) -> Command) -> Cost {
    let costs = layouts.iter().map(|(layout, platform)| run(&mut command(layout, platform)));
    costs.fold(Cost { time: Duration::ZERO, memory: 0 }, |sum, cost| Cost {
        time: sum.time + cost.time,
        memory: sum.memory.max(cost.memory),
    })
}

fn main() {
    if let Some(repo) = std::env::var_os(OURS) {
        return describe(Path::new(&repo));
    }
    let repo = Repo::sample();
    repo.succeed(&["release", "v1.2.0", "--no-pin", "--skip-scan", "the scan has benches of its own"]);
    let (syft, trivy) = (tools::syft(), tools::trivy());
    let layouts = layouts(repo.path());
    let out = repo.path().join("peer.json");
    let cache = repo.path().join("trivy");
    let by_syft = |layout: &Path, platform: &str| {
        let mut command = Command::new(&syft);
        command.arg("scan").arg(format!("oci-dir:{}", layout.display())).args(["--platform", platform]);
        command.arg("--output").arg(format!("cyclonedx-json={}", out.display()));
        command
    };
    let by_trivy = |layout: &Path, platform: &str| {
        let mut command = Command::new(&trivy);
        command.args(["image", "--quiet", "--format", "cyclonedx", "--platform", platform, "--output"]).arg(&out);
        command.arg("--input").arg(layout).arg("--cache-dir").arg(&cache);
        command
    };
    let mut best = [Cost::WORST; 3];
    ours(repo.path());
    for _ in 0..RUNS {
        best[0] = best[0].best(ours(repo.path()));
        best[1] = best[1].best(each(&layouts, by_syft));
        // Its own cache would answer from the second run on.
        let _ = std::fs::remove_dir_all(&cache);
        best[2] = best[2].best(each(&layouts, by_trivy));
    }
    println!("| | time | times ours | peak memory |");
    println!("|---|---|---|---|");
    for (name, cost) in ["cargo xtask, both formats", "syft", "trivy image"].iter().zip(best) {
        let ratio = cost.time.as_secs_f64() / best[0].time.as_secs_f64();
        println!("| {name} | {:.1} ms | {ratio:.0} | {} MB |", cost.time.as_secs_f64() * 1000.0, cost.memory >> 10);
    }
}
