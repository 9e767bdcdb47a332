//! What would make a build with buildx fail, found before it starts.
//!
//! Takes the builder and a plan, gives every failure with its fix. Starts the builder instance; builds nothing.

use std::time::Duration;

use super::Buildx;
use super::dockerfile;
use super::instance::Instance;
use crate::error::{Error, Result};
use crate::oci::Platform;
use crate::plan::{Plan, Workspace};
use crate::ui::{Ui, size};

/// Space for the images of a release on this machine: layouts, blobs and programs.
const DISK: u64 = 1 << 30;
/// The largest Dockerfile read.
const DOCKERFILE_LIMIT: u64 = 1 << 20;
/// How long docker may take to describe itself.
const INFO_LIMIT: Duration = Duration::from_secs(20);

/// All failures.
pub(super) fn check(builder: &Buildx<'_>, plan: &Plan, ui: &Ui) -> Vec<Error> {
    let mut failures: Vec<Error> = disk(builder.workspace).err().into_iter().collect();
    let instance = Instance::find(&builder.program, builder.settings.instance.as_deref(), ui);
    let instance = instance.and_then(|instance| instance.check().map(|()| instance));
    let instance = instance.map_err(|error| failures.push(error)).ok();
    if let Some(instance) = &instance {
        failures.extend(exports(builder, instance, ui).err());
    }
    let lacks = instance.as_ref().map(|instance| instance.lacks(&plan.platforms)).unwrap_or_default();
    let name = instance.map(|instance| instance.name).unwrap_or_default();
    failures.extend(plan.images.iter().filter_map(|image| dockerfile(builder, &image.name, &lacks, &name).err()));
    failures
}

/// Whether there is space for what buildx sends back.
pub(super) fn disk(workspace: &Workspace) -> Result<()> {
    let there = workspace.cache.ancestors().find(|folder| folder.is_dir()).unwrap_or(&workspace.root);
    // A file system that doesn't say is no reason to stop.
    let Ok(stat) = rustix::fs::statvfs(there) else { return Ok(()) };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    match free < DISK {
        true => {
            Err(Error::failed(format!("{} has {} left, and images need {}", there.display(), size(free), size(DISK)))
                .hint("`docker buildx prune`, or remove target/xtask, which is only a cache"))
        }
        false => Ok(()),
    }
}

/// The `docker` driver writes OCI layouts only where Docker keeps its images in containerd.
fn exports(builder: &Buildx<'_>, instance: &Instance, ui: &Ui) -> Result<()> {
    if instance.driver != "docker" || builder.program.docker_keeps_oci_images(INFO_LIMIT, ui) {
        return Ok(());
    }
    Err(Error::failed(format!("the builder `{}` can't write OCI images: its driver is `docker`", instance.name)).hint(
        "`docker buildx create --name goverse --driver docker-container --bootstrap`, and instance = \"goverse\" in \
         release.toml's [build.buildx]; or turn on Docker's containerd image store",
    ))
}

/// Whether an image has a Dockerfile that this builder can build for every platform. One that only copies on the target
/// platform can be built for any.
fn dockerfile(builder: &Buildx<'_>, image: &str, lacks: &[Platform], instance: &str) -> Result<()> {
    let path = builder.dockerfiles().join(format!("Dockerfile.{image}"));
    let bytes = crate::fs::read_small(&path, DOCKERFILE_LIMIT).map_err(|error| {
        error.within(format!("image {image} has no Dockerfile")).hint(format!(
            "copy Dockerfile.gate of this repository to {} and change its entry point",
            path.strip_prefix(&builder.workspace.root).unwrap_or(&path).display()
        ))
    })?;
    let runs = dockerfile::runs_on_target(&String::from_utf8_lossy(&bytes));
    match (runs, lacks) {
        (Some(line), [_, ..]) => {
            let platforms = lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let what =
                format!("{}:{line}: RUN needs {platforms}, which the builder `{instance}` lacks", path.display());
            Err(Error::failed(what).hint(format!(
                "compile in a stage of --platform=$BUILDPLATFORM, or add a machine: `docker buildx create --append \
                 --name {instance} --platform {platforms} ENDPOINT`"
            )))
        }
        _ => Ok(()),
    }
}
