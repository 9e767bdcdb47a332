//! One image for one platform, put together from a base, files and a program.
//!
//! Takes [`Parts`], gives a [`BuiltPlatform`] whose blobs are in the store. Layers, lowest first: base, system files,
//! static files, program; so a changed program touches one layer. Starts no process and opens no socket.

use std::path::Path;

use super::base::Base;
use super::{BuiltPlatform, files, image};
use crate::error::Result;
use crate::oci::Platform;
use crate::oci::layer::{self, Tree};
use crate::oci::store::Store;
use crate::plan::{ImagePlan, Plan};

/// What an image for one platform is made of.
pub(super) struct Parts<'a> {
    /// The release.
    pub plan: &'a Plan,
    /// The image.
    pub image: &'a ImagePlan,
    /// The platform.
    pub platform: &'a Platform,
    /// The folder that static files are taken from.
    pub module: &'a Path,
    /// The program on disk.
    pub program: &'a Path,
    /// What it stands on.
    pub base: &'a Base,
}

/// Puts an image together. `cache` remembers layers by their content.
pub(super) fn assemble(parts: &Parts<'_>, store: &Store, cache: &Path) -> Result<BuiltPlatform> {
    let Parts { plan, image, platform, module, program, base } = *parts;
    let mut own = Tree::default();
    let program_digest = own.disk(&image.program, 0o755, program)?;
    let trees = [
        ("system files", files::system(image, base)?),
        ("static files", files::fixed(image, module)?),
        ("program", own),
    ];
    let mut layers = Vec::new();
    for (what, tree) in trees.into_iter().filter(|(_, tree)| !tree.is_empty()) {
        layers.push((what, layer::make(&tree, plan.source.epoch, image.compression, store, cache)?));
    }
    let (config, manifest) = image::manifest(plan, image, platform, base, &layers)?;
    store.put(&config)?;
    store.put(&manifest)?;
    let own = layers.into_iter().map(|(_, layer)| layer.descriptor);
    Ok(BuiltPlatform {
        platform: platform.clone(),
        manifest: manifest.descriptor,
        config: config.descriptor,
        layers: base.layers.iter().cloned().chain(own).collect(),
        program: program.to_owned(),
        program_digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::document;
    use crate::config::Config;
    use crate::oci::Digest;
    use crate::oci::spec::{ImageConfig, parse};
    use crate::plan::{Overrides, SourceFacts};

    const TABLE: &str = r#"
[build]
platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
[images.gate]
package = "./cmd/gate"
repository = "gate"
description = "A gate"
ports = [8080]
args = ["--listen", ":8080"]
files = [{ from = "web", to = "/srv/web" }]
[publish]
registry = "registry.example.com/team"
[tools]
go = "1.27.4"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.9.0"
"#;

    /// An image whose program and files are these few bytes, and its folder.
    fn fixture(compression: &str) -> (tempfile::TempDir, Store, Digest, Vec<ImageConfig>) {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path();
        std::fs::create_dir_all(module.join("web/css")).unwrap();
        for (name, text) in [("program", "#!/bin/true\n"), ("web/index.html", "<p>hello</p>\n"), ("web/css/a.css", "")]
        {
            std::fs::write(module.join(name), text).unwrap();
        }
        let config = Config::parse(Path::new("release.toml"), TABLE).unwrap();
        let facts = SourceFacts {
            location: "here".into(),
            revision: Some("0123456789abcdef0123456789abcdef01234567".into()),
            epoch: 1_700_000_000,
            dirty: false,
        };
        let overrides = Overrides { compression: Some(compression.parse().unwrap()), ..Overrides::default() };
        let plan = Plan::new(&config, "1.2.0".parse().unwrap(), facts, &overrides).unwrap();
        let (image, store) = (plan.images.first().unwrap(), Store::new(module.join("store")));
        let (program, base, cache) = (module.join("program"), Base::default(), module.join("layers"));
        let make = |platform| {
            let parts = Parts { plan: &plan, image, platform, module, program: &program, base: &base };
            assemble(&parts, &store, &cache).unwrap()
        };
        let platforms: Vec<_> = plan.platforms.iter().map(make).collect();
        let index = image::index(image, &platforms).unwrap();
        let configs = platforms.iter().map(|p| parse("config", &document(&store, &p.config).unwrap().bytes).unwrap());
        let configs = configs.collect();
        (folder, store, index.descriptor.digest, configs)
    }

    #[test]
    fn the_golden_images_have_their_golden_digests() {
        // It changes only on purpose: with the compressor or the root certificates in Cargo.lock, or with what an image
        // says of itself. Then every release of every user gets new digests, and CHANGELOG.md says so.
        let default = "sha256:ee6138e0c018eeae203512a8ad5cf6cd76763fea258a723c4d511c9f6193de2f";
        let smaller = "sha256:f5250fde64f7277647bf25a4d88989cbe77c6f1b7330b408e776c1d0062a5a9a";
        assert_eq!(fixture("gzip").2.to_string(), default);
        assert_eq!(fixture("gzip:6").2.to_string(), smaller);
    }

    #[test]
    fn layers_are_what_another_archiver_writes() {
        let (.., configs) = fixture("gzip");
        let ids: Vec<_> = configs.first().unwrap().rootfs.diff_ids.iter().skip(1).map(ToString::to_string).collect();
        // Digests of what Python's tarfile writes (GNU_FORMAT, mtime 1700000000); for the program also of
        // `tar --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -b1 -c usr`.
        let files = "sha256:e5ff7f028022d3f2b5c39b72a67a2e60e7e4c8e7293f4bf9cb01c7ea5ef42556";
        let program = "sha256:e995c0bdbb3b26eb0703ee1df6ec2812ccb298f4e5bc21d839924e9a67f113be";
        assert_eq!(ids, [files, program]);
        assert!(
            configs.iter().all(|c| c.rootfs.diff_ids == configs[0].rootfs.diff_ids),
            "no file depends on the platform"
        );
    }

    #[test]
    fn compression_changes_blobs_but_no_content() {
        let ((.., gzip, one), (.., zstd, two)) = (fixture("gzip"), fixture("zstd"));
        assert_ne!(gzip, zstd);
        assert_eq!(one[0].rootfs.diff_ids, two[0].rootfs.diff_ids);
    }
}
