//! `tools lock`: the checksums that publishers list, written into release.toml.
//!
//! Takes release.toml's text and the publishers' lists, gives the new text: comments and everything else stay as they
//! are. Never changes a checksum of a version that was there before, unless forced to: what is released stays as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use semver::Version;
use toml_edit::{DocumentMut, Item, Table, value};

use super::fetch::{Fetcher, Offer};
use super::find::Tool;
use super::known::Release;
use crate::config::{Checksum, Config, Machine, PinnedTool};
use crate::error::{Context, Error, Result};

/// A tool to lock, `trivy` or `trivy@0.75.0`: with a version, that one takes the place of the pinned one.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// The new version.
    pub version: Option<Version>,
}

impl FromStr for Wish {
    type Err = Error;
    fn from_str(text: &str) -> Result<Wish> {
        let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
        let exact = |text: &str| {
            let version = text.strip_prefix('v').unwrap_or(text).parse();
            version.map_err(|e| Error::usage(format!("`{text}` is not an exact version such as 1.2.3")).because(e))
        };
        Ok(Wish { name: name.to_owned(), version: version.map(exact).transpose()? })
    }
}

/// What locking one tool came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version and checksums, old ones included.
    pub pin: PinnedTool,
    /// Whether this differs from what was there.
    pub changed: bool,
}

/// Looks up the checksums of `tool`, at `version` where that isn't the pinned one.
pub(super) fn look_up(
    tool: &Tool,
    release: &Release,
    version: Option<&Version>,
    fetcher: &Fetcher<'_>,
    force: bool,
) -> Result<Locked> {
    let old = &tool.pin;
    let version = version.unwrap_or(&old.version);
    let name = tool.known.name;
    let listed = listed(&Offer { name, version, machine: Machine::LinuxAmd64, release }, fetcher)?;
    let mut sha256 = if *version == old.version { old.sha256.clone() } else { BTreeMap::new() };
    for (machine, new) in listed {
        let before = sha256.insert(machine, new);
        if let Some(before) = before.filter(|before| *before != new && !force) {
            return Err(Error::verification(format!("{name} {version} for {machine} has another checksum than before"))
                .because(format!("its publisher lists {new}, release.toml has {before}"))
                .hint(format!(
                    "if its version was changed by hand, `cargo xtask tools lock {name}@{version} --force`; else find out who changed it"
                )));
        }
    }
    let pin = PinnedTool { version: version.clone(), sha256 };
    Ok(Locked { name: name.to_owned(), changed: pin != *old, pin })
}

/// The checksums of a release by machine, those that its publisher has.
fn listed(offer: &Offer<'_>, fetcher: &Fetcher<'_>) -> Result<Vec<(Machine, Checksum)>> {
    let mut lists: BTreeMap<String, String> = BTreeMap::new();
    let mut found = Vec::new();
    for machine in Machine::ALL {
        let offer = Offer { machine, ..*offer };
        let url = offer.list()?.to_string();
        if !lists.contains_key(&url) {
            lists.insert(url.clone(), fetcher.list(&offer)?);
        }
        let list = lists.get(&url).map(String::as_str).unwrap_or_default();
        let checksum =
            checksum(list, &offer.file_name()).map_err(|why| Error::verification(url.clone()).because(why))?;
        found.extend(checksum.map(|checksum| (machine, checksum)));
    }
    match found.is_empty() {
        true => {
            Err(Error::verification(format!("{} lists no file of {} {}", offer.list()?, offer.name, offer.version)))
        }
        false => Ok(found),
    }
}

/// The checksum of `file` in a list as sha256sum writes it: checksum, space, space or asterisk, name.
fn checksum(list: &str, file: &str) -> std::result::Result<Option<Checksum>, String> {
    let mut found = None;
    for line in list.lines() {
        let Some((checksum, name)) = line.split_once(char::is_whitespace) else { continue };
        let name = name.trim().trim_start_matches('*').trim_start_matches("./");
        if name != file {
            continue;
        }
        let checksum: Checksum = checksum.to_ascii_lowercase().parse().map_err(|e: Error| e.message().to_owned())?;
        if found.is_some_and(|found| found != checksum) {
            return Err(format!("it lists {file} twice, with different checksums"));
        }
        found = Some(checksum);
    }
    Ok(found)
}

/// The text of release.toml with `locked` in it. `file` is for errors.
pub(super) fn write(file: &Path, text: &str, locked: &[Locked]) -> Result<String> {
    let attempt = || format!("edit {}", file.display());
    let mut document: DocumentMut = text.parse().attempt(attempt)?;
    let tools = document.get_mut("tools").and_then(Item::as_table_mut).ok_or("[tools] is not a table of its own");
    let tools = tools.attempt(attempt)?;
    for Locked { name, pin, .. } in locked.iter().filter(|locked| locked.changed) {
        put(tools, name, pin).attempt(attempt)?;
    }
    let new = document.to_string();
    // The edit is read back as the next command will read it.
    let config = Config::parse(file, &new)?;
    match locked.iter().all(|locked| config.tools.pin(&locked.name).as_ref() == Some(&locked.pin)) {
        true => Ok(new),
        false => Err("it would not have the checksums that were looked up").attempt(attempt),
    }
}

/// Puts a pin below `[tools]`. `name = "1.2.3"` becomes a table, its comment going with it.
fn put(tools: &mut Table, name: &str, pin: &PinnedTool) -> std::result::Result<(), &'static str> {
    let comment = match tools.get(name) {
        Some(Item::Value(_)) => tools.key(name).and_then(|key| key.leaf_decor().prefix()?.as_str()).map(str::to_owned),
        _ => None,
    };
    if tools.get(name).is_none_or(Item::is_value) {
        tools.remove(name);
        let mut table = Table::new();
        table.decor_mut().set_prefix(format!("\n{}", comment.unwrap_or_default().trim_start_matches('\n')));
        tools.insert(name, Item::Table(table));
    }
    let table = tools.get_mut(name).and_then(Item::as_table_mut).ok_or("a tool is neither a text nor a table")?;
    set(table, "version", &pin.version.to_string());
    let sha256 = table.entry("sha256").or_insert_with(|| Item::Table(Table::new()));
    let sha256 = sha256.as_table_like_mut().ok_or("sha256 is not a table")?;
    let gone: Vec<String> = sha256.iter().map(|(machine, _)| machine.to_owned()).collect();
    for machine in gone.iter().filter(|name| !pin.sha256.keys().any(|machine| machine.as_str() == name.as_str())) {
        sha256.remove(machine);
    }
    for (machine, checksum) in &pin.sha256 {
        match sha256.get_mut(machine.as_str()).and_then(Item::as_value_mut) {
            Some(old) => keep_decor(old, checksum.to_string()),
            None => drop(sha256.insert(machine.as_str(), value(checksum.to_string()))),
        }
    }
    Ok(())
}

fn set(table: &mut Table, key: &str, text: &str) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => keep_decor(old, text.to_owned()),
        None => drop(table.insert(key, value(text))),
    }
}

/// Replaces a value, leaving the spaces and the comment around it.
fn keep_decor(old: &mut toml_edit::Value, text: String) {
    let decor = old.decor().clone();
    *old = text.into();
    *old.decor_mut() = decor;
}

#[cfg(test)]
mod tests;
