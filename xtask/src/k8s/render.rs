//! Overlays and charts as a cluster gets them.
//!
//! Takes a folder of manifests, gives every overlay built by kustomize and every chart by helm with its default
//! values. Never reaches a cluster; kustomize may not leave the folder or run a plugin.

use std::path::{Path, PathBuf};
use std::time::Duration;

use xshell::{Shell, cmd};

use super::object::{Object, objects};
use crate::cmd::Run;
use crate::error::{Context, Error, Result};
use crate::pool;
use crate::ui::Ui;

/// The longest that rendering one target may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The programs that render and validate.
#[derive(Clone, Debug)]
pub struct Programs {
    /// kustomize
    pub kustomize: PathBuf,
    /// helm
    pub helm: PathBuf,
    /// kubectl-validate
    pub validate: PathBuf,
}

/// Something that can be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `production`, or `chart/goverse`
    pub name: String,
    /// Its folder, as seen from the repository's root.
    pub folder: PathBuf,
    /// Whether helm renders it.
    pub chart: bool,
}

/// What a target gave.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The target.
    pub target: Target,
    /// As it was printed.
    pub text: String,
    /// The same, read.
    pub objects: Vec<Object>,
}

/// Every overlay (`overlays/NAME`) and chart (`helm/NAME`) in `root/folder`, by name; `only` one of them where it is
/// said.
pub fn targets(root: &Path, folder: &Path, only: Option<&str>) -> Result<Vec<Target>> {
    let mut found = Vec::new();
    let kinds = [("overlays", "kustomization.yaml", ""), ("helm", "Chart.yaml", "chart/")];
    for (below, file, prefix) in kinds {
        for name in folders(&root.join(folder).join(below))? {
            let folder = folder.join(below).join(&name);
            if root.join(&folder).join(file).is_file() {
                found.push(Target { name: format!("{prefix}{name}"), folder, chart: file == "Chart.yaml" });
            }
        }
    }
    let all = found.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ");
    found.retain(|target| only.is_none_or(|only| only == target.name));
    match (found.is_empty(), only) {
        (false, _) => Ok(found),
        (true, Some(only)) => Err(Error::usage(format!("no overlay or chart is called {only}"))
            .hint(if all.is_empty() { "there are none".to_owned() } else { format!("there are {all}") })),
        (true, None) => Err(Error::usage(format!("{} has neither overlays/ nor helm/", folder.display()))
            .hint("set k8s.path in release.toml to the folder that has them")),
    }
}

fn folders(parent: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).attempt(|| format!("list {}", parent.display())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.attempt(|| format!("list {}", parent.display()))?;
        names.extend(entry.file_name().into_string().ok().filter(|_| entry.path().is_dir()));
    }
    names.sort();
    Ok(names)
}

/// Renders each of `targets`, in their order.
pub fn render(root: &Path, targets: &[Target], programs: &Programs, ui: &Ui) -> Result<Vec<Rendered>> {
    pool::map(targets, pool::cores(), |target| one(root, target, programs, ui))
}

fn one(root: &Path, target: &Target, programs: &Programs, ui: &Ui) -> Result<Rendered> {
    let shell = Shell::new().attempt(|| "find the current folder".into())?;
    shell.change_dir(root);
    let (folder, kustomize, helm) = (&target.folder, &programs.kustomize, &programs.helm);
    let command = match target.chart {
        true => {
            let name = folder.file_name().unwrap_or(folder.as_os_str());
            cmd!(shell, "{helm} template {name} {folder}")
        }
        false => cmd!(shell, "{kustomize} build {folder}"),
    };
    let bytes =
        Run::new(command).limit(LIMIT).read(ui).map_err(|e| e.within(format!("failed to render {}", target.name)))?;
    let text = String::from_utf8(bytes).attempt(|| format!("read what {} rendered", target.name))?;
    let objects = objects(&text).map_err(|e| e.within(format!("failed to read what {} rendered", target.name)))?;
    Ok(Rendered { target: target.clone(), text, objects })
}
