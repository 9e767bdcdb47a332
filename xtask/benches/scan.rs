//! Trivy on all images of a release against one `trivy image` run after the other, on the sample.
//!
//! Prints two tables of the best of several runs; Trivy keeps nothing between runs. In the first the database is on this
//! machine. In the second it is as large as the published one, and loaded from a registry first.
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

use harness::registry::Registry;
use harness::trivydb::{large_trivydb, trivydb};
use harness::{Repo, read, tools};
use xtask::build::{Built, BuiltPlatform, export};
use xtask::config;
use xtask::oci::layout::Layout;
use xtask::oci::store::Store;
use xtask::pool;
use xtask::scan::trivy::{Options, Trivy};
use xtask::ui::Ui;

/// How often each thing is done; the best counts.
const RUNS: usize = 7;
/// What makes a database as large as the one that Trivy's publisher offers: 65 MB to fetch, 1.1 GB unpacked.
const PUBLISHED: u32 = 450;

/// The sample's images, a layout a platform, and a Trivy.
struct Bench {
    repo: Repo,
    built: Built,
    layouts: Vec<PathBuf>,
    program: PathBuf,
}

impl Bench {
    fn new() -> Bench {
        let repo = Repo::sample();
        repo.succeed(&["build", "v1.2.0"]);
        trivydb().publish(&repo.path().join("db"));
        let cache = repo.path().join("target/xtask");
        let built: Built = serde_json::from_slice(&std::fs::read(cache.join("built.json")).unwrap()).unwrap();
        let mut bench = Bench { repo, built, layouts: Vec::new(), program: tools::trivy() };
        bench.layouts = bench.platforms().map(|(layout, platform)| bench.alone(&layout, platform)).collect();
        bench
    }

    fn platforms(&self) -> impl Iterator<Item = (PathBuf, &BuiltPlatform)> {
        let cache = self.repo.path().join("target/xtask");
        self.built.images.iter().flat_map(move |image| {
            let layout = export(image, &Store::new(cache.join("store")), &cache.join("layouts")).unwrap();
            image.platforms.iter().map(move |platform| (layout.clone(), platform))
        })
    }

    /// A layout of one platform's manifest, as a person would hand it to Trivy.
    fn alone(&self, from: &Path, platform: &BuiltPlatform) -> PathBuf {
        let root = self.repo.path().join("alone").join(platform.manifest.digest.hex());
        let (from, to) = (Layout::open(from).unwrap(), Layout::create(&root).unwrap());
        for blob in platform.layers.iter().chain([&platform.config]) {
            from.store().link_to(blob, to.store()).unwrap();
        }
        to.add_manifest(&from.manifest(&platform.manifest.digest).unwrap().unwrap()).unwrap();
        root
    }

    /// A fresh Trivy, with a database and nothing known about any image.
    fn open(&self) -> Trivy {
        let cache = self.repo.path().join("cache");
        let _ = std::fs::remove_dir_all(&cache);
        self.reopen(&cache)
    }

    fn reopen(&self, cache: &Path) -> Trivy {
        self.open_from("oci:db", cache, true)
    }

    fn open_from(&self, source: &str, cache: &Path, offline: bool) -> Trivy {
        let db_repositories = vec![source.parse().unwrap()];
        let config = config::Trivy { db_repositories, ..config::Trivy::default() };
        let root = self.repo.path();
        Trivy::open(&self.program, &Options { root, cache, config: &config, refresh_hours: 6, offline }, &Ui::silent())
            .unwrap()
    }

    fn all(&self, trivy: &Trivy) {
        let jobs: Vec<_> = self.platforms().collect();
        pool::map(&jobs, pool::cores(), |(layout, platform)| trivy.scan(layout, platform, None, &Ui::silent()))
            .unwrap();
    }

    /// `trivy image --input LAYOUT` as it comes, told where its database is.
    fn separately(&self, layouts: &[PathBuf], database: &[&str], cache: &Path) {
        for layout in layouts {
            let mut command = Command::new(&self.program);
            command.args(["image", "--offline-scan", "--quiet", "--format", "json"]).args(database);
            command.arg("--input").arg(layout).arg("--cache-dir").arg(cache);
            command.envs([("TRIVY_SKIP_VERSION_CHECK", "true"), ("TRIVY_DISABLE_TELEMETRY", "true")]);
            assert!(command.stdout(Stdio::null()).status().unwrap().success());
        }
    }

    /// An empty folder.
    fn empty(&self) -> PathBuf {
        let cache = self.repo.path().join("plain");
        let _ = std::fs::remove_dir_all(&cache);
        std::fs::create_dir_all(&cache).unwrap();
        cache
    }

    fn fresh(&self) -> PathBuf {
        let cache = self.empty();
        std::fs::create_dir_all(cache.join("db")).unwrap();
        for name in ["trivy.db", "metadata.json"] {
            std::fs::write(cache.join("db").join(name), trivydb().read(name)).unwrap();
        }
        cache
    }
}

fn best<T>(prepare: impl Fn() -> T, run: impl Fn(&T)) -> Duration {
    let time = |()| {
        let prepared = prepare();
        let start = Instant::now();
        run(&prepared);
        start.elapsed()
    };
    std::iter::repeat_n((), RUNS).map(time).min().unwrap()
}

fn main() {
    let bench = Bench::new();
    loaded(&bench);
    println!();
    from_registry(&bench);
}

/// What takes how long with a database on this machine.
fn loaded(bench: &Bench) {
    const LOADED: [&str; 1] = ["--skip-db-update"];
    let one = best(|| bench.fresh(), |cache| bench.separately(&bench.layouts[..1], &LOADED, cache));
    let six = best(|| bench.fresh(), |cache| bench.separately(&bench.layouts, &LOADED, cache));
    let ours = best(|| bench.open(), |trivy| bench.all(trivy));
    let again = best(
        || {
            bench.all(&bench.open());
            bench.repo.path().join("cache")
        },
        |cache| bench.all(&bench.reopen(cache)),
    );
    let rows = [SIX, ONE, "ours", "ours again, with the database checked"].into_iter().zip([six, one, ours, again]);
    table(&format!("{} images, database at hand", bench.layouts.len()), rows, (six, one));
}

/// What takes how long when the database has to be loaded first.
fn from_registry(bench: &Bench) {
    let registry = Registry::start();
    let source = format!("{}/trivy-db:2", registry.address());
    let layout = bench.repo.path().join("large");
    large_trivydb(PUBLISHED).publish(&layout);
    read(&tools::crane(), ["push", layout.to_str().unwrap(), &source]);
    let database = ["--db-repository", source.as_str()];
    let one = best(|| bench.empty(), |cache| bench.separately(&bench.layouts[..1], &database, cache));
    let six = best(|| bench.empty(), |cache| bench.separately(&bench.layouts, &database, cache));
    let ours = best(|| bench.empty(), |cache| bench.all(&bench.open_from(&source, cache, false)));
    let rows = [SIX, ONE, "ours"].into_iter().zip([six, one, ours]);
    table(&format!("{} images, database loaded first", bench.layouts.len()), rows, (six, one));
}

const SIX: &str = "`trivy image`, one after the other";
const ONE: &str = "`trivy image`, only one";

fn table<'a>(what: &str, rows: impl Iterator<Item = (&'a str, Duration)>, (six, one): (Duration, Duration)) {
    println!("| {what} | time | to separate runs | to one run |");
    println!("|---|---|---|---|");
    for (name, time) in rows {
        let ratio = |peer: Duration| time.as_secs_f64() / peer.as_secs_f64();
        println!("| {name} | {:.2} s | {:.2} | {:.2} |", time.as_secs_f64(), ratio(six), ratio(one));
    }
}
