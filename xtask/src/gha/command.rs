//! Workflow commands: lines that a runner reads out of a step's output, and files it reads afterwards.
//!
//! Takes texts from anywhere, gives lines that mean what they say: no text can become a command of its own.

use std::fmt::Write as _;

use crate::error::Place;
use crate::oci::Digest;
use crate::ui::{Tone, Ui};

use super::Runner;

/// The line of an annotation that says what failed.
pub(super) fn annotation(title: &str, place: Option<&Place>, message: &str) -> String {
    let mut line = "::error ".to_owned();
    if let Some(place) = place {
        let _ = write!(line, "file={},line={},col={},", property(&place.file), place.line, place.column);
    }
    let _ = write!(line, "title={}::{}", property(title), data(message));
    line
}

/// A command's message: a line break would end the command, and `%` begins an escape.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A command's property: in it `,` and `:` end something too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A line of the outputs' file. A value of several lines stands between delimiters; one that is made from the value
/// can't be in it.
pub(super) fn assignment(name: &str, value: &str) -> String {
    match value.contains(['\n', '\r']) {
        false => format!("{name}={value}\n"),
        true => {
            let end = format!("end-{}", Digest::of(value.as_bytes()).hex());
            format!("{name}<<{end}\n{value}\n{end}\n")
        }
    }
}

/// Lines that a runner folds into one; the fold ends with this value. Elsewhere it is nothing.
pub struct Group<'a>(Option<&'a Ui>);

impl<'a> Group<'a> {
    /// Begins a fold.
    pub fn begin(runner: Option<&Runner>, title: &str, ui: &'a Ui) -> Group<'a> {
        if runner.is_some() {
            ui.line(Tone::Plain, &format!("::group::{}", data(title)));
        }
        Group(runner.map(|_| ui))
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if let Some(ui) = self.0 {
            ui.line(Tone::Plain, "::endgroup::");
        }
    }
}
