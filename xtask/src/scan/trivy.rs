//! Trivy on built images: packages of the base image and severities, where it is installed.
//!
//! Takes OCI layouts, gives findings by file. It looks at exactly the manifest asked for, deaf to the machine's own
//! Trivy settings and ignore files. Whatever goes wrong is an error, never "no findings".

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;
use serde::Deserialize;
use serde_json::json;
use xshell::{Cmd, Shell, cmd};

use super::Database;
pub(super) use super::trivy_report::Hit;
use super::trivy_report::{self, Subject};
use crate::build::BuiltPlatform;
use crate::cmd::{Output, Run};
use crate::config::hijacked;
use crate::error::{Class, Context, Error, Result};
use crate::fs;
use crate::ui::Ui;

/// Its name in findings.
pub const NAME: &str = "trivy";
/// How long the download of its database may take.
const UPDATE_LIMIT: Duration = Duration::from_secs(15 * 60);
/// How long one image may take.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// Where it comes from.
pub const RELEASES: &str = "https://github.com/aquasecurity/trivy/releases";
/// Settings that say where its database comes from and is kept; every other `TRIVY_…` could hide findings.
const KEPT: &[&str] = &[
    "TRIVY_CACHE_DIR",
    "TRIVY_DB_REPOSITORY",
    "TRIVY_JAVA_DB_REPOSITORY",
    "TRIVY_USERNAME",
    "TRIVY_PASSWORD",
    "TRIVY_REGISTRY_TOKEN",
    "TRIVY_CACERT",
    "TRIVY_INSECURE",
];

/// When Trivy is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Use {
    /// Where it is installed.
    #[default]
    WhenInstalled,
    /// Always; that it isn't installed is an error.
    Always,
    /// Never.
    Never,
}

/// An installed Trivy.
pub struct Trivy {
    program: PathBuf,
    version: Version,
    shell: Shell,
    offline: bool,
}

impl std::fmt::Debug for Trivy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    version: Version,
    #[serde(rename = "VulnerabilityDB")]
    database: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    version: u32,
    updated_at: String,
}

/// The program `trivy` in the folders of `path`, as a shell would find it.
pub fn find(path: Option<&OsStr>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |file: &PathBuf| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    std::env::split_paths(path?).map(|folder| folder.join(NAME)).find(runs)
}

impl Trivy {
    /// Asks `program` for its version.
    ///
    /// # Errors
    /// When it is one of the hijacked releases, or says nothing that can be read.
    pub fn new(program: &Path, offline: bool, ui: &Ui) -> Result<Trivy> {
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        let mut trivy = Trivy { program: program.to_owned(), version: Version::new(0, 0, 0), shell, offline };
        trivy.version = trivy.about(ui)?.version;
        if let Some(why) = hijacked(NAME, &trivy.version) {
            let what = format!("{} is Trivy {}, {why}", program.display(), trivy.version);
            let fix =
                format!("remove it, change every secret it could read, and install 0.75.0 or newer from {RELEASES}");
            return Err(Error::new(Class::Preflight, what).hint(fix));
        }
        Ok(trivy)
    }

    /// `trivy 0.75.0`
    pub fn name(&self) -> String {
        format!("{NAME} {}", self.version)
    }

    /// Brings the database up to date, or offline makes sure that there is one; says which it is.
    pub fn prepare(&self, ui: &Ui) -> Result<Database> {
        let hint = "check that its database can be reached (TRIVY_DB_REPOSITORY names a mirror), or leave Trivy out";
        if !self.offline {
            let step = ui.step("update Trivy's database");
            let run = self.command(&["image", "--download-db-only", "--no-progress"]);
            Run::new(run).limit(UPDATE_LIMIT).hint(hint).read(ui).map_err(|e| e.reclass(Class::Network))?;
            step.done("");
        }
        let Some(Metadata { version, updated_at }) = self.about(ui)?.database else {
            return Err(Error::network("Trivy has no vulnerability database")
                .hint("run once without --offline, or leave Trivy out"));
        };
        Ok(Database { name: "trivy-db".into(), version: version.to_string(), updated: updated_at })
    }

    /// What is found in one platform of an image; `layout` has its blobs.
    pub fn scan(&self, layout: &Path, image: &BuiltPlatform, ui: &Ui) -> Result<Vec<Hit>> {
        let view = view(layout, image)?;
        let _folder = self.shell.push_dir(view.path());
        let platform = image.platform.to_string();
        let mut args =
            vec!["image", "--input", "layout", "--platform", &platform, "--format", "json", "--scanners", "vuln"];
        args.extend(["--list-all-pkgs", "--no-progress", "--skip-db-update"]);
        if self.offline {
            args.extend(["--offline-scan", "--skip-java-db-update"]);
        }
        let report = Run::new(self.command(&args)).limit(LIMIT).read(ui)?;
        let subject = Subject { config: image.config.digest, platform: &image.platform };
        trivy_report::parse(&report, &subject)
            .map_err(|why| Error::failed(format!("the report of {} can't be relied on: {why}", self.name())))
    }

    fn about(&self, ui: &Ui) -> Result<About> {
        let command = self.command(&["version", "--format", "json"]);
        let Output { status, stdout, .. } = Run::new(command).limit(LIMIT).output(ui)?;
        let about =
            serde_json::from_slice(&stdout).attempt(|| format!("read the version of {}", self.program.display()))?;
        match status.success() {
            true => Ok(about),
            false => Err(Error::failed(format!("`{} version` failed with {status}", self.program.display()))),
        }
    }

    fn command(&self, args: &[&str]) -> Cmd<'_> {
        let program = &self.program;
        let mut command = cmd!(self.shell, "{program} {args...}").quiet();
        let is_foreign = |name: &OsString| name.to_str().is_some_and(|n| n.starts_with("TRIVY_") && !KEPT.contains(&n));
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_foreign(name)) {
            command = command.env_remove(name);
        }
        command.env("TRIVY_SKIP_VERSION_CHECK", "true").env("TRIVY_DISABLE_TELEMETRY", "true")
    }
}

/// A folder with nothing but a layout of the one manifest: from a layout of several, releases of Trivy take the first,
/// whatever `--platform` says; and in a folder of the user's, they would read its `.trivyignore` and `trivy.yaml`.
fn view(layout: &Path, image: &BuiltPlatform) -> Result<tempfile::TempDir> {
    let blobs = std::path::absolute(layout.join("blobs")).attempt(|| format!("find {}", layout.display()))?;
    let view = tempfile::Builder::new().prefix("scan-").tempdir().attempt(|| "create a temporary folder".into())?;
    let root = view.path().join("layout");
    let index = json!({"schemaVersion": 2, "manifests": [image.manifest]});
    fs::write(&root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    fs::write(&root.join("index.json"), index.to_string().as_bytes())?;
    std::os::unix::fs::symlink(&blobs, root.join("blobs")).attempt(|| format!("link to {}", blobs.display()))?;
    Ok(view)
}

#[cfg(test)]
mod tests;
