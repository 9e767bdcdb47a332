//! Releases that are killed, and releases that meet: the registry is the only journal.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use harness::registry::Registry;
use harness::{Outcome, Repo, digests, read, tools};

/// How many points of a release it is killed at.
const POINTS: usize = 24;

/// Stands between xtask and a registry, counts requests, and kills xtask when a given one arrives.
struct Gallows {
    address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    seen: AtomicUsize,
    fatal: AtomicUsize,
    victim: Mutex<Option<Child>>,
}

impl Gallows {
    fn before(registry: &Registry) -> Gallows {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (state, upstream) = (Arc::new(State::default()), registry.address().to_owned());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&upstream).unwrap();
                let (back, answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let state = Arc::clone(&shared);
                std::thread::spawn(move || pass(client, server, |bytes| state.see(bytes)));
                std::thread::spawn(move || pass(answers, back, |_| ()));
            }
        });
        Gallows { address, state }
    }

    /// Runs a release to this registry and kills it when request `fatal` arrives; gives the number of requests.
    fn run(&self, repo: &Repo, to: &str, fatal: usize) -> (Option<i32>, usize) {
        self.state.seen.store(0, Ordering::SeqCst);
        let mut command = repo.command(&["release", "v1.2.0", "--to", to, "--no-pin", "--skip-scan", "no need"]);
        // Held until the process is known, so that no request can come before its executioner is ready.
        let mut victim = self.state.victim.lock().unwrap();
        self.state.fatal.store(fatal, Ordering::SeqCst);
        *victim = Some(command.stderr(std::process::Stdio::null()).spawn().unwrap());
        drop(victim);
        loop {
            let ended = self.state.victim.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            if let Some(status) = ended {
                return (status.code(), self.state.seen.load(Ordering::SeqCst));
            }
            std::thread::yield_now();
        }
    }
}

impl State {
    fn see(&self, bytes: &[u8]) {
        let methods: [&[u8]; 6] = [b"GET /v2", b"HEAD /v2", b"PUT /v2", b"POST /v2", b"PATCH /v2", b"DELETE /v2"];
        if methods.iter().any(|method| bytes.starts_with(method))
            && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.fatal.load(Ordering::SeqCst)
        {
            let _ = self.victim.lock().unwrap().as_mut().unwrap().kill();
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        see(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Every tag names something that crane can pull to the last byte.
fn assert_complete(registry: &Registry, prefix: &str) {
    for repository in ["tiny-gate", "tiny-node"] {
        let name = format!("{}/{prefix}/{repository}", registry.address());
        let listed = std::process::Command::new(tools::crane()).args(["ls", &name]).output().unwrap();
        for tag in String::from_utf8_lossy(&listed.stdout).lines() {
            read(&tools::crane(), ["validate", "--remote", &format!("{name}:{tag}")]);
        }
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn killed_at_any_request_a_release_leaves_no_broken_tag_and_converges() {
    let (repo, registry) = (Repo::tiny(), Registry::start());
    let gallows = Gallows::before(&registry);
    let to = |prefix: &str| format!("{}/{prefix}", gallows.address);
    let (code, requests) = gallows.run(&repo, &to("whole"), 0);
    assert_eq!(code, Some(0));
    let released = |prefix: &str| {
        let crane = |what: &str| read(&tools::crane(), ["digest", &format!("{}/{prefix}/{what}", registry.address())]);
        ["tiny-gate:v1.2.0", "tiny-gate:latest", "tiny-node:v1.2.0", "tiny-node:v1"].map(crane)
    };
    let whole = released("whole");
    for point in (1..=POINTS).map(|n| 1 + (requests - 1) * n / POINTS) {
        let prefix = format!("killed{point}");
        let (code, _) = gallows.run(&repo, &to(&prefix), point);
        assert_ne!(code, Some(1), "it was killed or had just ended");
        assert_complete(&registry, &prefix);
        let (code, _) = gallows.run(&repo, &to(&prefix), 0);
        assert_eq!(code, Some(0), "the run after the one that was killed at request {point}");
        assert_eq!(released(&prefix), whole);
        read(&tools::crane(), ["manifest", &format!("{}/{prefix}/goverse-release:v1.2.0", registry.address())]);
    }
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn two_releases_at_once_both_end_well_or_one_says_why() {
    let (same, twin, other, registry) = (Repo::tiny(), Repo::tiny(), Repo::tiny(), Registry::start());
    other.write("source/web/index.html", "<!doctype html><title>other</title>\n");
    other.write("source/cmd/gate/main.go", &other.read("source/cmd/gate/main.go").replace("\"gate\"", "\"other\""));
    other.commit("other content");
    for repo in [&same, &twin, &other] {
        repo.succeed(&["build", "v1.2.0"]);
    }
    let race = |prefix: &str, one: &Repo, two: &Repo| {
        let to = format!("{}/{prefix}", registry.address());
        let args = ["release", "v1.2.0", "--to", &to, "--no-pin", "--json", "--skip-scan", "no need"];
        let started = [one, two].map(|repo| {
            let mut command = repo.command(&args);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        });
        started.map(|child| Outcome::of(child.wait_with_output().unwrap()))
    };
    let both = race("same", &same, &twin);
    assert_eq!(both.each_ref().map(|o| o.code), [Some(0), Some(0)], "{both:?}");
    assert_eq!(digests(&both[0].json()), digests(&both[1].json()));
    assert_complete(&registry, "same");

    let rivals = race("rivals", &same, &other);
    assert_complete(&registry, "rivals");
    let lost: Vec<_> = rivals.iter().filter(|outcome| outcome.code != Some(0)).collect();
    assert!(!lost.is_empty(), "two different releases cannot both be v1.2.0");
    for outcome in lost {
        assert_eq!(outcome.code, Some(8), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("released with other content"), "{}", outcome.stderr);
    }
}
