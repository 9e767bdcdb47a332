//! What a run will do, as data: computed once from the table, the source's facts and the command line, then only
//! carried out.
//!
//! Pure: reads no file, starts no process, opens no socket, knows no clock. `plan --json` prints it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::config::{
    AbsPath, Base, Compression, Config, Destination, Package, Port, Repository, Scan, StaticFiles, TagTemplate, Tools,
    User, as_tag,
};
use crate::error::{Error, Result};
use crate::oci::Platform;

/// The version of this document's shape.
pub const SCHEMA: u32 = 1;

/// What git, or the lack of it, says about the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// The folder or `URL@REV`, as the user would name it.
    pub location: String,
    /// The commit, when the source is under git and known without fetching.
    pub revision: Option<String>,
    /// Seconds since 1970 for every time in the images: `SOURCE_DATE_EPOCH`, else the commit's time, else 0.
    pub epoch: i64,
    /// Whether the files differ from the commit; also true when there is no commit to compare with.
    pub dirty: bool,
}

/// What the command line changes in the table.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--platform`, in place of the table's.
    pub platforms: Vec<Platform>,
    /// `--to`
    pub to: Option<Destination>,
    /// `--base`
    pub base: Option<Base>,
    /// `--compression`
    pub compression: Option<Compression>,
    /// `--image`, in place of all.
    pub images: Vec<String>,
    /// Why there is no chart, whatever the table says.
    pub no_chart: Option<String>,
}

/// The whole of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The version to release.
    pub version: Version,
    /// What is released.
    pub source: SourceFacts,
    /// The platforms of every image.
    pub platforms: Vec<Platform>,
    /// The images, in the order of their names.
    pub images: Vec<ImagePlan>,
    /// Given to the Go linker.
    pub ldflags: String,
    /// Go build tags.
    pub go_tags: Vec<String>,
    /// Where it goes.
    pub destination: Destination,
    /// The repository of the record.
    pub record: Repository,
    /// The version's own tag, then those that float.
    pub tags: Tags,
    /// The Helm chart.
    pub chart: ChartChoice,
    /// What may go out.
    pub scan: Scan,
    /// Versions of the programs that are run.
    pub tools: Tools,
}

/// The tags of a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tags {
    /// The immutable one.
    pub version: String,
    /// Its template, by which the versions in a registry are known.
    pub template: TagTemplate,
    /// Those that move to the highest stable version of their range; none for a pre-release.
    pub floating: Vec<FloatingTag>,
}

/// A tag that moves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FloatingTag {
    /// The tag.
    pub tag: String,
    /// Its template: versions that give the same tag are its range.
    pub template: TagTemplate,
}

/// The Helm chart of a release, or why it has none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChartChoice {
    /// It is released with the images.
    Release(ChartPlan),
    /// It is not, for this reason.
    Leave(String),
}

/// A chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartPlan {
    /// Its name, which Helm wants to be the last part of the repository.
    pub name: String,
    /// Its folder in this repository.
    pub folder: PathBuf,
    /// Below the destination.
    pub repository: Repository,
    /// The name for Helm, `ghcr.io/xiaonanln/charts/goverse`.
    pub reference: String,
    /// The version as a tag: Helm wants no `v`, and `_` for `+`.
    pub tag: String,
    /// What Helm calls its archive, `goverse-1.2.0.tgz`.
    pub file: String,
}

impl ChartChoice {
    /// The chart, where there is one.
    pub fn released(&self) -> Option<&ChartPlan> {
        match self {
            ChartChoice::Release(chart) => Some(chart),
            ChartChoice::Leave(_) => None,
        }
    }
}

/// One image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImagePlan {
    /// Its name in the table, and its program's name.
    pub name: String,
    /// Below the destination.
    pub repository: Repository,
    /// The name in the Kubernetes manifests, `ghcr.io/xiaonanln/goverse-node`.
    pub reference: String,
    /// The Go package.
    pub package: Package,
    /// Where the program is in the image.
    pub program: AbsPath,
    /// Static files.
    pub files: Vec<StaticFiles>,
    /// Default arguments.
    pub args: Vec<String>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Who runs it.
    pub user: User,
    /// Where it runs.
    pub working_dir: AbsPath,
    /// Labels, all of them: the configured ones and those of the release.
    pub labels: BTreeMap<String, String>,
    /// What it stands on.
    pub base: Base,
    /// How layers are compressed.
    pub compression: Compression,
}

impl Plan {
    /// Computes the plan for `version`.
    pub fn new(config: &Config, version: Version, source: SourceFacts, overrides: &Overrides) -> Result<Plan> {
        let destination = overrides.to.clone().unwrap_or_else(|| config.publish.to.clone());
        let platforms = match overrides.platforms.is_empty() {
            true => config.build.platforms.as_slice().to_vec(),
            false => distinct(&overrides.platforms),
        };
        let tags = tags(config, &version)?;
        let chart = chart(config, &version, &destination, overrides)?;
        let images = chosen(config, overrides)?
            .into_iter()
            .map(|(name, image)| image_plan(config, name, image, &version, &source, &destination, overrides))
            .collect::<Result<_>>()?;
        Ok(Plan {
            schema: SCHEMA,
            ldflags: config.build.ldflags.replace("{version}", &format!("v{version}")),
            go_tags: config.build.go_tags.clone(),
            version,
            source,
            platforms,
            images,
            destination,
            record: config.publish.record.as_ref().clone(),
            tags,
            chart,
            scan: config.scan.clone(),
            tools: config.tools.clone(),
        })
    }

    /// The repositories that a release writes to: those of the images, in their order, the chart's and the record's.
    pub fn repositories(&self) -> Vec<Repository> {
        let chart = self.chart.released().map(|chart| chart.repository.clone());
        self.images.iter().map(|image| image.repository.clone()).chain(chart).chain([self.record.clone()]).collect()
    }

    /// The epoch as RFC 3339, for `created` fields.
    pub fn created(&self) -> Result<String> {
        created(self.source.epoch)
    }
}

/// RFC 3339, UTC, whole seconds.
pub fn created(epoch: i64) -> Result<String> {
    let time = jiff::Timestamp::from_second(epoch)
        .map_err(|e| Error::usage(format!("SOURCE_DATE_EPOCH {epoch} is no time")).because(e))?;
    Ok(time.to_string())
}

fn distinct(platforms: &[Platform]) -> Vec<Platform> {
    let mut seen = Vec::new();
    for platform in platforms {
        if !seen.contains(platform) {
            seen.push(platform.clone());
        }
    }
    seen
}

fn chosen<'a>(config: &'a Config, overrides: &Overrides) -> Result<Vec<(&'a str, &'a crate::config::Image)>> {
    let all: Vec<_> = config.images.iter().map(|(name, image)| (name.as_ref().as_str(), image)).collect();
    if let Some(unknown) = overrides.images.iter().find(|wanted| all.iter().all(|(name, _)| name != wanted)) {
        let known = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        return Err(Error::usage(format!("no image is called `{unknown}`")).hint(format!("release.toml has {known}")));
    }
    let wanted = |name: &str| overrides.images.is_empty() || overrides.images.iter().any(|w| w == name);
    Ok(all.into_iter().filter(|(name, _)| wanted(name)).collect())
}

fn tags(config: &Config, version: &Version) -> Result<Tags> {
    let templates = &config.publish.tags;
    let tag = templates.version.tag(version);
    crate::oci::reference::check_tag(&tag).map_err(Error::usage)?;
    let floating = templates.floating.iter().map(|t| FloatingTag { tag: t.tag(version), template: t.clone() });
    // A pre-release is for those who ask for it by name.
    let floating = if version.pre.is_empty() { floating.collect() } else { Vec::new() };
    Ok(Tags { version: tag, template: templates.version.clone(), floating })
}

/// A chart names every image, so a release of some of them has none.
fn chart(config: &Config, version: &Version, destination: &Destination, overrides: &Overrides) -> Result<ChartChoice> {
    let Some(repository) = config.publish.chart.as_ref().repository() else {
        return Ok(ChartChoice::Leave("publish.chart in release.toml turns it off".into()));
    };
    if let Some(why) = &overrides.no_chart {
        return Ok(ChartChoice::Leave(why.clone()));
    }
    if chosen(config, overrides)?.len() < config.images.len() {
        return Ok(ChartChoice::Leave("it names images that --image leaves out".into()));
    }
    let tag = chart_tag(version);
    crate::oci::reference::check_tag(&tag).map_err(Error::usage)?;
    let name = repository.name().to_owned();
    Ok(ChartChoice::Release(ChartPlan {
        folder: config.chart_folder(&name),
        reference: named(config, destination, repository),
        repository: repository.clone(),
        file: chart_file(&name, version),
        name,
        tag,
    }))
}

/// A version as the tag of a chart (helm.sh, "Use OCI-based registries").
pub fn chart_tag(version: &Version) -> String {
    as_tag(&version.to_string())
}

/// What Helm calls the archive of a chart.
pub fn chart_file(name: &str, version: &Version) -> String {
    format!("{name}-{version}.tgz")
}

/// What `repository` is called by whoever pulls it: a folder of layouts holds what is going to the table's registry.
fn named(config: &Config, destination: &Destination, repository: &Repository) -> String {
    match destination {
        Destination::Registry(prefix) => prefix.join(repository),
        Destination::Layout(_) => config.publish.registry.join(repository),
    }
}

fn image_plan(
    config: &Config,
    name: &str,
    image: &crate::config::Image,
    version: &Version,
    source: &SourceFacts,
    destination: &Destination,
    overrides: &Overrides,
) -> Result<ImagePlan> {
    let build = &config.build;
    let repository = image.repository.as_ref().clone();
    let reference = named(config, destination, &repository);
    let base = overrides.base.clone().unwrap_or_else(|| build.base.clone());
    let mut labels = release_labels(image, &repository, version, source, &base)?;
    labels.extend(build.labels.clone());
    labels.extend(image.labels.clone());
    Ok(ImagePlan {
        name: name.to_owned(),
        repository,
        reference,
        package: image.package.clone(),
        program: format!("/usr/local/bin/{name}").parse()?,
        files: image.files.clone(),
        args: image.args.clone(),
        ports: image.ports.clone(),
        user: build.user.clone(),
        working_dir: build.working_dir.clone(),
        labels,
        base,
        compression: overrides.compression.unwrap_or(build.compression),
    })
}

/// The labels that say what this image is and where it comes from (OCI image spec, annotations.md).
fn release_labels(
    image: &crate::config::Image,
    repository: &Repository,
    version: &Version,
    source: &SourceFacts,
    base: &Base,
) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut put = |key: &str, value: String| labels.insert(format!("org.opencontainers.image.{key}"), value);
    put("title", repository.to_string());
    put("version", format!("v{version}"));
    put("created", created(source.epoch)?);
    if !image.description.is_empty() {
        put("description", image.description.clone());
    }
    if let Some(revision) = &source.revision {
        put("revision", revision.clone());
    }
    match base {
        Base::Scratch => {}
        Base::Registry(reference) => {
            put("base.name", crate::oci::Reference { digest: None, ..reference.clone() }.to_string());
            reference.digest.map(|d| put("base.digest", d.to_string()));
        }
        Base::Layout(path, digest) => {
            put("base.name", path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default());
            put("base.digest", digest.to_string());
        }
    }
    Ok(labels)
}

/// Reads a version as people write it, `v1.2.0` or `1.2.0` (semver 2.0).
pub fn version(text: &str) -> Result<Version> {
    text.strip_prefix('v').unwrap_or(text).parse().map_err(|e| {
        Error::usage(format!("`{text}` is not a version"))
            .because(e)
            .hint("write it as v1.2.0 or v2.0.0-rc.1 (semver 2.0)")
    })
}

/// Where a run keeps what it makes: everything but programs below one folder, so that removing it forgets all.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The repository that carries xtask.
    pub root: PathBuf,
    /// Caches and intermediate results, `target/xtask`.
    pub cache: PathBuf,
    /// Finished releases, `dist`.
    pub dist: PathBuf,
    /// Programs that are run, kept for every checkout on this machine.
    pub tools: PathBuf,
}
