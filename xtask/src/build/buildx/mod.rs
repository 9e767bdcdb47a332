//! The buildx builder: the Dockerfiles in `docker/`, built by BuildKit on whatever machines a builder instance has.
//!
//! Takes what the native builder takes, gives the same [`Built`]: one `buildx bake` for all images and platforms writes
//! OCI layouts, which are imported with every digest checked. System, static and generated files come from the same
//! code as the native builder's, as named contexts. Never pushes, and never puts a secret on a command line.

mod agree;
mod bake;
mod contexts;
mod dockerfile;
#[cfg(test)]
mod fixture;
mod import;
mod instance;
mod preflight;
mod program;
mod program_file;

use std::path::PathBuf;
use std::time::Duration;

use self::bake::{Definition, Parts};
use self::contexts::{Bases, Contexts};
use super::base::{self, OpenBase};
use super::{Builder, Built};
use crate::config;
use crate::error::{Context, Error, Result};
use crate::go::{self, Go};
use crate::oci::store::Store;
use crate::plan::{Plan, Workspace};
use crate::pool;
use crate::source::Prepared;
use crate::ui::Ui;

pub use program::Program;

/// How long BuildKit may take for all images: a first build on a remote builder fetches everything.
const BUILD_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
/// What a person may have written for all images, without xtask.
const BAKE_FILE: &str = "docker-bake.hcl";

/// Builds with Docker buildx.
pub struct Buildx<'a> {
    /// The command.
    pub program: Program,
    /// `[build.buildx]`
    pub settings: &'a config::Buildx,
    /// The user's module proxy settings, for the go command in the build.
    pub go: &'a Go,
    /// Where results are kept between runs, and what paths are relative to.
    pub workspace: &'a Workspace,
    /// Where base images come from.
    pub open_base: &'a OpenBase<'a>,
}

impl Builder for Buildx<'_> {
    fn build(&self, plan: &Plan, source: &Prepared, store: &Store, ui: &Ui) -> Result<Built> {
        let folder = self.workspace.cache.join("buildx");
        let contexts = Contexts::lay_out(folder.join("contexts"), plan, source, &self.bases(plan, store)?)?;
        let layouts = folder.join("layouts");
        import::forget(&layouts)?;
        let go_settings: Vec<&str> = self.go.module_settings().map(|(name, _)| name).collect();
        let parts = Parts {
            plan,
            settings: self.settings,
            module: &source.source.folder,
            dockerfiles: &self.dockerfiles(),
            root: &self.workspace.root,
            contexts: &contexts,
            layouts: &layouts,
            go_settings: &go_settings,
        };
        self.bake(&parts, ui)?;
        let step = ui.step(format!("check {} images that buildx made", plan.images.len()));
        let programs = self.workspace.cache.join("programs/buildx");
        let images = pool::map(&plan.images, pool::cores(), |image| {
            import::import(&parts.layout(image), plan, image, store, &programs)
        })?;
        import::forget(&layouts)?;
        step.done("");
        Ok(Built { plan: plan.clone(), images })
    }
}

impl Buildx<'_> {
    /// Everything that would make a build fail later, each with its fix.
    pub fn preflight(&self, plan: &Plan, ui: &Ui) -> Vec<Error> {
        preflight::check(self, plan, ui)
    }

    fn dockerfiles(&self) -> PathBuf {
        self.workspace.root.join(self.settings.dockerfiles.as_path())
    }

    fn bases(&self, plan: &Plan, store: &Store) -> Result<Bases> {
        let notes = self.workspace.cache.join("bases");
        let fetch = |platform: &_| base::fetch_all(plan, platform, self.open_base, store, &notes);
        let fetched = pool::map(&plan.platforms, pool::cores(), fetch)?;
        Ok(plan.platforms.iter().cloned().zip(fetched).collect())
    }

    /// One invocation for everything, its progress shown as BuildKit shows it.
    fn bake(&self, parts: &Parts<'_>, ui: &Ui) -> Result<()> {
        let definition = self.workspace.cache.join("buildx/bake.json");
        let json = serde_json::to_vec_pretty(&Definition::new(parts));
        crate::fs::write(&definition, &json.attempt(|| "describe the build".into())?)?;
        std::fs::create_dir_all(parts.layouts).attempt(|| format!("create {}", parts.layouts.display()))?;
        let mut args = vec!["bake".to_owned()];
        let files = [parts.dockerfiles.join(BAKE_FILE), definition];
        args.extend(files.iter().filter(|file| file.is_file()).map(|file| format!("--file={}", file.display())));
        args.extend(self.settings.instance.iter().map(|name| format!("--builder={name}")));
        args.extend(parts.allowed());
        // BuildKit draws on a terminal and writes plain lines elsewhere, as this program does.
        args.push("--progress=auto".into());
        args.extend(parts.plan.images.iter().map(|image| image.name.clone()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut run = self.program.run_below(&self.workspace.root, &args)?.limit(BUILD_LIMIT);
        for name in go::MODULES {
            run = run.env_remove(name);
        }
        for (name, value) in self.go.module_settings() {
            run = run.env(name, value);
        }
        run.show(ui).map_err(|error| self.explain(error))
    }

    /// BuildKit's own words are above; what can be known from here is added.
    fn explain(&self, error: Error) -> Error {
        match preflight::disk(self.workspace) {
            Err(full) => full.because(error),
            Ok(()) => error.hint(format!(
                "BuildKit's own words are above. A builder without space is helped by `docker buildx prune{}`",
                self.settings.instance.as_ref().map(|name| format!(" --builder {name}")).unwrap_or_default()
            )),
        }
    }
}
