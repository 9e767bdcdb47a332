//! What a base image brings with it: its distribution and the packages that are installed, from the databases of their
//! package managers.
//!
//! Takes an image's layers, gives a [`System`]. Runs no package manager. A database that can't be read is named in
//! [`System::unread`], so that "no package" is never mistaken for "nobody looked".

mod apk;
mod dpkg;
mod release;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(super) use release::Release;

use crate::error::{Context, Error, Result};
use crate::fs;
use crate::oci::Digest;
use crate::oci::rootfs::{self, Files, Found, Want};
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;

/// Changes whenever the same layers are read differently, so that no note outlives its code.
const FORMAT: &str = "system/1";

/// Where apk keeps its database: since Alpine 3.23 below /usr (apk-tools, `apk_db_layer_name`).
const APK: &[&str] = &["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// Where dpkg keeps its database; images without dpkg itself have a file a package in the folder.
const DPKG: &str = "var/lib/dpkg/status";
const DPKG_FOLDER: &str = "var/lib/dpkg/status.d/";

/// Checksums of a package's files, beside its paragraph in [`DPKG_FOLDER`].
const DPKG_SUMS: &str = ".md5sums";

/// Databases in formats that no crate reads without a C library or a database engine: rpm's in its three formats and
/// at both its places, the manifest of images without rpm, and pacman's.
const UNREAD: &[&str] = &[
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages",
    "usr/lib/sysimage/rpm/Packages.db",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/rpmmanifest/container-manifest-2",
    "var/lib/pacman/local/ALPM_DB_VERSION",
];

/// Where a distribution says what it is, the one that counts first (os-release(5)).
const RELEASE: &[&str] = &["etc/os-release", "usr/lib/os-release"];

/// A distribution and its packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct System {
    /// What the distribution calls itself.
    pub(super) release: Option<Release>,
    /// Installed packages, sorted by name and architecture.
    pub(super) packages: Vec<Package>,
    /// Package databases that are there and were not read.
    pub(super) unread: Vec<String>,
}

/// Who installed a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Manager {
    /// Alpine's and Wolfi's.
    Apk,
    /// Debian's and Ubuntu's.
    Dpkg,
}

impl Manager {
    /// The type of its packages' purls.
    pub(super) fn purl_type(self) -> &'static str {
        match self {
            Manager::Apk => "apk",
            Manager::Dpkg => "deb",
        }
    }

    /// Whose packages they are where the image doesn't say.
    pub(super) fn distribution(self) -> &'static str {
        match self {
            Manager::Apk => "alpine",
            Manager::Dpkg => "debian",
        }
    }
}

/// One installed package, in its database's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Package {
    /// Who installed it.
    pub(super) manager: Manager,
    /// Its name.
    pub(super) name: String,
    /// Its version, with epoch and revision.
    pub(super) version: String,
    /// Its architecture in the distribution's words.
    pub(super) architecture: String,
    /// The source package it was built from, and that one's version: what distributions' advisories are about.
    pub(super) source: (String, String),
    /// Its license as the distribution states it.
    pub(super) license: Option<String>,
}

/// Reads what `layers` show. `notes` is a folder that remembers it, so that the layers are unpacked once.
pub(super) fn read(layers: &[Descriptor], store: &Store, notes: &Path, what: &str) -> Result<System> {
    let note = notes.join(format!("{}.json", key(layers).hex()));
    let known = std::fs::read(&note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(system) = known {
        return Ok(system);
    }
    let system = of(&rootfs::read(layers, store, &wanted, what)?)?;
    fs::write(&note, &serde_json::to_vec(&system).attempt(|| "describe a base image".into())?)?;
    Ok(system)
}

fn key(layers: &[Descriptor]) -> Digest {
    let digests: String = layers.iter().map(|layer| format!("\n{}", layer.digest)).collect();
    Digest::of(format!("{FORMAT}{digests}").as_bytes())
}

fn wanted(path: &str) -> Option<Want> {
    let in_folder =
        || path.strip_prefix(DPKG_FOLDER).is_some_and(|name| !name.contains('/') && !name.ends_with(DPKG_SUMS));
    match path {
        _ if UNREAD.contains(&path) => Some(Want::Presence),
        _ if APK.contains(&path) || RELEASE.contains(&path) || path == DPKG || in_folder() => Some(Want::Content),
        _ => None,
    }
}

/// What these files say.
fn of(files: &Files) -> Result<System> {
    let mut system = System::default();
    // A package is installed once for an architecture; a database further down the list is the newer one.
    let mut packages = BTreeMap::new();
    for (path, found) in files {
        match found {
            Found::Content(bytes) if RELEASE.contains(&path.as_str()) => {
                // Sorted, `etc` comes first, and it counts.
                system.release = system.release.or_else(|| Release::parse(&String::from_utf8_lossy(bytes)));
            }
            Found::Content(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let listed = if APK.contains(&path.as_str()) { apk::parse(&text) } else { dpkg::parse(&text) };
                for package in listed.map_err(|why| Error::failed(format!("/{path} is damaged")).because(why))? {
                    packages.insert((package.name.clone(), package.architecture.clone()), package);
                }
            }
            // A link to the other os-release is what most distributions have.
            Found::Link if RELEASE.contains(&path.as_str()) => {}
            Found::Link | Found::Present => system.unread.push(format!("/{path}")),
        }
    }
    system.packages = packages.into_values().collect();
    Ok(system)
}

#[cfg(test)]
mod tests;
