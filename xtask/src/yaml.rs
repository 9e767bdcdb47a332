//! YAML as a tree of places: what a text says and which bytes say it.
//!
//! Takes a text, gives its documents one by one as flat arenas of nodes. Aliases stay aliases: a document is never
//! larger than its text, whatever it refers to. Never changes, re-orders or writes anything.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::error::{Error, Place, Result};

/// Nesting above this is an error; a custom resource definition of a whole pod template has about 40 levels.
const MAX_DEPTH: usize = 256;

/// A node of a [`Document`].
pub(crate) type Id = usize;

/// What a node is; scalars hold their value after unescaping and folding.
#[derive(Debug)]
pub(crate) enum Kind<'t> {
    Scalar(Cow<'t, str>, ScalarStyle),
    Mapping(Vec<(Id, Id)>),
    Sequence(Vec<Id>),
    /// The anchored node, which itself is never an alias.
    Alias(Id),
}

/// One node and where it is written, from its anchor or tag, when it has one, to its end. A collection has only its
/// start.
#[derive(Debug)]
pub(crate) struct Node<'t> {
    pub(crate) kind: Kind<'t>,
    pub(crate) span: Span,
}

/// One document of a file; its root is node 0.
#[derive(Debug, Default)]
pub(crate) struct Document<'t> {
    nodes: Vec<Node<'t>>,
}

impl<'t> Document<'t> {
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, id: Id) -> Option<&Node<'t>> {
        self.nodes.get(id)
    }

    /// The node that `id` stands for: itself, or what an alias refers to.
    pub(crate) fn resolve(&self, id: Id) -> Option<(Id, &Node<'t>)> {
        let node = self.node(id)?;
        match node.kind {
            Kind::Alias(target) => Some((target, self.node(target)?)),
            _ => Some((id, node)),
        }
    }

    /// The pairs of a mapping; none of anything else.
    pub(crate) fn pairs(&self, id: Id) -> &[(Id, Id)] {
        match self.resolve(id) {
            Some((_, Node { kind: Kind::Mapping(pairs), .. })) => pairs,
            _ => &[],
        }
    }

    /// The value of a scalar, through an alias.
    pub(crate) fn scalar(&self, id: Id) -> Option<&str> {
        match &self.resolve(id)?.1.kind {
            Kind::Scalar(value, _) => Some(value),
            _ => None,
        }
    }

    /// What a mapping says under `key`, the first time it says it.
    pub(crate) fn get(&self, mapping: Id, key: &str) -> Option<Id> {
        self.pairs(mapping).iter().find(|(k, _)| self.scalar(*k) == Some(key)).map(|(_, value)| *value)
    }
}

/// Reads the documents of one text.
pub(crate) struct Reader<'t> {
    path: &'t Path,
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
}

impl<'t> Reader<'t> {
    /// `path` is only named in errors.
    pub(crate) fn new(path: &'t Path, text: &'t str) -> Reader<'t> {
        Reader { path, text, parser: Parser::new_from_str(text) }
    }

    /// The next document, `None` after the last. Invalid YAML is an error of class `Usage` at its place.
    pub(crate) fn document(&mut self) -> Result<Option<Document<'t>>> {
        let mut builder = Builder::default();
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|e| self.invalid(&e))?;
            if matches!(event, Event::DocumentEnd) {
                return Ok(Some(builder.document));
            }
            builder.take(event, span).map_err(|why| Error::usage(why).at(place(self.path, span.start)))?;
        }
        Ok(None)
    }

    fn invalid(&self, error: &ScanError) -> Error {
        let found = Error::usage("not valid YAML").because(error.info()).at(place(self.path, *error.marker()));
        match self.text.contains("{{") {
            true => found.hint("a Helm template belongs in a chart, in `templates/` beside its Chart.yaml"),
            false => found,
        }
    }
}

/// `marker` for a person.
pub(crate) fn place(path: &Path, marker: Marker) -> Place {
    Place { file: path.display().to_string(), line: marker.line(), column: marker.col() + 1 }
}

#[derive(Default)]
struct Builder<'t> {
    document: Document<'t>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Id>,
}

/// A collection whose end hasn't come yet; `key` waits for its value.
struct Open {
    id: Id,
    key: Option<Id>,
}

impl<'t> Builder<'t> {
    fn take(&mut self, event: Event<'t>, span: Span) -> std::result::Result<(), String> {
        match event {
            Event::Scalar(value, style, anchor, _) => {
                self.add(Kind::Scalar(value, style), span, anchor);
            }
            Event::Alias(anchor) => {
                // The parser remembers anchors across documents, YAML does not (YAML 1.2.2, 7.1).
                let target =
                    *self.anchors.get(&anchor).ok_or("not valid YAML: the alias has no anchor in its document")?;
                self.add(Kind::Alias(target), span, 0);
            }
            Event::SequenceStart(anchor, _) => self.open(Kind::Sequence(Vec::new()), span, anchor)?,
            Event::MappingStart(anchor, _) => self.open(Kind::Mapping(Vec::new()), span, anchor)?,
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind<'t>, span: Span, anchor: usize) -> std::result::Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        let id = self.add(kind, span, anchor);
        self.open.push(Open { id, key: None });
        Ok(())
    }

    fn add(&mut self, kind: Kind<'t>, span: Span, anchor: usize) -> Id {
        let id = self.document.nodes.len();
        self.document.nodes.push(Node { kind, span });
        // Id 0 is the parser's "no anchor".
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        let Some(parent) = self.open.last_mut() else { return id };
        match self.document.nodes.get_mut(parent.id).map(|node| &mut node.kind) {
            Some(Kind::Sequence(items)) => items.push(id),
            Some(Kind::Mapping(pairs)) => match parent.key.take() {
                Some(key) => pairs.push((key, id)),
                None => parent.key = Some(id),
            },
            _ => {}
        }
        id
    }
}

/// Turns the parser's positions, counted in characters, into byte offsets.
pub(crate) struct Offsets<'t> {
    text: &'t str,
    /// The byte of every [`STRIDE`]th character; `None` where every character is a byte.
    marks: Option<Vec<usize>>,
}

const STRIDE: usize = 256;

impl<'t> Offsets<'t> {
    pub(crate) fn new(text: &'t str) -> Offsets<'t> {
        let marks = (!text.is_ascii()).then(|| text.char_indices().step_by(STRIDE).map(|(byte, _)| byte).collect());
        Offsets { text, marks }
    }

    /// The byte at which the character under `marker` starts; the end of the text for any position past it.
    pub(crate) fn byte(&self, marker: Marker) -> usize {
        let index = marker.index();
        let Some(marks) = &self.marks else { return index.min(self.text.len()) };
        let Some(from) = marks.get(index / STRIDE) else { return self.text.len() };
        let rest = self.text.get(*from..).unwrap_or_default();
        rest.char_indices().nth(index % STRIDE).map_or(self.text.len(), |(byte, _)| from + byte)
    }

    /// The bytes of `span`.
    pub(crate) fn range(&self, span: Span) -> Range<usize> {
        self.byte(span.start)..self.byte(span.end)
    }
}
