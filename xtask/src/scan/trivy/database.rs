//! The vulnerability database that Trivy looks things up in: kept, of known age and content.
//!
//! Takes repositories in order, gives a [`Database`]. Within the refresh time it opens no socket. A database that
//! differs from what was fetched, or is too old, is an error of class network: never a scan that finds less.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::artifact::{Artifact, DATABASE, Unpacked};
use crate::config::DbSource;
use crate::error::{Class, Context, Error, Item, Result};
use crate::fs;
use crate::oci::Digest;
use crate::scan::clock;
use crate::ui::Ui;

/// Databases that stay on disk: another run may still read an older one.
const KEPT: usize = 2;
/// The version of the layout written here; another one is fetched again.
const LAYOUT: u32 = 1;
/// Written last into a database's folder, and into none that isn't whole.
const MARKER: &str = "xtask.json";
/// The largest state file that is read.
const STATE_LIMIT: u64 = 64 << 10;
/// How many hours a clock may be behind the one that dated a database.
const SKEW: i64 = 24;

/// A database on disk, checked against what was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Database {
    /// For Trivy's `--cache-dir`.
    pub(super) folder: PathBuf,
    /// Of the layer it was published as.
    pub(super) digest: Digest,
    content: Unpacked,
}

/// Which database, and how fresh.
pub(super) struct Wanted<'a> {
    /// Where it may come from, in order.
    pub(super) sources: &'a [DbSource],
    /// What a layout's path is relative to.
    pub(super) root: &'a Path,
    /// How long nothing newer is looked for.
    pub(super) refresh: Duration,
    /// The oldest that will do.
    pub(super) max_age: Duration,
    /// Open no socket.
    pub(super) offline: bool,
    pub(super) now: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    layout: u32,
    content: Unpacked,
}

/// Which database is in use, and when a newer one was last looked for.
#[derive(Serialize, Deserialize)]
struct Looked {
    /// Seconds since 1970.
    at: i64,
    layer: Digest,
}

impl Database {
    /// The newest database of the sources, from `cache` when that was looked for recently.
    ///
    /// When no source answers but an older database is there, that one is used with a warning that names its age.
    ///
    /// # Errors
    /// Class network when there is none that is whole and young enough.
    pub(super) fn open(cache: &Path, wanted: &Wanted<'_>, ui: &Ui) -> Result<Database> {
        let root = folder_of(cache, wanted.sources)?;
        let looked = looked(&root);
        let current = looked.as_ref().and_then(|looked| kept(&root, looked.layer, ui));
        let sources: Vec<_> = wanted.sources.iter().filter(|s| s.is_local() || !wanted.offline).collect();
        // A layout on disk costs nothing to look at.
        let fresh = looked.is_some_and(|l| is_fresh(&l, wanted)) && !sources.iter().any(|s| s.is_local());
        let database = match current {
            Some(current) if fresh || sources.is_empty() => current,
            current => newest(&root, &sources, current, wanted, ui)?,
        };
        database.check_age(wanted)?;
        Ok(database)
    }

    /// When it was made, RFC 3339.
    pub(super) fn updated(&self) -> &str {
        &self.content.metadata.updated_at
    }

    /// Whether it still is what was fetched. bbolt, its format, would not notice: what can't be found in a damaged
    /// database looks like what isn't there.
    pub(super) fn check(&self) -> Result<()> {
        let path = self.folder.join("db").join(DATABASE);
        let damaged = |why: String| {
            let err = Error::network(format!("Trivy's database {} is damaged", path.display())).because(why);
            err.hint("run it again without --offline: the database is fetched again")
        };
        let file = File::open(&path).map_err(|e| damaged(e.to_string()))?;
        let (digest, _) = Digest::of_reader(file).map_err(|e| damaged(e.to_string()))?;
        match digest == self.content.database {
            true => Ok(()),
            false => Err(damaged(format!("it hashes to {digest}, not {}", self.content.database))),
        }
    }

    fn check_age(&self, wanted: &Wanted<'_>) -> Result<()> {
        let made: Timestamp = self.updated().parse().attempt(|| "read the age of Trivy's database".into())?;
        let hours = wanted.now.duration_since(made).as_hours();
        let limit = wanted.max_age.as_secs() / 3600;
        let err = match u64::try_from(hours) {
            Ok(hours) if hours > limit => {
                let age = clock::age(self.updated(), wanted.now);
                Error::network(format!("Trivy's database is of {age}; no more than {limit} hours are allowed"))
            }
            Err(_) if hours < -SKEW => {
                Error::network(format!("Trivy's database is of {}, in the future", self.updated()))
            }
            _ => return Ok(()),
        };
        Err(err.hint("run it without --offline, or set scan.trivy.max-db-age in release.toml or --max-db-age HOURS"))
    }

    /// The database at `folder`, when it was once whole.
    fn at(folder: PathBuf, digest: Digest) -> Option<Database> {
        let marker = fs::read_small(&folder.join(MARKER), STATE_LIMIT).ok()?;
        let marker: Marker = serde_json::from_slice(&marker).ok()?;
        (marker.layout == LAYOUT).then_some(Database { folder, digest, content: marker.content })
    }
}

/// Other sources, other databases: what one list of them gave is not taken for another's.
fn folder_of(cache: &Path, sources: &[DbSource]) -> Result<PathBuf> {
    if sources.is_empty() {
        return Err(Error::usage("scan.trivy.db-repositories is empty: Trivy needs a vulnerability database"));
    }
    let names: Vec<_> = sources.iter().map(ToString::to_string).collect();
    let name = Digest::of(names.join("\n").as_bytes()).hex();
    std::path::absolute(cache.join("trivy").join(name.get(..16).unwrap_or(&name)))
        .attempt(|| format!("find {}", cache.display()))
}

fn looked(root: &Path) -> Option<Looked> {
    serde_json::from_slice(&fs::read_small(&root.join("looked.json"), STATE_LIMIT).ok()?).ok()
}

fn is_fresh(looked: &Looked, wanted: &Wanted<'_>) -> bool {
    // A time in the future comes from a clock that was wrong: it says nothing.
    let age = wanted.now.as_second().checked_sub(looked.at).and_then(|age| u64::try_from(age).ok());
    age.is_some_and(|age| Duration::from_secs(age) < wanted.refresh)
}

/// The database with this layer, when it is whole. A damaged one is removed, so that it is fetched again.
fn kept(root: &Path, layer: Digest, ui: &Ui) -> Option<Database> {
    let database = Database::at(root.join(layer.hex()), layer)?;
    match database.check() {
        Ok(()) => Some(database),
        Err(e) => {
            ui.warn(&format!("{e}"));
            // What can't be removed is replaced, or fails then with a reason.
            let _ = std::fs::remove_dir_all(&database.folder);
            None
        }
    }
}

/// Asks one source after the other; `current` is what there is when none answers.
fn newest(
    root: &Path,
    sources: &[&DbSource],
    current: Option<Database>,
    wanted: &Wanted<'_>,
    ui: &Ui,
) -> Result<Database> {
    let mut failures = Vec::new();
    for source in sources {
        match fetch(root, source, current.as_ref(), wanted, ui) {
            Ok(database) => {
                let state = Looked { at: wanted.now.as_second(), layer: database.digest };
                fs::write(&root.join("looked.json"), &to_json(&state)?)?;
                remove_old(root, &database)?;
                return Ok(database);
            }
            Err(e) => failures.push(e.within(format!("{source} has no database for us"))),
        }
    }
    match current {
        Some(current) => {
            let age = clock::age(current.updated(), wanted.now);
            let why: Vec<_> = failures.iter().map(ToString::to_string).collect();
            ui.warn(&format!(
                "using Trivy's database of {age}, because looking for a newer one failed: {}",
                why.join("; ")
            ));
            Ok(current)
        }
        None => Err(nowhere(failures)),
    }
}

fn nowhere(failures: Vec<Error>) -> Error {
    if failures.is_empty() {
        return Error::network("no database of Trivy's is cached, and --offline forbids to fetch one")
            .hint("run it once without --offline: the database is kept for later runs");
    }
    // A list that is wrong as it stands is no passing trouble.
    let usage = failures.iter().all(|e| e.class() == Class::Usage);
    let items: Vec<Item> = failures.into_iter().flat_map(Error::into_items).collect();
    let class = if usage { Class::Usage } else { Class::Network };
    let err = Error::new(class, "Trivy's vulnerability database can't be had").items(items);
    err.hint(
        "name a mirror or a layout on disk (oci:PATH) in scan.trivy.db-repositories, or leave Trivy out: --trivy never",
    )
}

fn fetch(root: &Path, source: &DbSource, current: Option<&Database>, wanted: &Wanted<'_>, ui: &Ui) -> Result<Database> {
    let artifact = Artifact::find(source, wanted.root, ui)?;
    let digest = artifact.layer.digest;
    if let Some(current) = current.filter(|current| current.digest == digest) {
        return Ok(current.clone());
    }
    let folder = root.join(digest.hex());
    if let Some(database) = kept(root, digest, ui) {
        return Ok(database);
    }
    // Trivy keeps its index of Java archives beside its database, and fetches it only for an image that has some.
    let java = root.join("java-db");
    std::fs::create_dir_all(&java).attempt(|| format!("create {}", java.display()))?;
    let beside = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(root)
        .attempt(|| format!("create a folder in {}", root.display()))?;
    let db = beside.path().join("db");
    std::fs::create_dir(&db).attempt(|| format!("create {}", db.display()))?;
    let content = artifact.unpack(&db, ui)?;
    let link = beside.path().join("java-db");
    std::os::unix::fs::symlink(&java, &link).attempt(|| format!("link to {}", java.display()))?;
    fs::write(&beside.path().join(MARKER), &to_json(&Marker { layout: LAYOUT, content })?)?;
    // Another run may have put the same database there in the meantime, which is as good.
    if std::fs::rename(beside.path(), &folder).is_err() && Database::at(folder.clone(), digest).is_none() {
        let attempt = || format!("replace the damaged {}", folder.display());
        std::fs::remove_dir_all(&folder).attempt(attempt)?;
        std::fs::rename(beside.path(), &folder).attempt(attempt)?;
    }
    Database::at(folder.clone(), digest).ok_or("it isn't whole").attempt(|| format!("name {}", folder.display()))
}

/// Removes all databases but the one in use and the youngest others.
fn remove_old(root: &Path, used: &Database) -> Result<()> {
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let digest = |path: &PathBuf| format!("sha256:{}", path.file_name()?.to_str()?).parse().ok();
    let mut others: Vec<_> = folders.filter_map(|path| digest(&path).and_then(|d| Database::at(path, d))).collect();
    others.retain(|database| database.digest != used.digest);
    others.sort_by(|a, b| b.updated().cmp(a.updated()));
    for old in others.iter().skip(KEPT - 1) {
        std::fs::remove_dir_all(&old.folder).attempt(|| format!("remove {}", old.folder.display()))?;
    }
    Ok(())
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).attempt(|| "write JSON".into())
}

#[cfg(test)]
mod tests;
