//! The release on GitHub: made when it is missing, its files attached when they are missing or other ones.
//!
//! Takes a bundle, gives the release's address. A tag is never made here, and notes that somebody has edited are left
//! alone.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::archive::pack;
use super::{Gh, cut};
use crate::error::{Context, Error, Result};
use crate::oci::Digest;
use crate::record::{FILE, Record, SUMS};
use crate::ui::Ui;

/// The longest text a release may have (GitHub's own limit, in characters).
const NOTES_LIMIT: usize = 125_000;

/// What is attached.
pub struct Assets<'a> {
    /// The finished bundle.
    pub bundle: &'a Path,
    /// What the bundle is called as one file, without its extension.
    pub name: &'a str,
    /// The release's text.
    pub notes: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    url: String,
    body: String,
    assets: Vec<Asset>,
}

#[derive(Deserialize)]
struct Asset {
    name: String,
    /// `sha256:…`; older files have none.
    digest: Option<String>,
}

/// Makes the release of `record` on GitHub what it should be; gives its address.
pub fn publish(gh: &Gh<'_>, record: &Record, assets: &Assets<'_>, ui: &Ui) -> Result<String> {
    let tag = &record.tags.version;
    let step = ui.step(format!("release {tag} on GitHub"));
    let notes = cut(assets.notes, NOTES_LIMIT);
    let found = match view(gh, tag)? {
        Some(found) => found,
        None => {
            create(gh, record, notes)?;
            view(gh, tag)?.ok_or_else(|| Error::failed(format!("GitHub made no release {tag}")))?
        }
    };
    if found.body.trim().is_empty() {
        gh.ask(&["release", "edit", tag, "--notes-file", "-"], notes)?;
    }
    let scratch = tempfile::tempdir().attempt(|| "create a temporary folder".into())?;
    let missing = missing(&files(assets, record, scratch.path())?, &found.assets)?;
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|file| file.display().to_string()).collect();
        let names = names.iter().map(String::as_str);
        let args: Vec<&str> = ["release", "upload", tag].into_iter().chain(names).chain(["--clobber"]).collect();
        gh.upload(&args)?;
    }
    step.done(&match missing.len() {
        0 => "nothing to attach".to_owned(),
        1 => "1 file attached".to_owned(),
        n => format!("{n} files attached"),
    });
    Ok(found.url)
}

fn view(gh: &Gh<'_>, tag: &str) -> Result<Option<Found>> {
    let answer = gh.find(&["release", "view", tag, "--json", "url,body,assets"], "release not found")?;
    let read = |json: String| serde_json::from_str(&json).attempt(|| format!("read what gh says of release {tag}"));
    answer.map(read).transpose()
}

fn create(gh: &Gh<'_>, record: &Record, notes: &str) -> Result<()> {
    let tag = record.tags.version.as_str();
    let mut args = vec!["release", "create", tag, "--verify-tag", "--title", tag, "--notes-file", "-"];
    if !record.version.pre.is_empty() {
        args.push("--prerelease");
    }
    gh.ask(&args, notes).map(|_| ())
}

/// The files, each with the name it is to have.
fn files(assets: &Assets<'_>, record: &Record, scratch: &Path) -> Result<Vec<PathBuf>> {
    let name = format!("{}-{}", assets.name, record.tags.version);
    let archive = scratch.join(format!("{name}.tar.gz"));
    let time: jiff::Timestamp = record.created.parse().attempt(|| format!("read the time {}", record.created))?;
    pack(assets.bundle, &name, time.as_second(), &archive)?;
    Ok([FILE, SUMS, crate::notes::FILE].map(|name| assets.bundle.join(name)).into_iter().chain([archive]).collect())
}

/// Those that GitHub doesn't have with this content.
fn missing(files: &[PathBuf], there: &[Asset]) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for file in files {
        let attempt = || format!("read {}", file.display());
        let (digest, _) = Digest::of_reader(std::fs::File::open(file).attempt(attempt)?).attempt(attempt)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let same = |asset: &Asset| asset.name == name && asset.digest.as_deref() == Some(digest.to_string().as_str());
        if !there.iter().any(same) {
            missing.push(file.clone());
        }
    }
    Ok(missing)
}
