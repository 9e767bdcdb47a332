//! The Go vulnerability database, on disk in the layout that `govulncheck -db file://…` reads.
//!
//! Takes the Go module `golang.org/x/vulndb`, which the go command downloads and checks like any other, gives a
//! [`VulnDb`]. Within the refresh time it starts no process; offline it opens no socket. Never an empty database.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::osv::{self, Entry};
use super::{Database, clock};
use crate::error::{Context, Error, Result};
use crate::go::Go;
use crate::ui::Ui;
use crate::{fs, pool};

/// The module that carries the database.
pub const MODULE: &str = "golang.org/x/vulndb";

/// How long the download of 25 MB may take.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(10 * 60);
/// The largest entry or state file that is read.
const FILE_LIMIT: u64 = 16 << 20;
/// Databases that stay on disk: another run may still read an older one.
const KEPT: usize = 3;
/// The version of the layout written here; another one is built again.
const LAYOUT: u32 = 1;
/// Written last into a database's folder, and into none that isn't whole.
const MARKER: &str = "xtask.json";

/// One version of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VulnDb {
    folder: PathBuf,
    version: String,
    updated: Timestamp,
}

/// What `go mod download -json` says.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    #[serde(default)]
    version: String,
    #[serde(default)]
    dir: PathBuf,
    #[serde(default)]
    error: String,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    layout: u32,
    entries: usize,
}

/// When a newer version was last looked for.
#[derive(Serialize, Deserialize)]
struct Looked {
    /// Seconds since 1970.
    at: i64,
}

/// How fresh the database must be.
struct Freshness {
    refresh: Duration,
    offline: bool,
    now: Timestamp,
}

impl VulnDb {
    /// The newest database, from `cache/vulndb` when that was looked for less than `refresh_hours` ago.
    ///
    /// When looking fails but an older database is there, that one is used with a warning that names its age.
    ///
    /// # Errors
    /// [`Class::Network`](crate::error::Class::Network) when there is neither a database nor a network.
    pub fn open(go: &Go, cache: &Path, refresh_hours: u32, offline: bool, ui: &Ui) -> Result<VulnDb> {
        let refresh = Duration::from_secs(u64::from(refresh_hours) * 3600);
        open(&cache.join("vulndb"), &Freshness { refresh, offline, now: clock::now() }, || download(go, ui), ui)
    }

    /// The module version, a pseudo-version that ends in a time and a commit.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// When its last entry was committed, RFC 3339.
    pub fn updated(&self) -> String {
        self.updated.to_string()
    }

    /// For govulncheck's `-db`: a `file` URL, percent-encoded (RFC 8089).
    pub fn url(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        let mut url = String::from("file://");
        for byte in self.folder.as_os_str().as_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                    url.push(char::from(*byte))
                }
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
        url
    }

    /// As it stands in a report.
    pub fn database(&self) -> Database {
        Database { name: MODULE.into(), version: self.version.clone(), updated: self.updated() }
    }

    /// A database that is nothing but its name.
    #[cfg(test)]
    pub(super) fn for_tests(folder: PathBuf) -> VulnDb {
        let version = folder.file_name().and_then(OsStr::to_str).unwrap().to_owned();
        VulnDb { updated: time_of(&version).unwrap(), version, folder }
    }

    /// The database at `folder`, when it is whole.
    fn at(folder: PathBuf) -> Option<VulnDb> {
        let version = folder.file_name().and_then(OsStr::to_str)?.to_owned();
        let updated = time_of(&version)?;
        let marker: Marker = serde_json::from_slice(&fs::read_small(&folder.join(MARKER), FILE_LIMIT).ok()?).ok()?;
        let entries = std::fs::read_dir(folder.join("ID")).ok()?.count();
        let indexed = ["db", "modules", "vulns"].iter().all(|name| index_file(&folder, name).is_file());
        (marker.layout == LAYOUT && marker.entries == entries && indexed).then_some(VulnDb { folder, version, updated })
    }
}

/// The version of the newest database in `cache/vulndb`.
pub fn cached(cache: &Path) -> Option<String> {
    kept(&cache.join("vulndb")).pop().map(|db| db.version)
}

fn open(root: &Path, wanted: &Freshness, download: impl Fn() -> Result<Module>, ui: &Ui) -> Result<VulnDb> {
    let root = std::path::absolute(root).attempt(|| format!("find {}", root.display()))?;
    let newest = kept(&root).pop();
    match newest {
        None if wanted.offline => {
            Err(Error::network("no vulnerability database is cached, and --offline forbids to download one")
                .hint("run once without --offline: the database is kept for later runs"))
        }
        Some(db) if wanted.offline || is_fresh(&root, wanted) => Ok(db),
        newest => match download().and_then(|module| build(&root, &module)) {
            Ok(db) => {
                fs::write(&root.join("looked.json"), &to_json(&Looked { at: wanted.now.as_second() })?)?;
                remove_old(&root)?;
                Ok(db)
            }
            Err(e) => {
                let db = newest.ok_or_else(|| e.clone().within("failed to get the Go vulnerability database"))?;
                let age = clock::age(&db.updated(), wanted.now);
                ui.warn(&format!(
                    "using the Go vulnerability database of {age}, because looking for a newer one failed: {}",
                    e.message()
                ));
                Ok(db)
            }
        },
    }
}

fn is_fresh(root: &Path, wanted: &Freshness) -> bool {
    let looked = fs::read_small(&root.join("looked.json"), FILE_LIMIT)
        .ok()
        .and_then(|b| serde_json::from_slice::<Looked>(&b).ok());
    // A time in the future comes from a clock that was wrong: it says nothing.
    let age = looked.and_then(|l| u64::try_from(wanted.now.as_second().checked_sub(l.at)?).ok());
    age.is_some_and(|age| Duration::from_secs(age) < wanted.refresh)
}

/// Whole databases below `root`, oldest first.
fn kept(root: &Path) -> Vec<VulnDb> {
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<_> = folders.filter_map(|folder| VulnDb::at(folder.path())).collect();
    found.sort_by(|a, b| (a.updated, &a.version).cmp(&(b.updated, &b.version)));
    found
}

fn remove_old(root: &Path) -> Result<()> {
    let found = kept(root);
    for old in found.iter().take(found.len().saturating_sub(KEPT)) {
        std::fs::remove_dir_all(&old.folder).attempt(|| format!("remove {}", old.folder.display()))?;
    }
    Ok(())
}

fn download(go: &Go, ui: &Ui) -> Result<Module> {
    let step = ui.step("look for a newer Go vulnerability database");
    let empty = tempfile::tempdir().attempt(|| "create a temporary folder".into())?;
    let target = format!("{MODULE}@latest");
    let run = go.run(empty.path(), None, &["mod", "download", "-json", &target])?.limit(DOWNLOAD_LIMIT);
    let output = run.output(ui)?;
    let said = || String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    let module: Module = serde_json::from_slice(&output.stdout).map_err(|_| unreachable(&said()))?;
    if !output.status.success() || !module.error.is_empty() {
        return Err(unreachable(if module.error.is_empty() { said() } else { module.error }.as_str()));
    }
    step.done(&module.version);
    Ok(module)
}

fn unreachable(why: &str) -> Error {
    let err = Error::network(format!("failed to download {MODULE}@latest")).because(why);
    err.hint(
        "check that the Go module proxy can be reached (`go env GOPROXY`), or use a cached database with --offline",
    )
}

/// Lays the module's entries out below `root/VERSION`, beside first, then renamed.
fn build(root: &Path, module: &Module) -> Result<VulnDb> {
    let updated = time_of(&module.version).ok_or_else(|| {
        Error::failed(format!("{MODULE} has the version `{}`, which carries no time", module.version))
    })?;
    let folder = root.join(&module.version);
    if let Some(db) = VulnDb::at(folder.clone()) {
        return Ok(db);
    }
    std::fs::create_dir_all(root).attempt(|| format!("create {}", root.display()))?;
    let beside = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(root)
        .attempt(|| format!("create a folder in {}", root.display()))?;
    lay_out(&module.dir.join("data/osv"), beside.path(), &updated.to_string())?;
    if std::fs::rename(beside.path(), &folder).is_ok() {
        return VulnDb::at(folder.clone()).ok_or("it isn't whole").attempt(|| format!("name {}", folder.display()));
    }
    // Another run may have put the same version there in the meantime, which is as good.
    if let Some(db) = VulnDb::at(folder.clone()) {
        return Ok(db);
    }
    let attempt = || format!("replace the damaged {}", folder.display());
    let aside = tempfile::Builder::new().prefix(".old-").tempdir_in(root).attempt(attempt)?;
    std::fs::rename(&folder, aside.path().join("damaged")).attempt(attempt)?;
    std::fs::rename(beside.path(), &folder).attempt(attempt)?;
    VulnDb::at(folder.clone()).ok_or("it isn't whole").attempt(attempt)
}

fn lay_out(from: &Path, to: &Path, modified: &str) -> Result<()> {
    let attempt = || format!("read the vulnerability database in {}", from.display());
    let mut files = Vec::new();
    for file in std::fs::read_dir(from).attempt(attempt)? {
        let path = file.attempt(attempt)?.path();
        if path.extension() == Some(OsStr::new("json")) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::failed(format!(
            "{} holds no entries: the vulnerability database has another layout than expected",
            from.display()
        )));
    }
    let ids = to.join("ID");
    std::fs::create_dir(&ids).attempt(|| format!("create {}", ids.display()))?;
    let entries = pool::map(&files, pool::cores(), |file| entry(file, &ids))?;
    let index = osv::index(&entries, modified).attempt(|| "write the database's index".into())?;
    for (name, bytes) in [("db", &index.db), ("modules", &index.modules), ("vulns", &index.vulns)] {
        fs::write(&index_file(to, name), bytes)?;
    }
    fs::write(&to.join(MARKER), &to_json(&Marker { layout: LAYOUT, entries: entries.len() })?)
}

/// Reads an entry and puts it into `ids`: by a hard link, which outlives `go clean -modcache` and takes no space.
fn entry(file: &Path, ids: &Path) -> Result<Entry> {
    let attempt = || format!("read {}", file.display());
    let entry: Entry = serde_json::from_slice(&fs::read_small(file, FILE_LIMIT)?).attempt(attempt)?;
    if file.file_stem() != Some(OsStr::new(&entry.id)) {
        return Err(format!("it is entry `{}`", entry.id)).attempt(attempt);
    }
    let to = ids.join(format!("{}.json", entry.id));
    if std::fs::hard_link(file, &to).is_err() {
        std::fs::copy(file, &to).attempt(|| format!("copy {} to {}", file.display(), to.display()))?;
    }
    Ok(entry)
}

fn index_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("index").join(format!("{name}.json"))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).attempt(|| "write JSON".into())
}

/// The time in a pseudo-version (<https://go.dev/ref/mod#pseudo-versions>) such as
/// `v0.0.0-20261105234957-e22db6528018`.
fn time_of(version: &str) -> Option<Timestamp> {
    if !version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')) {
        return None;
    }
    let (rest, _commit) = version.strip_prefix('v')?.rsplit_once('-')?;
    let digits = rest.rsplit(['-', '.']).next().filter(|d| d.len() == 14)?;
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests;
