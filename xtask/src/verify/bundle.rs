//! The bundle: a release's files on disk, each with its line in `SHA256SUMS` (the format of `sha256sum`).
//!
//! Takes the folder, gives the number of files and what is wrong with them. A file without a line is wrong too: who
//! applies the bundle would trust it. Signatures over `SHA256SUMS` itself stand beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use super::item;
use crate::config::RelPath;
use crate::error::{Context, Item, Result};
use crate::oci::Digest;
use crate::oci::store::DOCUMENT_LIMIT;
use crate::record::{FILE, Record, SUMS};
use crate::{fs, pool};

/// The largest list read: some 10,000 files.
const SUMS_LIMIT: u64 = 1 << 20;

/// Checks every file of `folder`, and that its record is the published one.
pub(super) fn check(folder: &Path, record: &Record) -> Result<(usize, Vec<Item>)> {
    let path = folder.join(SUMS);
    if !path.try_exists().attempt(|| format!("look for {}", path.display()))? {
        return Ok((0, vec![item(format!("{} is missing", path.display()))]));
    }
    let (sums, mut found) = read_sums(&path)?;
    let entries: Vec<(&String, &Digest)> = sums.iter().collect();
    let wrong = pool::map(&entries, pool::cores(), |(name, wanted)| check_file(folder, name, wanted))?;
    found.extend(wrong.into_iter().flatten());
    found.extend(unlisted(folder, &sums)?);
    found.extend(check_record(folder, record)?);
    found.extend(check_chart(folder, record, &sums));
    Ok((sums.len(), found))
}

fn read_sums(path: &Path) -> Result<(BTreeMap<String, Digest>, Vec<Item>)> {
    let bytes = fs::read_small(path, SUMS_LIMIT)?;
    // What isn't UTF-8 is shown, and found to be no line of the list.
    let text = String::from_utf8_lossy(&bytes);
    let (mut sums, mut found) = (BTreeMap::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let parts = line.split_once("  ").filter(|(_, name)| name.parse::<RelPath>().is_ok());
        let parsed = parts.and_then(|(hex, name)| Some((name.to_owned(), format!("sha256:{hex}").parse().ok()?)));
        let fresh = parsed.and_then(|(name, digest)| sums.insert(name, digest).is_none().then_some(()));
        if fresh.is_none() {
            found.push(item(format!(
                "{}:{}: `{line}` is not a digest and a file, or is there twice",
                path.display(),
                number + 1
            )));
        }
    }
    Ok((sums, found))
}

fn check_file(folder: &Path, name: &str, wanted: &Digest) -> Result<Option<Item>> {
    let path = folder.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Some(item(format!("{} is missing", path.display()))));
        }
        Err(e) => return Err(e).attempt(|| format!("read {}", path.display())),
    };
    let (actual, _) = Digest::of_reader(file).attempt(|| format!("read {}", path.display()))?;
    Ok((actual != *wanted).then(|| item(format!("{} has digest {actual}, {SUMS} says {wanted}", path.display()))))
}

fn unlisted(folder: &Path, sums: &BTreeMap<String, Digest>) -> Result<Vec<Item>> {
    let mut names = BTreeSet::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.attempt(|| format!("list {}", folder.display()))?;
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_string_lossy().into_owned();
        if !entry.file_type().is_dir() && !sums.contains_key(&name) && name != SUMS && !name.starts_with("SHA256SUMS.")
        {
            names.insert(name);
        }
    }
    Ok(names.iter().map(|name| item(format!("{} is not in {SUMS}", folder.join(name).display()))).collect())
}

/// The list has the chart of the release, and not another one.
fn check_chart(folder: &Path, record: &Record, sums: &BTreeMap<String, Digest>) -> Option<Item> {
    let (chart, name) = record.bundled_chart()?;
    let (listed, wanted) = (sums.get(&name), chart.archive.digest);
    let shown = listed.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let wrong = format!("{SUMS} says {shown} of {}, the record says {wanted}", folder.join(&name).display());
    (listed != Some(&wanted)).then(|| item(wrong))
}

fn check_record(folder: &Path, record: &Record) -> Result<Option<Item>> {
    let path = folder.join(FILE);
    if !path.try_exists().attempt(|| format!("look for {}", path.display()))? {
        return Ok(Some(item(format!("{} is missing", path.display()))));
    }
    let local = Record::parse(&path.display().to_string(), &fs::read_small(&path, DOCUMENT_LIMIT)?);
    let same = match local {
        Ok(local) => local.to_json()? == record.to_json()?,
        Err(_) => false,
    };
    Ok((!same).then(|| item(format!("{} is not the published record", path.display()))))
}
