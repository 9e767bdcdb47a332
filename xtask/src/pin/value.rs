//! The bytes of one scalar: where its value stands within quotes, after an anchor or inside a block, and how a new
//! value is written there.
//!
//! Pure. Checks what the parser says against the text, so that a wrong position is an error and never a wrong edit.

use std::ops::Range;

use saphyr_parser::ScalarStyle;

/// The bytes that hold `value`, without quotes, anchor, tag or block header. `node` is where the whole node stands.
/// `None` when those bytes don't say `value`.
pub(super) fn range(text: &str, node: Range<usize>, value: &str, style: ScalarStyle) -> Option<Range<usize>> {
    match style {
        ScalarStyle::Plain => {
            let range = start(text, node.clone())..node.end;
            (text.get(range.clone())? == value).then_some(range)
        }
        ScalarStyle::SingleQuoted => quoted(text, start(text, node.clone())..node.end, '\''),
        ScalarStyle::DoubleQuoted => quoted(text, start(text, node.clone())..node.end, '"'),
        ScalarStyle::Literal | ScalarStyle::Folded => in_block(text, node, value.trim()),
    }
}

/// Where a node starts once its anchor and tag, and the blanks and comments after them, are passed.
pub(super) fn start(text: &str, node: Range<usize>) -> usize {
    let mut rest = text.get(node.clone()).unwrap_or_default();
    while rest.starts_with(['&', '!']) {
        rest = rest.find(char::is_whitespace).and_then(|end| rest.get(end..)).unwrap_or_default().trim_start();
        while rest.starts_with('#') {
            rest = rest.find(['\r', '\n']).and_then(|end| rest.get(end..)).unwrap_or_default().trim_start();
        }
    }
    node.end - rest.len()
}

/// Where the value of a node ends, its closing quote included.
pub(super) fn end(text: &str, node: Range<usize>, style: ScalarStyle) -> usize {
    let inner = match style {
        ScalarStyle::SingleQuoted => quoted(text, start(text, node.clone())..node.end, '\''),
        ScalarStyle::DoubleQuoted => quoted(text, start(text, node.clone())..node.end, '"'),
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => None,
    };
    inner.map_or(node.end, |inner| inner.end + 1)
}

/// The bytes between quotes. The parser's node goes on over the blanks and the comment behind them, so the closing
/// quote is looked for (YAML 1.2.2, 7.3).
fn quoted(text: &str, node: Range<usize>, quote: char) -> Option<Range<usize>> {
    let inner = text.get(node.clone())?.strip_prefix(quote)?;
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_escape = quote == '"' && c == '\\'
            || quote == '\'' && c == quote && chars.peek().is_some_and(|(_, next)| *next == quote);
        if is_escape {
            chars.next();
        } else if c == quote {
            return Some(node.start + 1..node.start + 1 + at);
        }
    }
    None
}

/// A block scalar's node starts at its content, unless it has an anchor or tag: then its header is still ahead.
fn in_block(text: &str, node: Range<usize>, value: &str) -> Option<Range<usize>> {
    let slice = text.get(node.clone())?;
    let content = if slice.starts_with(['&', '!']) { slice.find(['\r', '\n'])? } else { 0 };
    let at = node.start + content + slice.get(content..)?.find(value)?;
    (!value.is_empty()).then_some(at..at + value.len())
}

/// `value` as a plain scalar, or in quotes where YAML 1.1, which Kubernetes' tools read, would take it for a number,
/// a date or a boolean. `value` is a tag, a digest or an image name: it needs no escapes.
pub(super) fn plain(value: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_word = WORDS.iter().any(|word| word.eq_ignore_ascii_case(value));
    let is_text = value.starts_with(|c: char| c.is_ascii_alphabetic()) || value.contains('/');
    if is_text && !is_word { value.to_owned() } else { format!("\"{value}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_would_not_read_as_text_is_quoted() {
        for text in ["v1.2.0", "latest", "sha256:00", "ghcr.io/x/y", "10.0.0.1:5000/y"] {
            assert_eq!(plain(text), text);
        }
        for other in ["1.20", "1e3", "0x10", "2024-01-01", "1_000", "true", "NO", "null", "_1"] {
            assert_eq!(plain(other), format!("\"{other}\""));
        }
    }

    #[test]
    fn a_quoted_value_ends_at_its_closing_quote() {
        for (text, inner) in [
            ("'a' # 'b'", "a"),
            ("'it''s' ", "it''s"),
            ("\"a\\\"b\" # \"", "a\\\"b"),
            ("\"\\\\\" \"", "\\\\"),
            ("''", ""),
        ] {
            let style = if text.starts_with('"') { ScalarStyle::DoubleQuoted } else { ScalarStyle::SingleQuoted };
            let found = range(text, 0..text.len(), "", style);
            assert_eq!(found.clone().and_then(|range| text.get(range)), Some(inner), "{text}");
            assert_eq!(Some(end(text, 0..text.len(), style)), found.map(|range| range.end + 1));
        }
    }

    #[test]
    fn anchors_tags_and_comments_are_passed() {
        for (text, rest) in
            [("&a x", "x"), ("!!str &a\"b 'x'", "'x'"), ("&a # \"no\"\n  x", "x"), ("x&y", "x&y"), ("&a", "")]
        {
            assert_eq!(text.get(start(text, 0..text.len())..), Some(rest), "{text}");
        }
    }
}
