//! Go build information: which modules at which versions were linked into a program, as the Go linker wrote it there.
//!
//! Takes the path of an ELF executable, gives [`BuildInfo`]. Reads the section headers and one section, never the whole
//! program; starts no process, so neither `go version -m` nor a Go installation is needed. A damaged or hostile file is
//! an error.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader};
use object::read::{ReadCache, ReadCacheOps, ReadRef};
use object::{Endianness, FileKind};

use super::modinfo;
use crate::error::{Context, Error, Result};

/// The section the Go linker puts the information into (cmd/link, `buildinfo`).
const SECTION: &str = ".go.buildinfo";

/// The largest section that is read: Kubernetes has some 40 KiB of it.
const SECTION_LIMIT: u64 = 8 << 20;

/// The most section headers that are read: Go writes some 30.
const SECTIONS_LIMIT: u32 = 4096;

/// What the section starts with (debug/buildinfo, `buildInfoMagic`).
const MAGIC: &[u8] = b"\xff Go buildinf:";

/// Magic, pointer size, flags, and two pointers that only Go 1.17 and older use.
const HEADER_SIZE: usize = 32;

/// Where the flags are.
const FLAGS_AT: usize = 15;

/// The flag of Go 1.18 and newer: two length-prefixed strings follow the header, whatever the byte order.
const FLAG_INLINE: u8 = 0x2;

/// The length of the marks before and after the module information (cmd/go, `modload.infoStart` and `infoEnd`).
const MARK_SIZE: usize = 16;

/// The most bytes of a length: 64 bits, seven a byte (encoding/binary, `MaxVarintLen64`).
const VARINT_LIMIT: usize = 10;

/// What a Go program says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// The toolchain in its own words, `go1.27.3`, `go1.26.8-X:jsonv2`.
    pub go_version: String,
    /// The import path of the main package, `github.com/xiaonanln/goverse/cmd/gate`.
    pub path: String,
    /// The module that has the main package.
    pub main: Module,
    /// Every other module with a package in the program, sorted by path. Which needs which isn't recorded.
    pub deps: Vec<Module>,
    /// Flags, `GOOS`, `GOARCH`, `CGO_ENABLED`, `vcs.revision` and the like.
    pub settings: BTreeMap<String, String>,
}

impl BuildInfo {
    /// The version of the standard library, as the Go vulnerability database counts: `1.27.3`. Experiments
    /// (`go1.26.8-X:jsonv2`, before 1.26 `go1.25.1 X:jsonv2`) don't change it.
    pub fn stdlib_version(&self) -> &str {
        let word = self.go_version.split_whitespace().find(|w| w.starts_with("go")).unwrap_or(&self.go_version);
        let word = word.split_once("-X:").map_or(word, |(version, _)| version);
        word.strip_prefix("go").unwrap_or(word)
    }
}

/// One module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The module path as its authors write it, case and all.
    pub path: String,
    /// A semantic version, a pseudo-version, or `(devel)` for a folder without one.
    pub version: String,
    /// The `h1:` hash of its files, where the go command has checked it.
    pub sum: Option<String>,
    /// What stands in its place, by a `replace` line of go.mod.
    pub replace: Option<Box<Module>>,
}

impl Module {
    /// The module whose code is in the program: the replacement where there is one.
    pub fn linked(&self) -> &Module {
        self.replace.as_deref().unwrap_or(self)
    }

    /// Whether the code has a version of its own; a folder has none.
    pub fn is_versioned(&self) -> bool {
        !matches!(self.version.as_str(), "" | "(devel)")
    }

    /// Whether this is a folder, as only a replacement can be (Go modules reference, "replace directive").
    pub fn is_folder(&self) -> bool {
        self.path.starts_with(['.', '/'])
    }
}

/// Reads the build information of the program at `path`.
pub fn read(path: &Path) -> Result<BuildInfo> {
    let file = File::open(path).attempt(|| format!("open {}", path.display()))?;
    parse(file).map_err(|e| e.within(format!("failed to read the Go build information of {}", path.display())))
}

/// Reads the build information of a program.
fn parse(program: impl ReadCacheOps) -> Result<BuildInfo> {
    let program = ReadCache::new(program);
    let section = match FileKind::parse(&program) {
        Ok(FileKind::Elf64) => section::<FileHeader64<Endianness>, _>(&program)?,
        Ok(FileKind::Elf32) => section::<FileHeader32<Endianness>, _>(&program)?,
        _ => return Err(Error::failed("it is no ELF executable").hint(NOT_GO)),
    };
    let (go_version, framed) = strings(section)?;
    modinfo::parse(text(go_version)?, text(unframed(framed)?)?)
}

const NOT_GO: &str = "an image's program is built by the go command: check its `package` in release.toml";

/// Finds the section by name. `object`'s own ELF reader would also load the symbol table, most of an unstripped program.
fn section<Elf: FileHeader<Endian = Endianness>, R: ReadCacheOps>(program: &ReadCache<R>) -> Result<&[u8]> {
    let damaged = |e: object::read::Error| Error::failed("its section headers are damaged").because(e);
    let elf = Elf::parse(program).map_err(damaged)?;
    let endian = elf.endian().map_err(damaged)?;
    let count = elf.shnum(endian, program).map_err(damaged)?;
    if count > SECTIONS_LIMIT {
        return Err(Error::failed(format!("it has {count} sections, more than {SECTIONS_LIMIT}")));
    }
    let sections = elf.sections(endian, program).map_err(damaged)?;
    let missing = || Error::failed(format!("it has no section {SECTION}")).hint(NOT_GO);
    let (_, header) = sections.section_by_name(endian, SECTION.as_bytes()).ok_or_else(missing)?;
    let (offset, size) = header.file_range(endian).ok_or_else(missing)?;
    if size > SECTION_LIMIT {
        return Err(Error::failed(format!("its section {SECTION} is {size} bytes, more than {SECTION_LIMIT}")));
    }
    let cut = |()| Error::failed(format!("its section {SECTION} ends after the file"));
    program.read_bytes_at(offset, size).map_err(cut)
}

/// The toolchain's version and the module information, still between its marks (debug/buildinfo, `readRawBuildInfo`).
fn strings(section: &[u8]) -> Result<(&[u8], &[u8])> {
    let damaged = || Error::failed(format!("its section {SECTION} is damaged"));
    let (header, rest) = section.split_at_checked(HEADER_SIZE).ok_or_else(damaged)?;
    let flags = header.get(FLAGS_AT).filter(|_| header.starts_with(MAGIC)).ok_or_else(damaged)?;
    if flags & FLAG_INLINE == 0 {
        return Err(Error::failed("it was built by Go 1.17 or older").hint("build it with Go 1.18 or newer"));
    }
    let (go_version, rest) = string(rest).filter(|(version, _)| !version.is_empty()).ok_or_else(damaged)?;
    let (modules, _) = string(rest).ok_or_else(damaged)?;
    Ok((go_version, modules))
}

/// A string behind its length, and what follows it; a length past the end is no string.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = uvarint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// Seven bits a byte, lowest first, the high bit set on all but the last (encoding/binary, `Uvarint`).
fn uvarint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(VARINT_LIMIT).position(|byte| byte & 0x80 == 0)? + 1;
    let (digits, rest) = bytes.split_at_checked(end)?;
    let value = digits
        .iter()
        .rev()
        .try_fold(0_u64, |value, digit| value.checked_mul(0x80)?.checked_add(u64::from(digit & 0x7f)));
    Some((value?, rest))
}

/// The module information without the marks around it; both end the text's lines (debug/buildinfo).
fn unframed(framed: &[u8]) -> Result<&[u8]> {
    let inner = framed.len().checked_sub(MARK_SIZE).and_then(|end| framed.get(MARK_SIZE..end));
    inner.filter(|text| text.ends_with(b"\n")).ok_or_else(|| {
        Error::failed("it was built without module information")
            .hint("build it in a Go module, by its package and not by its files")
    })
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|e| Error::failed(format!("its section {SECTION} is not UTF-8")).because(e))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::sbom::fixture::{self, Layout};

    fn read_bytes(bytes: &[u8]) -> Result<BuildInfo> {
        parse(Cursor::new(bytes))
    }

    fn refused(bytes: &[u8]) -> String {
        read_bytes(bytes).map_or_else(|e| e.to_string(), |info| format!("accepted: {info:?}"))
    }

    #[test]
    fn every_word_size_and_byte_order_is_read() -> Result<()> {
        let section = fixture::section("go1.27.3", "path\texample.com/m/cmd/a\nmod\texample.com/m\t(devel)\t\n");
        for layout in [
            Layout { wide: true, big: false },
            Layout { wide: true, big: true },
            Layout { wide: false, big: false },
            Layout { wide: false, big: true },
        ] {
            let info = read_bytes(&fixture::elf(layout, ".go.buildinfo", &section))?;
            assert_eq!(
                (info.go_version.as_str(), info.path.as_str(), info.main.path.as_str()),
                ("go1.27.3", "example.com/m/cmd/a", "example.com/m"),
                "{layout:?}"
            );
        }
        Ok(())
    }

    #[test]
    fn long_text_has_a_length_of_several_bytes() -> Result<()> {
        let deps = (0..2000).map(|i| format!("dep\texample.com/dep{i:04}\tv1.0.{i}\th1:x\n")).collect::<String>();
        let section = fixture::section("go1.27.3", &format!("path\tm\nmod\tm\t(devel)\t\n{deps}"));
        assert_eq!(read_bytes(&fixture::elf(Layout::AMD64, ".go.buildinfo", &section))?.deps.len(), 2000);
        Ok(())
    }

    #[test]
    fn what_is_no_go_program_is_refused_with_a_hint() {
        let elf = |section: &[u8]| fixture::elf(Layout::AMD64, ".go.buildinfo", section);
        let good = fixture::section("go1.27.3", "path\tm\nmod\tm\t(devel)\t\n");
        let mut pointers = good.clone();
        pointers[15] = 0;
        for (bytes, says) in [
            (Vec::new(), "no ELF executable"),
            (b"#!/bin/sh\necho not a program at all\n".to_vec(), "no ELF executable"),
            (fixture::elf(Layout::AMD64, ".text", &good), "no section .go.buildinfo"),
            (elf(b""), "damaged"),
            (elf(&[0; 64]), "damaged"),
            (elf(&pointers), "Go 1.17 or older"),
            (elf(&fixture::section("", "path\tm\nmod\tm\t(devel)\t\n")), "damaged"),
            (elf(&fixture::raw_section("go1.27.3", b"")), "without module information"),
            (elf(&fixture::raw_section("go1.27.3", &[b'x'; 40])), "without module information"),
            (elf(&fixture::section("go1.27.3", "path\tcmd/go\n")), "main module"),
        ] {
            let error = refused(&bytes);
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_allocates_nothing() {
        let header = fixture::section("go1.27.3", "")[..32].to_vec();
        for length in [
            &[0xff_u8; 9][..],
            &[0xff; 10],
            &[0xff; 64],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x80; 32],
            &[0x7f],
            &[],
        ] {
            let section = [&header[..], length, b"go1"].concat();
            let error = refused(&fixture::elf(Layout::AMD64, ".go.buildinfo", &section));
            assert!(error.contains("damaged"), "{length:x?}: {error}");
        }
    }

    #[test]
    fn a_program_cut_anywhere_is_an_error() {
        let whole =
            fixture::elf(Layout::AMD64, ".go.buildinfo", &fixture::section("go1.27.3", "path\tm\nmod\tm\t(devel)\t\n"));
        for end in 0..whole.len() {
            assert!(read_bytes(&whole[..end]).is_err(), "cut at {end} of {}", whole.len());
        }
    }

    // The section's own end, and not the file's, is where a damaged linker or strip would cut.
    #[test]
    fn a_section_cut_anywhere_is_an_error() {
        let whole = fixture::section("go1.27.3", "path\tm\nmod\tm\t(devel)\t\ndep\tx\tv1.0.0\th1:x\n");
        for end in 0..whole.len() {
            let cut = fixture::elf(Layout::AMD64, ".go.buildinfo", &whole[..end]);
            assert!(read_bytes(&cut).is_err(), "cut at {end} of {}", whole.len());
        }
    }

    #[test]
    fn a_text_cut_anywhere_is_an_error_or_loses_whole_lines_only() {
        let text = "path\tm\nmod\tm\t(devel)\t\ndep\ta\tv1.0.0\n=>\tb\tv1.0.1\th1:x\ndep\tc\tv1.0.0\th1:y\n";
        for end in 0..text.len() {
            let cut = fixture::elf(Layout::AMD64, ".go.buildinfo", &fixture::section("go1.27.3", &text[..end]));
            let whole_lines = text[..end].ends_with('\n') && text[..end].contains("mod\t");
            match read_bytes(&cut) {
                Ok(info) => assert_eq!(info.deps.len(), text[..end].matches("dep\t").count(), "cut at {end}"),
                Err(e) => assert!(!whole_lines, "cut at {end}: {e}"),
            }
        }
    }

    #[test]
    fn any_altered_byte_gives_a_result_and_no_panic() {
        let whole =
            fixture::elf(Layout::AMD64, ".go.buildinfo", &fixture::section("go1.27.3", "path\tm\nmod\tm\t(devel)\t\n"));
        for at in 0..whole.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut altered = whole.clone();
                altered[at] = value;
                let _ = read_bytes(&altered);
            }
        }
    }

    #[test]
    fn the_standard_library_has_the_toolchains_version() {
        let version = |go: &str| {
            let main = Module { path: String::new(), version: String::new(), sum: None, replace: None };
            let info = BuildInfo {
                go_version: go.into(),
                path: String::new(),
                main,
                deps: Vec::new(),
                settings: BTreeMap::new(),
            };
            info.stdlib_version().to_owned()
        };
        assert_eq!(version("go1.27.3"), "1.27.3");
        assert_eq!(version("go1.26.8-X:jsonv2"), "1.26.8");
        assert_eq!(version("go1.25.1 X:jsonv2,synctest"), "1.25.1");
        assert_eq!(version("devel go1.22-0a1b2c3d Tue Jan 2 00:00:00 2024 +0000"), "1.22-0a1b2c3d");
        assert_eq!(version("go1.28-devel_0a1b2c3d"), "1.28-devel_0a1b2c3d");
    }
}
