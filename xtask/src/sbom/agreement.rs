//! One version everywhere: what a program, its module and its image's label say of themselves is the release's version.
//!
//! Takes what was built, gives an error that names both versions. A scanner believes the program; a person believes the
//! label and the tag.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Sources;
use super::buildinfo::BuildInfo;
use crate::build::BuiltPlatform;
use crate::config::ldflags::{self, Stamp};
use crate::error::{Context, Error, Result};
use crate::oci::spec::{ImageConfig, annotation, parse};
use crate::plan::{ImagePlan, Plan};

/// How much of a program is looked at in one piece.
const PIECE: usize = 1 << 20;

/// The largest Go file in which a variable is looked for.
const GO_FILE_LIMIT: u64 = 4 << 20;

/// Checks everything that a built image says of its version. Gives what can't be said, for a warning: a program that
/// has no variable for its version.
pub(super) fn check(
    plan: &Plan,
    image: &ImagePlan,
    platform: &BuiltPlatform,
    info: &BuildInfo,
    sources: &Sources<'_>,
) -> Result<Option<String>> {
    let release = format!("v{}", plan.version);
    if info.main.is_versioned() && info.main.version != release {
        return Err(Error::verification(format!(
            "its main module says it is {}, but the release is {release}",
            info.main.version
        ))
        .hint("build the commit that has the tag of this version, or without -buildvcs"));
    }
    label(platform, &release, sources)?;
    program(plan, image, platform, &release, sources)
}

/// The label in the configuration that was written, which is what a registry shows.
fn label(platform: &BuiltPlatform, release: &str, sources: &Sources<'_>) -> Result<()> {
    let config: ImageConfig = parse("its configuration", &sources.store.read(&platform.config)?)?;
    match config.config.labels.get(annotation::VERSION) {
        Some(label) if label == release => Ok(()),
        said => Err(Error::verification(format!(
            "its label {} says {}, but the release is {release}",
            annotation::VERSION,
            said.map_or("nothing", String::as_str)
        ))
        .hint("take the label out of release.toml or the Dockerfile: it is set by itself")),
    }
}

/// The linker leaves a value it has set in the program with a zero byte before and after it, which text of the
/// program's own never has: so a stripped program for any machine tells whether the variable was there to be set.
fn program(
    plan: &Plan,
    image: &ImagePlan,
    platform: &BuiltPlatform,
    release: &str,
    sources: &Sources<'_>,
) -> Result<Option<String>> {
    let Some(stamp) = ldflags::stamps(&plan.ldflags).into_iter().find(|stamp| stamp.value == release) else {
        return Err(Error::verification(format!("build.ldflags sets no variable to {release}"))
            .hint("write ldflags = \"-s -w -X main.version={version}\" under [build] in release.toml"));
    };
    let attempt = || format!("read {}", platform.program.display());
    let file = File::open(&platform.program).attempt(attempt)?;
    if holds(file, format!("\0{release}\0").as_bytes()).attempt(attempt)? {
        return Ok(None);
    }
    let missing = format!("{} sets no {} and can't say that it is {release}", image.package, stamp.variable);
    match sources.module.map(|module| declares(module, image, &stamp)).transpose()? {
        Some(true) => Err(Error::verification(format!(
            "{} declares {}, but the program does not carry {release}",
            image.package, stamp.variable
        ))
        .hint("the linker sets only a string that is used and whose first value is a constant")),
        Some(false) => Ok(Some(missing)),
        None => Ok(None),
    }
}

/// Whether `bytes` are somewhere in a stream, of which two pieces are held at a time.
fn holds(mut stream: impl Read, bytes: &[u8]) -> std::io::Result<bool> {
    let mut held = Vec::with_capacity(PIECE + bytes.len());
    loop {
        let read = (&mut stream).take(PIECE as u64).read_to_end(&mut held)?;
        if memchr::memmem::find(&held, bytes).is_some() {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        // What could be the start of it is kept.
        held.drain(..held.len().saturating_sub(bytes.len()));
    }
}

/// Whether the main package declares the variable, by its source: a line of its own or in a `var` block.
fn declares(module: &Path, image: &ImagePlan, stamp: &Stamp) -> Result<bool> {
    let Some(name) = stamp.variable.strip_prefix("main.") else { return Ok(false) };
    let folder = module.join(image.package.as_str());
    let attempt = || format!("list {}", folder.display());
    for entry in std::fs::read_dir(&folder).attempt(attempt)? {
        let path = entry.attempt(attempt)?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file.ends_with(".go") && !file.ends_with("_test.go") {
            let text = crate::fs::read_small(&path, GO_FILE_LIMIT)?;
            if declared(&String::from_utf8_lossy(&text), name) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn declared(go: &str, name: &str) -> bool {
    let names = |text: &str| {
        let list = text.split('=').next().unwrap_or_default().trim_end_matches(" string");
        list.split(',').any(|n| n.trim() == name)
    };
    let mut block = false;
    go.lines().map(|line| line.split("//").next().unwrap_or_default().trim_end()).any(|line| {
        match line.strip_prefix("var ").map(str::trim) {
            Some("(") => block = true,
            Some(declaration) => return names(declaration),
            None if line == ")" => block = false,
            None => {}
        }
        // Formatted Go has the declarations of a block one tab in, and what is further in belongs to a value.
        block && line.strip_prefix('\t').is_some_and(|inner| !inner.starts_with('\t') && names(inner))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_wherever_pieces_are_cut() {
        let needle = b"\0v1.2.0\0";
        for at in [0, 1, PIECE - 8, PIECE - 4, PIECE - 1, PIECE, 2 * PIECE + 3] {
            let mut text = vec![b'x'; at];
            text.extend_from_slice(needle);
            text.extend(vec![b'y'; 100]);
            assert!(holds(text.as_slice(), needle).unwrap(), "at {at}");
            text[at + 3] = b'9';
            assert!(!holds(text.as_slice(), needle).unwrap(), "at {at}");
        }
    }

    #[test]
    fn a_declared_variable_is_seen_in_formatted_go() {
        for (go, declared_there) in [
            ("package main\n\nvar version = \"dev\"\n", true),
            ("var version string // set by the linker\n", true),
            ("var name, version string\n", true),
            ("var (\n\tname    = \"x\"\n\tversion = \"dev\"\n)\n", true),
            ("var versions = 1\n", false),
            ("func main() {\n\tvar version = 1\n}\n", false),
            ("var (\n\tm = map[string]string{\n\t\tversion: \"x\",\n\t}\n)\n", false),
            ("// var version = \"dev\"\n", false),
            ("const version = \"dev\"\n", false),
        ] {
            assert_eq!(declared(go, "version"), declared_there, "{go}");
        }
    }
}
