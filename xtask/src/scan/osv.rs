//! The index of a vulnerability database, from its entries (<https://go.dev/doc/security/vuln/database>).
//!
//! Takes the entries' JSON (OSV 1.3), gives the three `index/*.json` that govulncheck reads. Where a version can't be
//! compared, the index leaves the fix out: govulncheck then reads the whole entry, so doubt never hides a finding.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

/// The fields of an entry that the index needs.
#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    modified: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    affected: Vec<Affected>,
}

#[derive(Deserialize)]
struct Affected {
    package: Package,
    #[serde(default)]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
}

/// `index/db.json`, `index/modules.json` and `index/vulns.json`.
pub(super) struct Index {
    pub(super) db: Vec<u8>,
    pub(super) modules: Vec<u8>,
    pub(super) vulns: Vec<u8>,
}

#[derive(Serialize)]
struct ModuleRow<'a> {
    path: &'a str,
    vulns: Vec<ModuleVuln<'a>>,
}

#[derive(Serialize)]
struct ModuleVuln<'a> {
    id: &'a str,
    modified: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<&'a str>,
}

#[derive(Serialize)]
struct VulnRow<'a> {
    id: &'a str,
    modified: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    aliases: &'a [String],
}

/// Computes the index; `modified` is the database's own time, RFC 3339.
pub(super) fn index(entries: &[Entry], modified: &str) -> serde_json::Result<Index> {
    let mut modules: BTreeMap<&str, BTreeMap<&str, ModuleVuln<'_>>> = BTreeMap::new();
    let mut vulns = BTreeMap::new();
    for entry in entries {
        vulns.insert(entry.id.as_str(), VulnRow { id: &entry.id, modified: &entry.modified, aliases: &entry.aliases });
        for affected in &entry.affected {
            let fixed = latest_fix(&affected.ranges);
            let row = ModuleVuln { id: &entry.id, modified: &entry.modified, fixed };
            let rows = modules.entry(&affected.package.name).or_default();
            // An entry may name a module twice; the later of two fixes covers both, and no fix covers everything.
            rows.entry(&entry.id).and_modify(|known| known.fixed = later(known.fixed, fixed)).or_insert(row);
        }
    }
    let modules: Vec<_> =
        modules.into_iter().map(|(path, rows)| ModuleRow { path, vulns: rows.into_values().collect() }).collect();
    Ok(Index {
        db: serde_json::to_vec(&BTreeMap::from([("modified", modified)]))?,
        modules: serde_json::to_vec(&modules)?,
        vulns: serde_json::to_vec(&vulns.into_values().collect::<Vec<_>>())?,
    })
}

fn later<'a>(one: Option<&'a str>, other: Option<&'a str>) -> Option<&'a str> {
    let (one, other) = (one?, other?);
    match compare(one, other)? {
        Ordering::Less => Some(other),
        Ordering::Equal | Ordering::Greater => Some(one),
    }
}

/// The version from which on nothing is affected: the highest fix, unless the vulnerability came back after it.
fn latest_fix(ranges: &[Range]) -> Option<&str> {
    let events = || ranges.iter().filter(|r| r.kind == "SEMVER").flat_map(|r| &r.events);
    let mut latest = None;
    for fixed in events().filter_map(|e| e.fixed.as_deref()) {
        latest = match latest {
            None => Some(fixed),
            Some(known) => Some(later(Some(known), Some(fixed))?),
        };
    }
    let latest = latest?;
    let again = |introduced: &str| introduced != "0" && compare(latest, introduced).is_none_or(Ordering::is_lt);
    match Version::parse(latest).is_err() || events().filter_map(|e| e.introduced.as_deref()).any(again) {
        true => None,
        false => Some(latest),
    }
}

fn compare(one: &str, other: &str) -> Option<Ordering> {
    Some(Version::parse(one).ok()?.cmp_precedence(&Version::parse(other).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(affected: Value) -> Entry {
        let modified = "0001-01-01T00:00:00Z";
        let json = json!({"id": "GO-2025-0001", "modified": modified, "aliases": ["CVE-1"], "affected": affected});
        serde_json::from_value(json).unwrap()
    }

    fn fixed(ranges: Value) -> Option<String> {
        let entry = entry(json!([{"package": {"name": "m"}, "ranges": ranges}]));
        let index = index(&[entry], "2026-11-05T23:49:57Z").unwrap();
        let modules: Value = serde_json::from_slice(&index.modules).unwrap();
        modules[0]["vulns"][0]["fixed"].as_str().map(str::to_owned)
    }

    fn semver(events: Value) -> Value {
        json!([{"type": "SEMVER", "events": events}])
    }

    #[test]
    fn the_fix_is_the_highest_that_nothing_reopens() {
        // The examples of the database's documentation: fixed in 1.5.0, back in 2.0.0, fixed again in 2.4.0.
        let again = json!([{"introduced": "0"}, {"fixed": "1.5.0"}, {"introduced": "2.0.0"}, {"fixed": "2.4.0"}]);
        assert_eq!(fixed(semver(again)).as_deref(), Some("2.4.0"));
        assert_eq!(fixed(semver(json!([{"introduced": "0"}, {"fixed": "1.5.0"}, {"introduced": "2.0.0"}]))), None);
        assert_eq!(fixed(semver(json!([{"introduced": "0"}]))), None);
        assert_eq!(fixed(semver(json!([{"fixed": "1.10.0"}, {"fixed": "1.9.0"}]))).as_deref(), Some("1.10.0"));
        assert_eq!(fixed(json!([])), None);
    }

    #[test]
    fn what_cannot_be_compared_has_no_fix() {
        assert_eq!(fixed(semver(json!([{"introduced": "0"}, {"fixed": "soon"}]))), None);
        assert_eq!(fixed(semver(json!([{"fixed": "1.0.0"}, {"fixed": "soon"}]))), None);
        assert_eq!(fixed(semver(json!([{"introduced": "later"}, {"fixed": "1.0.0"}]))), None);
        assert_eq!(fixed(json!([{"type": "ECOSYSTEM", "events": [{"fixed": "1.0.0"}]}])), None);
    }

    #[test]
    fn a_module_named_twice_keeps_the_later_fix_or_none() {
        let range = |fix: &str| semver(json!([{"introduced": "0"}, {"fixed": fix}]));
        let row = |other: Value| {
            let entry = entry(
                json!([{"package": {"name": "m"}, "ranges": range("1.2.0")}, {"package": {"name": "m"}, "ranges": other}]),
            );
            serde_json::from_slice::<Value>(&index(&[entry], "").unwrap().modules).unwrap()[0]["vulns"].clone()
        };
        assert_eq!(row(range("1.3.0"))[0]["fixed"], "1.3.0");
        assert_eq!(row(json!([]))[0]["fixed"], Value::Null);
        assert_eq!(row(json!([])).as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn rows_are_sorted_and_carry_aliases_and_the_time_of_the_database() {
        let entries: Vec<Entry> = ["GO-2", "GO-1"]
            .iter()
            .map(|id| Entry { id: (*id).into(), ..entry(json!([{"package": {"name": "m"}}])) })
            .collect();
        let index = index(&entries, "2026-11-05T23:49:57Z").unwrap();
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!(read(&index.db), json!({"modified": "2026-11-05T23:49:57Z"}));
        assert_eq!(
            read(&index.vulns)[0],
            json!({"id": "GO-1", "modified": "0001-01-01T00:00:00Z", "aliases": ["CVE-1"]})
        );
        assert_eq!(read(&index.modules)[0]["vulns"][1]["id"], "GO-2");
    }
}
