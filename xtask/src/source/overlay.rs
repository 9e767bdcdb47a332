//! Generated code and the file that lays it over a module (`go help build`, `-overlay`).
//!
//! Takes a source and code generators, gives the overlay's path. Code is kept below the cache by a key over all that
//! it is made from; a folder with a key for a name is whole, because it was made beside and then renamed. Never writes
//! into the module.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use super::Source;
use super::plugin::{self, Generated, Plugin};
use super::proto::Protos;
use crate::config;
use crate::error::{Context, Error, Result};
use crate::oci::Digest;
use crate::oci::digest::Hasher;
use crate::pool;
use crate::ui::Ui;

/// What the protos are compiled with; part of the key, as the generators' versions are.
const COMPILER: &str = "protox 0.10.0";

/// The document that `-overlay` takes.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Overlay {
    /// Absolute paths: of files in the module, there or not, and of those in their place.
    replace: BTreeMap<PathBuf, PathBuf>,
}

/// The overlay of the source's generated code, made now unless it is in `cache`; `None` for a module without protos.
/// `install` gives a generator's program, and is only called when code has to be made.
pub(super) fn prepare(
    source: &Source,
    config: &config::Source,
    plugins: &[Plugin],
    toolchain: &str,
    cache: &Path,
    install: impl Fn(&Plugin) -> Result<PathBuf>,
    ui: &Ui,
) -> Result<Option<PathBuf>> {
    let protos = Protos::read(&source.folder, config)?;
    if protos.wanted().is_empty() {
        return Ok(None);
    }
    let cache = std::path::absolute(cache.join("generated")).attempt(|| format!("find {}", cache.display()))?;
    let code = cache.join(key(&protos, plugins, toolchain).hex());
    if !code.is_dir() {
        let step = ui.step(format!("generate Go code from {} protos", protos.wanted().len()));
        let generated = generate(&protos, plugins, &source.facts.location, install, ui)?;
        store(&generated, &cache, &code)?;
        step.done("");
    }
    write(&source.folder, &protos, plugins, &code).map(Some)
}

/// Hashes everything that decides what the generated code is.
fn key(protos: &Protos, plugins: &[Plugin], toolchain: &str) -> Digest {
    let mut hasher = Hasher::new(std::io::sink());
    let mut put = |part: &[u8]| {
        // Lengths keep the parts apart; a sink takes everything.
        let _ = hasher.write_all(&(part.len() as u64).to_le_bytes()).and_then(|()| hasher.write_all(part));
    };
    let mut list = |parts: Vec<&[u8]>| {
        put(&(parts.len() as u64).to_le_bytes());
        parts.into_iter().for_each(&mut put);
    };
    list(vec![COMPILER.as_bytes(), toolchain.as_bytes()]);
    let versions: Vec<_> = plugins.iter().map(|p| format!("{}@{}", p.package, p.version)).collect();
    list(versions.iter().map(String::as_bytes).collect());
    list(protos.roots().iter().map(|root| root.as_os_str().as_encoded_bytes()).collect());
    list(protos.wanted().keys().map(String::as_bytes).collect());
    list(
        protos.texts().iter().flat_map(|(path, text)| [path.as_os_str().as_encoded_bytes(), text.as_bytes()]).collect(),
    );
    hasher.finish().1
}

fn generate(
    protos: &Protos,
    plugins: &[Plugin],
    location: &str,
    install: impl Fn(&Plugin) -> Result<PathBuf>,
    ui: &Ui,
) -> Result<Generated> {
    let module = if location == "." { Path::new("") } else { Path::new(location) };
    let request = plugin::request(protos.wanted().keys(), &protos.compile(module)?)?;
    let names: BTreeSet<String> = protos.wanted().keys().cloned().collect();
    let programs = plugins.iter().map(|plugin| Ok((plugin, install(plugin)?))).collect::<Result<Vec<_>>>()?;
    let outputs = pool::map(&programs, pool::cores(), |(plugin, program)| plugin.run(program, &request, &names, ui))?;
    let mut files = Generated::new();
    for (name, code) in outputs.into_iter().flatten() {
        if files.insert(name.clone(), code).is_some() {
            let hint = "rename one of the protos whose generated files have this name";
            return Err(Error::failed(format!("two code generators give `{name}`")).hint(hint));
        }
    }
    Ok(files)
}

/// Writes generated code below `code`. Another run that was faster has made the same.
fn store(generated: &Generated, cache: &Path, code: &Path) -> Result<()> {
    let attempt = || format!("write generated code to {}", cache.display());
    std::fs::create_dir_all(cache).attempt(attempt)?;
    let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(cache).attempt(attempt)?;
    let new = beside.path().join("code");
    std::fs::create_dir(&new).attempt(attempt)?;
    for (name, text) in generated {
        crate::fs::write(&new.join(name), text)?;
    }
    match std::fs::rename(&new, code) {
        Err(_) if code.is_dir() => Ok(()),
        renamed => renamed.attempt(attempt),
    }
}

/// Writes the overlay that puts each file below `code` beside its proto, under a name that tells its content.
fn write(module: &Path, protos: &Protos, plugins: &[Plugin], code: &Path) -> Result<PathBuf> {
    let mut replace = BTreeMap::new();
    for entry in WalkDir::new(code) {
        let entry = entry.attempt(|| format!("read generated code in {}", code.display()))?;
        let name = entry.path().strip_prefix(code).unwrap_or(entry.path());
        if let Some(beside) = name.to_str().and_then(|name| beside(name, protos, plugins)) {
            replace.insert(module.join(beside), entry.into_path());
        }
    }
    let text = serde_json::to_vec_pretty(&Overlay { replace })
        .attempt(|| "write the overlay, which takes UTF-8 paths".into())?;
    let path = code.with_file_name(format!("overlay-{}.json", Digest::of(&text).short()));
    if !path.is_file() {
        crate::fs::write(&path, &text)?;
    }
    Ok(path)
}

/// Where in the module the generated file `name` belongs.
fn beside(name: &str, protos: &Protos, plugins: &[Plugin]) -> Option<PathBuf> {
    let proto = plugins.iter().find_map(|plugin| protos.wanted().get(&plugin.proto_of(name)?))?;
    Some(proto.with_file_name(Path::new(name).file_name()?))
}

#[cfg(test)]
pub(super) mod tests;
