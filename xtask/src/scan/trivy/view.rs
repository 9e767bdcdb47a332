//! A folder for one run of Trivy: nothing in it but what the run is about.
//!
//! Takes a layout, an ignore file and a VEX document, gives a folder that goes away with the run. In a folder of the
//! user's Trivy would read a `trivy.yaml`, a `.trivyignore` and a `trivy-secret.yaml`.

use std::path::Path;

use serde_json::json;

use crate::build::BuiltPlatform;
use crate::error::{Context, Result};
use crate::fs;

/// The layout's name in the folder.
pub(super) const LAYOUT: &str = "layout";
/// The ignore file's.
pub(super) const IGNORES: &str = ".trivyignore.yaml";
/// The VEX document's.
pub(super) const VEX: &str = "vex.json";
/// An SBOM's.
pub(super) const SBOM: &str = "sbom.json";
/// A folder for Trivy's modules, which may change what is found: none are taken from the user's.
pub(super) const MODULES: &str = "modules";

/// A temporary folder.
pub(super) struct View(tempfile::TempDir);

impl View {
    /// A folder with these two files, where they are.
    pub(super) fn new(ignores: Option<&[u8]>, vex: Option<&[u8]>) -> Result<View> {
        let attempt = || "create a temporary folder".to_owned();
        let view = View(tempfile::Builder::new().prefix("scan-").tempdir().attempt(attempt)?);
        std::fs::create_dir(view.path().join(MODULES)).attempt(attempt)?;
        for (name, bytes) in [(IGNORES, ignores), (VEX, vex)] {
            if let Some(bytes) = bytes {
                fs::write(&view.path().join(name), bytes)?;
            }
        }
        Ok(view)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Adds a layout of the one manifest of `image`: from a layout of several, releases of Trivy take the first,
    /// whatever `--platform` says.
    pub(super) fn add(&self, layout: &Path, image: &BuiltPlatform) -> Result<()> {
        let blobs = std::path::absolute(layout.join("blobs")).attempt(|| format!("find {}", layout.display()))?;
        let root = self.path().join(LAYOUT);
        let index = json!({"schemaVersion": 2, "manifests": [image.manifest]});
        fs::write(&root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        fs::write(&root.join("index.json"), index.to_string().as_bytes())?;
        std::os::unix::fs::symlink(&blobs, root.join("blobs")).attempt(|| format!("link to {}", blobs.display()))
    }
}
