//! The functions that are linked into a Go program, by name, also into a stripped one.
//!
//! Takes an ELF program, gives [`Linked`]. The names come from the runtime's own function table (`.gopclntab`, see
//! `debug/gosym` and the Go source's `internal/abi`), which `-ldflags "-s"` leaves in place; it names inlined functions
//! too. govulncheck wants the ELF symbol table as well and, without one, takes every vulnerable symbol for linked.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use memchr::{memchr, memchr_iter, memrchr};
use object::read::ReadCache;
use object::{Object, ObjectSection};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};

/// Where the function table is, in programs linked at a fixed address and in position-independent ones.
const SECTIONS: &[&str] = &[".gopclntab", ".data.rel.ro.gopclntab"];
/// The table's first word in Go 1.18 and 1.19, and from 1.20 on: both have the fields read here.
const MAGIC: &[u32] = &[0xffff_fff0, 0xffff_fff1];
/// The header's words after its first eight bytes, counted from 0: where names begin, and where they end.
const NAMES: usize = 3;
const NAMES_END: usize = 4;

/// Symbols of a program, `Type.Method` or `Function`, by import path.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Linked {
    packages: BTreeMap<String, BTreeSet<String>>,
}

/// What a program says about its functions.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Functions {
    /// It has a symbol table: govulncheck's own answer is exact.
    NotStripped,
    /// It is stripped, and these are linked.
    Stripped(Linked),
    /// It is stripped, and its function table has a form that isn't known here.
    Unknown,
    /// Nobody has looked: only its modules are known.
    Untold,
}

/// Reads the program's function table.
pub(super) fn functions(program: &Path) -> Result<Functions> {
    let attempt = || format!("read the functions of {}", program.display());
    let cache = ReadCache::new(File::open(program).attempt(attempt)?);
    let file = object::File::parse(&cache).attempt(attempt)?;
    if file.symbol_table().is_some() {
        return Ok(Functions::NotStripped);
    }
    let Some(section) = SECTIONS.iter().find_map(|name| file.section_by_name(name)) else {
        return Ok(Functions::Unknown);
    };
    let Some((start, size)) = section.file_range() else { return Ok(Functions::Unknown) };
    let table = range(program, start, size).attempt(attempt)?;
    Ok(names(&table, file.is_little_endian())
        .map(Linked::of)
        .filter(Linked::is_whole)
        .map_or(Functions::Unknown, Functions::Stripped))
}

fn range(file: &Path, start: u64, size: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The table's names, each ended by a zero byte.
fn names(table: &[u8], little: bool) -> Option<Vec<&str>> {
    let word = |bytes: &[u8]| {
        let little_end_first: Vec<u8> = if little { bytes.to_vec() } else { bytes.iter().rev().copied().collect() };
        little_end_first
            .iter()
            .rev()
            .try_fold(0_usize, |value, byte| Some(value.checked_mul(256)? + usize::from(*byte)))
    };
    let magic = word(table.get(..4)?)?;
    let width = usize::from(*table.get(7)?);
    if !MAGIC.iter().any(|m| usize::try_from(*m) == Ok(magic)) || !matches!(width, 4 | 8) {
        return None;
    }
    let field = |at: usize| word(table.get(8 + at * width..8 + (at + 1) * width)?);
    let names = std::str::from_utf8(table.get(field(NAMES)?..field(NAMES_END)?)?).ok()?;
    let mut start = 0;
    let ends = memchr_iter(0, names.as_bytes());
    ends.map(|end| names.get(std::mem::replace(&mut start, end + 1)..end)).collect()
}

impl Linked {
    fn of(names: Vec<&str>) -> Linked {
        let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (package, symbol) in names.into_iter().filter_map(split) {
            match packages.get_mut(&*package) {
                Some(symbols) => symbols.insert(symbol.into_owned()),
                None => packages.entry(package.into_owned()).or_default().insert(symbol.into_owned()),
            };
        }
        Linked { packages }
    }

    /// Every Go program has these; a table without them was misread.
    fn is_whole(&self) -> bool {
        self.has("runtime", "main") && self.has("main", "main")
    }

    /// Whether a symbol, `Type.Method` or `Function`, is linked.
    pub(super) fn has(&self, package: &str, symbol: &str) -> bool {
        self.packages.get(package).is_some_and(|symbols| symbols.contains(symbol))
    }

    /// Whether anything of a package is linked.
    pub(super) fn has_package(&self, package: &str) -> bool {
        self.packages.contains_key(package)
    }

    /// Whether anything of a module is linked.
    pub(super) fn has_module(&self, module: &str) -> bool {
        let below = format!("{module}/");
        self.packages.contains_key(module)
            || self.packages.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below))
    }

    #[cfg(test)]
    pub(super) fn for_tests(names: &[&str]) -> Linked {
        Linked::of(names.to_vec())
    }
}

/// `golang.org/x/net/html.(*Tokenizer).Next` is `Tokenizer.Next` of `golang.org/x/net/html`. Type arguments go, and so
/// does the mark of a method value: more names match then, never fewer.
fn split(name: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    if name.starts_with("go:") || name.starts_with("type:") {
        return None;
    }
    if let (Some(start), Some(end)) = (memchr(b'[', name.as_bytes()), memrchr(b']', name.as_bytes()))
        && start < end
    {
        let plain = format!("{}{}", name.get(..start)?, name.get(end + 1..)?);
        let (package, symbol) = split(&plain)?;
        return Some((package.into_owned().into(), symbol.into_owned().into()));
    }
    let path_end = memrchr(b'/', name.as_bytes()).unwrap_or(0);
    let dot = path_end + memchr(b'.', name.as_bytes().get(path_end..)?)?;
    let symbol = name.get(dot + 1..)?;
    let symbol = symbol.strip_suffix("-fm").unwrap_or(symbol);
    let symbol = match memchr(b')', symbol.as_bytes()) {
        Some(_) => symbol.replace("(*", "").replace(')', "").into(),
        None => symbol.into(),
    };
    Some((unescape(name.get(..dot)?)?, symbol))
}

/// The linker writes dots of a path's last element, and anything unusual, as `%2e`.
fn unescape(path: &str) -> Option<Cow<'_, str>> {
    if memchr(b'%', path.as_bytes()).is_none() {
        return Some(path.into());
    }
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(magic: u32, little: bool, width: u8, names: &str) -> Vec<u8> {
        let word = |value: u64, width: usize| {
            let bytes = value.to_le_bytes();
            let bytes: Vec<u8> = bytes[..width].to_vec();
            if little { bytes } else { bytes.into_iter().rev().collect() }
        };
        let start = 8 + 8 * u64::from(width);
        let mut table = word(u64::from(magic), 4);
        table.extend([0, 0, 1, width]);
        for field in [1, 1, 0, start, start + names.len() as u64, 0, 0, 0] {
            table.extend(word(field, width.into()));
        }
        table.extend(names.as_bytes());
        table.extend(b"not a name");
        table
    }

    #[test]
    fn names_are_read_in_either_byte_order_and_word_size() {
        for (little, width) in [(true, 8), (true, 4), (false, 8), (false, 4)] {
            let table = table(0xffff_fff1, little, width, "main.main\0runtime.main\0");
            assert_eq!(names(&table, little).unwrap(), ["main.main", "runtime.main"], "{little} {width}");
        }
    }

    #[test]
    fn a_table_that_is_not_understood_gives_no_names() {
        let good = table(0xffff_fff1, true, 8, "main.main\0");
        assert!(names(&good, true).is_some());
        assert!(names(&good, false).is_none());
        assert!(names(&table(0xffff_fffb, true, 8, "main.main\0"), true).is_none());
        assert!((0..72 + 10).all(|end| names(&good[..end], true).is_none()), "every cut is noticed");
        assert!(!Linked::of(vec!["os.Exit"]).is_whole());
    }

    #[test]
    fn a_linker_name_is_a_package_and_a_symbol() {
        for (name, package, symbol) in [
            ("golang.org/x/net/html.(*Tokenizer).Next", "golang.org/x/net/html", "Tokenizer.Next"),
            ("net/http.Header.Get-fm", "net/http", "Header.Get"),
            ("gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml.v3", "Unmarshal"),
            ("slices.SortFunc[go.shape.[]example.com/a.b,go.shape.int]", "slices", "SortFunc"),
            ("sync/atomic.(*Pointer[go.shape.struct {}]).Load", "sync/atomic", "Pointer.Load"),
        ] {
            assert_eq!(split(name), Some((package.into(), symbol.into())));
        }
        assert_eq!(split("type:.eq.[8]foo.Bar"), None);
        assert_eq!(split(""), None);
    }

    #[test]
    fn a_module_is_linked_when_a_package_at_or_below_it_is() {
        let linked = Linked::for_tests(&["example.com/a/b.F", "example.com/ab.G"]);
        assert!(linked.has_module("example.com/a") && linked.has_module("example.com/ab"));
        assert!(!linked.has_module("example.com/a/b/c") && !linked.has_module("example.com"[..7].trim()));
    }
}
