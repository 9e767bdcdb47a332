use std::path::PathBuf;

use super::*;
use crate::build::{Built, BuiltImage, BuiltPlatform};
use crate::error::{Class, Error};
use crate::oci::layer::{self, Tree};
use crate::oci::spec::{
    Annotations, Document, Execution, ImageConfig, Manifest as ImageManifest, PlatformSpec, RootFs, media,
};
use crate::oci::store::Store;
use crate::plan::{ImagePlan, Workspace};
use crate::publish::fixture;
use crate::ui::Ui;

/// A machine: its store and its folders.
struct Machine {
    folder: tempfile::TempDir,
    store: Store,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        Machine { store: Store::new(folder.path().join("store")), folder }
    }

    fn workspace(&self) -> Workspace {
        let root = self.folder.path().to_owned();
        Workspace { cache: root.join("cache"), dist: root.join("dist"), tools: root.join("tools"), root }
    }

    /// Builds a plan's images from a few bytes a program.
    fn build(&self, plan: &Plan) -> Built {
        let image = |image: &ImagePlan| {
            let platforms = plan.platforms.iter().map(|platform| self.platform(image, platform)).collect();
            BuiltImage::join(image, platforms, &self.store).unwrap()
        };
        Built { plan: plan.clone(), images: plan.images.iter().map(image).collect() }
    }

    fn platform(&self, image: &ImagePlan, platform: &Platform) -> BuiltPlatform {
        let mut tree = Tree::default();
        tree.bytes(&image.program, 0o755, format!("{} for {platform}", image.name).into_bytes());
        let cache = self.folder.path().join("layers");
        let layer = layer::make(&tree, 1, image.compression, &self.store, &cache).unwrap();
        let PlatformSpec { architecture, os, variant } = platform.into();
        let config = ImageConfig {
            created: None,
            architecture,
            os,
            variant,
            config: Execution { labels: image.labels.clone(), ..Execution::default() },
            rootfs: RootFs { kind: "layers".into(), diff_ids: vec![layer.diff_id] },
            history: Vec::new(),
        };
        let config = Document::new(media::CONFIG, &config).unwrap();
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: media::MANIFEST.into(),
            artifact_type: None,
            config: config.descriptor.clone(),
            layers: vec![layer.descriptor.clone()],
            subject: None,
            annotations: Annotations::new(),
        };
        let manifest = Document::new(media::MANIFEST, &manifest).unwrap();
        self.store.put(&config).unwrap();
        self.store.put(&manifest).unwrap();
        BuiltPlatform {
            platform: platform.clone(),
            manifest: manifest.descriptor,
            config: config.descriptor,
            layers: vec![layer.descriptor],
            program: PathBuf::new(),
            program_digest: crate::oci::Digest::of(format!("{} for {platform}", image.name).as_bytes()),
        }
    }

    fn export(&self, plan: &Plan, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        export(&self.build(plan), &self.store, &folder).unwrap();
        folder
    }

    fn take(&self, folders: &[PathBuf], plan: &Plan) -> Result<Built> {
        import(&read(folders, plan)?, plan, &self.store, &self.workspace(), &Ui::silent())
    }
}

fn plan(platforms: &[&str]) -> Plan {
    let mut plan = fixture::plan("1.2.0").unwrap();
    plan.platforms = platforms.iter().map(|p| p.parse().unwrap()).collect();
    plan
}

/// A machine a platform, and their exports.
fn exports() -> (Vec<Machine>, Vec<PathBuf>) {
    ["linux/arm64", "linux/amd64"]
        .map(|platform| {
            let machine = Machine::new();
            let folder = machine.export(&plan(&[platform]), "share");
            (machine, folder)
        })
        .into_iter()
        .unzip()
}

const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

#[track_caller]
fn assert_refused(result: Result<Built>, class: Class, parts: &[&str]) {
    let error: Error = result.map(|_| ()).expect_err("it has to be refused");
    assert_eq!(error.class(), class, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "`{part}` is not in {error}");
    }
}

#[test]
fn what_two_machines_built_is_what_one_would_have_built() {
    let (_machines, shares) = exports();
    let alone = Machine::new().build(&plan(&BOTH));
    let here = Machine::new();
    let joined = here.take(&shares, &plan(&BOTH)).unwrap();
    for (joined, alone) in joined.images.iter().zip(&alone.images) {
        assert_eq!(joined.index, alone.index);
        for (joined, alone) in joined.platforms.iter().zip(&alone.platforms) {
            assert_eq!(joined.program_digest, alone.program_digest);
            let program = std::fs::read_to_string(&joined.program).unwrap();
            assert!(program.ends_with(&format!("for {}", joined.platform)), "{program}");
            assert!(joined.layers.iter().all(|layer| here.store.read(layer).is_ok()));
        }
    }
    assert_eq!(joined.images.len(), 2);
}

#[test]
fn one_export_may_hold_several_platforms_and_replaces_an_earlier_one() {
    let machine = Machine::new();
    machine.export(&plan(&["linux/riscv64"]), "share");
    let share = machine.export(&plan(&BOTH), "share");
    assert_eq!(Machine::new().take(&[share], &plan(&BOTH)).unwrap().images.len(), 2);
    let left: Vec<_> = std::fs::read_dir(machine.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".new-")), "{left:?}");
}

#[test]
fn a_folder_of_exports_stands_for_all_of_them() {
    let together = Machine::new();
    for (platform, name) in BOTH.iter().zip(["one", "two"]) {
        together.export(&plan(&[platform]), &format!("shares/{name}"));
    }
    let shares = together.folder.path().join("shares");
    assert_eq!(Machine::new().take(std::slice::from_ref(&shares), &plan(&BOTH)).unwrap().images.len(), 2);
    std::fs::remove_file(shares.join("two").join(FILE)).unwrap();
    assert_refused(Machine::new().take(&[shares], &plan(&BOTH)), Class::Preflight, &["linux/arm64 is in none"]);
}

#[test]
fn a_missing_a_doubled_and_a_foreign_platform_are_named_together() {
    let (_machines, shares) = exports();
    let arm = shares[0].clone();
    let wanted = plan(&["linux/amd64", "linux/riscv64"]);
    let expected = [
        "linux/amd64 is in none",
        "linux/riscv64 is in none",
        "--platform linux/riscv64 --export DIR",
        "linux/arm64 is there more than once",
        "linux/arm64 is no platform of this release",
    ];
    assert_refused(Machine::new().take(&[arm.clone(), arm], &wanted), Class::Preflight, &expected);
}

#[test]
fn every_way_in_which_a_share_was_made_differently_is_named() {
    let (_machines, shares) = exports();
    type Change = fn(&mut Plan);
    let change: [(&str, Change); 6] = [
        ("version is \"1.2.0\", here it is \"1.3.0\"", |p| p.version = "1.3.0".parse().unwrap()),
        ("source.revision is \"c0ffee\", here it is \"beef\"", |p| p.source.revision = Some("beef".into())),
        ("source.epoch is", |p| p.source.epoch = 7),
        ("ldflags is", |p| p.ldflags = "-w".into()),
        ("images.gate.compression is", |p| p.images[0].compression = "zstd".parse().unwrap()),
        ("tools.go is", |p| p.tools.go = "1.27.9".parse().unwrap()),
    ];
    let mut all = plan(&BOTH);
    for (message, change) in change {
        let mut changed = plan(&BOTH);
        change(&mut changed);
        change(&mut all);
        let expected = format!("{}: {message}", shares[0].display());
        assert_refused(Machine::new().take(&shares, &changed), Class::Preflight, &[&expected]);
    }
    assert_refused(Machine::new().take(&shares, &all), Class::Preflight, &change.map(|(message, _)| message));
}

#[test]
fn where_a_release_goes_is_no_part_of_its_images() {
    let (_machines, shares) = exports();
    let mut elsewhere = plan(&BOTH);
    elsewhere.destination = "registry.example.com/team".parse().unwrap();
    elsewhere.images[0].reference = "registry.example.com/team/goverse-gate".into();
    elsewhere.source.location = "/another/checkout".into();
    assert!(Machine::new().take(&shares, &elsewhere).is_ok());
}

#[test]
fn a_dirty_source_is_nobody_elses() {
    let mut dirty = plan(&BOTH);
    dirty.source.dirty = true;
    let share = Machine::new();
    let folder = share.export(&dirty, "share");
    assert_refused(Machine::new().take(&[folder], &dirty), Class::Preflight, &["its source differs from its commit"]);
}

#[test]
fn an_altered_a_shortened_and_a_missing_blob_are_found_even_where_the_store_has_them() {
    let (_machines, shares) = exports();
    let here = Machine::new();
    here.take(&shares, &plan(&BOTH)).unwrap();
    let blobs: Vec<_> = std::fs::read_dir(shares[0].join("blobs/sha256")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(blobs.len(), 6, "manifest, configuration and layer of two images");
    for blob in blobs {
        let whole = std::fs::read(&blob).unwrap();
        let mut altered = whole.clone();
        altered[whole.len() / 2] ^= 1;
        for content in [altered, whole[1..].to_vec()] {
            std::fs::write(&blob, content).unwrap();
            for machine in [&here, &Machine::new()] {
                let result = machine.take(&shares, &plan(&BOTH));
                assert_refused(result, Class::Verification, &[&shares[0].display().to_string(), "linux/arm64"]);
            }
        }
        std::fs::remove_file(&blob).unwrap();
        assert_refused(here.take(&shares, &plan(&BOTH)), Class::Verification, &["linux/arm64"]);
        std::fs::write(&blob, whole).unwrap();
    }
    assert!(here.take(&shares, &plan(&BOTH)).is_ok());
}

#[test]
fn a_manifest_that_lies_about_its_platform_is_found() {
    let (_machines, shares) = exports();
    let path = shares[0].join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"linux/arm64\": {", "\"linux/s390x\": {")).unwrap();
    let result = Machine::new().take(&shares, &plan(&["linux/amd64", "linux/s390x"]));
    assert_refused(result, Class::Verification, &["linux/s390x", "configuration is for linux/arm64"]);
}

#[test]
fn what_is_no_export_is_refused_and_left_alone() {
    let (_machines, shares) = exports();
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().to_owned();
    std::fs::write(none.join("thesis.txt"), "years of work").unwrap();
    let error = check(&none).unwrap_err();
    assert!(error.to_string().contains("neither empty nor an earlier export"), "{error}");
    assert!(check(&none.join("new")).is_ok());
    assert_refused(
        Machine::new().take(std::slice::from_ref(&none), &plan(&BOTH)),
        Class::Preflight,
        &[FILE, "fix: name a folder"],
    );
    for text in ["", "[]", "{\"schema\": 1}", "{\"schema\": 9}"] {
        std::fs::write(none.join(FILE), text).unwrap();
        let all = [shares[0].clone(), shares[1].clone(), none.clone()];
        assert_refused(Machine::new().take(&all, &plan(&BOTH)), Class::Preflight, &[FILE]);
    }
}
