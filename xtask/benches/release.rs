//! A whole release against `go build` and against ko, on the sample, to a registry on this machine.
//!
//! Prints one table of the best of several runs: each peer's time and, in brackets, what a release takes more and its
//! ratio to that peer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that can't be set up has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::process::Command;
use std::time::Duration;

use harness::peers::{GoBuild, Peers, time, time_all};
use harness::tools;

/// How often each thing is done; the best counts.
const RUNS: usize = 5;

/// One peer's way from the sample to its result, or ours, which releases it under a version.
type Run<'a> = dyn Fn(&Peers, &str) -> Duration + 'a;

fn release(peers: &Peers, version: &str) -> Command {
    peers.xtask(&["release", version, "--no-pin", "--allow-dirty", "--to", peers.registry.address()])
}

fn main() {
    let (mut peers, program) = (Peers::new(), tools::ko());
    let go = |how: GoBuild| move |peers: &Peers, _: &str| time_all(&mut peers.go_builds(how));
    let (plain, stripped) = (go(GoBuild::Plain), go(GoBuild::Stripped));
    let ours = |peers: &Peers, version: &str| time(&mut release(peers, version));
    let ko = |peers: &Peers, _: &str| time(&mut peers.ko(&program, &[]));
    let all: [&Run<'_>; 4] = [&plain, &stripped, &ours, &ko];

    for run in all {
        run(&peers, "v1.0.0");
    }
    let (mut same, mut changed) = ([Duration::MAX; 4], [Duration::MAX; 4]);
    // In turn, so that a machine that gets slower is slower for all.
    for _ in 0..RUNS {
        for (best, run) in same.iter_mut().zip(all) {
            *best = run(&peers, "v1.0.0").min(*best);
        }
    }
    for round in 0..RUNS {
        for (best, run) in changed.iter_mut().zip(all) {
            peers.edit();
            *best = run(&peers, &format!("v1.1.{round}")).min(*best);
        }
    }
    println!("| | `go build` | `go build -trimpath -ldflags='-s -w'` | cargo xtask release | ko build |");
    println!("|---|---|---|---|---|");
    for (what, times) in [("nothing changed", same), ("one line changed", changed)] {
        let [plain, stripped, ours, ko] = times.map(|time| time.as_secs_f64());
        let by = |peer: f64| format!("{peer:.2} s ({:+.2} s, {:.2})", ours - peer, ours / peer);
        println!("| {what} | {} | {} | {ours:.2} s | {} |", by(plain), by(stripped), by(ko));
    }
}
