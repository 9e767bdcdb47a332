//! `.helmignore`: which files of a chart's folder are no part of the chart.
//!
//! Takes the file's text, gives [`Rules`] that mean what they mean to Helm: patterns as of a shell, one a line; with `/`
//! inside they are about the whole path, else about the name; `/` at the end is about folders alone; after `!` whatever
//! doesn't match is left out. `**` is an error, as it is there. Pure.

use std::path::Path;

use crate::error::{Error, Place, Result};

/// The file's name.
pub(super) const FILE: &str = ".helmignore";
/// What Helm leaves out whatever the file says.
const ALWAYS: &str = "templates/.?*";

/// The patterns, in order.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: Vec<char>,
    /// Whether it is about the whole path.
    whole: bool,
    folders_only: bool,
    negated: bool,
}

impl Rules {
    /// Reads `text`; `path` is named in errors (class `Usage`).
    pub(super) fn parse(path: &Path, text: &str) -> Result<Rules> {
        let mut rules = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |why: &str| {
                let place = Place { file: path.display().to_string(), line: number + 1, column: 1 };
                Error::usage(format!("`{line}` is no pattern: {why}")).at(place)
            };
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                rules.push(Rule::parse(line).map_err(wrong)?);
            }
        }
        rules.extend(Rule::parse(ALWAYS).ok());
        Ok(Rules(rules))
    }

    /// Whether `path`, relative to the chart's folder, is left out.
    pub(super) fn ignore(&self, path: &str, is_folder: bool) -> bool {
        self.0.iter().any(|rule| {
            let about = is_folder || !rule.folders_only;
            match rule.negated {
                true => !about || !rule.matches(path),
                false => about && rule.matches(path),
            }
        })
    }
}

impl Rule {
    fn parse(line: &str) -> std::result::Result<Rule, &'static str> {
        if line.contains("**") {
            return Err("Helm knows no `**`");
        }
        let (negated, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (folders_only, line) = line.strip_suffix('/').map_or((false, line), |rest| (true, rest));
        let whole = line.contains('/');
        let pattern: Vec<char> = line.strip_prefix('/').unwrap_or(line).chars().collect();
        match is_closed(&pattern) {
            true => Ok(Rule { pattern, whole, folders_only, negated }),
            false => Err("a bracket or an escape has no end"),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let about = if self.whole { path } else { path.rsplit('/').next().unwrap_or(path) };
        matches(&self.pattern, &about.chars().collect::<Vec<_>>())
    }
}

/// Whether every `[` has its `]` and every backslash something behind it.
fn is_closed(pattern: &[char]) -> bool {
    match pattern {
        [] => true,
        ['\\', _, rest @ ..] => is_closed(rest),
        ['\\'] => false,
        ['[', rest @ ..] => class(rest, '\0').is_some_and(|(_, rest)| is_closed(rest)),
        [_, rest @ ..] => is_closed(rest),
    }
}

/// Go's `path/filepath.Match`: `*` and `?` stand for anything but `/`.
fn matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => {
            matches(rest, name) || matches!(name, [c, after @ ..] if *c != '/' && matches(pattern, after))
        }
        (['?', rest @ ..], [c, after @ ..]) => *c != '/' && matches(rest, after),
        (['[', rest @ ..], [c, after @ ..]) => {
            class(rest, *c).is_some_and(|(is_in, rest)| is_in && *c != '/' && matches(rest, after))
        }
        (['\\', p, rest @ ..] | [p, rest @ ..], [c, after @ ..]) => p == c && matches(rest, after),
        _ => false,
    }
}

/// Whether `c` is in the class whose inside `pattern` starts with, and what follows the class.
fn class(pattern: &[char], c: char) -> Option<(bool, &[char])> {
    let (negated, mut rest) = match pattern {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mut found, mut first) = (false, true);
    loop {
        let (low, after) = match rest {
            [']', after @ ..] if !first => return Some((found != negated, after)),
            [] | [']' | '-', ..] | ['\\'] => return None,
            ['\\', low, after @ ..] | [low, after @ ..] => (*low, after),
        };
        let (high, after) = match after {
            ['-', '\\', high, after @ ..] => (*high, after),
            ['-', high, after @ ..] if *high != ']' => (*high, after),
            _ => (low, after),
        };
        found |= (low..=high).contains(&c);
        (rest, first) = (after, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::parse(Path::new(".helmignore"), text).unwrap()
    }

    /// Which of these are left out; a name with `/` at its end is a folder.
    fn ignored<'a>(text: &str, names: &[&'a str]) -> Vec<&'a str> {
        let rules = rules(text);
        let of = |name: &&&str| match name.strip_suffix('/') {
            Some(folder) => rules.ignore(folder, true),
            None => rules.ignore(name, false),
        };
        names.iter().filter(of).copied().collect()
    }

    #[test]
    fn patterns_mean_what_they_mean_to_helm() {
        let names = ["README.md", "ci/", "ci/a.yaml", "files/a.txt", "files/ab.txt", "templates/a.yaml", "a/b/c.txt"];
        // The cases of Helm's own pkg/ignore tests, in the words of this chart.
        for (text, wanted) in [
            ("", &[][..]),
            ("# all\n\n", &[]),
            ("*.md", &["README.md"]),
            ("ci/", &["ci/"]),
            ("ci", &["ci/"]),
            ("*.txt", &["files/a.txt", "files/ab.txt", "a/b/c.txt"]),
            ("files/*.txt", &["files/a.txt", "files/ab.txt"]),
            ("/*.md", &["README.md"]),
            ("/a.txt", &[]),
            ("a?.txt", &["files/ab.txt"]),
            ("[a-b].txt", &["files/a.txt"]),
            ("[^a].txt", &["a/b/c.txt"]),
            ("a/*.txt", &[]),
            ("\\*.md", &[]),
        ] {
            assert_eq!(ignored(text, &names), wanted, "{text}");
        }
        assert_eq!(ignored("!*.yaml", &["a.yaml", "b.txt"]), ["b.txt"]);
        assert_eq!(ignored("", &["templates/.swp", "templates/a", ".helmignore"]), ["templates/.swp"]);
    }

    #[test]
    fn what_helm_refuses_is_refused_with_its_line() {
        for bad in ["a/**/b", "[a", "a\\", "[a-", "[]a]", "[-a]"] {
            let error = Rules::parse(Path::new("c/.helmignore"), &format!("# x\n{bad}\n")).unwrap_err().to_string();
            assert!(error.starts_with("c/.helmignore:2:1: ") && error.contains(bad), "{error}");
        }
    }
}
