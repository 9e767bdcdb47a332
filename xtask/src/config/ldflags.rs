//! The linker's flags: which variables of a program they set (`go doc cmd/link`, `-X`).
//!
//! Takes the text of `-ldflags`, gives names and values. Flags it doesn't know are passed over.

/// A string variable that the linker sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its package and name, `main.version`.
    pub variable: String,
    /// What it is set to.
    pub value: String,
}

/// The variables set by `ldflags`, in order. The linker ignores a name that no string variable has.
pub fn stamps(ldflags: &str) -> Vec<Stamp> {
    let mut words = words(ldflags).into_iter();
    let mut stamps = Vec::new();
    while let Some(word) = words.next() {
        let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or_default();
        let assignment = match flag.split_once('=') {
            Some(("X", assignment)) => Some(assignment.to_owned()),
            None if flag == "X" => words.next(),
            _ => None,
        };
        let set = assignment.as_deref().and_then(|assignment| assignment.split_once('='));
        stamps.extend(set.map(|(variable, value)| Stamp { variable: variable.to_owned(), value: value.to_owned() }));
    }
    stamps
}

/// Words parted by spaces; one that starts with a quote ends with it and may hold spaces (cmd/internal/quoted, `Split`).
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '\'' | '"' => {
                let inner = rest.strip_prefix(first).unwrap_or(rest);
                inner.split_once(first).unwrap_or((inner, ""))
            }
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_variable_is_read() {
        let pairs = |text: &str| -> Vec<String> {
            stamps(text).into_iter().map(|stamp| format!("{}: {}", stamp.variable, stamp.value)).collect()
        };
        for (text, expected) in [
            ("-s -w -X main.version=v1.2.0", &["main.version: v1.2.0"][..]),
            ("-X=main.version=v1.2.0 -w", &["main.version: v1.2.0"]),
            ("--X main.version=v1.2.0", &["main.version: v1.2.0"]),
            ("-X 'main.name=a b' \"-X=main.other=c d\"", &["main.name: a b", "main.other: c d"]),
            ("-X example.com/x/y.Version=a=b", &["example.com/x/y.Version: a=b"]),
            ("-s -w", &[]),
            ("-X", &[]),
            ("-X main.version", &[]),
            ("-extldflags '-X main.version=v1'", &[]),
            ("", &[]),
        ] {
            assert_eq!(pairs(text), expected, "{text}");
        }
    }
}
