//! `.trivyignore.yaml`, Trivy's own list of what to ignore
//! (<https://trivy.dev/docs/latest/configuration/filtering/#trivyignoreyaml>), so that it means the same for every scanner.
//!
//! Takes the file's text, gives rules. A key that isn't known is an error with its place: it would narrow a rule that
//! is then taken for a wider one.

use std::path::Path;

use jiff::civil::Date;

use super::Kind;
use super::ignore::Rule;
use crate::error::{Class, Error, Result};
use crate::fs;
use crate::yaml::{Document, Id, Kind as Node, Reader, place};

/// The file's name, at the root of the repository.
pub(super) const FILE: &str = ".trivyignore.yaml";
/// The largest file that is read.
const LIMIT: u64 = 1 << 20;
/// The lists, and what they are about.
const LISTS: [(&str, Kind); 4] = [
    ("vulnerabilities", Kind::Vulnerability),
    ("misconfigurations", Kind::Misconfiguration),
    ("secrets", Kind::Secret),
    ("licenses", Kind::Licence),
];

/// The rules of the repository's file; none where there is no such file.
pub(super) fn read(root: &Path) -> Result<Vec<Rule>> {
    let path = root.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read_small(&path, LIMIT).map_err(|e| e.reclass(Class::Usage))?;
    let text = String::from_utf8(bytes).map_err(|e| Error::usage(format!("{FILE} is not UTF-8")).because(e))?;
    parse(&text)
}

/// Reads the file's text.
fn parse(text: &str) -> Result<Vec<Rule>> {
    let path = Path::new(FILE);
    let mut reader = Reader::new(path, text);
    let Some(document) = reader.document()? else { return Ok(Vec::new()) };
    let file = File { path, document: &document };
    if document.len() == 0 || document.scalar(0).is_some_and(|text| text.is_empty() || text == "~" || text == "null") {
        return Ok(Vec::new());
    }
    if !matches!(document.resolve(0).map(|(_, node)| &node.kind), Some(Node::Mapping(_))) {
        return Err(file.wrong(0, "not a table of lists"));
    }
    let mut rules = Vec::new();
    for (key, list) in document.pairs(0) {
        let name = document.scalar(*key).unwrap_or_default();
        let Some((_, kind)) = LISTS.iter().find(|(known, _)| *known == name) else {
            return Err(file.wrong(*key, format!("unknown list `{name}`: one of {}", LISTS.map(|(n, _)| n).join(", "))));
        };
        for item in file.items(*list)? {
            rules.push(file.rule(*item, *kind)?);
        }
    }
    Ok(rules)
}

struct File<'a> {
    path: &'a Path,
    document: &'a Document<'a>,
}

impl<'a> File<'a> {
    fn rule(&self, item: Id, kind: Kind) -> Result<Rule> {
        let mut rule = Rule {
            place: self.place(item),
            kind: Some(kind),
            id: String::new(),
            reason: String::new(),
            expires: None,
            images: Vec::new(),
            packages: Vec::new(),
            paths: Vec::new(),
            purls: Vec::new(),
            needed: false,
        };
        for (key, value) in self.document.pairs(item) {
            match self.text(*key)? {
                "id" => rule.id = self.text(*value)?.to_owned(),
                "statement" => rule.reason = self.text(*value)?.to_owned(),
                "expired_at" => rule.expires = Some(self.day(*value)?),
                "paths" => rule.paths = self.texts(*value)?,
                "purls" => rule.purls = self.texts(*value)?,
                other => return Err(self.wrong(*key, format!("unknown key `{other}`"))),
            }
        }
        match rule.id.is_empty() {
            true => Err(self.wrong(item, "no id: what is to be ignored?")),
            false => Ok(rule),
        }
    }

    fn items(&self, list: Id) -> Result<&'a [Id]> {
        match self.document.resolve(list).map(|(_, node)| &node.kind) {
            Some(Node::Sequence(items)) => Ok(items),
            Some(Node::Scalar(text, _)) if text.is_empty() => Ok(&[]),
            _ => Err(self.wrong(list, "not a list")),
        }
    }

    fn text(&self, id: Id) -> Result<&'a str> {
        self.document.scalar(id).ok_or_else(|| self.wrong(id, "not text"))
    }

    fn texts(&self, list: Id) -> Result<Vec<String>> {
        self.items(list)?.iter().map(|id| self.text(*id).map(str::to_owned)).collect()
    }

    fn day(&self, id: Id) -> Result<Date> {
        let text = self.text(id)?;
        text.parse().map_err(|_| self.wrong(id, format!("`{text}` is not a day: write it as 2026-12-31")))
    }

    fn wrong(&self, id: Id, why: impl Into<String>) -> Error {
        let error = Error::usage(why);
        match self.document.node(id) {
            Some(node) => error.at(place(self.path, node.span.start)),
            None => error.within(FILE),
        }
    }

    fn place(&self, id: Id) -> String {
        self.document.node(id).map_or_else(|| FILE.to_owned(), |node| place(self.path, node.span.start).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_gives_rules_with_their_places() {
        let rules = parse(
            "vulnerabilities:\n  - id: CVE-2025-22870\n    statement: no proxy is used\n    expired_at: 2026-12-31\n    \
             paths: [\"usr/bin/*\"]\n    purls:\n      - pkg:golang/golang.org/x/net\nsecrets:\n  - id: private-key\n",
        )
        .unwrap();
        assert_eq!(
            (rules[0].place.as_str(), rules[1].place.as_str()),
            (".trivyignore.yaml:2:5", ".trivyignore.yaml:9:5")
        );
        assert_eq!((rules[0].kind, rules[1].kind), (Some(Kind::Vulnerability), Some(Kind::Secret)));
        assert_eq!(rules[0].expires.unwrap().to_string(), "2026-12-31");
        assert_eq!((rules[0].reason.as_str(), rules[0].paths.len(), rules[0].purls.len()), ("no proxy is used", 1, 1));
    }

    #[test]
    fn an_empty_file_or_list_has_no_rules() {
        for text in ["", "# nothing yet\n", "vulnerabilities:\n", "licenses: []\n"] {
            assert_eq!(parse(text).unwrap(), [], "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_its_place() {
        for (text, place, says) in [
            ("vulnerability:\n  - id: CVE-1\n", "1:1", "unknown list `vulnerability`"),
            ("vulnerabilities:\n  - id: CVE-1\n    path: [x]\n", "3:5", "unknown key `path`"),
            ("vulnerabilities:\n  - id: CVE-1\n    expired_at: soon\n", "3:17", "write it as 2026-12-31"),
            ("vulnerabilities:\n  - statement: why\n", "2:5", "no id"),
            ("vulnerabilities: CVE-1\n", "1:18", "not a list"),
            ("vulnerabilities:\n  - id: [CVE-1]\n", "2:9", "not text"),
            ("- CVE-1\n", "1:1", "not a table"),
            ("vulnerabilities: [\n", "2:1", "not valid YAML"),
        ] {
            let err = parse(text).unwrap_err();
            let shown = err.to_string();
            assert!(
                shown.starts_with(&format!(".trivyignore.yaml:{place}: ")) && shown.contains(says),
                "{text:?}: {shown}"
            );
            assert_eq!(err.class(), Class::Usage);
        }
    }
}
