use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use super::*;
use crate::error::Class;
use crate::oci::layer::unpack;
use crate::oci::spec::Manifest;
use crate::publish::fixture::{self, Place as Released};

const METADATA_TEXT: &str = "# Ours.\napiVersion: v2\nname: goverse\nversion: 0.1.0 # set by a release\ntype: application\n\
    home: https://example.com\nsources: [https://example.com/git, https://example.com/mirror]\n\
    description: All of it\nmaintainers: [{name: A, email: a@example.com}, {name: B}]\nannotations: {a: b}\n";
const VALUES_TEXT: &str =
    "# Images.\nnode: {image: 'ghcr.io/example/goverse-node:v0'}\ngate:\n  image: goverse-gate # pinned\n";

/// Name, mode and text of a file in an archive.
type InArchive = (String, u32, String);

/// A repository's folder of manifests, with a chart in it.
struct Manifests {
    folder: tempfile::TempDir,
}

impl Manifests {
    fn new() -> Manifests {
        let manifests = Manifests { folder: tempfile::tempdir().unwrap() };
        manifests.write("Chart.yaml", METADATA_TEXT);
        manifests.write("values.yaml", VALUES_TEXT);
        manifests.write("templates/node.yaml", "image: {{ .Values.node.image }}\n");
        manifests
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("k8s")
    }

    fn chart(&self) -> PathBuf {
        self.root().join("helm/goverse")
    }

    fn write(&self, name: &str, text: &str) {
        crate::fs::write(&self.chart().join(name), text.as_bytes()).unwrap();
    }

    fn read(&self) -> Result<Files> {
        let plan = fixture::plan("1.2.0")?;
        let pins = pin::plan(&[self.root()], &[])?;
        read(plan.chart.released().unwrap(), &self.chart(), &pins, &plan.version)
    }

    /// Why the chart can't be packed.
    #[track_caller]
    fn wrong(&self, said: &str) {
        let error = self.read().map(|files| files.names().join(" ")).unwrap_err();
        assert_eq!(error.class(), Class::Usage, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }

    /// The chart of a release, with the archive's files.
    fn packed(&self, released: &Released) -> Result<(Chart, Vec<InArchive>)> {
        let scanned = released.scanned("1.2.0", "x")?;
        let (pinned, notes) = ([self.root()], self.folder.path().join("notes"));
        let place = Place { folder: &self.chart(), pinned: &pinned, notes: &notes };
        let chart = pack(&scanned, &place, &released.store)?.chart.unwrap();
        let blob = released.store.open(&chart.archive)?;
        let mut archive = tar::Archive::new(unpack(crate::oci::spec::media::LAYER_GZIP, blob, "the chart")?);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 1_700_000_000));
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), header.mode().unwrap(), text)
        });
        Ok((chart, entries.collect()))
    }
}

#[test]
fn a_chart_has_the_release_s_version_and_images_and_else_the_bytes_it_had() -> Result<()> {
    let (manifests, released) = (Manifests::new(), Released::new());
    let (_, entries) = manifests.packed(&released)?;
    let modes: Vec<(&str, u32)> = entries.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
    let expected = [
        ("goverse/", 0o755),
        ("goverse/Chart.yaml", 0o644),
        ("goverse/templates/", 0o755),
        ("goverse/templates/node.yaml", 0o644),
        ("goverse/values.yaml", 0o644),
    ];
    assert_eq!(modes, expected);
    let texts: BTreeMap<&str, &str> = entries.iter().map(|(name, _, text)| (name.as_str(), text.as_str())).collect();
    let metadata = METADATA_TEXT.replace("0.1.0 # set by a release\n", "1.2.0 # set by a release\nappVersion: 1.2.0\n");
    assert_eq!(texts["goverse/Chart.yaml"], metadata);
    let (_, record) = released.release("1.2.0", "x")?;
    let [gate, node] = record.pins().try_into().unwrap();
    let values = VALUES_TEXT.replace("ghcr.io/example/goverse-node:v0", &node.pinned());
    assert_eq!(texts["goverse/values.yaml"], values.replace("goverse-gate", &gate.pinned()));
    assert_eq!(std::fs::read_to_string(manifests.chart().join("values.yaml")).unwrap(), VALUES_TEXT);
    Ok(())
}

#[test]
fn an_artifact_is_what_helm_would_push() -> Result<()> {
    let (manifests, released) = (Manifests::new(), Released::new());
    let (chart, _) = manifests.packed(&released)?;
    let manifest: Manifest = serde_json::from_slice(&released.store.read(&chart.manifest)?).unwrap();
    assert_eq!(manifest.config, chart.config);
    assert_eq!(manifest.config.media_type, "application/vnd.cncf.helm.config.v1+json");
    assert_eq!((manifest.artifact_type, manifest.layers.len()), (None, 1));
    assert_eq!(manifest.layers[0].media_type, "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    assert_eq!(manifest.layers[0].digest, chart.archive.digest);
    let key = |name: &str| format!("org.opencontainers.image.{name}");
    let expected = [
        ("a".to_owned(), "b"),
        (key("authors"), "A (a@example.com), B"),
        (key("created"), "2023-11-14T22:13:20Z"),
        (key("description"), "All of it"),
        (key("source"), "https://example.com/git"),
        (key("title"), "goverse"),
        (key("url"), "https://example.com"),
        (key("version"), "1.2.0"),
    ];
    assert_eq!(manifest.annotations, expected.map(|(name, value)| (name, value.to_owned())).into());
    // The order of Helm's own chart.Metadata.
    let config = String::from_utf8(released.store.read(&chart.config)?).unwrap();
    assert_eq!(
        config,
        "{\"name\":\"goverse\",\"home\":\"https://example.com\",\"sources\":[\"https://example.com/git\",\
         \"https://example.com/mirror\"],\"version\":\"1.2.0\",\"description\":\"All of it\",\
         \"maintainers\":[{\"name\":\"A\",\"email\":\"a@example.com\"},{\"name\":\"B\"}],\"apiVersion\":\"v2\",\
         \"appVersion\":\"1.2.0\",\"annotations\":{\"a\":\"b\"},\"type\":\"application\"}"
    );
    Ok(())
}

#[test]
fn the_same_chart_in_another_folder_and_store_is_the_same_to_the_byte() -> Result<()> {
    let (one, two) = (Manifests::new(), Manifests::new());
    std::fs::set_permissions(
        two.chart().join("values.yaml"),
        <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600),
    )
    .unwrap();
    let first = one.packed(&Released::new())?.0;
    assert_eq!(two.packed(&Released::new())?.0, first);
    two.write("templates/node.yaml", "kind: other\n");
    assert_ne!(two.packed(&Released::new())?.0.manifest.digest, first.manifest.digest);
    Ok(())
}

#[test]
fn what_helmignore_leaves_out_and_hidden_folders_stay_behind() -> Result<()> {
    let manifests = Manifests::new();
    for name in ["ci/test.yaml", "notes.md", ".git/config", "templates/.swp", "files/a.json"] {
        manifests.write(name, "{}");
    }
    manifests.write(".helmignore", "ci/\n*.md\n");
    let wanted = [".helmignore", "Chart.yaml", "files/a.json", "templates/node.yaml", "values.yaml"];
    assert_eq!(manifests.read()?.names(), wanted);
    Ok(())
}

#[test]
fn what_can_not_be_packed_is_told_with_what_to_do() {
    let manifests = Manifests::new();
    manifests.write("Chart.yaml", &METADATA_TEXT.replace("name: goverse", "name: other"));
    manifests.wrong("is called other, not goverse");
    manifests.write("Chart.yaml", &METADATA_TEXT.replace("version: 0.1.0", "vers: 0.1.0"));
    manifests.wrong("has no `version`");
    manifests.write("Chart.yaml", &format!("{METADATA_TEXT}kubeVersion: 1.33\n"));
    manifests.wrong("put text that looks like a number in quotes");
    manifests.write("Chart.yaml", &format!("{METADATA_TEXT}dependencies: [{{name: etcd, version: 1.0.0}}]\n"));
    manifests.wrong("names the chart etcd, which is not in charts/");
    manifests.write("charts/etcd-1.0.0.tgz", "");
    assert!(manifests.read().is_ok());
    manifests.write(".helmignore", "Chart.yaml\n");
    manifests.wrong(".helmignore leaves it out");
    manifests.write(".helmignore", "**/x\n");
    manifests.wrong(".helmignore:1:1: ");
    manifests.write(".helmignore", "");
    std::os::unix::fs::symlink("values.yaml", manifests.chart().join("link")).unwrap();
    manifests.wrong("neither a file nor a folder");
    std::fs::remove_file(manifests.chart().join("Chart.yaml")).unwrap();
    manifests.wrong("has no Chart.yaml");
}

#[test]
fn a_chart_whose_images_nobody_pins_is_refused() -> Result<()> {
    let (manifests, elsewhere) = (Manifests::new(), Manifests::new());
    let plan = fixture::plan("1.2.0")?;
    let pins = pin::plan(&[elsewhere.root()], &[])?;
    let found = read(plan.chart.released().unwrap(), &manifests.chart(), &pins, &plan.version);
    assert!(found.map(|_| ()).unwrap_err().to_string().contains("is in none of pin.paths"));
    Ok(())
}

#[test]
fn values_are_read_from_an_archive_and_garbage_is_an_error() -> Result<()> {
    let (manifests, released) = (Manifests::new(), Released::new());
    let (chart, entries) = manifests.packed(&released)?;
    let archive = released.store.read(&chart.archive)?;
    let values_of = |name: &str| values(name, &archive);
    assert_eq!(values_of("goverse")?, entries.into_iter().last().map(|(_, _, text)| text));
    assert_eq!(values_of("other")?, None);
    for bad in [&archive[..archive.len() / 2], b"", b"text"] {
        assert_eq!(values("goverse", bad).map(|_| ()).unwrap_err().class(), Class::Verification);
    }
    Ok(())
}
