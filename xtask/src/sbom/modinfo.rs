//! The text of Go build information: one line a fact, columns parted by tabs (runtime/debug, `ParseBuildInfo`).
//!
//! Takes the text as the linker wrote it, gives [`BuildInfo`]. Lines of a kind it doesn't know are passed over, as Go
//! does, so that a newer toolchain can add some.

use std::collections::BTreeMap;

use super::buildinfo::{BuildInfo, Module};
use crate::error::{Error, Result};

/// Reads `text`, written by the toolchain `go_version`.
pub(super) fn parse(go_version: &str, text: &str) -> Result<BuildInfo> {
    let mut lines = Lines::default();
    for (number, line) in text.lines().enumerate() {
        lines.take(line).map_err(|why| {
            Error::failed(format!("line {} of its module information is damaged", number + 1)).because(why)
        })?;
    }
    let main = lines
        .main
        .ok_or_else(|| Error::failed("its module information names no main module").hint("build it in a Go module"))?;
    lines.deps.sort_by(|a, b| a.path.cmp(&b.path));
    let twice = lines.deps.array_windows::<2>().find_map(|[a, b]| (a.path == b.path).then_some(a));
    if let Some(module) = twice.or_else(|| lines.deps.iter().find(|dep| dep.path == main.path)) {
        return Err(Error::failed(format!("its module information lists {} twice", module.path)));
    }
    Ok(BuildInfo {
        go_version: go_version.to_owned(),
        path: lines.path,
        main,
        deps: lines.deps,
        settings: lines.settings,
    })
}

#[derive(Default)]
struct Lines {
    path: String,
    main: Option<Module>,
    deps: Vec<Module>,
    settings: BTreeMap<String, String>,
}

impl Lines {
    fn take(&mut self, line: &str) -> std::result::Result<(), String> {
        let Some((kind, rest)) = line.split_once('\t') else { return Ok(()) };
        match kind {
            "path" => self.path = rest.to_owned(),
            "mod" => self.main = Some(module(rest)?),
            "dep" => self.deps.push(module(rest)?),
            "=>" => {
                let last = self.deps.last_mut().or(self.main.as_mut()).filter(|last| last.replace.is_none());
                last.ok_or("a replacement of nothing")?.replace = Some(Box::new(module(rest)?));
            }
            "build" => {
                let (key, value) = setting(rest)?;
                self.settings.insert(key, value);
            }
            _ => {}
        }
        Ok(())
    }
}

fn module(columns: &str) -> std::result::Result<Module, String> {
    let mut columns = columns.split('\t');
    let (path, version, sum) = (columns.next().unwrap_or_default(), columns.next(), columns.next());
    match version {
        Some(version) if !path.is_empty() && columns.next().is_none() => Ok(Module {
            path: path.to_owned(),
            version: version.to_owned(),
            sum: sum.filter(|s| !s.is_empty()).map(Into::into),
            replace: None,
        }),
        _ => Err("a module is its path, its version and its sum".into()),
    }
}

/// `KEY=value`, either of them in Go's quotes where it has spaces.
fn setting(text: &str) -> std::result::Result<(String, String), String> {
    let damaged = || "a setting is KEY=value".to_owned();
    let (key, rest) = if text.starts_with(['"', '`']) {
        unquoted(text)?
    } else {
        let at = text.find('=').ok_or_else(damaged)?;
        let (key, rest) = text.split_at(at);
        (key.to_owned(), rest)
    };
    let value = rest.strip_prefix('=').filter(|_| !key.is_empty()).ok_or_else(damaged)?;
    if !value.starts_with(['"', '`']) {
        return Ok((key, value.to_owned()));
    }
    match unquoted(value)? {
        (value, "") => Ok((key, value)),
        _ => Err(damaged()),
    }
}

/// The Go string literal that `text` starts with, and what follows it (Go specification, "String literals").
fn unquoted(text: &str) -> std::result::Result<(String, &str), String> {
    let open = || "a quoted text has no end".to_owned();
    if let Some(raw) = text.strip_prefix('`') {
        let (value, rest) = raw.split_once('`').ok_or_else(open)?;
        return Ok((value.to_owned(), rest));
    }
    let mut rest = text.strip_prefix('"').ok_or_else(open)?.chars();
    // Escapes such as \xff stand for bytes, not characters.
    let mut value = Vec::new();
    loop {
        match rest.next().ok_or_else(open)? {
            '"' => break,
            '\\' => escape(&mut rest, &mut value)?,
            c => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok((String::from_utf8_lossy(&value).into_owned(), rest.as_str()))
}

fn escape(rest: &mut std::str::Chars<'_>, value: &mut Vec<u8>) -> std::result::Result<(), String> {
    let unknown = || "an unknown escape in a quoted text".to_owned();
    let kind = rest.next().ok_or_else(unknown)?;
    let mut number = |first: &str, length: usize, radix: u32| {
        let digits: String = first.chars().chain(rest.take(length)).collect();
        let whole = digits.len() == first.len() + length && digits.chars().all(|c| c.is_digit(radix));
        u32::from_str_radix(&digits, radix).ok().filter(|_| whole).ok_or_else(unknown)
    };
    match kind {
        'x' => value.push(u8::try_from(number("", 2, 16)?).map_err(|_| unknown())?),
        '0'..='7' => value.push(u8::try_from(number(&kind.to_string(), 2, 8)?).map_err(|_| unknown())?),
        'u' | 'U' => {
            let c = char::from_u32(number("", if kind == 'u' { 4 } else { 8 }, 16)?).ok_or_else(unknown)?;
            value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        'a' => value.push(0x07),
        'b' => value.push(0x08),
        't' => value.push(b'\t'),
        'n' => value.push(b'\n'),
        'v' => value.push(0x0b),
        'f' => value.push(0x0c),
        'r' => value.push(b'\r'),
        '\\' | '"' => value.push(if kind == '"' { b'"' } else { b'\\' }),
        _ => return Err(unknown()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // As Go 1.26 wrote it into a program whose go.mod replaces one module by a folder and one by another version.
    const TEXT: &str = "path\tExample.com/Main\n\
        mod\tExample.com/Main\t(devel)\t\n\
        dep\texample.com/local\tv1.0.0\n\
        =>\t./local\t(devel)\t\n\
        \n\
        dep\tgithub.com/BurntSushi/toml\tv1.4.0\th1:kuoIxZQy2WRRk1pttg9asf+WVv6tWQuBNVmK8+nqPr0=\n\
        dep\tgithub.com/docker/distribution\tv2.8.3+incompatible\th1:AtKxIZ36LoNK51+Z6RpzLpddBirtxJnzDrHLEKxTAYk=\n\
        dep\tgithub.com/pkg/errors\tv0.9.0\n\
        =>\tgithub.com/pkg/errors\tv0.9.1\th1:FEBLx1zS214owpjy7qsBeixbURkuhQAwrK5UwLGTwt4=\n\
        \n\
        build\t-buildmode=exe\n\
        build\t-ldflags=\"-s -X \\\"main.x=a b\\\"\"\n\
        build\tCGO_CFLAGS=\n\
        build\tGOARCH=amd64\n";

    fn module(path: &str, version: &str, sum: &str) -> Module {
        Module {
            path: path.into(),
            version: version.into(),
            sum: Some(sum.into()).filter(|s: &String| !s.is_empty()),
            replace: None,
        }
    }

    #[test]
    fn every_fact_of_a_real_program_is_read() -> Result<()> {
        let info = parse("go1.26.8", TEXT)?;
        assert_eq!((info.path.as_str(), &info.main), ("Example.com/Main", &module("Example.com/Main", "(devel)", "")));
        let local = Module {
            replace: Some(Box::new(module("./local", "(devel)", ""))),
            ..module("example.com/local", "v1.0.0", "")
        };
        let newer = module("github.com/pkg/errors", "v0.9.1", "h1:FEBLx1zS214owpjy7qsBeixbURkuhQAwrK5UwLGTwt4=");
        assert_eq!(
            info.deps,
            [
                local,
                module("github.com/BurntSushi/toml", "v1.4.0", "h1:kuoIxZQy2WRRk1pttg9asf+WVv6tWQuBNVmK8+nqPr0="),
                module(
                    "github.com/docker/distribution",
                    "v2.8.3+incompatible",
                    "h1:AtKxIZ36LoNK51+Z6RpzLpddBirtxJnzDrHLEKxTAYk="
                ),
                Module { replace: Some(Box::new(newer)), ..module("github.com/pkg/errors", "v0.9.0", "") },
            ]
        );
        let settings: Vec<_> = info.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            settings,
            [("-buildmode", "exe"), ("-ldflags", "-s -X \"main.x=a b\""), ("CGO_CFLAGS", ""), ("GOARCH", "amd64")]
        );
        Ok(())
    }

    #[test]
    fn lines_of_an_unknown_kind_are_passed_over() -> Result<()> {
        assert_eq!(parse("go2.0", "path\tm\nmod\tm\tv1.0.0\nfuture\tx\ty\tz\tw\nplain\n")?.main.version, "v1.0.0");
        Ok(())
    }

    #[test]
    fn go_literals_are_unquoted() {
        for (literal, value) in [
            (r#""a b""#, "a b"),
            ("`a\\b`", "a\\b"),
            (r#""\a\b\t\n\v\f\r\\\"""#, "\x07\x08\t\n\x0b\x0c\r\\\""),
            (r#""\x41\102\u00e9\U0001F600""#, "AB\u{e9}\u{1f600}"),
            (r#""\xc3\xa9""#, "\u{e9}"),
        ] {
            assert_eq!(unquoted(literal), Ok((value.to_owned(), "")), "{literal}");
        }
    }

    #[test]
    fn damaged_lines_are_errors_that_name_the_line() {
        for bad in [
            "dep\t",
            "dep\tx",
            "dep\t\tv1.0.0",
            "dep\tx\tv1\th1:\ty",
            "=>\ty\tv1\t\n=>\ty\tv1\t",
            "build\t",
            "build\tx",
            "build\t=x",
            "build\tx=\"",
            "build\tx=\"\\q\"",
            "build\tx=\"\\u12\"",
            "build\tx=\"\\x+1\"",
            "build\tx=\"\\ud800\"",
            "build\tx=\"\\777\"",
            "build\tx=\"a\"b",
            "build\t\"x\"",
            "build\t`x",
            "dep\tx\tv1\ndep\tx\tv2",
            "dep\tm\tv2",
        ] {
            let error = parse("go1.27.3", &format!("mod\tm\tv1\t\n{bad}\n"))
                .map_or_else(|e| e.to_string(), |info| format!("accepted {info:?}"));
            assert!(error.contains("damaged") || error.contains("twice"), "{bad:?}: {error}");
        }
    }
}
