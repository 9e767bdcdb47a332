//! Trivy: packages of base images, severities, secrets, licences, and the settings of Dockerfiles and manifests.
//!
//! Takes OCI layouts, SBOMs and folders of this repository, gives what is found with its place. It looks at exactly
//! what it is asked about, by a database of our own fetching. Whatever goes wrong is an error, never "no findings"; and
//! what an ignore file or a VEX document sets aside is given with the reason, never dropped.

mod artifact;
mod database;
mod files;
#[cfg(test)]
mod fixture;
mod hits;
mod program;
mod report;
mod results;
mod view;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use self::database::{Database, Wanted};
use self::program::Program;
use self::report::Subject;
use self::results::Results;
use self::view::View;
use super::clock;
use crate::build::BuiltPlatform;
use crate::config;
use crate::error::{Class, Context, Error, Result};
use crate::fs;
use crate::oci::Digest;
use crate::ui::Ui;

pub use self::hits::Hit;
pub use self::program::RELEASES;

/// Its name in findings.
pub const NAME: &str = "trivy";
/// The file at the root of the repository by which findings are set aside.
pub const IGNORES: &str = view::IGNORES;
/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// The largest ignore file, VEX document or SBOM.
const FILE_LIMIT: u64 = 64 << 20;
/// What a kept report depends on besides what is looked at: the arguments below.
const ARGUMENTS: u32 = 1;

/// How to use it.
pub struct Options<'a> {
    /// The root of this repository: for its ignore file, and for paths in `config`.
    pub root: &'a Path,
    /// Where databases and reports are kept.
    pub cache: &'a Path,
    /// `[scan.trivy]`
    pub config: &'a config::Trivy,
    /// Hours after which a newer database is looked for.
    pub refresh_hours: u32,
    /// Open no socket.
    pub offline: bool,
}

/// An installed Trivy and its database.
pub struct Trivy {
    program: Program,
    database: Database,
    results: Results,
    ignores: Option<Vec<u8>>,
    licences: bool,
    offline: bool,
}

impl std::fmt::Debug for Trivy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Trivy {
    /// Asks `program` for its version and brings its database up to date.
    ///
    /// # Errors
    /// When it is one of the hijacked releases, or says nothing that can be read; class network when no database can be
    /// had that is whole and young enough.
    pub fn open(program: &Path, options: &Options<'_>, ui: &Ui) -> Result<Trivy> {
        Trivy::open_with(program, options, LIMIT, ui)
    }

    fn open_with(program: &Path, options: &Options<'_>, limit: Duration, ui: &Ui) -> Result<Trivy> {
        let program = Program::new(program, limit, ui)?;
        let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
        let wanted = Wanted {
            sources: &options.config.db_repositories,
            root: options.root,
            refresh: hours(options.refresh_hours),
            max_age: hours(options.config.max_db_age),
            offline: options.offline,
            now: clock::now(),
        };
        let database = Database::open(options.cache, &wanted, ui)?;
        let results = Results::new(database.folder.join("results"));
        let ignores = options.root.join(IGNORES);
        let ignores = ignores.is_file().then(|| fs::read_small(&ignores, FILE_LIMIT)).transpose()?;
        Ok(Trivy { program, database, results, ignores, licences: options.config.licences, offline: options.offline })
    }

    /// `trivy 0.75.0`
    pub fn name(&self) -> String {
        format!("{NAME} {}", self.program.version)
    }

    /// The database that is used; its version is the digest it was published under.
    pub fn database(&self) -> super::Database {
        super::Database {
            name: "trivy-db".into(),
            version: self.database.digest.to_string(),
            updated: self.database.updated().to_owned(),
        }
    }

    /// What is found in one platform of an image; `layout` has its blobs. What the OpenVEX document `vex` sets aside is
    /// given too, with its reason.
    pub fn scan(&self, layout: &Path, image: &BuiltPlatform, vex: Option<&Path>, ui: &Ui) -> Result<Vec<Hit>> {
        let vex = vex.map(|path| fs::read_small(path, FILE_LIMIT)).transpose()?;
        let view = View::new(self.ignores.as_deref(), vex.as_deref())?;
        view.add(layout, image)?;
        let platform = image.platform.to_string();
        let scanners = if self.licences { "vuln,secret,license" } else { "vuln,secret" };
        let mut args = vec!["image", "--input", view::LAYOUT, "--platform", &platform, "--scanners", scanners];
        args.extend(["--image-config-scanners", "secret", "--module-dir", view::MODULES]);
        let what = json!({"image": image.manifest.digest, "scanners": scanners, "vex": vex.as_deref().map(Digest::of)});
        let subject = Subject::Image { config: image.config.digest, platform: &image.platform };
        self.look(&view, args, self.looks_up(vex.is_some()), &what, &subject, ui)
    }

    /// What is known today about the packages that an SBOM lists, CycloneDX or SPDX as JSON; `name` is its name in
    /// errors.
    pub fn scan_sbom(&self, name: &str, sbom: &[u8], ui: &Ui) -> Result<Vec<Hit>> {
        let packages = report::packages_of(sbom)
            .map_err(|why| Error::failed(format!("failed to read the SBOM {name}")).because(why))?;
        let view = View::new(self.ignores.as_deref(), None)?;
        fs::write(&view.path().join(view::SBOM), sbom)?;
        let (args, what) = (vec!["sbom", view::SBOM], json!({"sbom": Digest::of(sbom)}));
        self.look(&view, args, self.looks_up(false), &what, &Subject::Sbom { packages: &packages }, ui)
    }

    /// Arguments of runs that look packages up. Six runs may do so at a time: a cache in memory takes no lock.
    fn looks_up(&self, vex: bool) -> Vec<&str> {
        let mut args = vec!["--cache-backend", "memory", "--skip-db-update", "--list-all-pkgs"];
        if vex {
            args.extend(["--vex", view::VEX]);
        }
        if self.offline {
            args.extend(["--offline-scan", "--skip-java-db-update"]);
        }
        args
    }

    /// Runs Trivy, unless a report about the same is kept, and reads what it says of `subject`.
    fn look<'a>(
        &'a self,
        view: &View,
        mut args: Vec<&'a str>,
        more: Vec<&'a str>,
        what: &Value,
        subject: &Subject<'_>,
        ui: &Ui,
    ) -> Result<Vec<Hit>> {
        let key = json!({
            "arguments": ARGUMENTS, "trivy": self.program.version, "database": self.database.digest,
            "ignores": self.ignores.as_deref().map(Digest::of), "what": what,
        });
        if let Some(hits) = self.results.get(&key).and_then(|report| report::parse(&report, subject).ok()) {
            return Ok(hits);
        }
        let cache = self.database.folder.to_str().ok_or("its path is not UTF-8").attempt(|| "use the cache".into())?;
        args.extend(more);
        args.extend(["--cache-dir", cache, "--format", "json", "--show-suppressed"]);
        if self.ignores.is_some() {
            args.extend(["--ignorefile", view::IGNORES]);
        }
        let report = self.program.read(view.path(), &args, ui).map_err(|e| self.explain(e))?;
        let hits = report::parse(&report, subject)
            .map_err(|why| Error::failed(format!("the report of {} can't be relied on: {why}", self.name())))?;
        self.results.put(&key, &report)?;
        Ok(hits)
    }

    /// A run that failed because its database is damaged is worth another try; one that crashed is not.
    fn explain(&self, error: Error) -> Error {
        match self.database.check() {
            Err(damaged) => {
                let hint = damaged.hint_text().unwrap_or_default().to_owned();
                error.within(damaged.message()).reclass(Class::Network).hint(hint)
            }
            Ok(()) => error,
        }
    }
}

#[cfg(test)]
mod tests;
