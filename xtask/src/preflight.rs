//! Preflight: everything that would make a run fail later, found before anything is built, and listed at once.
//!
//! Takes a plan, its source and a destination; changes nothing. Each failure has its fix.

use std::path::{Path, PathBuf};

use crate::chart;
use crate::config::ldflags;
use crate::error::{Class, Error, Item, Result};
use crate::oci::Digest;
use crate::oci::spec::annotation;
use crate::pin::{self, Target};
use crate::plan::{ImagePlan, Plan};
use crate::pool;
use crate::publish::Destination;
use crate::source::Source;

/// How many repositories are asked about at the same time.
const REPOSITORIES: usize = 8;
/// How many changed files are named before the rest is counted.
const SHOWN_FILES: usize = 5;

/// Collects failures.
#[derive(Debug, Default)]
pub struct Failures(Vec<Item>);

impl Failures {
    /// Adds one.
    pub fn add(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Item { what: what.into(), fix: Some(fix.into()) });
    }

    /// The value of what was tried, or its failure added.
    pub fn keep<T>(&mut self, tried: Result<T>) -> Option<T> {
        tried.map_err(|err| self.0.extend(err.into_items())).ok()
    }

    /// Adds those of other checks.
    pub fn extend(&mut self, others: Failures) {
        self.0.extend(others.0);
    }

    /// Stops the run when there are any; else gives what was kept.
    pub fn stop<T>(self, kept: Option<T>) -> Result<T> {
        let count = match self.0.len() {
            1 => "1 failure".to_owned(),
            n => format!("{n} failures"),
        };
        let stopped = Error::new(Class::Preflight, format!("{count} before anything was built"));
        kept.filter(|_| self.0.is_empty()).ok_or_else(|| stopped.items(self.0))
    }
}

/// Checks the source: committed, with every package and file that the plan names.
pub fn source(plan: &Plan, source: &Source, allow_dirty: bool, failures: &mut Failures) {
    if plan.source.dirty && !allow_dirty {
        let what = match plan.source.revision.is_some() {
            true => {
                format!("the source {} differs from its commit: {}", plan.source.location, listed(&source.dirty_files))
            }
            false => format!(
                "the source {} is under no version control, so nobody can tell what was released",
                plan.source.location
            ),
        };
        failures.add(what, "commit or stash the changes, or say --allow-dirty and have the record say so");
    }
    for image in &plan.images {
        let package = source.folder.join(image.package.as_str());
        if !package.is_dir() {
            failures.add(
                format!("image {}: the source has no package {}", image.name, image.package),
                format!("correct images.{}.package in release.toml, or name another --source", image.name),
            );
        }
        for files in &image.files {
            if !source.folder.join(files.from.as_path()).exists() {
                failures.add(
                    format!("image {}: the source has no {}", image.name, files.from),
                    format!("correct images.{}.files in release.toml", image.name),
                );
            }
        }
    }
}

/// Checks that programs and labels are going to carry the version; that its own tag does, the table makes sure of. What
/// they carry is checked once more after the build.
pub fn version(plan: &Plan, failures: &mut Failures) {
    let release = format!("v{}", plan.version);
    let stamps = ldflags::stamps(&plan.ldflags);
    if stamps.iter().all(|stamp| stamp.value != release) {
        let versions = stamps.iter().filter(|stamp| stamp.variable.to_lowercase().ends_with("version"));
        let said = versions.map(|stamp| format!("sets {} to {}", stamp.variable, stamp.value)).next();
        let said = said.unwrap_or_else(|| "sets no variable".into());
        failures.add(
            format!("build.ldflags {said}, so no program would say that it is {release}"),
            "write ldflags = \"-s -w -X main.version={version}\" under [build] in release.toml",
        );
    }
    for image in &plan.images {
        match image.labels.get(annotation::VERSION) {
            Some(label) if *label != release => failures.add(
                format!(
                    "image {}: its label {} is {label}, but the release is {release}",
                    image.name,
                    annotation::VERSION
                ),
                "take the label out of release.toml: it is set by itself",
            ),
            _ => {}
        }
    }
}

fn listed(files: &[String]) -> String {
    let mut text = files.iter().take(SHOWN_FILES).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = files.len().checked_sub(SHOWN_FILES).filter(|n| *n > 0) {
        text += &format!(" and {more} more");
    }
    text
}

/// Checks that the destination answers and may be written to, and that what is there can be read.
pub fn destination(plan: &Plan, destination: &dyn Destination, failures: &mut Failures) {
    let refused = destination.check();
    if !refused.is_empty() {
        failures.0.extend(refused.into_iter().flat_map(Error::into_items));
        return;
    }
    let chart = plan.chart.released().map(|chart| &chart.repository);
    let repositories: Vec<_> = plan.images.iter().map(|image| &image.repository).chain(chart).collect();
    let refused = pool::map(&repositories, REPOSITORIES, |repository| {
        let tags = destination.remote(repository).and_then(|remote| remote.tags());
        Ok(tags.err().map(|err| err.within(format!("{} can't be used", destination.describe()))))
    });
    for err in failures.keep(refused).into_iter().flatten().flatten() {
        failures.keep::<()>(Err(err));
    }
}

/// Checks that every image is in a manifest, that all manifests can be read, and that the chart in `chart_folder` can be
/// packed.
pub fn pins(plan: &Plan, folders: &[PathBuf], chart_folder: &Path, failures: &mut Failures) {
    // Which digest it will be doesn't matter here.
    let target = |image: &ImagePlan| Target {
        repository: image.repository.to_string(),
        reference: image.reference.clone(),
        tag: plan.tags.version.clone(),
        digest: Digest::of(b""),
    };
    let targets: Vec<Target> = plan.images.iter().map(target).collect();
    let Some(pins) = failures.keep(pin::plan(folders, &targets)) else { return };
    if let Some(planned) = plan.chart.released() {
        failures.keep(chart::read(planned, chart_folder, &pins, &plan.version));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::plan::{Overrides, SourceFacts};

    /// What is said about the version of a release by this table.
    fn about_the_version(build: &str, tags: &str, version_text: &str) -> Vec<String> {
        let table = format!(
            "[build]\n{build}\n[images.gate]\npackage = \"./cmd/gate\"\nrepository = \"gate\"\n\
            [publish]\nregistry = \"registry.example/team\"\n{tags}\n[tools]\ngo = \"1.27.4\"\n\
            protoc-gen-go = \"1.36.11\"\nprotoc-gen-go-grpc = \"1.5.1\"\ngovulncheck = \"1.9.0\"\n"
        );
        let config = Config::parse(Path::new("release.toml"), &table).unwrap();
        let source = SourceFacts { location: ".".into(), revision: None, epoch: 0, dirty: false };
        let plan = Plan::new(&config, version_text.parse().unwrap(), source, &Overrides::default()).unwrap();
        let mut failures = Failures::default();
        version(&plan, &mut failures);
        failures.0.into_iter().map(|item| format!("{}; {}", item.what, item.fix.unwrap_or_default())).collect()
    }

    #[test]
    fn a_table_that_stamps_the_version_is_fine_and_so_is_the_default() {
        for build in [
            "",
            "ldflags = \"-s -w -X main.version={version}\"",
            "ldflags = \"-X example.com/app/version.Current={version} -X main.other=1\"",
            "labels = { \"org.opencontainers.image.version\" = \"v1.2.0\" }",
        ] {
            assert_eq!(about_the_version(build, "", "1.2.0"), Vec::<String>::new(), "{build}");
        }
        assert_eq!(about_the_version("", "tags = [\"{version}\"]", "1.2.0-rc.1+7"), Vec::<String>::new());
    }

    #[test]
    fn linker_flags_without_the_version_are_refused_with_the_fix() {
        for (ldflags, said) in [
            ("-s -w", "sets no variable"),
            ("-s -w -X main.version=v1.1.0", "sets main.version to v1.1.0"),
            ("-X main.version=1.2.0", "sets main.version to 1.2.0"),
        ] {
            let failures = about_the_version(&format!("ldflags = \"{ldflags}\""), "", "1.2.0");
            let [failure] = failures.as_slice() else { panic!("{failures:?}") };
            assert!(failure.contains(said) && failure.contains("v1.2.0"), "{failure}");
            assert!(failure.contains("-X main.version={version}"), "{failure}");
        }
    }

    #[test]
    fn a_label_of_another_version_is_refused_and_both_are_named() {
        let label = "labels = { \"org.opencontainers.image.version\" = \"v1.1.0\" }";
        let failures = about_the_version(label, "", "1.2.0");
        assert!(
            failures.len() == 1 && failures[0].contains("v1.1.0") && failures[0].contains("v1.2.0"),
            "{failures:?}"
        );
    }
}
