//! The native builder: the go command and nothing else; no Docker, no root, no emulation.
//!
//! Takes a plan and a prepared source, gives images that are the same bytes on any machine, in any folder, on any day.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::assemble::{Parts, assemble};
use super::base::{self, OpenBase};
use super::{Builder, Built, BuiltImage, BuiltPlatform};
use crate::error::{Context, Error, Result};
use crate::go::Go;
use crate::oci::store::Store;
use crate::oci::{Digest, Platform};
use crate::plan::{ImagePlan, Plan, Workspace};
use crate::pool;
use crate::source::Prepared;
use crate::ui::Ui;

/// Compiler and linker live for a second: below this much memory, collecting garbage costs a sixth of their time and
/// frees nothing that is needed.
const COLLECTOR: [(&str, &str); 2] = [("GOGC", "off"), ("GOMEMLIMIT", "1GiB")];

/// Builds with the pinned Go toolchain.
pub struct Native<'a> {
    /// The go command.
    pub go: &'a Go,
    /// Where programs and notes are kept between runs.
    pub workspace: &'a Workspace,
    /// Where base images come from.
    pub open_base: &'a OpenBase<'a>,
}

/// One platform's share of every image.
type Share = Vec<BuiltPlatform>;

impl Builder for Native<'_> {
    fn build(&self, plan: &Plan, source: &Prepared, store: &Store, ui: &Ui) -> Result<Built> {
        let step = ui.step(format!("build {} images for {} platforms", plan.images.len(), plan.platforms.len()));
        let shares =
            pool::map(&plan.platforms, pool::cores(), |platform| self.platform(plan, platform, source, store, ui))?;
        let images = plan.images.iter().enumerate().map(|(at, image)| {
            BuiltImage::join(image, shares.iter().filter_map(|share| share.get(at).cloned()).collect(), store)
        });
        let images = images.collect::<Result<Vec<_>>>()?;
        step.done("");
        Ok(Built { plan: plan.clone(), images })
    }
}

impl Native<'_> {
    fn platform(&self, plan: &Plan, platform: &Platform, source: &Prepared, store: &Store, ui: &Ui) -> Result<Share> {
        let programs = self.compile(plan, platform, source, ui)?;
        let notes = self.workspace.cache.join("bases");
        let bases = base::fetch_all(plan, platform, self.open_base, store, &notes)?;
        let make = |image: &ImagePlan| {
            let program = programs
                .get(&image.name)
                .ok_or_else(|| Error::failed(format!("no program was built for image {}", image.name)))?;
            let base = bases.get(&image.base.to_string()).cloned().unwrap_or_default();
            let module = source.source.folder.as_path();
            let parts = Parts { plan, image, platform, module, program, base: &base };
            assemble(&parts, store, &self.workspace.cache.join("layers"))
        };
        pool::map(&plan.images, pool::cores(), make)
    }

    /// One `go build` for all programs of a platform. The go command leaves a program alone that is up to date, so the
    /// folder is kept; two packages that would give programs of one name are built in turn, each in a folder of its own.
    fn compile(
        &self,
        plan: &Plan,
        platform: &Platform,
        source: &Prepared,
        ui: &Ui,
    ) -> Result<BTreeMap<String, PathBuf>> {
        let module = Digest::of(source.source.folder.as_os_str().as_encoded_bytes());
        let kept = self.workspace.cache.join("programs").join(module.short()).join(platform.slug());
        let mut programs = BTreeMap::new();
        for (turn, packages) in turns(plan, &source.source.folder).into_iter().enumerate() {
            let out = kept.join(turn.to_string());
            std::fs::create_dir_all(&out).attempt(|| format!("create {}", out.display()))?;
            let names: Vec<_> = packages.values().map(String::as_str).collect();
            self.go_build(plan, platform, source, &out, &names, ui)?;
            for (program, package) in packages {
                let built = plan.images.iter().filter(|image| image.package.as_str() == package);
                programs.extend(built.map(|image| (image.name.clone(), out.join(&program))));
            }
        }
        match programs.values().find(|program| !program.is_file()) {
            Some(missing) => Err(Error::failed(format!("go build gave no program {}", missing.display()))
                .hint("is every package in release.toml a `package main`?")),
            None => Ok(programs),
        }
    }

    fn go_build(
        &self,
        plan: &Plan,
        platform: &Platform,
        source: &Prepared,
        out: &Path,
        packages: &[&str],
        ui: &Ui,
    ) -> Result<()> {
        let folder = &source.source.folder;
        let mut args = vec![
            "build".to_owned(),
            "-trimpath".into(),
            "-buildvcs=false".into(),
            format!("-ldflags={}", plan.ldflags),
        ];
        if !folder.join("vendor/modules.txt").is_file() {
            args.push("-mod=readonly".into());
        }
        args.extend(source.overlay.as_ref().map(|path| format!("-overlay={}", path.display())));
        args.extend((!plan.go_tags.is_empty()).then(|| format!("-tags={}", plan.go_tags.join(","))));
        // A trailing slash makes go take it for a folder even for a single package.
        args.extend(["-o".into(), format!("{}/", out.display())]);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(packages.iter().copied()).collect();
        let hint = format!("the compiler's own words are above; the module is in {}", folder.display());
        let build = self.go.run(folder, Some(platform), &args)?.hint(hint);
        COLLECTOR.into_iter().fold(build, |build, (name, value)| build.env(name, value)).read(ui).map(|_| ())
    }
}

/// Packages by the name of their program, in as few runs of the go command as names allow.
fn turns(plan: &Plan, module: &Path) -> Vec<BTreeMap<String, String>> {
    let packages: BTreeSet<_> = plan.images.iter().map(|image| image.package.as_str()).collect();
    let mut turns: Vec<BTreeMap<String, String>> = Vec::new();
    for package in packages {
        let program = program_name(package, module);
        match turns.iter_mut().find(|turn| !turn.contains_key(&program)) {
            Some(turn) => drop(turn.insert(program, package.to_owned())),
            None => turns.push(BTreeMap::from([(program, package.to_owned())])),
        }
    }
    turns
}

/// What the go command calls a package's program: the last element of its import path that is no major version
/// (`go help build`).
fn program_name(package: &str, module: &Path) -> String {
    let path = match package.strip_prefix("./") {
        Some(path) => path.to_owned(),
        None => module_path(module).unwrap_or_default(),
    };
    let major = |part: &str| part.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n > 1));
    let name = path.rsplit('/').find(|part| !major(part)).or_else(|| path.rsplit('/').next());
    name.unwrap_or_default().to_owned()
}

fn module_path(module: &Path) -> Option<String> {
    let text = std::fs::read_to_string(module.join("go.mod")).ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    Some(line.split("//").next()?.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_the_name_the_go_command_gives_it() {
        let module = tempfile::tempdir().unwrap();
        std::fs::write(module.path().join("go.mod"), "// comment\nmodule example.com/team/tool/v2 // why\n\ngo 1.25\n")
            .unwrap();
        for (package, name) in [
            ("./cmd/gate", "gate"),
            ("./samples/chat/server", "server"),
            ("./x/v2", "x"),
            ("./v1", "v1"),
            (".", "tool"),
        ] {
            assert_eq!(program_name(package, module.path()), name, "{package}");
        }
    }
}
