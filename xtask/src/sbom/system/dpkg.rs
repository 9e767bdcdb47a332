//! dpkg's database of installed packages: paragraphs of `Field: value` lines (deb-control(5), dpkg(1)).
//!
//! Takes the text of `status`, or of a file in `status.d`, gives the packages whose files are there.

use super::{Manager, Package};

/// States in which a package's files are not there: never installed, and removed but for its configuration.
const GONE: &[&str] = &["not-installed", "config-files"];

/// The fields of a paragraph that are looked at.
#[derive(Default)]
struct Paragraph<'a> {
    name: Option<&'a str>,
    version: Option<&'a str>,
    architecture: &'a str,
    status: Option<&'a str>,
    source: Option<&'a str>,
}

/// Reads the database.
pub(super) fn parse(text: &str) -> Result<Vec<Package>, String> {
    let mut packages = Vec::new();
    let mut paragraph = Paragraph::default();
    // A last paragraph need not end with an empty line.
    for (number, line) in text.lines().chain([""]).enumerate() {
        if line.trim().is_empty() {
            packages.extend(
                std::mem::take(&mut paragraph).package().map_err(|why| format!("before line {}: {why}", number + 1))?,
            );
        } else if !line.starts_with([' ', '\t', '#']) {
            paragraph.take(line).map_err(|why| format!("line {}: {why}", number + 1))?;
        }
    }
    Ok(packages)
}

impl<'a> Paragraph<'a> {
    /// Takes a line that starts a field; names of fields know no case.
    fn take(&mut self, line: &'a str) -> Result<(), String> {
        let (field, value) = line.split_once(':').ok_or("a line is a field, a colon and a value")?;
        let value = value.trim();
        match field.to_ascii_lowercase().as_str() {
            "package" => self.name = Some(value),
            "version" => self.version = Some(value),
            "architecture" => self.architecture = value,
            "status" => self.status = Some(value),
            "source" => self.source = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn package(self) -> Result<Option<Package>, String> {
        let Some(name) = self.name else { return Ok(None) };
        // What is wanted, whether it is broken, and what it is; files in status.d leave the line out.
        let state = self.status.and_then(|status| status.split_whitespace().nth(2));
        if state.is_some_and(|state| GONE.contains(&state)) {
            return Ok(None);
        }
        let version = self.version.filter(|v| !v.is_empty() && !name.is_empty());
        let version = version.ok_or_else(|| format!("package `{name}` has no version"))?;
        Ok(Some(Package {
            manager: Manager::Dpkg,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: self.architecture.to_owned(),
            source: source(self.source, name, version),
            license: None,
        }))
    }
}

/// `Source: name (version)`; what is the same as the package's own is left out.
fn source(field: Option<&str>, name: &str, version: &str) -> (String, String) {
    let Some(field) = field.filter(|f| !f.is_empty()) else { return (name.to_owned(), version.to_owned()) };
    match field.split_once(" (") {
        Some((source, rest)) => (source.trim().to_owned(), rest.trim_end_matches(')').to_owned()),
        None => (field.to_owned(), version.to_owned()),
    }
}
