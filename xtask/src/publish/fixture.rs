//! A small release for tests: two images, two platforms each, made in memory without a build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Destination, Published};
use crate::build::{Built, BuiltImage, BuiltPlatform};
use crate::chart::Packed;
use crate::chart::fixture::packed;
use crate::config::Config;
use crate::error::Result;
use crate::oci::spec::{
    Annotations, Descriptor, Document, Execution, ImageConfig, Index, Manifest, PlatformSpec, RootFs, media,
};
use crate::oci::store::Store;
use crate::oci::{Digest, Platform};
use crate::plan::{self, ImagePlan, Overrides, Plan, SourceFacts};
use crate::record::Record;
use crate::remote::LayoutDestination;
use crate::sbom::{Format, Sbom, Sboms};
use crate::scan::extract::Extract;
use crate::scan::{Database, PlatformReport, Report, Scanned};
use crate::ui::Ui;

const TABLE: &str = r#"
[build]
platforms = ["linux/amd64", "linux/arm64"]
[images.gate]
package = "./cmd/gate"
repository = "goverse-gate"
[images.node]
package = "./cmd/node"
repository = "goverse-node"
[publish]
registry = "ghcr.io/example"
[tools]
go = "1.27.3"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.1.4"
"#;

/// A place to release from and to.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) destination: LayoutDestination,
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("store"));
        let destination = LayoutDestination::below(folder.path(), Path::new("oci"));
        Place { folder, store, destination }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("oci")
    }

    /// Where a blob of a published repository is.
    pub(crate) fn blob(&self, repository: &str, digest: &Digest) -> PathBuf {
        Store::new(self.root().join(repository)).path(digest)
    }

    /// A build of `version` whose programs hold `content`.
    pub(crate) fn scanned(&self, version: &str, content: &str) -> Result<Scanned> {
        scanned(&self.store, &plan(version)?, content)
    }

    /// The same for one platform, for tests that make hundreds of releases.
    pub(crate) fn small(&self, version: &str, content: &str) -> Result<Scanned> {
        let mut plan = plan(version)?;
        plan.platforms.truncate(1);
        scanned(&self.store, &plan, content)
    }

    /// Publishes `version` and its record.
    pub(crate) fn release(&self, version: &str, content: &str) -> Result<(Published, Record)> {
        release(&self.scanned(version, content)?, &self.store, &self.destination)
    }

    /// Every file at the destination and its content, but for lock files.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        snapshot(&self.root())
    }
}

/// Packs a chart and publishes, then commits the record.
pub(crate) fn release(scanned: &Scanned, store: &Store, destination: &dyn Destination) -> Result<(Published, Record)> {
    release_packed(&packed(scanned, store)?, store, destination)
}

/// The same with a chart, or none, that is packed already.
pub(crate) fn release_packed(
    packed: &Packed<'_>,
    store: &Store,
    destination: &dyn Destination,
) -> Result<(Published, Record)> {
    let ui = Ui::silent();
    let published = super::publish(packed, store, destination, &ui)?;
    let record = super::commit(&published, packed.scanned().report(), store, destination, &ui)?;
    Ok((published, record))
}

/// The record of a release of `version`.
pub(crate) fn record(version: &str) -> Result<Record> {
    Ok(Place::new().release(version, "x")?.1)
}

pub(crate) fn snapshot(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files =
        walkdir::WalkDir::new(root).into_iter().filter_map(std::result::Result::ok).filter(|e| e.file_type().is_file());
    let kept = files.filter(|e| e.file_name() != ".lock");
    kept.map(|e| (e.path().strip_prefix(root).unwrap().to_owned(), std::fs::read(e.path()).unwrap())).collect()
}

pub(crate) fn plan(version: &str) -> Result<Plan> {
    let config = Config::parse(Path::new("release.toml"), TABLE)?;
    let source =
        SourceFacts { location: "sample".into(), revision: Some("c0ffee".into()), epoch: 1_700_000_000, dirty: false };
    Plan::new(&config, plan::version(version)?, source, &Overrides::default())
}

pub(crate) fn scanned(store: &Store, plan: &Plan, content: &str) -> Result<Scanned> {
    let images = plan.images.iter().map(|image| built(store, plan, image, content)).collect::<Result<Vec<_>>>()?;
    let built = Built { plan: plan.clone(), images };
    let sboms = sboms(&built);
    let programs = built.images.iter().flat_map(|i| &i.platforms).map(|p| p.program_digest);
    let extracts = programs.map(|program| (program, Extract::for_tests(program).pack().unwrap())).collect();
    let report = report(&built);
    Ok(Scanned::for_tests(built, sboms, report, extracts))
}

/// A report that found nothing.
fn report(built: &Built) -> Report {
    let platforms = built.images.iter().flat_map(|image| {
        image.platforms.iter().map(|platform| PlatformReport {
            image: image.plan.name.clone(),
            platform: platform.platform.clone(),
            manifest: platform.manifest.digest,
            findings: Vec::new(),
        })
    });
    let database = Database {
        name: "golang.org/x/vulndb".into(),
        version: "v0.0.0-20260101000000-aaaaaaaaaaaa".into(),
        updated: "2026-01-01T00:00:00Z".into(),
    };
    Report {
        scanners: vec!["govulncheck 1.9.0".into()],
        databases: vec![database],
        platforms: platforms.collect(),
        ..Report::default()
    }
}

pub(crate) fn sboms(built: &Built) -> Sboms {
    let mut documents = Vec::new();
    for image in &built.images {
        for platform in &image.platforms {
            for format in [Format::CycloneDx, Format::Spdx] {
                let bytes =
                    format!("{{\"about\":\"{}\",\"as\":\"{format:?}\"}}", platform.manifest.digest).into_bytes();
                let (image, manifest) = (image.plan.name.clone(), platform.manifest.digest);
                documents.push(Sbom { image, platform: platform.platform.clone(), manifest, format, bytes });
            }
        }
    }
    Sboms { documents }
}

fn put(store: &Store, kind: &str, bytes: &[u8]) -> Result<Descriptor> {
    let document = Document { descriptor: Descriptor::of(kind, bytes), bytes: bytes.to_vec() };
    store.put(&document)?;
    Ok(document.descriptor)
}

fn built(store: &Store, plan: &Plan, image: &ImagePlan, content: &str) -> Result<BuiltImage> {
    let platforms =
        plan.platforms.iter().map(|p| built_platform(store, image, p, content)).collect::<Result<Vec<_>>>()?;
    let index = index(platforms.iter().map(|p| (&p.platform, &p.manifest)))?;
    store.put(&index)?;
    Ok(BuiltImage { plan: image.clone(), index: index.descriptor, platforms })
}

/// An index of these manifests.
pub(crate) fn index<'a>(entries: impl Iterator<Item = (&'a Platform, &'a Descriptor)>) -> Result<Document> {
    let entry = |(platform, manifest): (&Platform, &Descriptor)| Descriptor {
        platform: Some(platform.into()),
        ..manifest.clone()
    };
    let manifests = entries.map(entry).collect();
    Document::new(
        media::INDEX,
        &Index { schema_version: 2, media_type: Some(media::INDEX.into()), manifests, annotations: Annotations::new() },
    )
}

fn built_platform(store: &Store, image: &ImagePlan, platform: &Platform, content: &str) -> Result<BuiltPlatform> {
    let base = b"files that every platform has".to_vec();
    let program = format!("{} for {platform}: {content}", image.name).into_bytes();
    let layers = [&base, &program].into_iter().map(|l| put(store, media::LAYER_GZIP, l)).collect::<Result<Vec<_>>>()?;
    let PlatformSpec { architecture, os, variant } = platform.into();
    let config = ImageConfig {
        created: None,
        architecture,
        os,
        variant,
        config: Execution { labels: image.labels.clone(), ..Execution::default() },
        rootfs: RootFs { kind: "layers".into(), diff_ids: layers.iter().map(|l| l.digest).collect() },
        history: Vec::new(),
    };
    let config = put(store, media::CONFIG, &Document::new(media::CONFIG, &config)?.bytes)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.into(),
        artifact_type: None,
        config: config.clone(),
        layers: layers.clone(),
        subject: None,
        annotations: Annotations::new(),
    };
    let manifest = Document::new(media::MANIFEST, &manifest)?;
    store.put(&manifest)?;
    let program_digest = Digest::of(&program);
    Ok(BuiltPlatform {
        platform: platform.clone(),
        manifest: manifest.descriptor,
        config,
        layers,
        program: PathBuf::new(),
        program_digest,
    })
}
