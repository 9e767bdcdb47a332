//! YAML as Kubernetes reads it: a value for each document, and where each part of it is written.
//!
//! Takes a text, gives [`Document`]s. Plain scalars are resolved by YAML 1.1, as the API server's own reader does
//! (`sigs.k8s.io/yaml`); aliases and merge keys are followed, within a limit. Never opens a file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use crate::error::{Error, Place, Result};

/// Nesting above this is an error.
const MAX_DEPTH: usize = 200;
/// Values above this, aliases followed, are an error: a text must not grow without bound by what it refers to.
const MAX_VALUES: usize = 1_000_000;

/// One document.
#[derive(Debug)]
pub(super) struct Document {
    /// What it says.
    pub(super) value: Value,
    /// Line and column, from 1, by [path](step).
    pub(super) places: BTreeMap<String, (usize, usize)>,
    /// The line on which it starts.
    pub(super) line: usize,
}

/// `path` one step further down: a list's items go by their `name` where they have one, because patches and rendering
/// change their order.
pub(super) fn step(path: &str, key: &str) -> String {
    format!("{path}/{key}")
}

/// How an item of a list is called in a path.
pub(super) fn item(value: &Value, index: usize) -> String {
    match value.get("name").and_then(Value::as_str) {
        Some(name) => format!("[{name}]"),
        None => format!("[{index}]"),
    }
}

/// A value and its place, as built from events.
#[derive(Clone, Debug)]
struct Node {
    kind: Kind,
    at: (usize, usize),
}

#[derive(Clone, Debug)]
enum Kind {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// The documents of `text`, empty ones left out; `file` is named in errors.
pub(super) fn documents(file: &Path, text: &str) -> Result<Vec<Document>> {
    let mut reader = Reader { file, parser: Parser::new_from_str(text), anchors: HashMap::new(), values: 0 };
    let mut documents = Vec::new();
    while let Some((event, at)) = reader.next()? {
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::Nothing | Event::DocumentStart(_) | Event::DocumentEnd => {}
            event => {
                let node = reader.node(event, at, 0)?;
                let line = node.at.0;
                let mut places = BTreeMap::new();
                let value = settle(node, "", &mut places);
                if !value.is_null() {
                    documents.push(Document { value, places, line });
                }
            }
        }
    }
    Ok(documents)
}

/// What the documents of `text` say; `file` is named in errors.
pub fn values(file: &Path, text: &str) -> Result<Vec<Value>> {
    Ok(documents(file, text)?.into_iter().map(|document| document.value).collect())
}

struct Reader<'t> {
    file: &'t Path,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Marker)>> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, span.start))),
            Some(Err(error)) => {
                let at = self.place(*error.marker());
                Err(Error::usage("not valid YAML").because(error.info()).at(at))
            }
        }
    }

    fn inner(&mut self) -> Result<(Event<'t>, Marker)> {
        self.next()?.ok_or_else(|| Error::usage(format!("{} ends in the middle of a value", self.file.display())))
    }

    fn node(&mut self, event: Event<'t>, at: Marker, depth: usize) -> Result<Node> {
        let before = self.values;
        self.count(1, at)?;
        if depth > MAX_DEPTH {
            return Err(Error::usage(format!("nested deeper than {MAX_DEPTH} levels")).at(self.place(at)));
        }
        let (kind, anchor) = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (node, size) = known.ok_or_else(|| Error::usage("the alias has no anchor").at(self.place(at)))?;
                self.count(size, at)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, _) => (Kind::Scalar(scalar(&text, style)), anchor),
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            _ => return Err(Error::usage("not valid YAML").at(self.place(at))),
        };
        let node = Node { kind, at: (at.line(), at.col() + 1) };
        // Id 0 is the parser's "no anchor".
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.values - before));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Kind> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.inner()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Kind::List(items));
            }
            items.push(self.node(event, at, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind> {
        let mut pairs: Vec<(String, Node)> = Vec::new();
        loop {
            let (event, at) = self.inner()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Kind::Map(pairs));
            }
            let Event::Scalar(key, ..) = event else {
                return Err(Error::usage("a key is not a string").at(self.place(at)));
            };
            let (event, value_at) = self.inner()?;
            let value = self.node(event, value_at, depth + 1)?;
            if pairs.iter().any(|(other, _)| *other == key) {
                return Err(Error::usage(format!("the key `{key}` is here twice")).at(self.place(at)));
            }
            pairs.push((key.into_owned(), value));
        }
    }

    fn count(&mut self, values: usize, at: Marker) -> Result<()> {
        self.values = self.values.saturating_add(values);
        match self.values > MAX_VALUES {
            true => Err(Error::usage(format!("more than {MAX_VALUES} values")).at(self.place(at))),
            false => Ok(()),
        }
    }

    fn place(&self, at: Marker) -> Place {
        Place { file: self.file.display().to_string(), line: at.line(), column: at.col() + 1 }
    }
}

/// The value of a node, and the place of everything in it.
fn settle(node: Node, path: &str, places: &mut BTreeMap<String, (usize, usize)>) -> Value {
    places.insert(path.to_owned(), node.at);
    match node.kind {
        Kind::Scalar(value) => value,
        Kind::List(items) => {
            let one = |(index, node): (usize, Node)| {
                let mut inner = BTreeMap::new();
                let value = settle(node, "", &mut inner);
                let here = step(path, &item(&value, index));
                places.extend(inner.into_iter().map(|(below, at)| (format!("{here}{below}"), at)));
                value
            };
            Value::Array(items.into_iter().enumerate().map(one).collect())
        }
        Kind::Map(pairs) => {
            let mut map = Map::new();
            for (key, node) in pairs {
                let value = settle(node, &step(path, &key), places);
                match (key.as_str(), value) {
                    // What is merged in stands behind what is said (YAML 1.1 merge key).
                    ("<<", Value::Object(merged)) => merged.into_iter().for_each(|(key, value)| {
                        map.entry(key).or_insert(value);
                    }),
                    (_, value) => _ = map.insert(key, value),
                }
            }
            Value::Object(map)
        }
    }
}

/// A scalar's value; only plain ones are anything but strings.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let (radix, body) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, digits.get(2..)?),
        [b'0', b'o', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] if digits.chars().all(|c| c.is_digit(8)) => (8, digits),
        _ => (10, digits),
    };
    if let Ok(whole) = i64::from_str_radix(body, radix) {
        return Some(Number::from(if text.starts_with('-') { -whole } else { whole }));
    }
    let is_float =
        radix == 10 && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    is_float.then(|| text.parse::<f64>().ok()).flatten().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Vec<Document>> {
        documents(Path::new("a.yaml"), text)
    }

    #[test]
    fn scalars_are_what_kubernetes_takes_them_for() -> Result<()> {
        let text = "a: 1\nb: \"1\"\nc: on\nd: 0440\ne: 1.5\nf: v1\ng: ~\nh: 100m\ni: 1.2.3\nj: 'on'\nk: -3\n";
        let values: Vec<Value> = read(text)?.into_iter().map(|d| d.value).collect();
        let expected = json!({"a": 1, "b": "1", "c": true, "d": 288, "e": 1.5, "f": "v1", "g": null,
            "h": "100m", "i": "1.2.3", "j": "on", "k": -3});
        assert_eq!(values, [expected]);
        Ok(())
    }

    #[test]
    fn an_alias_is_what_its_anchor_says_and_a_merge_gives_way() -> Result<()> {
        let text = "a: &x {b: 1, c: 2}\nd: *x\ne:\n  b: 3\n  <<: *x\n---\n# nothing\n---\nf: 1\n";
        let values: Vec<Value> = read(text)?.into_iter().map(|d| d.value).collect();
        let expected = json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 2}, "e": {"b": 3, "c": 2}});
        assert_eq!(values, [expected, json!({"f": 1})]);
        Ok(())
    }

    #[test]
    fn each_part_has_its_place_and_items_go_by_name() -> Result<()> {
        let documents = read("x: 1\n---\nspec:\n  containers:\n    - image: a\n      name: node\n    - 5\n")?;
        let places = documents.get(1).map(|d| &d.places).cloned().unwrap_or_default();
        assert_eq!(places.get("/spec/containers/[node]/image"), Some(&(5, 14)));
        assert_eq!(places.get("/spec/containers/[1]"), Some(&(7, 7)));
        assert_eq!(documents.get(1).map(|d| d.line), Some(3));
        Ok(())
    }

    #[test]
    fn aliases_that_multiply_are_refused_and_errors_have_a_place() {
        let mut bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for level in 1..8 {
            let before = format!("*a{},", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        for (text, place) in [(bomb.as_str(), "a.yaml:"), ("a: 1\na: 2\n", "a.yaml:2:1"), ("a: [1\n", "a.yaml:")] {
            let told = read(text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(told.starts_with(place), "{told}");
        }
    }
}
