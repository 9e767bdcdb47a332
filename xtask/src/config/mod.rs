//! `release.toml`, the one table: what is built, from what, for which platforms, where it goes, and by which policy.
//!
//! Takes the file's text, gives a [`Config`] in which every value has been checked. An error has file, line and
//! column. Starts no process, opens no socket, and reads no file but the one it is given.

mod buildx;
mod chart;
mod k8s;
pub mod ldflags;
mod release;
mod scan;
mod tags;
mod tools;
mod trivy;
mod types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;

pub use buildx::{BuilderKind, Buildx, Cache, Secret, VariableName};
pub use chart::ChartKey;
pub use k8s::{Flow, K8s, Peer};
pub use release::Release;
pub use scan::{Day, FailOn, Ignore, ImageScan, Rules, Scan, Unknown};
pub use tags::{TagTemplate, TagTemplates, as_tag};
pub use tools::{Checksum, Machine, PinnedTool, Tools, hijacked};
pub use trivy::{DbSource, Trivy, When};
pub use types::{
    AbsPath, Base, Compression, Destination, GitSource, Package, Platforms, Port, Prefix, RelPath, Repository,
    Severity, SourceSpec, User,
};

use crate::error::{Error, Place, Result};
use crate::fs;

/// The file's name, at the root of the repository that carries xtask.
pub const FILE: &str = "release.toml";

/// The whole table. Every field and its default is described in docs/release-toml.md.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// What is released.
    #[serde(default)]
    pub source: Source,
    /// How images are built.
    #[serde(default)]
    pub build: Build,
    /// The images, by name.
    pub images: BTreeMap<Spanned<String>, Image>,
    /// Where they go.
    pub publish: Publish,
    /// What a version has to come with.
    #[serde(default)]
    pub release: Release,
    /// What may go out.
    #[serde(default)]
    pub scan: Scan,
    /// Which manifests are pinned.
    #[serde(default)]
    pub pin: Pin,
    /// What manifests are checked against.
    #[serde(default)]
    pub k8s: K8s,
    /// Pinned versions of the programs that are run.
    pub tools: Tools,
}

/// `[source]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Source {
    /// The Go module, a folder of this repository.
    pub path: RelPath,
    /// Folders of the module whose `.proto` files are compiled.
    pub protos: Vec<RelPath>,
    /// Folders of the module against which proto imports are resolved.
    pub proto_roots: Vec<RelPath>,
}

impl Default for Source {
    fn default() -> Source {
        Source { path: RelPath::here(), protos: vec![RelPath::here()], proto_roots: vec![RelPath::here()] }
    }
}

/// `[build]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Build {
    /// What is built for.
    pub platforms: Platforms,
    /// What the images stand on.
    pub base: Base,
    /// How layers are compressed.
    pub compression: Compression,
    /// Given to the Go linker; `{version}` is replaced.
    pub ldflags: String,
    /// Go build tags.
    pub go_tags: Vec<String>,
    /// Who runs in the container.
    pub user: User,
    /// The working directory in the container.
    pub working_dir: AbsPath,
    /// Labels on every image.
    pub labels: BTreeMap<String, String>,
    /// Who makes the images.
    pub builder: BuilderKind,
    /// What Docker buildx is told.
    pub buildx: Buildx,
}

impl Default for Build {
    fn default() -> Build {
        Build {
            platforms: Platforms::default(),
            base: Base::Scratch,
            compression: Compression::default(),
            ldflags: "-s -w -X main.version={version}".into(),
            go_tags: Vec::new(),
            user: User::default(),
            working_dir: AbsPath::root(),
            labels: BTreeMap::new(),
            builder: BuilderKind::default(),
            buildx: Buildx::default(),
        }
    }
}

/// `[images.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Image {
    /// The Go package of its program, `./cmd/gate`.
    pub package: Package,
    /// Its repository, below the destination.
    pub repository: Spanned<Repository>,
    /// What it is, for people: the label `org.opencontainers.image.title` is the repository's name.
    #[serde(default)]
    pub description: String,
    /// Static files.
    #[serde(default)]
    pub files: Vec<StaticFiles>,
    /// Default arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Ports it listens on.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Labels on this image, over those of `[build]`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A file or folder of the source and its place in the image.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StaticFiles {
    /// In the source.
    pub from: RelPath,
    /// In the image.
    pub to: AbsPath,
}

/// `[publish]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Publish {
    /// The registry and path under which the manifests name the images, `ghcr.io/xiaonanln`.
    pub registry: Prefix,
    /// Where a release goes when `--to` says nothing.
    #[serde(default)]
    pub to: Destination,
    /// Tags: the first is the version's own and never moves, the others float upwards.
    #[serde(default)]
    pub tags: TagTemplates,
    /// The repository of the release records.
    #[serde(default = "types::default_record")]
    pub record: Spanned<Repository>,
    /// The repository of the Helm chart.
    #[serde(default = "types::default_chart")]
    pub chart: Spanned<ChartKey>,
}

/// `[pin]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Pin {
    /// Folders whose YAML files are pinned.
    pub paths: Vec<RelPath>,
}

impl Default for Pin {
    fn default() -> Pin {
        Pin { paths: vec![RelPath::literal("k8s")] }
    }
}

impl Config {
    /// The folder of the chart called `name`, below the repository's root.
    pub fn chart_folder(&self, name: &str) -> PathBuf {
        self.k8s.path.as_path().join("helm").join(name)
    }

    /// Reads and checks `root/release.toml`, or `file` where one is named.
    pub fn load(root: &Path, file: Option<&Path>) -> Result<Config> {
        let path = file.map_or_else(|| root.join(FILE), PathBuf::from);
        let bytes = fs::read_small(&path, 1 << 20).map_err(|e| {
            e.reclass(crate::error::Class::Usage)
                .hint("run it in the repository that has release.toml, or name one with --config")
        })?;
        let shown = path.strip_prefix(root).unwrap_or(&path);
        let text = String::from_utf8(bytes)
            .map_err(|e| Error::usage(format!("{} is not UTF-8", shown.display())).because(e))?;
        Config::parse(shown, &text)
    }

    /// Checks `text`; `file` is for error messages.
    pub fn parse(file: &Path, text: &str) -> Result<Config> {
        let wrong = |e: toml::de::Error| {
            let place = Place::at(file, text, e.span().map_or(0, |s| s.start));
            Error::usage(e.message().to_owned()).at(place)
        };
        let mut config: Config = toml::from_str(text).map_err(wrong)?;
        let spans: scan::Spans = toml::from_str(text).map_err(wrong)?;
        config.scan.locate(&spans, file, text);
        config.check(&spans).map_err(|(offset, message)| Error::usage(message).at(Place::at(file, text, offset)))?;
        Ok(config)
    }

    /// What no single value shows: duplicates, and tables that must not be empty. An error is a byte offset and why.
    fn check(&self, spans: &scan::Spans) -> std::result::Result<(), (usize, String)> {
        if self.images.is_empty() {
            return Err((0, "no image is configured: add an [images.NAME] table".into()));
        }
        self.build.buildx.check(&self.images).map_err(|why| (0, why))?;
        let mut repositories = BTreeMap::from([(self.publish.record.as_ref().as_str(), "the release record")]);
        if let Some(chart) = self.publish.chart.as_ref().repository()
            && let Some(other) = repositories.insert(chart.as_str(), "the Helm chart")
        {
            return Err((self.publish.chart.span().start, format!("repository `{chart}` is already that of {other}")));
        }
        for (name, image) in &self.images {
            types::check_image_name(name.as_ref()).map_err(|why| (name.span().start, why))?;
            let repository = image.repository.as_ref().as_str();
            if let Some(other) = repositories.insert(repository, name.as_ref()) {
                return Err((
                    image.repository.span().start,
                    format!("repository `{repository}` is already that of {other}"),
                ));
            }
        }
        self.scan.check(spans, |name| self.images.keys().any(|image| image.as_ref() == name))
    }
}

#[cfg(test)]
mod tests;
