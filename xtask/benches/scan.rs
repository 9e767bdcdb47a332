//! Trivy on all images of a release against one `trivy image` run after the other, on the sample.
//!
//! Prints one table of the best of several runs. Databases are on this machine; Trivy keeps nothing between runs.
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

use harness::trivydb::trivydb;
use harness::{Repo, tools};
use xtask::build::{Built, BuiltPlatform, export};
use xtask::config;
use xtask::oci::layout::Layout;
use xtask::oci::store::Store;
use xtask::pool;
use xtask::scan::trivy::{Options, Trivy};
use xtask::ui::Ui;

/// How often each thing is done; the best counts.
const RUNS: usize = 7;

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
        let db_repositories = vec!["oci:db".parse().unwrap()];
        let config = config::Trivy { db_repositories, ..config::Trivy::default() };
        let root = self.repo.path();
        Trivy::open(
            &self.program,
            &Options { root, cache, config: &config, refresh_hours: 6, offline: true },
            &Ui::silent(),
        )
        .unwrap()
    }

    fn all(&self, trivy: &Trivy) {
        let jobs: Vec<_> = self.platforms().collect();
        pool::map(&jobs, pool::cores(), |(layout, platform)| trivy.scan(layout, platform, None, &Ui::silent()))
            .unwrap();
    }

    /// `trivy image --input LAYOUT` as it comes.
    fn separately(&self, layouts: &[PathBuf], cache: &Path) {
        for layout in layouts {
            let mut command = Command::new(&self.program);
            command.args(["image", "--skip-db-update", "--offline-scan", "--quiet", "--format", "json", "--input"]);
            command.arg(layout).arg("--cache-dir").arg(cache);
            command.envs([("TRIVY_SKIP_VERSION_CHECK", "true"), ("TRIVY_DISABLE_TELEMETRY", "true")]);
            assert!(command.stdout(Stdio::null()).status().unwrap().success());
        }
    }

    fn fresh(&self) -> PathBuf {
        let cache = self.repo.path().join("plain");
        let _ = std::fs::remove_dir_all(&cache);
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
    let one = best(|| bench.fresh(), |cache| bench.separately(&bench.layouts[..1], cache));
    let six = best(|| bench.fresh(), |cache| bench.separately(&bench.layouts, cache));
    let ours = best(|| bench.open(), |trivy| bench.all(trivy));
    let again = best(
        || {
            bench.all(&bench.open());
            bench.repo.path().join("cache")
        },
        |cache| bench.all(&bench.reopen(cache)),
    );
    println!("| {} images | time | to separate runs | to one run |", bench.layouts.len());
    println!("|---|---|---|---|");
    let row = |name: &str, time: Duration| {
        let ratio = |peer: Duration| time.as_secs_f64() / peer.as_secs_f64();
        println!("| {name} | {:.2} s | {:.2} | {:.2} |", time.as_secs_f64(), ratio(six), ratio(one));
    };
    row("`trivy image`, one after the other", six);
    row("`trivy image`, only one", one);
    row("ours", ours);
    row("ours again, with the database checked", again);
}
