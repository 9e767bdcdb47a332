//! Build: an image plan becomes a verified OCI image index, its blobs in a store on disk.
//!
//! Takes a [`Plan`] and a prepared source, gives [`Built`]. Never publishes, and never writes into the source.

mod assemble;
mod base;
pub mod buildx;
mod files;
mod image;
pub mod native;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use base::OpenBase;

use crate::error::Result;
use crate::oci::layout::Layout;
use crate::oci::spec::{Descriptor, Document};
use crate::oci::store::Store;
use crate::oci::{Digest, Platform};
use crate::plan::{ImagePlan, Plan};
use crate::source::Prepared;
use crate::ui::Ui;

/// One way to make images.
pub trait Builder {
    /// Builds every image of the plan for every platform.
    fn build(&self, plan: &Plan, source: &Prepared, store: &Store, ui: &Ui) -> Result<Built>;
}

/// What a build gives; every blob named here is in the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Built {
    /// What was to be built.
    pub plan: Plan,
    /// In the order of the plan.
    pub images: Vec<BuiltImage>,
}

/// One image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuiltImage {
    /// Its plan.
    pub plan: ImagePlan,
    /// The index of its platforms.
    pub index: Descriptor,
    /// In the order of the plan.
    pub platforms: Vec<BuiltPlatform>,
}

impl BuiltImage {
    /// An image of these platforms, which are in the order of the plan; its index is written into the store.
    pub fn join(plan: &ImagePlan, platforms: Vec<BuiltPlatform>, store: &Store) -> Result<BuiltImage> {
        let index = image::index(plan, &platforms)?;
        store.put(&index)?;
        Ok(BuiltImage { plan: plan.clone(), index: index.descriptor, platforms })
    }
}

/// One image for one platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuiltPlatform {
    /// The platform.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The program on disk, as it is in the image.
    pub program: PathBuf,
    /// The program's digest.
    pub program_digest: Digest,
}

impl BuiltPlatform {
    /// The bytes a node pulls: config and layers.
    pub fn size(&self) -> u64 {
        self.config.size + self.layers.iter().map(|l| l.size).sum::<u64>()
    }
}

/// Reads a document of the store.
pub fn document(store: &Store, descriptor: &Descriptor) -> Result<Document> {
    Ok(Document { descriptor: descriptor.clone(), bytes: store.read(descriptor)? })
}

/// Makes an image a layout of its own below `folder`, for tools that read one; gives the layout's folder. Blobs are
/// linked, not copied.
pub fn export(image: &BuiltImage, store: &Store, folder: &Path) -> Result<PathBuf> {
    let root = folder.join(image.plan.repository.as_str());
    let layout = Layout::create(&root)?;
    for platform in &image.platforms {
        for blob in platform.layers.iter().chain([&platform.config]) {
            store.link_to(blob, layout.store())?;
        }
        layout.add_manifest(&document(store, &platform.manifest)?)?;
    }
    layout.add_manifest(&document(store, &image.index)?)?;
    Ok(root)
}
