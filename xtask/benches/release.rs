//! A whole release against a plain `go build` and against ko, on the sample, to a registry on this machine.
//!
//! Prints one table of the best of several runs, each row with its ratio to its peer in the same run.
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

use harness::peers::{Peers, time, time_all};
use harness::tools;

/// How often each thing is done; the best counts.
const RUNS: usize = 5;

fn release(peers: &Peers, version: &str) -> Command {
    peers.xtask(&["release", version, "--no-pin", "--allow-dirty", "--to", peers.registry.address()])
}

fn best(mut run: impl FnMut(usize) -> Duration) -> f64 {
    (0..RUNS).map(&mut run).min().unwrap().as_secs_f64()
}

fn main() {
    let (mut peers, program) = (Peers::new(), tools::ko());
    let ko = |peers: &Peers| time(&mut peers.ko(&program, &[]));
    let plain = |peers: &Peers| time_all(&mut peers.go_builds());
    plain(&peers);
    time(&mut release(&peers, "v1.0.0"));
    ko(&peers);

    let same = [best(|_| plain(&peers)), best(|_| time(&mut release(&peers, "v1.0.0"))), best(|_| ko(&peers))];
    let mut changed = [f64::INFINITY; 3];
    for run in 0..RUNS {
        peers.edit();
        changed[0] = changed[0].min(plain(&peers).as_secs_f64());
        peers.edit();
        changed[1] = changed[1].min(time(&mut release(&peers, &format!("v1.1.{run}"))).as_secs_f64());
        peers.edit();
        changed[2] = changed[2].min(ko(&peers).as_secs_f64());
    }
    println!("| | go build | cargo xtask release | ko build | release − go | release / go | release / ko |");
    println!("|---|---|---|---|---|---|---|");
    for (what, [go, release, ko]) in [("nothing changed", same), ("one line changed", changed)] {
        let (more, by_go, by_ko) = (release - go, release / go, release / ko);
        println!("| {what} | {go:.2} s | {release:.2} s | {ko:.2} s | {more:+.2} s | {by_go:.2} | {by_ko:.2} |");
    }
}
