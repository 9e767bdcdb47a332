//! Publishers' files: downloaded while hashed, and used only when the checksum is the pinned one.
//!
//! Takes what a publisher calls a file, gives the program, or a list of checksums as text. Never unpacks before the
//! checksum is known to be right, never keeps what is wrong, never follows a redirect to a host that the publisher
//! isn't known to use, never sends credentials.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;

use super::archive;
use super::cache::{Held, Shelf, place};
use super::known::{self, Kind, Release};
use super::mirror::{self, Mirror};
use crate::config::{Checksum, Machine};
use crate::error::{Context, Error, Result};
use crate::oci::digest::{Hasher, read_error};
use crate::registry::{Downloads, Url};
use crate::ui::{Ui, size};

/// How long one file may take.
pub(super) const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The largest file: three times what the largest program has that comes without an archive.
const LARGEST: u64 = 512 << 20;
/// The largest list of checksums.
const LARGEST_LIST: u64 = 1 << 20;
/// What to do about a file that can't be had.
const ELSEWHERE: &str =
    "check the network, name a mirror with --mirror or XTASK_TOOLS_MIRROR, or compile with --compile";

/// One release of a program for one machine.
pub(super) struct Offer<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a Version,
    pub(super) machine: Machine,
    pub(super) release: &'a Release,
}

/// Fetches from publishers, or from a mirror of theirs.
pub(super) struct Fetcher<'a> {
    pub(super) downloads: Downloads,
    pub(super) mirror: Option<&'a Mirror>,
}

impl Offer<'_> {
    fn filled(&self, template: &str) -> String {
        known::filled(template, self.version, self.release.word(self.machine))
    }

    /// Where the publisher has the file.
    pub(super) fn file(&self) -> Result<Url> {
        parse(&self.filled(self.release.file))
    }

    /// Where the publisher has the list of checksums.
    pub(super) fn list(&self) -> Result<Url> {
        parse(&self.filled(self.release.list))
    }

    /// What the list calls the file.
    pub(super) fn file_name(&self) -> String {
        let path = self.filled(self.release.file);
        path.rsplit('/').next().unwrap_or_default().to_owned()
    }
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|e| Error::failed(format!("`{url}` is not a URL")).because(e))
}

impl Fetcher<'_> {
    /// Puts the program on its shelf.
    ///
    /// # Errors
    /// Of class network when the file can't be had; of class verification when what came must not be used, and then
    /// nothing of it is left.
    pub(super) fn program(
        &self,
        offer: &Offer<'_>,
        sha256: Checksum,
        shelf: &Shelf,
        held: &Held,
        ui: &Ui,
    ) -> Result<PathBuf> {
        let workshop = held.workshop()?;
        let (file, made) = (workshop.path().join("file"), workshop.path().join("program"));
        let what = format!("{} {}", offer.name, offer.version);
        self.file(&offer.file()?, offer.release, sha256, &file, &what, ui)?;
        match offer.release.kind {
            Kind::Bare => executable(&file, &made)?,
            Kind::TarGz(member) => {
                let extracted = archive::extract(&file, &offer.filled(member), &made);
                extracted.map_err(|e| e.within(format!("failed to unpack {what}")))?;
            }
        }
        let program = shelf.downloaded(offer.version, sha256);
        place(&made, &program)?;
        Ok(program)
    }

    /// A publisher's list of checksums.
    pub(super) fn list(&self, offer: &Offer<'_>) -> Result<String> {
        let url = self.url(&offer.list()?)?;
        let gate = |from: &Url, to: &Url| self.check(&url, offer.release, from, to);
        let download = self.downloads.open(&url, &gate).map_err(|e| e.hint(ELSEWHERE))?;
        let mut text = Vec::new();
        let what = format!("failed to download {url}");
        download.take(LARGEST_LIST + 1).read_to_end(&mut text).map_err(|e| read_error(&what, &e).hint(ELSEWHERE))?;
        if text.len() as u64 > LARGEST_LIST {
            return Err(Error::verification(what).because(format!("it is larger than {}", size(LARGEST_LIST))));
        }
        String::from_utf8(text).map_err(|e| Error::verification(what).because(e))
    }

    fn file(&self, publisher: &Url, release: &Release, sha256: Checksum, to: &Path, what: &str, ui: &Ui) -> Result<()> {
        let url = self.url(publisher)?;
        let gate = |from: &Url, to: &Url| self.check(&url, release, from, to);
        let failed = format!("failed to download {what}");
        let too_large =
            || Error::verification(failed.clone()).because(format!("{url} is larger than {}", size(LARGEST)));
        let mut download = self.downloads.open(&url, &gate).map_err(|e| e.within(failed.clone()).hint(ELSEWHERE))?;
        if download.length().is_some_and(|length| length > LARGEST) {
            return Err(too_large());
        }
        let step = match download.length() {
            Some(length) => ui.transfer(format!("download {what}"), length),
            None => ui.step(format!("download {what}")),
        };
        let mut hasher = Hasher::new(File::create_new(to).attempt(|| format!("create {}", to.display()))?);
        let (mut buffer, mut total) = (vec![0; 64 << 10], 0);
        loop {
            let n = download.read(&mut buffer).map_err(|e| read_error(&failed, &e).hint(ELSEWHERE))?;
            if n == 0 {
                break;
            }
            total += n as u64;
            if total > LARGEST {
                return Err(too_large());
            }
            hasher.write_all(buffer.get(..n).unwrap_or_default()).attempt(|| format!("write {}", to.display()))?;
            step.advance(n as u64);
        }
        let (_, digest, _) = hasher.finish();
        if digest != sha256.0 {
            return Err(Error::verification(format!("{what} has the wrong checksum and was deleted"))
                .because(format!("{url} has SHA-256 {}, release.toml says {sha256}", digest.hex()))
                .hint("find out who changed it before anything else: a publisher doesn't replace what is released"));
        }
        step.done("");
        Ok(())
    }

    fn url(&self, publisher: &Url) -> Result<Url> {
        self.mirror.map_or_else(|| Ok(publisher.clone()), |mirror| mirror.of(publisher))
    }

    /// Whether an answer from `from` may send us to `to`; `first` is where we asked.
    fn check(&self, first: &Url, release: &Release, from: &Url, to: &Url) -> Result<()> {
        let refused = |why: &str| {
            let host = to.host_str().unwrap_or_default();
            Error::verification(format!(
                "{} redirects to {}://{host}, {why}",
                from.host_str().unwrap_or_default(),
                to.scheme()
            ))
            .hint("find out who answers for it: its publisher is not known to do so")
        };
        if !mirror::is_safe(to) || (from.scheme() == "https" && to.scheme() != "https") {
            return Err(refused("which gives up TLS"));
        }
        let listed = |host: &str| first.host_str() == Some(host) || release.hosts.contains(&host);
        match to.host_str().is_some_and(listed) && to.username().is_empty() && to.password().is_none() {
            true => Ok(()),
            false => Err(refused("which is not one of the publisher's hosts")),
        }
    }
}

/// Makes `to` the program that `from` is.
fn executable(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let attempt = || format!("make {} executable", from.display());
    std::fs::set_permissions(from, std::fs::Permissions::from_mode(0o755)).attempt(attempt)?;
    std::fs::rename(from, to).attempt(attempt)
}

#[cfg(test)]
mod tests;
