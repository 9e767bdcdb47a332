//! Layouts as BuildKit writes them, and as it doesn't.

use super::*;
use crate::build::buildx::fixture;
use crate::oci::Digest;
use crate::oci::layer::{self, Tree};
use crate::oci::spec::{Annotations, media};

/// A layout on disk with an image of [`fixture::plan`], and somewhere to import it.
struct Lab {
    folder: tempfile::TempDir,
    plan: Plan,
}

impl Lab {
    fn new() -> Lab {
        Lab { folder: tempfile::tempdir().unwrap(), plan: fixture::plan() }
    }

    fn layout(&self) -> Layout {
        Layout::create(self.folder.path().join("layout")).unwrap()
    }

    /// One platform's manifest, in the layout.
    fn manifest(&self, architecture: &str) -> Descriptor {
        let layout = self.layout();
        let mut tree = Tree::default();
        let program = format!("program for {architecture}").into_bytes();
        tree.bytes(&"/usr/local/bin/gate".parse().unwrap(), 0o755, program);
        let cache = self.folder.path().join("cache");
        let layer = layer::make(&tree, 0, Default::default(), layout.store(), &cache).unwrap();
        let config = ImageConfig { architecture: architecture.into(), ..fixture::config() };
        let config = Document::new(media::CONFIG, &config).unwrap();
        layout.store().put(&config).unwrap();
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.into(),
            artifact_type: None,
            config: config.descriptor,
            layers: vec![layer.descriptor],
            subject: None,
            annotations: Annotations::new(),
        };
        let manifest = Document::new(media::MANIFEST, &manifest).unwrap();
        layout.store().put(&manifest).unwrap();
        let spec = PlatformSpec { architecture: architecture.into(), os: "linux".into(), variant: None };
        Descriptor { platform: Some(spec), ..manifest.descriptor }
    }

    fn index(&self, manifests: Vec<Descriptor>) -> Digest {
        let media_type = Some(media::INDEX.to_owned());
        let index = Index { schema_version: 2, media_type, manifests, annotations: Annotations::new() };
        let index = Document::new(media::INDEX, &index).unwrap();
        self.layout().add_manifest(&index).unwrap();
        index.descriptor.digest
    }

    fn store(&self) -> Store {
        Store::new(self.folder.path().join("store"))
    }

    fn import(&self) -> Result<BuiltImage> {
        let image = self.plan.images.first().unwrap();
        let programs = self.folder.path().join("programs");
        import(&self.folder.path().join("layout"), &self.plan, image, &self.store(), &programs)
    }
}

#[test]
fn an_index_is_kept_as_it_is_and_every_blob_is_in_the_store() {
    let lab = Lab::new();
    // BuildKit's order is not ours.
    let digest = lab.index(vec![lab.manifest("arm64"), lab.manifest("amd64")]);
    let built = lab.import().unwrap();
    assert_eq!(built.index.digest, digest);
    let platforms: Vec<String> = built.platforms.iter().map(|p| p.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    for platform in &built.platforms {
        let program = format!("program for {}", platform.platform.architecture());
        assert_eq!(std::fs::read_to_string(&platform.program).unwrap(), program);
        assert_eq!(platform.program_digest, Digest::of(program.as_bytes()));
        for blob in platform.layers.iter().chain([&platform.config, &platform.manifest]) {
            assert!(lab.store().has(&blob.digest, blob.size), "{}", blob.digest);
        }
    }
}

#[test]
fn a_single_platform_gets_an_index() {
    let mut lab = Lab::new();
    lab.plan.platforms.truncate(1);
    let manifest = lab.manifest("amd64");
    let document = lab.layout().manifest(&manifest.digest).unwrap().unwrap();
    lab.layout().add_manifest(&document).unwrap();
    let built = lab.import().unwrap();
    let index: Index = parse("index", &lab.store().read(&built.index).unwrap()).unwrap();
    assert_eq!(index.manifests.len(), 1);
    assert_eq!(index.manifests[0].digest, manifest.digest);
    assert_eq!(index.manifests[0].platform.as_ref().and_then(PlatformSpec::known), lab.plan.platforms.first().cloned());
}

#[test]
fn what_was_not_asked_for_is_refused() {
    let attestation = |mut entry: Descriptor| {
        let unknown = || "unknown".to_owned();
        entry.platform = Some(PlatformSpec { architecture: unknown(), os: unknown(), variant: None });
        entry
    };
    type Make = Box<dyn Fn(&Lab) -> Vec<Descriptor>>;
    let cases: [(Make, &str); 4] = [
        (Box::new(|lab| vec![lab.manifest("amd64")]), "nothing for linux/arm64"),
        (
            Box::new(|lab| vec![lab.manifest("amd64"), lab.manifest("arm64"), lab.manifest("arm64")]),
            "linux/arm64 twice",
        ),
        (
            Box::new(move |lab| vec![lab.manifest("amd64"), lab.manifest("arm64"), attestation(lab.manifest("amd64"))]),
            "attestations",
        ),
        (
            Box::new(|lab| {
                let (amd64, mut lie) = (lab.manifest("amd64"), lab.manifest("s390x"));
                lie.platform = lab.manifest("arm64").platform;
                vec![amd64, lie]
            }),
            "s390x",
        ),
    ];
    for (make, words) in cases {
        let lab = Lab::new();
        lab.index(make(&lab));
        let error = lab.import().unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn a_damaged_blob_is_found() {
    let lab = Lab::new();
    let manifests = vec![lab.manifest("amd64"), lab.manifest("arm64")];
    let layout = lab.layout();
    let document = layout.manifest(&manifests[1].digest).unwrap().unwrap();
    let manifest: Manifest = parse("manifest", &document.bytes).unwrap();
    lab.index(manifests);
    let blob = layout.store().path(&manifest.layers[0].digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let error = lab.import().unwrap_err();
    assert_eq!(error.class(), crate::error::Class::Verification, "{error}");
}
