//! Top-level keys of a YAML file that get new values.
//!
//! Takes a text and values, gives the text with these bytes changed. A key that isn't there gets a line of its own
//! behind the one before it in the list. Pure.

use std::path::Path;

use saphyr_parser::ScalarStyle;

use super::{Edit, FileEdits, value};
use crate::error::{Error, Result};
use crate::yaml::{Kind, Offsets, Reader, place};

/// `text` with each of `wanted` set; the first has to be there. The values need no escapes. `path` is named in errors
/// (class `Usage`).
pub fn set(path: &Path, text: &str, wanted: &[(&str, &str)]) -> Result<String> {
    let offsets = Offsets::new(text);
    let document = Reader::new(path, text).document()?.unwrap_or_default();
    let mut found = FileEdits::default();
    let mut behind = None;
    for (target, (key, new)) in wanted.iter().enumerate() {
        let Some(node) = document.get(0, key).and_then(|id| document.node(id)) else {
            let end = behind.ok_or_else(|| Error::usage(format!("{} has no `{key}`", path.display())))?;
            let place = crate::error::Place::at(path, text, end);
            let line = format!("{}{key}: {new}", newline(text));
            found.edits.push(Edit { range: end..end, old: String::new(), text: line, target, place });
            continue;
        };
        let at = place(path, node.span.start);
        let Kind::Scalar(old, style) = &node.kind else {
            return Err(Error::usage(format!("`{key}` is not a plain value")).at(at));
        };
        let span = offsets.range(node.span);
        let inner = value::range(text, span.clone(), old, *style).filter(|_| is_on_one_line(*style));
        let range = inner.ok_or_else(|| Error::usage(format!("`{key}` is not on one line")).at(at.clone()))?;
        behind = Some(line_end(text, value::end(text, span, *style)));
        found.edits.push(Edit { range, old: old.to_string(), text: (*new).to_owned(), target, place: at });
    }
    found.settle()?;
    Ok(found.apply(text))
}

fn is_on_one_line(style: ScalarStyle) -> bool {
    !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
}

/// Where the line that `at` is on ends, before its line break.
fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.find(['\r', '\n']).unwrap_or(rest.len())
}

/// The line break that the text has.
fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [(&str, &str); 2] = [("version", "1.2.0"), ("appVersion", "1.2.0")];

    fn set_in(text: &str) -> Result<String> {
        set(Path::new("Chart.yaml"), text, &WANTED)
    }

    #[test]
    fn only_the_values_change_whatever_stands_around_them() -> Result<()> {
        for (text, wanted) in [
            ("name: a\nversion: 0.1.0\nappVersion: x\n", "name: a\nversion: 1.2.0\nappVersion: 1.2.0\n"),
            (
                "appVersion: \"0\" # ü\r\nversion: '0.1.0' # of ours\r\ntype: x",
                "appVersion: \"1.2.0\" # ü\r\nversion: '1.2.0' # of ours\r\ntype: x",
            ),
            ("version: 0.1.0 # why\nhome: x\n", "version: 1.2.0 # why\nappVersion: 1.2.0\nhome: x\n"),
            ("version: \"0.1.0\"", "version: \"1.2.0\"\nappVersion: 1.2.0"),
            ("version: 0\r\nhome: x\r\n", "version: 1.2.0\r\nappVersion: 1.2.0\r\nhome: x\r\n"),
            (
                "dep:\n  version: 7\nversion: 1.2.0\nappVersion: 1.2.0\n",
                "dep:\n  version: 7\nversion: 1.2.0\nappVersion: 1.2.0\n",
            ),
        ] {
            assert_eq!(set_in(text)?, wanted);
        }
        Ok(())
    }

    #[test]
    fn what_can_not_be_set_is_told_with_its_place() {
        for (text, said) in [
            ("name: a\n", "Chart.yaml has no `version`"),
            ("", "Chart.yaml has no `version`"),
            ("version: {a: 1}\n", "Chart.yaml:1:10: `version` is not a plain value"),
            ("version: |\n  0.1.0\n", "`version` is not on one line"),
            ("version: [\n", "not valid YAML"),
        ] {
            let error = set_in(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
