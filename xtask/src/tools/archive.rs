//! Takes one program out of a gzipped tar archive.
//!
//! Takes an archive whose checksum has been checked and the program's name in it, gives the program as a file of its
//! own. Reads every entry to the end of the archive and refuses it whole when one would land, or lead, outside of it.
//! Never writes anything but the one file, never holds one in memory.

use std::cell::Cell;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use crate::error::{Context, Error, Result};
use crate::ui::size;

/// The most that an archive may unpack to; Trivy, the largest program here, has 170 MB.
const LARGEST: u64 = 1 << 30;
/// The most entries; a program comes with a licence and a few pages.
const ENTRIES: usize = 1000;
/// The most that the headers of one entry may take, long names included.
const HEADERS: u64 = 64 << 10;

/// Writes the program called `member` in the archive at `from` to `to`, which must not be there yet.
pub(super) fn extract(from: &Path, member: &str, to: &Path) -> Result<()> {
    let opened = File::open(from).attempt(|| format!("open {}", from.display()))?;
    let bad = |why: Refusal| Error::verification("the archive can't be used").because(why.0);
    let budget = Rc::new(Cell::new(0));
    let metered = Metered { inner: MultiGzDecoder::new(BufReader::new(opened)), budget: Rc::clone(&budget) };
    let mut archive = Archive::new(metered);
    let mut entries = archive.entries().map_err(|e| bad(e.into()))?;
    let (mut left, mut found) = (LARGEST, false);
    for count in 0.. {
        budget.set(HEADERS);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|e| bad(e.into()))?;
        if count == ENTRIES {
            return Err(bad(Refusal(format!("it has more than {ENTRIES} entries"))));
        }
        let length = entry.size();
        left = left.checked_sub(length).ok_or_else(|| bad(Refusal(too_large())))?;
        budget.set(length.saturating_add(HEADERS));
        let is_member = check(&entry).map_err(bad)? == Some(member.to_owned());
        if is_member {
            if found {
                return Err(bad(Refusal(format!("it has {member} twice"))));
            }
            found = true;
            write(&mut entry, to).map_err(bad)?;
        } else {
            io::copy(&mut entry, &mut io::sink()).map_err(|e| bad(e.into()))?;
        }
    }
    match found {
        true => Ok(()),
        false => Err(bad(Refusal(format!("it has no program called {member}")))),
    }
}

/// Why an archive is refused.
struct Refusal(String);

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal(error.to_string())
    }
}

fn too_large() -> String {
    format!("it unpacks to more than {}", size(LARGEST))
}

/// The name of an entry that is a file; `None` for a folder, a link or a comment that does no harm.
fn check(entry: &Entry<'_, impl Read>) -> std::result::Result<Option<String>, Refusal> {
    let path = entry.path()?;
    let shown = path.display().to_string();
    let outside = || Refusal(format!("the entry `{}` leads out of it", shown.escape_debug()));
    let kind = entry.header().entry_type();
    match kind {
        EntryType::XGlobalHeader => return Ok(None),
        _ if depth(Path::new(""), &path).is_none() => return Err(outside()),
        EntryType::Regular | EntryType::Continuous => {}
        EntryType::Directory => return Ok(None),
        EntryType::Symlink | EntryType::Link => {
            let target = entry.link_name()?.ok_or_else(outside)?;
            // A symbolic link is relative to its own folder, a hard link to the archive.
            let base = if kind == EntryType::Symlink { path.parent() } else { None };
            return depth(base.unwrap_or(Path::new("")), &target).map(|_| None).ok_or_else(outside);
        }
        _ => return Err(Refusal(format!("the entry `{}` is neither file, folder nor link", shown.escape_debug()))),
    }
    let parts = path.components().filter(|part| *part != Component::CurDir);
    Ok(parts.collect::<std::path::PathBuf>().to_str().map(str::to_owned))
}

/// How far below the archive's root `path` from `base` leads; `None` when it is absolute or leaves it on the way.
fn depth(base: &Path, path: &Path) -> Option<usize> {
    base.components().chain(path.components()).try_fold(0_usize, |depth, part| match part {
        Component::Normal(_) => Some(depth + 1),
        Component::CurDir => Some(depth),
        Component::ParentDir => depth.checked_sub(1),
        Component::RootDir | Component::Prefix(_) => None,
    })
}

fn write(entry: &mut Entry<'_, impl Read>, to: &Path) -> std::result::Result<(), Refusal> {
    let mut file = File::create_new(to)?;
    io::copy(entry, &mut file)?;
    Ok(file.set_permissions(Permissions::from_mode(0o755))?)
}

/// Reads no more than its budget, whatever an archive says of itself.
struct Metered<R> {
    inner: R,
    budget: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("an entry is larger than it says, or its headers are"));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.budget.set(left - n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
