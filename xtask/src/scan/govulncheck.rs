//! govulncheck on built programs: which advisories of the Go vulnerability database fit, and whether the vulnerable
//! symbols are linked.
//!
//! Takes programs, gives findings. A result is kept under the program's digest and the versions of database and
//! scanner, so that nothing is scanned twice. Whatever goes wrong is an error, never "no findings".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use super::extract::{self, Extract, Modules};
use super::linked::{self, Functions, Linked};
use super::stream::{self, Advisory, Expected, Hit, Scan};
use super::vulndb::VulnDb;
use super::{Finding, Severity};
use crate::cmd::Run;
use crate::error::{Context, Error, Result};
use crate::fs;
use crate::go::Go;
use crate::oci::{Digest, Platform};
use crate::ui::Ui;

/// The scanner's package.
pub const PACKAGE: &str = "golang.org/x/vuln/cmd/govulncheck";
/// Its name in findings.
pub const NAME: &str = "govulncheck";
/// How long one program may take; a large one takes a second.
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// The largest kept result that is read.
const KEPT_LIMIT: u64 = 16 << 20;
/// The version of a kept result's shape and meaning; others are ignored.
const SCHEMA: u32 = 1;

/// The scanner and its database, ready to run.
pub struct Govulncheck {
    program: PathBuf,
    version: Version,
    db: VulnDb,
    kept: PathBuf,
    limit: Duration,
}

/// A result on disk; all but the findings is its key, repeated so that a misplaced file is noticed.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    schema: u32,
    program: Digest,
    database: String,
    scanner: Version,
    findings: Vec<Finding>,
}

/// What is known of a program.
#[derive(Debug, PartialEq, Eq)]
pub struct ScannedProgram {
    /// Sorted, not yet judged.
    pub findings: Vec<Finding>,
    /// All that a later scan needs to know of it, an [`Extract`] packed.
    pub extract: Vec<u8>,
}

impl Govulncheck {
    /// Installs the scanner at `version` below `tools`, once; results are kept below `cache`.
    pub fn install(go: &Go, version: &Version, tools: &Path, cache: &Path, db: VulnDb, ui: &Ui) -> Result<Govulncheck> {
        let program = go.install(tools, PACKAGE, version, ui)?;
        Ok(Govulncheck { program, version: version.clone(), db, kept: cache.join("scan"), limit: LIMIT })
    }

    /// `govulncheck 1.9.0`
    pub fn name(&self) -> String {
        format!("{NAME} {}", self.version)
    }

    /// Looks at the program at `path`, whose content is `digest`. It is read once, for its extract; what a database says is
    /// said of that, now and later. Nothing is kept of a scan that failed.
    pub fn scan(&self, path: &Path, digest: &Digest, ui: &Ui) -> Result<ScannedProgram> {
        self.scan_once(path, digest, ui).map_err(|e| e.within(format!("failed to scan {}", path.display())))
    }

    fn scan_once(&self, path: &Path, digest: &Digest, ui: &Ui) -> Result<ScannedProgram> {
        let key = Kept {
            schema: SCHEMA,
            program: *digest,
            database: self.db.version().into(),
            scanner: self.version.clone(),
            findings: Vec::new(),
        };
        let findings_file = self.kept.join(format!("{}-{}-{}.json", digest.hex(), key.database, key.scanner));
        let extract_file =
            self.kept.join(format!("{}-{}.extract-{}.json.gz", digest.hex(), self.version, extract::SCHEMA));
        let (findings, packed) = match (read_kept(&findings_file, &key), fs::read_small(&extract_file, KEPT_LIMIT).ok())
        {
            (Some(findings), Some(extract)) if extract::is_whole(&extract) => {
                return Ok(ScannedProgram { findings, extract });
            }
            some => some,
        };
        let (extract, packed) = match packed.and_then(|packed| unpack(packed, digest)) {
            Some(kept) => kept,
            None => self.extract(path, digest, ui)?,
        };
        let findings = match findings {
            Some(findings) => findings,
            None => self.look_up_extract(&extract, ui)?,
        };
        if matches!(extract.functions, Functions::Unknown) && !findings.is_empty() {
            ui.warn(&format!(
                "the functions of {} can't be read: every vulnerable symbol of its modules counts as linked",
                path.display()
            ));
        }
        let kept = Kept { findings, ..key };
        fs::write(&extract_file, &packed)?;
        fs::write(&findings_file, &serde_json::to_vec(&kept).attempt(|| "write JSON".into())?)?;
        Ok(ScannedProgram { findings: kept.findings, extract: packed })
    }

    /// An extract, and the same packed.
    fn extract(&self, path: &Path, digest: &Digest, ui: &Ui) -> Result<(Extract, Vec<u8>)> {
        let path = std::path::absolute(path).attempt(|| format!("find {}", path.display()))?;
        check_digest(&path, digest)?;
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        let program = &self.program;
        let blob = Run::new(cmd!(shell, "{program} -mode extract {path}")).limit(self.limit).read(ui)?;
        let blob = String::from_utf8(blob).attempt(|| format!("read what {} says", self.name()))?;
        let extract = Extract::new(self.name(), *digest, blob, linked::functions(&path)?);
        let packed = extract.pack()?;
        Ok((extract, packed))
    }

    /// Findings in the program that `extract` was made from: those of [`Govulncheck::scan`] on the program itself.
    pub fn scan_extract(&self, extract: &Extract, ui: &Ui) -> Result<Vec<Finding>> {
        let about = |e: Error| e.within(format!("failed to scan the extract of program {}", extract.program));
        self.look_up_extract(extract, ui).map_err(about)
    }

    fn look_up_extract(&self, extract: &Extract, ui: &Ui) -> Result<Vec<Finding>> {
        Ok(findings(self.look_up(&extract.blob, ui)?, &extract.functions))
    }

    /// Findings in modules of which nothing but the version is known: none of them says what is linked.
    pub fn scan_modules(&self, modules: &Modules, platform: &Platform, ui: &Ui) -> Result<Vec<Finding>> {
        let scan = self.look_up(&modules.blob(platform), ui);
        scan.map(|scan| findings(scan, &Functions::Untold)).map_err(|e| e.within("failed to scan a list of modules"))
    }

    /// What the database says of what stands in a program's place.
    fn look_up(&self, blob: &str, ui: &Ui) -> Result<Scan> {
        let folder = tempfile::tempdir().attempt(|| "create a temporary folder".into())?;
        let path = folder.path().join("extract.json");
        fs::write(&path, blob.as_bytes())?;
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        let (program, url) = (&self.program, self.db.url());
        let run = Run::new(cmd!(shell, "{program} -mode binary -format json -db {url} {path}")).limit(self.limit);
        let output = run.read(ui)?;
        let expected =
            Expected { scanner: &format!("v{}", self.version), database: &url, modified: &self.db.updated() };
        stream::parse(&output, &expected)
            .map_err(|why| Error::failed(format!("{} can't be relied on: {why}", self.name())))
    }
}

fn read_kept(file: &Path, key: &Kept) -> Option<Vec<Finding>> {
    let mut kept: Kept = serde_json::from_slice(&fs::read_small(file, KEPT_LIMIT).ok()?).ok()?;
    let findings = std::mem::take(&mut kept.findings);
    (kept == *key).then_some(findings)
}

/// One that is of another program, or can't be read, is as good as none.
fn unpack(packed: Vec<u8>, program: &Digest) -> Option<(Extract, Vec<u8>)> {
    let extract = Extract::unpack("a kept extract", &packed).ok()?;
    (extract.program == *program).then_some((extract, packed))
}

/// What is scanned must be what is in the image.
fn check_digest(path: &Path, expected: &Digest) -> Result<()> {
    let attempt = || format!("read {}", path.display());
    let (digest, _) = Digest::of_reader(std::fs::File::open(path).attempt(attempt)?).attempt(attempt)?;
    match digest == *expected {
        true => Ok(()),
        false => Err(Error::verification(format!(
            "{} has changed since it was built: it is {digest}, not {expected}",
            path.display()
        ))),
    }
}

fn findings(scan: Scan, functions: &Functions) -> Vec<Finding> {
    let Scan { roots, advisories, hits } = scan;
    let named: BTreeSet<String> =
        hits.keys().filter(|(id, module)| names(&advisories, id, module)).map(|(id, _)| id.clone()).collect();
    let finding = |((id, module), hit): ((String, String), Hit)| {
        let advisory = advisories.get(&id)?;
        // govulncheck finds a package's module by the start of its path, and takes `example.com/a-b` for `example.com/a`
        // too: next to the module that the advisory names, another one is that mistake.
        if named.contains(&id) && !names(&advisories, &id, &module) {
            return None;
        }
        Some(Finding {
            kind: super::Kind::Vulnerability,
            reachable: match functions {
                Functions::Untold => None,
                told => Some(is_linked(told, advisory, &module, roots.contains(&module), hit.symbol)),
            },
            aliases: advisory.aliases.clone(),
            scanner: NAME.into(),
            severity: Severity::Unknown,
            package: module,
            version: hit.version,
            fixed: hit.fixed,
            summary: advisory.summary.clone(),
            fix: None,
            location: None,
            set_aside: None,
            violation: None,
            id,
        })
    };
    hits.into_iter().filter_map(finding).collect()
}

fn names(advisories: &BTreeMap<String, Advisory>, id: &str, module: &str) -> bool {
    advisories.get(id).is_some_and(|advisory| advisory.affected.iter().any(|affected| affected.module() == module))
}

/// Whether a vulnerable symbol is in the program; where that can't be known, it is.
///
/// Of a stripped program govulncheck takes all symbols for linked, except those of an advisory that lists none, which
/// it takes for absent: neither is used. The program's own modules (`main` in its table) and modules that `replace`
/// put under another path can't be told apart by name and count as linked.
fn is_linked(functions: &Functions, advisory: &Advisory, module: &str, is_root: bool, found: bool) -> bool {
    match functions {
        Functions::NotStripped => found,
        Functions::Unknown | Functions::Untold => true,
        Functions::Stripped(linked) => {
            is_root
                || (module != "stdlib" && !linked.has_module(module))
                || names_a_linked_symbol(linked, advisory, module)
        }
    }
}

fn names_a_linked_symbol(linked: &Linked, advisory: &Advisory, module: &str) -> bool {
    advisory.affected.iter().filter(|a| a.module() == module).any(|affected| {
        affected.imports().is_empty()
            || affected.imports().iter().any(|import| match import.symbols.is_empty() {
                true => linked.has_package(&import.path),
                false => import.symbols.iter().any(|symbol| linked.has(&import.path, symbol)),
            })
    })
}

#[cfg(test)]
mod tests;
