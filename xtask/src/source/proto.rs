//! The protos of a module: found, read once, and compiled in process.
//!
//! Takes a module's folder and the `[source]` table, gives encoded descriptors. Custom options survive, because the
//! descriptors are never decoded into types that don't know them. Starts no process, follows no symbolic link, and
//! compiles exactly the bytes that were read for the cache's key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use miette::Diagnostic;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use walkdir::{DirEntry, WalkDir};

use crate::config::{self, RelPath};
use crate::error::{Context, Error, Item, Place, Result};

/// The largest `.proto` that is read.
const PROTO_LIMIT: u64 = 4 << 20;

/// Folders that hold other people's files or none that are built, as the go command sees it.
const SKIPPED: &[&str] = &["vendor", "testdata", "node_modules"];

/// The protos of one module.
#[derive(Debug)]
pub(super) struct Protos {
    tree: Arc<Tree>,
    /// Those whose code is generated, by their names in imports.
    wanted: BTreeMap<String, PathBuf>,
}

/// Everything an import may find.
#[derive(Debug)]
struct Tree {
    /// The folders that imports are relative to, in the order in which they are tried.
    roots: Vec<PathBuf>,
    /// Text by path; paths here are relative to the module.
    texts: BTreeMap<PathBuf, String>,
}

impl Protos {
    /// Reads the protos below the configured folders of the module at `folder`.
    pub(super) fn read(folder: &Path, config: &config::Source) -> Result<Protos> {
        let roots: Vec<PathBuf> = config.proto_roots.iter().map(normal).collect();
        let mut found = BTreeSet::new();
        for below in config.protos.iter().map(normal) {
            found.extend(walk(folder, &below)?);
        }
        if found.is_empty() {
            return Ok(Protos { tree: Arc::new(Tree { roots, texts: BTreeMap::new() }), wanted: BTreeMap::new() });
        }
        let mut all = found.clone();
        for root in &roots {
            all.extend(walk(folder, root)?);
        }
        let texts = all.into_iter().map(|path| Ok((path.clone(), read(&folder.join(path))?))).collect::<Result<_>>()?;
        let tree = Tree { roots, texts };
        let wanted = found.into_iter().map(|path| Ok((tree.name(&path)?, path))).collect::<Result<_>>()?;
        Ok(Protos { tree: Arc::new(tree), wanted })
    }

    /// The protos whose code is generated: their names in imports, and their paths in the module; sorted by name.
    pub(super) fn wanted(&self) -> &BTreeMap<String, PathBuf> {
        &self.wanted
    }

    /// The folders that imports are relative to, in order.
    pub(super) fn roots(&self) -> &[PathBuf] {
        &self.tree.roots
    }

    /// Every proto that may be imported, with its text; sorted by path.
    pub(super) fn texts(&self) -> &BTreeMap<PathBuf, String> {
        &self.tree.texts
    }

    /// Compiles the wanted protos to a `google.protobuf.FileDescriptorSet` with comments, imports before importers.
    /// `module` is the folder as the user knows it, for the places of errors.
    pub(super) fn compile(&self, module: &Path) -> Result<Vec<u8>> {
        let mut resolver = ChainFileResolver::new();
        resolver.add(Imports(Arc::clone(&self.tree)));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).include_source_info(true);
        for name in self.wanted.keys() {
            compiler.open_file(name).map_err(|e| self.explain(&e, module))?;
        }
        Ok(compiler.encode_file_descriptor_set())
    }

    /// What the compiler says, each message with its place; the first is the headline.
    fn explain(&self, err: &protox::Error, module: &Path) -> Error {
        let source = err.file().and_then(|name| self.tree.find(name));
        let place = |offset: usize| {
            let (path, text) = source?;
            Some(Place::at(&module.join(path), text, offset))
        };
        let hint = match err.is_file_not_found() {
            true => {
                let roots: Vec<_> = self.tree.roots.iter().map(|r| format!("`{}`", shown(r).display())).collect();
                format!(
                    "imports are looked for below {}: see proto-roots in [source] of release.toml",
                    roots.join(", ")
                )
            }
            false => err
                .help()
                .map_or_else(|| "the programs can't be built before this is fixed".into(), |help| help.to_string()),
        };
        let failure = Error::failed(err.to_string()).items(notes(err, &place)).hint(hint);
        let offset = first_offset(err).or_else(|| offset_of_named(&err.to_string(), source?.1));
        match (offset.and_then(place), err.file()) {
            (Some(place), _) => failure.at(place),
            (None, Some(name)) => failure.within(format!("failed to compile {name}")),
            (None, None) => failure,
        }
    }
}

/// Where the first label of a message points to.
fn first_offset(message: &dyn Diagnostic) -> Option<usize> {
    let label = message.labels()?.next()?;
    // The label may lie outside of the text the compiler has: then it points nowhere.
    message.source_code().is_none_or(|text| text.read_span(label.inner(), 0, 0).is_ok()).then(|| label.offset())
}

/// Where `text` first has the name that `message` quotes. The compiler doesn't know the place of a map's types.
fn offset_of_named(message: &str, text: &str) -> Option<usize> {
    let name = message.split('\'').nth(1).filter(|name| !name.is_empty())?;
    let in_name = |c: char| c.is_alphanumeric() || "_.".contains(c);
    text.match_indices(name).map(|(at, _)| at).find(|at| {
        let (before, after) = (text.get(..*at).unwrap_or_default(), text.get(at + name.len()..).unwrap_or_default());
        let line = before.rsplit('\n').next().unwrap_or_default();
        !before.ends_with(in_name) && !after.starts_with(in_name) && !line.contains("//")
    })
}

/// The other places of a message, such as an earlier definition, and the messages that came with it.
fn notes(err: &protox::Error, place: &dyn Fn(usize) -> Option<Place>) -> Vec<Item> {
    let note = |offset: Option<usize>, what: String, fix: Option<String>| Item {
        what: offset.and_then(place).map_or_else(|| what.clone(), |place| format!("{place}: {what}")),
        fix,
    };
    let labels = err.labels().into_iter().flatten().skip(1);
    let labels = labels.map(|label| note(Some(label.offset()), label.label().unwrap_or("here").to_owned(), None));
    let related = err.related().into_iter().flatten();
    labels.chain(related.map(|m| note(first_offset(m), m.to_string(), m.help().map(|h| h.to_string())))).collect()
}

impl Tree {
    /// The file that an import finds.
    fn find(&self, name: &str) -> Option<(&PathBuf, &String)> {
        self.roots.iter().find_map(|root| self.texts.get_key_value(&root.join(name)))
    }

    /// The name by which imports find the file at `path`.
    fn name(&self, path: &Path) -> Result<String> {
        let below = self.roots.iter().find_map(|root| path.strip_prefix(root).ok()).and_then(Path::to_str);
        let name = below.ok_or_else(|| {
            let hint = "add its folder, or one above it, to proto-roots in [source] of release.toml";
            Error::usage(format!("no import can find `{}`", path.display())).hint(hint)
        })?;
        match self.find(name) {
            Some((found, _)) if found != path => {
                let hint = "change the order of proto-roots in [source] of release.toml, or rename one of them";
                Err(Error::usage(format!(
                    "`{}` hides `{}`: an import of `{name}` finds the former",
                    found.display(),
                    path.display()
                ))
                .hint(hint))
            }
            _ => Ok(name.to_owned()),
        }
    }
}

/// Gives the compiler the files of a tree.
struct Imports(Arc<Tree>);

impl FileResolver for Imports {
    fn open_file(&self, name: &str) -> std::result::Result<File, protox::Error> {
        let (_, text) = self.0.find(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

/// A configured path without `.` in it; the module itself is the empty path.
fn normal(path: &RelPath) -> PathBuf {
    path.as_path().components().filter(|c| matches!(c, Component::Normal(_))).collect()
}

fn shown(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn read(path: &Path) -> Result<String> {
    let bytes = crate::fs::read_small(path, PROTO_LIMIT)?;
    String::from_utf8(bytes).attempt(|| format!("read {}", path.display()))
}

/// The `.proto` files below `module/below`, relative to `module`.
fn walk(module: &Path, below: &Path) -> Result<Vec<PathBuf>> {
    let start = module.join(below);
    if !start.is_dir() {
        let hint = "correct protos and proto-roots in [source] of release.toml";
        return Err(Error::usage(format!("the source has no folder `{}`", below.display())).hint(hint));
    }
    let mut found = Vec::new();
    for entry in WalkDir::new(&start).into_iter().filter_entry(|entry| entry.depth() == 0 || belongs(entry)) {
        let entry = entry.attempt(|| format!("look for protos in {}", start.display()))?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|e| e == "proto") {
            found.push(entry.path().strip_prefix(module).unwrap_or(entry.path()).to_owned());
        }
    }
    Ok(found)
}

/// Whether a file or folder is part of the module's own sources: not hidden, not of another module, no build output
/// (which says so itself: https://bford.info/cachedir/).
fn belongs(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let foreign = || ["go.mod", "CACHEDIR.TAG"].iter().any(|mark| entry.path().join(mark).is_file());
    !name.starts_with('.') && (!entry.file_type().is_dir() || !(SKIPPED.contains(&&*name) || foreign()))
}

#[cfg(test)]
mod tests;
