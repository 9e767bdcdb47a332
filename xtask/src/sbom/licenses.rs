//! Licenses of Go modules, by the texts that their authors put at their root.
//!
//! Takes modules and the Go module cache, gives SPDX license identifiers. Looks only at modules whose content the go
//! command has checked against a sum, so that the answer is the same on every machine; never asks the network. A text
//! that is not nearly a license's own says nothing: no license is better than a wrong one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use spdx::detection::{Store, TextData};

use super::buildinfo::Module;
use crate::error::{Context, Error, Result};
use crate::fs;
use crate::oci::Digest;

/// Changes whenever the same texts are read differently, so that no note outlives its code.
const FORMAT: &str = "licenses/1";

/// How names of license files start, whatever their case (`go help mod vendor` copies the same).
const NAMES: &[&str] = &["license", "licence", "copying", "unlicense"];

/// Endings that make such a file no text.
const NOT_TEXT: &[&str] = &["go", "json", "yaml", "yml", "tmpl", "header"];

/// The largest license file that is read; the GPL has 35 KB.
const TEXT_LIMIT: u64 = 1 << 20;

/// How like a license's own text a file has to be, 1 being equal. Copyright lines and headings cost a few hundredths,
/// a second license in the same file a tenth and more.
const LIKENESS: f32 = 0.9;

/// The license of the standard library: Go's own, the same since its first release.
pub(super) const STANDARD_LIBRARY: &str = "BSD-3-Clause";

/// Finds licenses.
pub(super) struct Licenses {
    modules: Option<PathBuf>,
    notes: PathBuf,
    known: OnceLock<Option<Store>>,
    absent: Mutex<BTreeSet<String>>,
}

impl Licenses {
    /// In the module cache `modules`; `notes` is a folder that remembers what was found.
    pub(super) fn new(modules: Option<PathBuf>, notes: PathBuf) -> Licenses {
        Licenses { modules, notes, known: OnceLock::new(), absent: Mutex::default() }
    }

    /// The one license whose text is at the module's root. Of several nothing says whether all or any of them apply.
    pub(super) fn of(&self, module: &Module) -> Result<Option<String>> {
        let (Some(cache), Some(sum)) = (&self.modules, &module.sum) else { return Ok(None) };
        let note = self.notes.join(format!("{}.json", Digest::of(format!("{FORMAT}\n{sum}").as_bytes()).hex()));
        if let Some(known) = std::fs::read(&note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(known);
        }
        let folder = cache.join(format!("{}@{}", escaped(&module.path), escaped(&module.version)));
        if !folder.is_dir() {
            if let Ok(mut absent) = self.absent.lock() {
                absent.insert(format!("{}@{}", module.path, module.version));
            }
            return Ok(None);
        }
        let found = self.in_folder(&folder)?;
        fs::write(&note, &serde_json::to_vec(&found).attempt(|| "describe a license".into())?)?;
        Ok(found)
    }

    /// How many modules were asked about that the module cache doesn't have, as on a machine that compiled nothing.
    pub(super) fn absent(&self) -> usize {
        self.absent.lock().map_or(0, |absent| absent.len())
    }

    fn in_folder(&self, folder: &Path) -> Result<Option<String>> {
        let mut found = BTreeSet::new();
        for path in files(folder)? {
            let text = fs::read_small(&path, TEXT_LIMIT)?;
            found.insert(self.classify(&String::from_utf8_lossy(&text))?);
        }
        let first = found.pop_first().flatten();
        Ok(first.filter(|_| found.is_empty()))
    }

    fn classify(&self, text: &str) -> Result<Option<String>> {
        let store = self.known.get_or_init(|| Store::load_inline().ok()).as_ref();
        let store = store.ok_or_else(|| Error::failed("the list of license texts in this program is damaged"))?;
        let best = store.analyze(&TextData::new(text));
        Ok((best.score >= LIKENESS).then(|| best.name.to_owned()))
    }
}

/// The license files of a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let attempt = || format!("list {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).attempt(attempt)? {
        let entry = entry.attempt(attempt)?;
        if is_license(&entry.file_name().to_string_lossy()) && entry.file_type().attempt(attempt)?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn is_license(name: &str) -> bool {
    let name = name.to_lowercase();
    let rest = NAMES.iter().find_map(|start| name.strip_prefix(start));
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
        && !ending.is_some_and(|ending| NOT_TEXT.contains(&ending))
}

/// A module's path or version as the module cache writes it: `!b` for `B` (Go modules reference, "Module proxy").
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if c.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(c.to_ascii_lowercase());
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIT: &str = "Copyright (c) 2013 TOML authors\n\nPermission is hereby granted, free of charge, to any person \
obtaining a copy\nof this software and associated documentation files (the \"Software\"), to deal\nin the Software \
without restriction, including without limitation the rights\nto use, copy, modify, merge, publish, distribute, \
sublicense, and/or sell\ncopies of the Software, and to permit persons to whom the Software is\nfurnished to do so, \
subject to the following conditions:\n\nThe above copyright notice and this permission notice shall be included in\n\
all copies or substantial portions of the Software.\n\nTHE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY \
KIND, EXPRESS OR\nIMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,\nFITNESS FOR A PARTICULAR \
PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE\nAUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR \
OTHER\nLIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,\nOUT OF OR IN CONNECTION WITH THE \
SOFTWARE OR THE USE OR OTHER DEALINGS IN\nTHE SOFTWARE.\n";

    const ISC: &str = "Copyright (c) 2012-2016 Someone\n\nPermission to use, copy, modify, and/or distribute this \
software for any\npurpose with or without fee is hereby granted, provided that the above\ncopyright notice and this \
permission notice appear in all copies.\n\nTHE SOFTWARE IS PROVIDED \"AS IS\" AND THE AUTHOR DISCLAIMS ALL WARRANTIES\n\
WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF\nMERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE \
AUTHOR BE LIABLE FOR\nANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES\nWHATSOEVER RESULTING \
FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN\nACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT \
OF\nOR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.\n";

    fn module() -> Module {
        Module {
            path: "github.com/BurntSushi/toml".into(),
            version: "v1.4.0-RC1".into(),
            sum: Some("h1:kuoIxZQy2WRRk1pttg9asf+WVv6tWQuBNVmK8+nqPr0=".into()),
            replace: None,
        }
    }

    /// What is found for the module when its folder has these files.
    fn found(files: &[(&str, &str)]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("mod/github.com/!burnt!sushi/toml@v1.4.0-!r!c1");
        std::fs::create_dir_all(root.join("LICENSES")).unwrap();
        for (name, text) in files {
            std::fs::write(root.join(name), text).unwrap();
        }
        let licenses = || Licenses::new(Some(folder.path().join("mod")), folder.path().join("notes"));
        let first = licenses().of(&module()).unwrap();
        std::fs::remove_dir_all(root).unwrap();
        assert_eq!(licenses().of(&module()).unwrap(), first, "it is remembered");
        first
    }

    #[test]
    fn one_text_is_one_license_and_doubt_is_none() {
        let both = format!("{MIT}\n\n{ISC}");
        for (files, license) in [
            (&[("LICENSE", MIT), ("README.md", ISC), ("license.go", ISC)][..], Some("MIT")),
            (&[("Licence.txt", ISC)], Some("ISC")),
            (&[("COPYING", MIT), ("LICENSE-MIT", MIT)], Some("MIT")),
            (&[("LICENSE-MIT", MIT), ("LICENSE-ISC", ISC)], None),
            (&[("LICENSE", MIT), ("LICENSE.docs", "ask us")], None),
            (&[("LICENSE", both.as_str())], None),
            (&[("LICENSE", "All rights reserved.")], None),
            (&[], None),
        ] {
            assert_eq!(found(files).as_deref(), license, "{:?}", files.iter().map(|f| f.0).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_module_without_a_checked_sum_or_a_folder_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let licenses = Licenses::new(Some(folder.path().to_owned()), folder.path().join("notes"));
        assert_eq!(licenses.of(&module()).unwrap(), None);
        assert_eq!(licenses.absent(), 1);
        assert!(!folder.path().join("notes").exists(), "a folder that comes later is looked at");
        let root = folder.path().join("github.com/!burnt!sushi/toml@v1.4.0-!r!c1");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("LICENSE"), MIT).unwrap();
        assert_eq!(licenses.of(&Module { sum: None, ..module() }).unwrap(), None);
        assert_eq!(licenses.of(&module()).unwrap().as_deref(), Some("MIT"));
        assert_eq!(Licenses::new(None, folder.path().join("notes")).of(&module()).unwrap(), None);
    }
}
