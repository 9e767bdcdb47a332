//! What the stacked layers of an image show of a few files (OCI image spec, layer.md, "Applying Changesets").
//!
//! Takes layers and which paths are wanted, gives those files as a container would see them: the uppermost layer wins,
//! a whiteout removes, and of two entries in one archive the later one stands. Streams: of an archive nothing but the
//! wanted files is ever held, and those only up to limits. No link is followed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::Path;

use tempfile::NamedTempFile;

use super::digest::Hasher;
use super::spec::Descriptor;
use super::store::Store;
use super::{Digest, layer};
use crate::error::{Context, Error, Result};
use crate::fs;

/// The largest wanted file: the package database of a Debian with every package there is has some 100 MB, that of an
/// image with 2,000 packages 3 MB.
const FILE_LIMIT: u64 = 32 << 20;

/// The most bytes that all wanted files may have together.
const FILES_LIMIT: u64 = 64 << 20;

/// The most wanted files.
const COUNT_LIMIT: usize = 10_000;

/// The longest archive that is read, so that a compressed nothing can't keep a run busy for ever.
const ARCHIVE_LIMIT: u64 = 64 << 30;

/// The largest file that is written to disk.
const EXTRACT_LIMIT: u64 = 2 << 30;

/// The prefix of a whiteout's name, and the whole name of one for everything in a folder.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// What is asked about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// What the file holds.
    Content,
    /// Only whether it is there.
    Presence,
}

/// What was found at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The file.
    Content(Vec<u8>),
    /// A file of which only the presence was asked for.
    Present,
    /// A link, which isn't followed.
    Link,
}

/// Files by path, without a leading slash.
pub type Files = BTreeMap<String, Found>;

/// Reads the wanted files of `layers`, lowest first; `what` names the image in errors.
pub fn read(layers: &[Descriptor], store: &Store, want: &dyn Fn(&str) -> Option<Want>, what: &str) -> Result<Files> {
    let mut shown = Files::new();
    for descriptor in layers {
        in_layer(descriptor, store, what, |archive| apply(archive, want, &mut shown))?;
    }
    Ok(shown)
}

/// What `look` finds in a layer's archive; an error names the layer.
fn in_layer<T>(
    descriptor: &Descriptor,
    store: &Store,
    what: &str,
    look: impl FnOnce(Box<dyn Read>) -> Result<T>,
) -> Result<T> {
    let blob = BufReader::new(store.open(descriptor)?);
    let archive = layer::unpack(&descriptor.media_type, blob, what)?;
    look(archive).map_err(|e| e.within(format!("failed to read layer {} of {what}", descriptor.digest)))
}

/// Writes the file that `layers` show at `path`, which starts with no slash, to `to`: beside, then renamed. Gives its
/// digest, or nothing where a container would see no file there.
pub fn extract(layers: &[Descriptor], store: &Store, path: &str, to: &Path, what: &str) -> Result<Option<Digest>> {
    for descriptor in layers.iter().rev() {
        match in_layer(descriptor, store, what, |archive| uppermost(archive, path, to))? {
            Uppermost::File(digest) => return Ok(Some(digest)),
            Uppermost::NoFile => return Ok(None),
            Uppermost::Nothing => {}
        }
    }
    Ok(None)
}

/// What one layer says of a path.
enum Uppermost {
    File(Digest),
    /// Something else is there, or what is below is hidden.
    NoFile,
    /// What is below shows.
    Nothing,
}

fn uppermost(archive: impl Read, path: &str, to: &Path) -> Result<Uppermost> {
    let attempt = || "read its archive".to_owned();
    let (mut file, mut hidden) = (None, false);
    let mut archive = tar::Archive::new(archive.take(ARCHIVE_LIMIT));
    for entry in archive.entries().attempt(attempt)? {
        let mut entry = entry.attempt(attempt)?;
        let (name, kind) = (normal(&entry.path_bytes()), entry.header().entry_type());
        if name == path && kind.is_file() {
            file = Some(save(&mut entry, to)?);
        } else if Hidden::by(&name, kind.is_dir()).covers(path) {
            hidden = true;
            file = file.filter(|_| is_whiteout(&name));
        }
    }
    match file {
        Some((file, digest)) => {
            file.persist(to).attempt(|| format!("write {}", to.display()))?;
            Ok(Uppermost::File(digest))
        }
        None if hidden => Ok(Uppermost::NoFile),
        None => Ok(Uppermost::Nothing),
    }
}

/// The entry's content beside `to`.
fn save(entry: &mut impl Read, to: &Path) -> Result<(NamedTempFile, Digest)> {
    let attempt = || format!("write {}", to.display());
    let folder = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).attempt(attempt)?;
    let beside = tempfile::Builder::new().permissions(fs::readable()).tempfile_in(folder).attempt(attempt)?;
    let mut writer = Hasher::new(beside);
    let size = io::copy(&mut entry.take(EXTRACT_LIMIT + 1), &mut writer).attempt(attempt)?;
    if size > EXTRACT_LIMIT {
        return Err(format!("it is larger than {EXTRACT_LIMIT} bytes")).attempt(attempt);
    }
    let (beside, digest, _) = writer.finish();
    Ok((beside, digest))
}

/// Lays one archive over what the layers below it show.
fn apply(archive: impl Read, want: &dyn Fn(&str) -> Option<Want>, shown: &mut Files) -> Result<()> {
    let attempt = || "read its archive".to_owned();
    // Whiteouts are about the layers below, wherever in the archive they stand.
    let mut own = Files::new();
    let mut held = 0;
    let mut archive = tar::Archive::new(archive.take(ARCHIVE_LIMIT));
    for entry in archive.entries().attempt(attempt)? {
        let mut entry = entry.attempt(attempt)?;
        let path = normal(&entry.path_bytes());
        let kind = entry.header().entry_type();
        Hidden::by(&path, kind.is_dir()).remove_from(shown);
        if kind.is_dir() || is_whiteout(&path) {
            continue;
        }
        let Some(wanted) = want(&path) else { continue };
        let found = match wanted {
            _ if !kind.is_file() => Found::Link,
            Want::Presence => Found::Present,
            Want::Content => Found::Content(content(&mut entry, &path, &mut held)?),
        };
        own.insert(path, found);
        if own.len() > COUNT_LIMIT {
            return Err(Error::failed(format!("it has more than {COUNT_LIMIT} files that would be read")));
        }
    }
    shown.append(&mut own);
    Ok(())
}

fn content(entry: &mut impl Read, path: &str, held: &mut u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = entry.take(FILE_LIMIT + 1).read_to_end(&mut bytes).attempt(|| format!("read /{path}"))?;
    *held += read as u64;
    match read as u64 > FILE_LIMIT || *held > FILES_LIMIT {
        true => Err(Error::failed(format!("/{path} is larger than the {FILE_LIMIT} bytes that are read"))),
        false => Ok(bytes),
    }
}

/// A path as archives of any maker write it, without `./`, leading and trailing slashes.
pub(crate) fn normal(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

pub(crate) fn is_whiteout(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(WHITEOUT))
}

/// What an entry takes out of sight of the layers below it: a whiteout the path it names and everything below, an opaque
/// one everything below its folder, a folder what isn't one in its place, anything else also everything below.
pub(crate) struct Hidden<'a> {
    path: Cow<'a, str>,
    itself: bool,
    below: bool,
}

impl<'a> Hidden<'a> {
    /// By the entry of this normal path.
    pub(crate) fn by(entry: &'a str, is_folder: bool) -> Hidden<'a> {
        let (folder, name) = entry.rsplit_once('/').unwrap_or(("", entry));
        let hidden = |path, itself, below| Hidden { path, itself, below };
        match name.strip_prefix(WHITEOUT) {
            _ if name == OPAQUE => hidden(folder.into(), false, true),
            Some(removed) if folder.is_empty() => hidden(removed.into(), true, true),
            Some(removed) => hidden(format!("{folder}/{removed}").into(), true, true),
            None => hidden(entry.into(), true, !is_folder && !entry.is_empty()),
        }
    }

    fn covers(&self, file: &str) -> bool {
        let is_below =
            || self.path.is_empty() || file.strip_prefix(&*self.path).is_some_and(|rest| rest.starts_with('/'));
        if file == self.path { self.itself } else { self.below && is_below() }
    }

    /// Takes what is hidden out of `files`, which may be many: only what is near the path is looked at.
    pub(crate) fn remove_from<V>(&self, files: &mut BTreeMap<String, V>) {
        if self.itself {
            files.remove(&*self.path);
        }
        if self.below && self.path.is_empty() {
            files.retain(|file, _| !self.covers(file));
        } else if self.below {
            // `0` follows `/`, so everything below is together.
            let (from, to) = (format!("{}/", self.path), format!("{}0", self.path));
            let below: Vec<String> = files.range(from..to).map(|(file, _)| file.clone()).collect();
            below.iter().for_each(|file| drop(files.remove(file)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::spec::media;

    /// An entry of a test's layer: its path, and its content or that it is a folder.
    enum Part<'a> {
        File(&'a str, &'a str),
        Folder(&'a str),
        Link(&'a str, &'a str),
    }
    use Part::{File, Folder, Link};

    fn layer(parts: &[Part<'_>]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for part in parts {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            match part {
                File(path, text) => {
                    header.set_size(text.len() as u64);
                    tar.append_data(&mut header, path, text.as_bytes()).unwrap();
                }
                Folder(path) => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_size(0);
                    tar.append_data(&mut header, path, io::empty()).unwrap();
                }
                Link(path, to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    tar.append_link(&mut header, path, to).unwrap();
                }
            }
        }
        tar.into_inner().unwrap()
    }

    fn stacked(layers: &[&[Part<'_>]], store: &Store) -> Vec<Descriptor> {
        let stored = |parts: &&[Part<'_>]| {
            let bytes = layer(parts);
            let descriptor = Descriptor::of(media::LAYER_TAR, &bytes);
            store.copy_in(&descriptor, bytes.as_slice()).unwrap();
            descriptor
        };
        layers.iter().map(stored).collect()
    }

    /// What the stacked layers show of `db/*` and of `etc/os-release`.
    fn shown(layers: &[&[Part<'_>]]) -> Result<Vec<(String, String)>> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let stacked = stacked(layers, &store);
        let want = |path: &str| match path {
            "db/large" => Some(Want::Presence),
            "etc/os-release" => Some(Want::Content),
            _ => path.starts_with("db/").then_some(Want::Content),
        };
        let text = |found| match found {
            Found::Content(bytes) => String::from_utf8(bytes).unwrap(),
            Found::Present => "(present)".into(),
            Found::Link => "(link)".into(),
        };
        Ok(read(&stacked, &store, &want, "the image")?.into_iter().map(|(path, found)| (path, text(found))).collect())
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn the_uppermost_layer_wins_and_the_rest_shows_through() -> Result<()> {
        let below = [File("db/a", "1"), File("db/b", "1"), File("other", "1"), File("./etc/os-release", "old")];
        let above = [Folder("db"), File("db/a", "2"), File("etc/os-release", "new")];
        assert_eq!(shown(&[&below, &above])?, pairs(&[("db/a", "2"), ("db/b", "1"), ("etc/os-release", "new")]));
        Ok(())
    }

    #[test]
    fn whiteouts_remove_what_is_below_and_nothing_of_their_own_layer() -> Result<()> {
        let below = || [File("db/a", "1"), File("db/b", "1"), File("etc/os-release", "1")];
        for (above, left) in [
            (&[File("db/.wh.a", "")][..], &[("db/b", "1"), ("etc/os-release", "1")][..]),
            (&[File(".wh.db", "")], &[("etc/os-release", "1")]),
            (&[File(".wh..wh..opq", "")], &[]),
            (&[File("db/c", "2"), File("db/.wh..wh..opq", "")], &[("db/c", "2"), ("etc/os-release", "1")]),
            (&[File("db/a", "2"), File("db/.wh.a", "")], &[("db/a", "2"), ("db/b", "1"), ("etc/os-release", "1")]),
            (&[File("db", "now a file")], &[("etc/os-release", "1")]),
            (&[Link("db", "elsewhere")], &[("etc/os-release", "1")]),
            (&[Folder("db/a")], &[("db/b", "1"), ("etc/os-release", "1")]),
            (&[File("d/.wh.b", ""), File(".wh.d", "")], &[("db/a", "1"), ("db/b", "1"), ("etc/os-release", "1")]),
        ] {
            assert_eq!(shown(&[&below(), above])?, pairs(left));
        }
        Ok(())
    }

    #[test]
    fn the_file_that_is_extracted_is_the_one_that_a_container_would_see() {
        let below = [File("bin/gate", "below"), File("bin/other", "x")];
        for (above, seen) in [
            (&[File("app/index.html", "")][..], Some("below")),
            (&[Folder("bin"), File("bin/other", "y")], Some("below")),
            (&[File("./bin/gate", "above")], Some("above")),
            (&[File("bin/gate", "first"), File("bin/gate", "last")], Some("last")),
            (&[File("bin/gate", "above"), File("bin/.wh.gate", "")], Some("above")),
            (&[File("bin/gate", "above"), File("bin/.wh..wh..opq", "")], Some("above")),
            (&[File("bin/gate", "above"), Link("bin/gate", "other")], None),
            (&[Link("bin/gate", "other")], None),
            (&[Folder("bin/gate")], None),
            (&[Link("bin", "sbin"), File("sbin/gate", "elsewhere")], None),
            (&[File("bin/.wh.gate", "")], None),
            (&[File(".wh.bin", "")], None),
            (&[File("bin/.wh..wh..opq", "")], None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (store, to) = (Store::new(folder.path()), folder.path().join("programs/gate"));
            let found = extract(&stacked(&[&below, above], &store), &store, "bin/gate", &to, "the image").unwrap();
            assert_eq!(found, seen.map(|text| Digest::of(text.as_bytes())), "{seen:?}");
            assert_eq!(std::fs::read_to_string(&to).ok().as_deref(), seen);
            let left = std::fs::read_dir(folder.path().join("programs")).map_or(0, Iterator::count);
            assert_eq!(left, seen.iter().count(), "nothing half-written is left");
        }
    }

    #[test]
    fn an_entry_hides_what_the_specification_says_and_nothing_beside_it() {
        // `-`, `.` and `0` sort on both sides of `/`.
        let all = ["a", "a/b", "a/b/c", "a/b-c", "a/b0", "a/bb", "a-b/c", "a.b", "a0", "ab/c", "b"];
        for (entry, is_folder, hidden) in [
            ("a/b", false, &["a/b", "a/b/c"][..]),
            ("a/b", true, &["a/b"]),
            ("a", false, &["a", "a/b", "a/b/c", "a/b-c", "a/b0", "a/bb"]),
            ("a/.wh.b", false, &["a/b", "a/b/c"]),
            ("a/b/.wh.c", false, &["a/b/c"]),
            (".wh.a", false, &["a", "a/b", "a/b/c", "a/b-c", "a/b0", "a/bb"]),
            ("a/.wh..wh..opq", false, &["a/b", "a/b/c", "a/b-c", "a/b0", "a/bb"]),
            (".wh..wh..opq", false, &all),
            ("", true, &[]),
            ("c", false, &[]),
            (".wh.c", false, &[]),
        ] {
            let by = Hidden::by(entry, is_folder);
            let mut files: BTreeMap<String, ()> = all.iter().map(|file| ((*file).to_owned(), ())).collect();
            by.remove_from(&mut files);
            for file in all {
                let wanted = hidden.contains(&file);
                assert_eq!((by.covers(file), !files.contains_key(file)), (wanted, wanted), "{entry:?} and {file}");
            }
        }
    }

    #[test]
    fn links_are_told_and_a_presence_is_not_read() -> Result<()> {
        let layer = [Link("etc/os-release", "../usr/lib/os-release"), File("db/large", "much")];
        assert_eq!(shown(&[&layer])?, pairs(&[("db/large", "(present)"), ("etc/os-release", "(link)")]));
        Ok(())
    }

    #[test]
    fn a_wanted_file_beyond_the_limit_is_an_error_and_never_cut() {
        let large = " ".repeat(FILE_LIMIT as usize + 1);
        let error = shown(&[&[File("db/a", &large)]]).unwrap_err().to_string();
        assert!(error.contains("/db/a is larger than"), "{error}");
        let half = " ".repeat(FILE_LIMIT as usize - 1);
        let error = shown(&[&[File("db/a", &half), File("db/b", &half), File("db/c", &half)]]).unwrap_err().to_string();
        assert!(error.contains("/db/c is larger than"), "{error}");
    }

    #[test]
    fn a_damaged_archive_is_an_error_that_names_the_layer() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let mut bytes = layer(&[File("db/a", &"x".repeat(2000))]);
        bytes.truncate(1000);
        let descriptor = Descriptor::of(media::LAYER_TAR, &bytes);
        store.copy_in(&descriptor, bytes.as_slice()).unwrap();
        let error = read(std::slice::from_ref(&descriptor), &store, &|_| Some(Want::Content), "the base")
            .unwrap_err()
            .to_string();
        assert!(error.contains(&descriptor.digest.to_string()) && error.contains("the base"), "{error}");
    }
}
