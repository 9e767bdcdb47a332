//! What `govulncheck -format json` writes (`golang.org/x/vuln/internal/govulncheck`, protocol v1).
//!
//! Takes its output, gives the [`Scan`] it describes. A stream that isn't whole, or about another scan than the one
//! asked for, is an error: it is never taken for a scan that found nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

const PROTOCOL: &str = "v1.0.0";

/// What the scan was to be, so that another one is noticed.
pub(super) struct Expected<'a> {
    /// `v1.9.0`
    pub(super) scanner: &'a str,
    /// The URL of the database.
    pub(super) database: &'a str,
    /// When the database was made, RFC 3339.
    pub(super) modified: &'a str,
}

/// One scan of one program.
#[derive(Debug)]
pub(super) struct Scan {
    /// The main modules.
    pub(super) roots: Vec<String>,
    /// What is known about each advisory that is named.
    pub(super) advisories: BTreeMap<String, Advisory>,
    /// By advisory and module.
    pub(super) hits: BTreeMap<(String, String), Hit>,
}

/// An advisory that fits a module of the program, whatever govulncheck thinks of its reach.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) version: String,
    pub(super) fixed: Option<String>,
    /// Whether a vulnerable symbol was found: the most precise level of all findings.
    pub(super) symbol: bool,
}

/// One of these is set (`Message` in govulncheck's source).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    config: Option<Config>,
    #[serde(rename = "progress")]
    _progress: Option<serde::de::IgnoredAny>,
    #[serde(rename = "SBOM")]
    sbom: Option<Sbom>,
    osv: Option<Advisory>,
    finding: Option<Finding>,
}

#[derive(Deserialize)]
struct Config {
    protocol_version: String,
    #[serde(default)]
    scanner_version: String,
    #[serde(default)]
    db: String,
    #[serde(default)]
    db_last_modified: String,
    #[serde(default)]
    scan_level: String,
    #[serde(default)]
    scan_mode: String,
}

#[derive(Deserialize)]
struct Sbom {
    #[serde(default)]
    go_version: String,
    #[serde(default)]
    modules: Vec<Module>,
    #[serde(default)]
    roots: Vec<String>,
}

#[derive(Deserialize)]
struct Module {
    path: String,
}

/// An OSV entry, as far as findings need it.
#[derive(Debug, Deserialize)]
pub(super) struct Advisory {
    id: String,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) affected: Vec<Affected>,
}

/// What of a module is vulnerable.
#[derive(Debug, Deserialize)]
pub(super) struct Affected {
    package: Name,
    #[serde(default)]
    ecosystem_specific: Specific,
}

#[derive(Debug, Deserialize)]
struct Name {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Specific {
    #[serde(default)]
    imports: Vec<Import>,
}

/// A vulnerable package; no symbols means all of them.
#[derive(Debug, Deserialize)]
pub(super) struct Import {
    pub(super) path: String,
    #[serde(default)]
    pub(super) symbols: Vec<String>,
}

impl Affected {
    pub(super) fn module(&self) -> &str {
        &self.package.name
    }

    /// No imports means every package of the module.
    pub(super) fn imports(&self) -> &[Import] {
        &self.ecosystem_specific.imports
    }
}

#[derive(Deserialize)]
struct Finding {
    osv: String,
    #[serde(default)]
    fixed_version: String,
    #[serde(default)]
    trace: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    module: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    function: String,
}

/// Reads a whole stream; an error is why it can't be relied on.
pub(super) fn parse(bytes: &[u8], expected: &Expected<'_>) -> Result<Scan, String> {
    let (mut config, mut sbom) = (None, None);
    let (mut advisories, mut hits) = (BTreeMap::new(), BTreeMap::new());
    for message in serde_json::Deserializer::from_slice(bytes).into_iter::<Message>() {
        let message = message.map_err(|e| format!("its output is damaged or cut off: {e}"))?;
        config = config.or(message.config);
        sbom = sbom.or(message.sbom);
        advisories.extend(message.osv.map(|a| (a.id.clone(), a)));
        if let Some(finding) = message.finding {
            add(&mut hits, finding)?;
        }
    }
    check_config(&config.ok_or("its output has no config message")?, expected)?;
    let sbom = sbom.ok_or("its output does not say which modules were scanned")?;
    check_sbom(&sbom)?;
    if let Some((id, _)) = hits.keys().find(|(id, _)| !advisories.contains_key(id)) {
        return Err(format!("its output names {id} without describing it"));
    }
    Ok(Scan { roots: sbom.roots, advisories, hits })
}

fn add(hits: &mut BTreeMap<(String, String), Hit>, finding: Finding) -> Result<(), String> {
    let Some(frame) = finding.trace.into_iter().next() else {
        return Err(format!("its finding {} says nothing about where it is", finding.osv));
    };
    let fixed = Some(finding.fixed_version).filter(|v| !v.is_empty());
    let hit = hits.entry((finding.osv, frame.module)).or_insert(Hit { version: frame.version, fixed, symbol: false });
    hit.symbol |= !frame.function.is_empty();
    Ok(())
}

fn check_config(config: &Config, expected: &Expected<'_>) -> Result<(), String> {
    for (what, is, wanted) in [
        ("protocol", &config.protocol_version, PROTOCOL),
        ("version", &config.scanner_version, expected.scanner),
        ("database", &config.db, expected.database),
        ("database time", &config.db_last_modified, expected.modified),
        ("scan level", &config.scan_level, "symbol"),
        ("scan mode", &config.scan_mode, "binary"),
    ] {
        if is != wanted {
            return Err(format!("its {what} is `{is}` where `{wanted}` was wanted"));
        }
    }
    Ok(())
}

/// A program whose Go version can't be compared is not checked for flaws of the standard library, and one without
/// modules for none at all.
fn check_sbom(sbom: &Sbom) -> Result<(), String> {
    let digits = sbom.go_version.strip_prefix("go").unwrap_or_default();
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("the program's Go version `{}` is not one the database knows", sbom.go_version));
    }
    match sbom.roots.is_empty() || sbom.modules.iter().all(|m| m.path != "stdlib") {
        true => Err("the program carries no build information: it was not built from a module".into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
