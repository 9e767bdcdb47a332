//! The named contexts of a build: generated code, system files and static files, laid out as the Dockerfiles copy them.
//!
//! Takes what the native builder makes its layers from, gives folders with the same content, modes and times. So both
//! builders put the same files into an image, whatever is on the machine that builds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::build::base::Base;
use crate::build::files;
use crate::error::{Context, Error, Result};
use crate::oci::Platform;
use crate::oci::layer::Tree;
use crate::plan::{ImagePlan, Plan};
use crate::source::Prepared;

/// The largest overlay read: it has a line a generated file.
const OVERLAY_LIMIT: u64 = 16 << 20;

/// Base images by platform, then by how they are written.
pub(super) type Bases = BTreeMap<Platform, BTreeMap<String, Base>>;

/// The folders, below one that is theirs alone.
#[derive(Clone, Debug)]
pub(super) struct Contexts {
    root: PathBuf,
}

impl Contexts {
    /// Lays everything out below `root`, replacing what was there.
    pub(super) fn lay_out(root: PathBuf, plan: &Plan, source: &Prepared, bases: &Bases) -> Result<Contexts> {
        let contexts = Contexts::at(root);
        match std::fs::remove_dir_all(&contexts.root) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
        .attempt(|| format!("remove {}", contexts.root.display()))?;
        let epoch = plan.source.epoch;
        generated(source)?.write_to(&contexts.generated(), epoch)?;
        for image in &plan.images {
            files::fixed(image, &source.source.folder)?.write_to(&contexts.files(image), epoch)?;
            for platform in &plan.platforms {
                let base = bases.get(platform).and_then(|bases| bases.get(&image.base.to_string()));
                let tree = files::system(image, &base.cloned().unwrap_or_default())?;
                tree.write_to(&contexts.system(image).join(platform.to_string()), epoch)?;
            }
        }
        Ok(contexts)
    }

    /// The folders below `root`, laid out or not.
    pub(super) fn at(root: PathBuf) -> Contexts {
        Contexts { root }
    }

    /// Generated code, by its place in the module.
    pub(super) fn generated(&self) -> PathBuf {
        self.root.join("generated")
    }

    /// Static files, by their place in the image.
    pub(super) fn files(&self, image: &ImagePlan) -> PathBuf {
        self.root.join(&image.name).join("files")
    }

    /// System files, by platform and then by their place in the image.
    pub(super) fn system(&self, image: &ImagePlan) -> PathBuf {
        self.root.join(&image.name).join("system")
    }
}

/// The document that `go build -overlay` takes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Overlay {
    replace: BTreeMap<PathBuf, PathBuf>,
}

/// Generated code at its places in the module.
fn generated(source: &Prepared) -> Result<Tree> {
    let mut tree = Tree::default();
    let Some(path) = &source.overlay else { return Ok(tree) };
    let attempt = || format!("read {}", path.display());
    let overlay: Overlay = serde_json::from_slice(&crate::fs::read_small(path, OVERLAY_LIMIT)?).attempt(attempt)?;
    for (place, from) in &overlay.replace {
        tree.disk(&below(place, &source.source.folder)?.parse()?, 0o644, from)?;
    }
    Ok(tree)
}

/// `place` as a path from the module's root, which starts with `/`.
fn below(place: &Path, module: &Path) -> Result<String> {
    let below = place.strip_prefix(module).ok().and_then(Path::to_str);
    let outside = || Error::failed(format!("generated code belongs to {}, outside the module", place.display()));
    below.map(|below| format!("/{below}")).ok_or_else(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_code_stays_in_the_module() {
        assert_eq!(below(Path::new("/m/proto/a.pb.go"), Path::new("/m")).unwrap(), "/proto/a.pb.go");
        assert!(below(Path::new("/other/a.pb.go"), Path::new("/m")).is_err());
    }
}
