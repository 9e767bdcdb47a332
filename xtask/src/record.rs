//! The record of a release, `release.json`: what was released, from what, with what, under which digests and tags.
//!
//! Plain data with a version: takes its parts or its JSON, gives its JSON. The same release gives the same bytes, but
//! for what the scan says. Opens no socket; [`crate::publish::commit`] publishes it and reads it back.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::config::{Repository, Tools};
use crate::error::{Context, Error, Result};
use crate::oci::spec::{Descriptor, parse};
use crate::oci::{Digest, Platform};
use crate::pin::Target;
use crate::plan::{self, SourceFacts, Tags};
use crate::scan::{Database, Report, Severity};

/// The newest shape this program reads, and the one it writes.
pub const SCHEMA: u32 = 1;
/// The artifact type and the document's media type.
pub const MEDIA_TYPE: &str = "application/vnd.goverse.release.v1+json";
/// The document's file name.
pub const FILE: &str = "release.json";
/// The list of checksums that stands beside it in a bundle, in the format of `sha256sum`.
pub const SUMS: &str = "SHA256SUMS";

/// A release. Fields that a newer writer of the same schema added are ignored on reading.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The version, without `v`.
    pub version: Version,
    /// The source's time, RFC 3339; never the time of the run.
    pub created: String,
    /// What was released.
    pub source: SourceFacts,
    /// Program → version, of everything that made the images.
    pub toolchain: BTreeMap<String, String>,
    /// Where it was published, for people.
    pub destination: String,
    /// The version's tag and those that float.
    pub tags: Tags,
    /// In the order of their names.
    pub images: Vec<ReleasedImage>,
    /// The Helm chart; absent in records of early releases, and where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<ReleasedChart>,
    /// What the scan found.
    pub scan: ScanSummary,
}

/// A Helm chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedChart {
    /// Below the destination; its last part is the chart's name.
    pub repository: Repository,
    /// `ghcr.io/owner/charts/goverse`: what Helm calls it, behind `oci://`.
    pub reference: String,
    /// Its tag, which is the version as Helm wants it.
    pub tag: String,
    /// Its manifest.
    #[serde(flatten)]
    pub manifest: Descriptor,
    /// Its metadata.
    pub config: Descriptor,
    /// Its archive.
    pub archive: Descriptor,
}

/// One image, down to the last blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedImage {
    /// Its name in the table.
    pub name: String,
    /// Below the destination.
    pub repository: Repository,
    /// `ghcr.io/owner/goverse-node@sha256:…`: what manifests are pinned to.
    pub reference: String,
    /// The index of its platforms.
    pub index: Descriptor,
    /// What is attached to the index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attached>,
    /// In the order of the plan.
    pub platforms: Vec<ReleasedPlatform>,
}

/// What makes an image the same image in two releases of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Its name in the table.
    pub name: &'a str,
    /// Below the destination.
    pub repository: &'a Repository,
    /// Its index.
    pub index: Digest,
}

impl ReleasedImage {
    /// What makes it the same image.
    pub fn identity(&self) -> Identity<'_> {
        Identity { name: &self.name, repository: &self.repository, index: self.index.digest }
    }
}

/// One image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedPlatform {
    /// The platform.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// The bytes a node pulls: config and layers.
    pub size: u64,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Its SBOMs, one a format.
    pub sboms: Vec<Attached>,
    /// What else is attached to its manifest; nothing in records of early releases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attached>,
}

impl ReleasedPlatform {
    /// Everything that is attached to its manifest.
    pub fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.sboms.iter().chain(&self.attachments)
    }
}

/// One document that refers to a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// What it is: the artifact's type.
    pub format: String,
    /// The artifact manifest that refers to the image's.
    pub artifact: Descriptor,
    /// The document.
    pub document: Descriptor,
}

/// A scan in a few numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanSummary {
    /// Why nothing was scanned, when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Scanners that ran, with their versions.
    pub scanners: Vec<String>,
    /// Databases that were used.
    pub databases: Vec<Database>,
    /// How many vulnerabilities of each severity, each counted once however many images have it.
    pub findings: BTreeMap<Severity, usize>,
    /// Vulnerability → why the policy objects to it.
    pub violations: BTreeMap<String, String>,
}

impl ScanSummary {
    /// Sums up `report`.
    pub fn of(report: &Report) -> ScanSummary {
        let findings = || report.platforms.iter().flat_map(|p| &p.findings);
        let distinct: BTreeSet<_> = findings().map(|f| (f.severity, &f.id, &f.package, &f.version)).collect();
        let mut counts = BTreeMap::new();
        for (severity, ..) in distinct {
            *counts.entry(severity).or_default() += 1;
        }
        ScanSummary {
            skipped: report.skipped.clone(),
            scanners: report.scanners.clone(),
            databases: report.databases.clone(),
            findings: counts,
            violations: findings().filter_map(|f| Some((f.id.clone(), f.violation.clone()?))).collect(),
        }
    }
}

/// The pinned tools as the record lists them.
pub fn toolchain(tools: &Tools) -> BTreeMap<String, String> {
    let all = [
        ("go", &tools.go),
        ("protoc-gen-go", &tools.protoc_gen_go),
        ("protoc-gen-go-grpc", &tools.protoc_gen_go_grpc),
        ("govulncheck", &tools.govulncheck),
    ];
    all.into_iter().map(|(name, version)| (name.to_owned(), version.to_string())).collect()
}

impl Record {
    /// The document: indented, for people who open it, and ended by a newline.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).attempt(|| format!("serialise {FILE}"))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a document; `what` names it in errors. One of a newer schema is refused, not guessed at.
    pub fn parse(what: &str, bytes: &[u8]) -> Result<Record> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let Version { schema } = parse(what, bytes)?;
        if schema > SCHEMA {
            let message = format!("{what} has schema {schema}, newer than the {SCHEMA} this program knows");
            return Err(Error::failed(message).hint("use the xtask of a newer revision of this repository"));
        }
        parse(what, bytes)
    }

    /// The chart, and where a bundle has its archive, `charts/goverse-1.2.0.tgz`: named as Helm would.
    pub fn bundled_chart(&self) -> Option<(&ReleasedChart, String)> {
        let chart = self.chart.as_ref()?;
        Some((chart, format!("charts/{}", plan::chart_file(chart.repository.name(), &self.version))))
    }

    /// What manifests are to refer to.
    pub fn pins(&self) -> Vec<Target> {
        let target = |image: &ReleasedImage| Target {
            repository: image.repository.to_string(),
            reference: image.reference.split('@').next().unwrap_or_default().to_owned(),
            tag: self.tags.version.clone(),
            digest: image.index.digest,
        };
        self.images.iter().map(target).collect()
    }

    /// How this record's release differs from `version` made of `images` and `chart`, each a repository and a digest;
    /// nothing when it is the same release. SBOMs and scan results are no part of what a release is: they may become
    /// better while the images stay. A release without a chart contradicts none that has one.
    pub fn differences<'a>(
        &self,
        version: &Version,
        images: impl IntoIterator<Item = Identity<'a>>,
        chart: Option<(&Repository, Digest)>,
    ) -> Vec<String> {
        let key = |i: Identity<'_>| (i.name.to_owned(), (i.repository.to_string(), i.index));
        let recorded: BTreeMap<String, (String, Digest)> =
            self.images.iter().map(ReleasedImage::identity).map(key).collect();
        let wanted: BTreeMap<String, (String, Digest)> = images.into_iter().map(key).collect();
        let names: BTreeSet<&String> = recorded.keys().chain(wanted.keys()).collect();
        let shown = |side: Option<&(String, Digest)>| side.map_or("absent".into(), |(r, d)| format!("{r}@{d}"));
        let mut found: Vec<String> = names
            .into_iter()
            .filter(|name| recorded.get(*name) != wanted.get(*name))
            .map(|n| format!("image {n} is {} in the record, {} here", shown(recorded.get(n)), shown(wanted.get(n))))
            .collect();
        let recorded = self.chart.as_ref().map(|chart| (&chart.repository, chart.manifest.digest));
        if let (Some((theirs, was)), Some((ours, is))) = (recorded, chart)
            && recorded != chart
        {
            found.push(format!("the chart is {theirs}@{was} in the record, {ours}@{is} here"));
        }
        if self.version != *version {
            found.push(format!("the record is of version {}", self.version));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;
    use crate::publish::fixture;
    use crate::scan::{Finding, PlatformReport};

    #[test]
    fn what_is_written_is_read_and_more_fields_do_no_harm() -> Result<()> {
        let record = fixture::record("1.2.0")?;
        let bytes = record.to_json()?;
        assert_eq!(Record::parse("x", &bytes)?.to_json()?, bytes);
        let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        json["signedBy"] = "someone".into();
        json["images"][0]["mood"] = "good".into();
        assert_eq!(Record::parse("x", json.to_string().as_bytes())?.to_json()?, bytes);
        Ok(())
    }

    #[test]
    fn a_newer_schema_is_refused_whatever_else_it_holds() {
        let err = Record::parse("release.json", br#"{"schema": 2, "all": "new"}"#).unwrap_err().to_string();
        assert!(err.contains("schema 2") && err.contains("hint:"), "{err}");
        assert!(Record::parse("release.json", b"{}").is_err());
    }

    #[test]
    fn garbage_is_an_error_that_names_the_record_and_never_a_panic() -> Result<()> {
        let whole = fixture::record("1.2.0")?.to_json()?;
        let mut bad: Vec<Vec<u8>> = (0..whole.len() - 1).step_by(41).map(|end| whole[..end].to_vec()).collect();
        bad.extend([&b"\xff\xfe"[..], b"[]", b"null", br#"{"schema": -1}"#, br#"{"schema": "1"}"#].map(<[u8]>::to_vec));
        let text = String::from_utf8(whole).unwrap();
        bad.extend(
            ["sha256:", "1.2.0", "linux/amd64", "goverse-node"].map(|good| text.replace(good, "../").into_bytes()),
        );
        for bytes in bad {
            let error = Record::parse("the record r:v1", &bytes).unwrap_err();
            assert_eq!(error.class(), Class::Verification, "{error}");
            assert!(error.to_string().contains("the record r:v1"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn a_release_is_its_version_and_its_images_digests() -> Result<()> {
        let record = fixture::record("1.2.0")?;
        let mut images = record.images.clone();
        images[0].platforms[0].sboms.clear();
        assert_eq!(
            record.differences(&record.version, images.iter().map(ReleasedImage::identity), None),
            Vec::<String>::new()
        );
        images[0].index.digest = Digest::of(b"other");
        let found = record.differences(&Version::new(9, 0, 0), images[..1].iter().map(ReleasedImage::identity), None);
        assert_eq!(found.len(), 3, "an altered image, a missing one and the version: {found:?}");
        Ok(())
    }

    #[test]
    fn another_chart_is_another_release_and_none_contradicts_none() -> Result<()> {
        let record = fixture::record("1.2.0")?;
        let chart = record.chart.clone().unwrap();
        let images = || record.images.iter().map(ReleasedImage::identity);
        let same = Some((&chart.repository, chart.manifest.digest));
        let [other, elsewhere] = [Digest::of(b"other"), chart.manifest.digest];
        let moved = "charts/other".parse()?;
        for (wanted, count) in
            [(same, 0), (None, 0), (Some((&chart.repository, other)), 1), (Some((&moved, elsewhere)), 1)]
        {
            assert_eq!(record.differences(&record.version, images(), wanted).len(), count, "{wanted:?}");
        }
        let without = Record { chart: None, ..record.clone() };
        assert_eq!(without.differences(&record.version, images(), same).len(), 0);
        Ok(())
    }

    #[test]
    fn a_record_names_its_chart_and_one_of_before_there_were_charts_is_read() -> Result<()> {
        let record = fixture::record("1.2.0")?;
        let mut json: serde_json::Value = serde_json::from_slice(&record.to_json()?).unwrap();
        let chart = &json["chart"];
        assert_eq!((&chart["repository"], &chart["tag"]), (&"charts/goverse".into(), &"1.2.0".into()));
        assert_eq!(chart["digest"], record.chart.as_ref().unwrap().manifest.digest.to_string());
        json.as_object_mut().unwrap().shift_remove("chart");
        let old = Record::parse("x", json.to_string().as_bytes())?;
        assert_eq!(old.chart, None);
        assert!(!String::from_utf8(old.to_json()?).unwrap().contains("\"chart\""));
        Ok(())
    }

    #[test]
    fn a_vulnerability_in_two_images_counts_once() -> Result<()> {
        let finding = |id: &str, severity, violation: Option<&str>| Finding {
            kind: crate::scan::Kind::Vulnerability,
            id: id.into(),
            aliases: Vec::new(),
            scanner: "govulncheck".into(),
            severity,
            package: "stdlib".into(),
            version: "1.26.8".into(),
            fixed: None,
            reachable: None,
            summary: String::new(),
            fix: None,
            location: None,
            set_aside: None,
            violation: violation.map(Into::into),
        };
        let findings = vec![finding("GO-1", Severity::High, Some("reachable")), finding("GO-2", Severity::Low, None)];
        let platform = |image: &str| PlatformReport {
            image: image.into(),
            platform: "linux/amd64".parse().unwrap(),
            manifest: Digest::of(b""),
            findings: findings.clone(),
        };
        let report = Report { platforms: vec![platform("gate"), platform("node")], ..Report::default() };
        let summary = ScanSummary::of(&report);
        assert_eq!(summary.findings, BTreeMap::from([(Severity::High, 1), (Severity::Low, 1)]));
        assert_eq!(summary.violations, BTreeMap::from([("GO-1".into(), "reachable".into())]));
        Ok(())
    }
}
