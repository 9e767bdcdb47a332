//! What every command has: where it is, what the table says, and what the environment says, read once.
//!
//! Never passed below the command line: stages take what they need and no more.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::options::{Global, What};
use crate::build::Built;
use crate::chart;
use crate::config::{self, ChartKey, Config, Destination, Repository, SourceSpec, Tools};
use crate::error::{Context as _, Error, Result};
use crate::gha::Runner;
use crate::go::Go;
use crate::oci::store::Store;
use crate::plan::{Plan, Workspace};
use crate::publish;
use crate::remote::{self, LayoutDestination, RegistryDestination, Remote};
use crate::source::{self, Source};
use crate::tools::{self, Mirror, Toolbox};
use crate::ui::Ui;

/// The state of a command.
pub struct Context {
    /// Where things are.
    pub workspace: Workspace,
    /// What a person sees.
    pub ui: Ui,
    /// The runner of GitHub Actions that this runs under.
    pub runner: Option<Runner>,
    here: PathBuf,
    config_file: Option<PathBuf>,
}

impl Context {
    pub(super) fn new(global: Global) -> Result<Context> {
        let here = std::env::current_dir().attempt(|| "find the current folder".into())?;
        // Cargo runs xtask in the caller's folder; the repository is the one that has release.toml.
        let root = here.ancestors().find(|folder| folder.join(config::FILE).is_file()).unwrap_or(&here).to_owned();
        let cache = root.join("target/xtask");
        // A user without a home keeps programs with everything else.
        let tools = tools::machine_cache().unwrap_or_else(|_| cache.join("tools"));
        let workspace = Workspace { cache, dist: root.join("dist"), tools, root };
        Ok(Context {
            workspace,
            ui: Ui::new(global.verbose),
            runner: Runner::detect(),
            here,
            config_file: global.config,
        })
    }

    pub(super) fn config(&self) -> Result<Config> {
        Config::load(&self.workspace.root, self.config_file.as_deref())
    }

    /// The release table's file.
    pub(super) fn table(&self) -> PathBuf {
        self.config_file.clone().unwrap_or_else(|| self.workspace.root.join(config::FILE))
    }

    pub(super) fn store(&self) -> Store {
        Store::new(self.workspace.cache.join("store"))
    }

    pub(super) fn go(&self, config: &Config) -> Result<Go> {
        Go::new(&config.tools.go, &self.ui)
    }

    /// The programs that are run beside cargo, go and git. `mirror` wins over the environment's.
    pub(super) fn toolbox<'a>(
        &self,
        pins: &'a Tools,
        go: &'a Go,
        mirror: Option<&Mirror>,
        offline: bool,
    ) -> Result<Toolbox<'a>> {
        let named = || std::env::var(tools::MIRROR).ok().filter(|text| !text.is_empty());
        let mirror = mirror.cloned().map_or_else(|| named().map(|text| text.parse()).transpose(), |m| Ok(Some(m)))?;
        Ok(Toolbox::new(pins, go, self.workspace.tools.clone(), mirror, offline))
    }

    /// Keeps other runs out of the caches until it is dropped; waits while another one has them.
    pub(super) fn lock(&self) -> Result<File> {
        let path = self.workspace.cache.join("lock");
        let attempt = || format!("lock {}", path.display());
        std::fs::create_dir_all(&self.workspace.cache).attempt(attempt)?;
        let file = File::create(&path).attempt(attempt)?;
        if file.try_lock().is_err() {
            self.ui.note("another run is using this repository's caches; waiting for it to end");
            file.lock().attempt(attempt)?;
        }
        Ok(file)
    }

    pub(super) fn source_spec(&self, config: &Config, what: &What) -> SourceSpec {
        self.spec(config, what.source.as_ref())
    }

    /// The source that is named, or else the table's.
    pub(super) fn spec(&self, config: &Config, named: Option<&SourceSpec>) -> SourceSpec {
        let default = || SourceSpec::Path(self.workspace.root.join(config.source.path.as_path()));
        named.cloned().unwrap_or_else(default)
    }

    pub(super) fn source(&self, config: &Config, what: &What) -> Result<Source> {
        source::resolve(&self.source_spec(config, what), &self.workspace, source_date_epoch()?, &self.ui)
    }

    /// Opens a destination; nothing is sent yet. A layer that one of `repositories` has need not be sent to another.
    pub(super) fn destination(
        &self,
        destination: &Destination,
        repositories: &[Repository],
    ) -> Result<Box<dyn publish::Destination>> {
        Ok(match destination {
            Destination::Layout(path) => Box::new(LayoutDestination::below(&self.workspace.root, path)),
            Destination::Registry(prefix) => Box::new(RegistryDestination::open(prefix, repositories, &self.ui)),
        })
    }

    /// Opens the repository of a base image.
    pub(super) fn base(&self, base: &config::Base) -> Result<(Box<dyn Remote>, crate::oci::Digest)> {
        let unpinned = || Error::usage(format!("base {base} has no digest"));
        Ok(match base {
            config::Base::Scratch => return Err(unpinned()),
            config::Base::Layout(path, digest) => (remote::layout::open(&self.workspace.root.join(path))?, *digest),
            config::Base::Registry(reference) => {
                (remote::registry::open(reference, &self.ui)?, reference.digest.ok_or_else(unpinned)?)
            }
        })
    }

    /// Remembers what was built, for `scan`.
    pub(super) fn save_built(&self, built: &Built) -> Result<()> {
        let json = serde_json::to_vec_pretty(built).attempt(|| "describe what was built".into())?;
        crate::fs::write(&self.built(), &json)
    }

    /// While programs are being replaced, nothing is what was last built.
    pub(super) fn forget_built(&self) -> Result<()> {
        match std::fs::remove_file(self.built()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).attempt(|| format!("remove {}", self.built().display()))
            }
            _ => Ok(()),
        }
    }

    /// What was last built.
    pub(super) fn last_built(&self) -> Result<Built> {
        let none = |e| Error::usage("nothing has been built yet").because(e).hint("cargo xtask build v1.2.0");
        let bytes = std::fs::read(self.built()).map_err(none)?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::failed(format!("{} is damaged", self.built().display())).because(e).hint("build again"))
    }

    fn built(&self) -> PathBuf {
        self.workspace.cache.join("built.json")
    }

    /// The finished release of a version.
    pub(super) fn bundle(&self, tag: &str) -> PathBuf {
        self.workspace.dist.join(tag)
    }

    /// The folders whose manifests are pinned, as a person who stands here would write them.
    pub(super) fn pin_folders(&self, config: &Config) -> Vec<PathBuf> {
        config.pin.paths.iter().map(|path| self.below(path.as_path())).collect()
    }

    /// Where a plan's chart is, as a person who stands here would write it; the repository itself where it has none.
    pub(super) fn chart_folder(&self, plan: &Plan) -> PathBuf {
        self.below(plan.chart.released().map_or(Path::new(""), |chart| &chart.folder))
    }

    /// Why there is no chart to release, where the table doesn't ask for one.
    pub(super) fn no_chart(&self, config: &Config) -> Option<String> {
        let ChartKey::IfThere(repository) = config.publish.chart.as_ref() else { return None };
        let file = config.chart_folder(repository.name()).join(chart::METADATA);
        (!self.workspace.root.join(&file).is_file()).then(|| format!("{} isn't there", file.display()))
    }

    fn below(&self, path: &Path) -> PathBuf {
        let path = self.workspace.root.join(path);
        path.strip_prefix(&self.here).map(Path::to_owned).unwrap_or(path)
    }

    /// `path` as a person in the repository would write it.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.workspace.root).unwrap_or(path).display().to_string()
    }
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org): seconds since 1970 in place of the commit's time.
pub(super) fn source_date_epoch() -> Result<Option<i64>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let epoch = text.to_str().and_then(|t| t.parse::<i64>().ok()).filter(|e| *e >= 0);
    epoch.map(Some).ok_or_else(|| Error::usage("SOURCE_DATE_EPOCH is not a number of seconds since 1970"))
}
