//! apk's database of installed packages: paragraphs of `K:value` lines (apk-tools, `database.c`).
//!
//! Takes the file's text, gives its packages. Lines about files and of unknown kinds are passed over.

use super::{Manager, Package};

/// The fields of a paragraph that are looked at.
#[derive(Default)]
struct Paragraph<'a> {
    name: Option<&'a str>,
    version: Option<&'a str>,
    architecture: &'a str,
    origin: Option<&'a str>,
    license: Option<&'a str>,
}

/// Reads the database.
pub(super) fn parse(text: &str) -> Result<Vec<Package>, String> {
    let mut packages = Vec::new();
    let mut paragraph = Paragraph::default();
    // A last paragraph need not end with an empty line.
    for (number, line) in text.lines().chain([""]).enumerate() {
        if line.is_empty() {
            packages.extend(
                std::mem::take(&mut paragraph).package().map_err(|why| format!("before line {}: {why}", number + 1))?,
            );
        } else {
            paragraph.take(line).map_err(|why| format!("line {}: {why}", number + 1))?;
        }
    }
    Ok(packages)
}

impl<'a> Paragraph<'a> {
    fn take(&mut self, line: &'a str) -> Result<(), String> {
        let (key, value) = line.split_once(':').ok_or("a line is a letter, a colon and a value")?;
        match key {
            "P" => self.name = Some(value),
            "V" => self.version = Some(value),
            "A" => self.architecture = value,
            "o" => self.origin = Some(value),
            "L" => self.license = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn package(self) -> Result<Option<Package>, String> {
        let (name, version) = match (self.name, self.version) {
            (None, None) => return Ok(None),
            (Some(name), Some(version)) if !name.is_empty() && !version.is_empty() => (name, version),
            _ => return Err("a package without a name or without a version".into()),
        };
        Ok(Some(Package {
            manager: Manager::Apk,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: self.architecture.to_owned(),
            // Packages of one origin are built together and have one version.
            source: (self.origin.filter(|o| !o.is_empty()).unwrap_or(name).to_owned(), version.to_owned()),
            license: self.license.map(str::trim).filter(|l| !l.is_empty()).map(Into::into),
        }))
    }
}
