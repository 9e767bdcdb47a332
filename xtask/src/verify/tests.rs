use std::collections::BTreeMap;

use super::*;
use crate::oci::layout::Layout;
use crate::oci::spec::Descriptor;
use crate::oci::store::Store;
use crate::publish::fixture::{self, Place};
use crate::publish::meddled::{Death, Meddled, Watch};
use crate::publish::{Published, commit};
use crate::record::Attached;

/// v1.2.0, released.
struct Released {
    place: Place,
    published: Published,
    record: Record,
}

impl Released {
    fn new() -> Result<Released> {
        let place = Place::new();
        let (published, record) = place.release("1.2.0", "x")?;
        Ok(Released { place, published, record })
    }

    fn verify(&self) -> Result<Verdict> {
        self.verify_tag("v1.2.0")
    }

    fn verify_tag(&self, tag: &str) -> Result<Verdict> {
        let record = &self.published.plan().record;
        let request = Request { tag, record, published: None, bundle: None, manifests: &[] };
        verify(&request, &self.place.destination, &Ui::silent())
    }

    fn bundled(&self, bundle: &Path, manifests: &[PathBuf]) -> Result<Verdict> {
        let record = &self.published.plan().record;
        let request = Request { tag: "v1.2.0", record, published: None, bundle: Some(bundle), manifests };
        verify(&request, &self.place.destination, &Ui::silent())
    }

    /// What is wrong, one line an item.
    fn wrong(&self) -> Vec<String> {
        wrong(self.verify())
    }

    fn node(&self) -> &ReleasedImage {
        &self.record.images[1]
    }

    fn layout(&self) -> Layout {
        Layout::open(self.place.root().join("goverse-node")).unwrap()
    }

    fn path(&self, blob: &Descriptor) -> PathBuf {
        self.place.blob("goverse-node", &blob.digest)
    }

    /// Flips a bit of a published blob.
    fn flip(&self, blob: &Descriptor) {
        let path = self.path(blob);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        replace(&path, &bytes);
    }

    /// Replaces the record by an altered one.
    fn rewrite(&self, alter: impl FnOnce(&mut Record)) -> Result<()> {
        let mut record = self.record.clone();
        alter(&mut record);
        commit::write(&record, &self.published.plan().record, &self.place.store, &self.place.destination)
    }
}

/// Writes a new file: the old one may be a hard link into the store.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The items of a failed verification.
fn wrong(verdict: Result<Verdict>) -> Vec<String> {
    let error = verdict.expect_err("something is wrong");
    assert_eq!(error.class(), Class::Verification, "{error}");
    assert_eq!(error.class() as u8, 6);
    error.into_items().into_iter().map(|item| item.what).collect()
}

/// Some line has all of `parts`.
fn assert_told(found: &[String], parts: &[&str]) {
    let told = found.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(told, "{parts:?} in\n{}", found.join("\n"));
}

#[test]
fn a_release_that_is_as_it_was_is_counted() -> Result<()> {
    let released = Released::new()?;
    let before = released.place.snapshot();
    let verdict = released.verify()?;
    assert_eq!(verdict.version, Version::new(1, 2, 0));
    // Two images for two platforms, two formats, one layer of its own each and one that all share, four tags each; a
    // chart with one tag.
    let Verdict { images, platforms, sboms, layers, tags, attachments, charts, .. } = verdict;
    assert_eq!((images, platforms, sboms, layers, tags, charts), (2, 4, 8, 5, 9, 1));
    // A report, an extract and VEX a platform; a report and VEX an index.
    assert_eq!(attachments, 4 * 3 + 2 * 2);
    assert!(released.place.snapshot() == before, "verifying changes nothing");
    Ok(())
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is_and_told_by_digest() -> Result<()> {
    let node = Released::new()?.node().clone();
    let platform = &node.platforms[1];
    let all = [&node.index, &platform.manifest, &platform.config]
        .into_iter()
        .chain(&platform.layers)
        .chain(platform.attached().chain(&node.attachments).flat_map(|a| [&a.artifact, &a.document]));
    for blob in all {
        let released = Released::new()?;
        released.flip(blob);
        assert_told(&released.wrong(), &["goverse-node", &blob.digest.hex(), "hashes to"]);
    }
    Ok(())
}

#[test]
fn a_missing_or_cut_blob_is_found_wherever_it_is_and_told_by_digest() -> Result<()> {
    let node = Released::new()?.node().clone();
    let platform = &node.platforms[0];
    let all = [&node.index, &platform.manifest, &platform.config, &platform.layers[1]]
        .into_iter()
        .chain(platform.attached().chain(&node.attachments).flat_map(|a| [&a.artifact, &a.document]));
    for blob in all {
        let released = Released::new()?;
        std::fs::remove_file(released.path(blob)).unwrap();
        assert_told(&released.wrong(), &["goverse-node", &blob.digest.hex(), "it isn't there"]);

        let released = Released::new()?;
        let bytes = std::fs::read(released.path(blob)).unwrap();
        replace(&released.path(blob), &bytes[..bytes.len() - 1]);
        assert_told(&released.wrong(), &["goverse-node", &blob.digest.hex()]);
    }
    Ok(())
}

#[test]
fn a_chart_that_is_damaged_or_missing_is_told_by_digest() -> Result<()> {
    let chart = Released::new()?.record.chart.unwrap();
    for blob in [&chart.manifest, &chart.config, &chart.archive] {
        let released = Released::new()?;
        let path = released.place.blob("charts/goverse", &blob.digest);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        replace(&path, &bytes);
        assert_told(&released.wrong(), &["charts/goverse", &blob.digest.hex(), "hashes to"]);
        std::fs::remove_file(&path).unwrap();
        assert_told(&released.wrong(), &["charts/goverse", &blob.digest.hex(), "it isn't there"]);
    }

    let released = Released::new()?;
    let index = released.place.root().join("charts/goverse/index.json");
    let text = String::from_utf8(std::fs::read(&index).unwrap()).unwrap();
    replace(&index, text.replace("\"1.2.0\"", "\"0.0.1\"").as_bytes());
    assert_told(&released.wrong(), &["charts/goverse:1.2.0 names nothing"]);
    Ok(())
}

#[test]
fn a_chart_of_another_version_or_with_other_images_is_told() -> Result<()> {
    let released = Released::new()?;
    let (_, later) = released.place.release("1.3.0", "y")?;
    let other = later.chart.unwrap();
    released.rewrite(|record| record.chart = Some(other.clone()))?;
    let found = released.wrong();
    assert_told(&found, &["the record's chart has tag 1.3.0, not 1.2.0"]);
    assert_told(&found, &["charts/goverse", &other.config.digest.hex(), "it is goverse 1.3.0"]);
    for image in &released.record.images {
        let wanted = format!("{}:v1.2.0@{}", image.repository, image.index.digest);
        assert_told(&found, &[&other.manifest.digest.hex(), "values.yaml:", &wanted]);
    }
    Ok(())
}

#[test]
fn a_record_of_before_there_were_charts_still_verifies() -> Result<()> {
    let released = Released::new()?;
    released.rewrite(|record| record.chart = None)?;
    let verdict = released.verify()?;
    assert_eq!((verdict.charts, verdict.tags), (0, 8));
    Ok(())
}

#[test]
fn a_bundle_with_another_chart_than_the_release_s_is_told() -> Result<()> {
    let released = Released::new()?;
    let (chart, name) = released.record.bundled_chart().unwrap();
    let folder = bundle(&released, &[]);
    let path = folder.path().join(name);
    std::fs::write(&path, "another").unwrap();
    let sums = std::fs::read_to_string(folder.path().join("SHA256SUMS")).unwrap();
    let sums = sums.replace(&chart.archive.digest.hex(), &Digest::of(b"another").hex());
    std::fs::write(folder.path().join("SHA256SUMS"), sums).unwrap();
    let found = wrong(released.bundled(folder.path(), &[]));
    assert_told(&found, &["charts/goverse-1.2.0.tgz", "the record says", &chart.archive.digest.hex()]);
    Ok(())
}

#[test]
fn everything_that_is_wrong_is_told_at_once() -> Result<()> {
    let released = Released::new()?;
    let [first, second] = released.node().platforms.as_slice() else { panic!("two platforms") };
    released.flip(&first.layers[1]);
    released.flip(&second.config);
    std::fs::remove_file(released.path(&first.manifest)).unwrap();
    std::fs::remove_file(released.path(&second.sboms[0].artifact)).unwrap();
    let layout = released.layout();
    let other = layout.manifest(&second.manifest.digest)?.unwrap();
    layout.set_tag("latest", &other)?;
    let found = released.wrong();
    for digest in [first.layers[1].digest, second.config.digest, first.manifest.digest, second.sboms[0].artifact.digest]
    {
        assert_told(&found, &["goverse-node", &digest.hex()]);
    }
    assert_told(&found, &["goverse-node:latest"]);
    assert!(found.iter().all(|line| !line.contains("goverse-gate")), "{found:?}");
    Ok(())
}

#[test]
fn an_sbom_that_is_not_listed_or_not_recorded_is_missing() -> Result<()> {
    let released = Released::new()?;
    let platform = &released.node().platforms[0];
    let index = released.place.root().join("goverse-node/index.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&index).unwrap()).unwrap();
    let artifact = platform.sboms[1].artifact.digest.to_string();
    json["manifests"].as_array_mut().unwrap().retain(|entry| entry["digest"] != artifact.as_str());
    replace(&index, json.to_string().as_bytes());
    assert_told(&released.wrong(), &["linux/amd64", &platform.manifest.digest.hex(), "lack", "application/spdx+json"]);

    let released = Released::new()?;
    released.rewrite(|record| record.images[1].platforms[1].sboms.retain(|s| s.format == "application/spdx+json"))?;
    assert_told(&released.wrong(), &["goverse-node", "linux/arm64", "it has no application/vnd.cyclonedx+json SBOM"]);
    Ok(())
}

#[test]
fn a_record_of_before_there_were_attachments_still_verifies() -> Result<()> {
    let released = Released::new()?;
    released.rewrite(|record| {
        for image in &mut record.images {
            image.attachments.clear();
            image.platforms.iter_mut().for_each(|platform| platform.attachments.clear());
        }
    })?;
    let json = String::from_utf8(released.record.to_json()?).unwrap();
    assert_eq!(json.matches("\"attachments\"").count(), 2 * 3, "two images, each with an index and two platforms");
    let verdict = released.verify()?;
    assert_eq!((verdict.sboms, verdict.attachments), (8, 0));
    Ok(())
}

#[test]
fn an_attachment_of_another_platform_or_of_none_is_told() -> Result<()> {
    let released = Released::new()?;
    released.rewrite(|record| {
        let image = &mut record.images[1];
        let [first, second] = image.platforms.as_mut_slice() else { panic!("two platforms") };
        std::mem::swap(&mut first.attachments, &mut second.attachments);
        image.attachments.extend(first.attachments.first().cloned());
    })?;
    let (found, node) = (released.wrong(), released.node());
    for (platform, other) in node.platforms.iter().zip(node.platforms.iter().rev()) {
        for Attached { artifact, format, .. } in &other.attachments {
            let manifest = platform.manifest.digest.hex();
            assert_told(&found, &[&artifact.digest.hex(), "subject is not", &manifest]);
            assert_told(&found, &[&manifest, "its referrers lack", format, &artifact.digest.hex()]);
        }
    }
    assert_told(&found, &["subject is not", &node.index.digest.hex()]);
    Ok(())
}

#[test]
fn an_sbom_about_something_else_is_told() -> Result<()> {
    let released = Released::new()?;
    released.rewrite(|record| {
        let [first, second] = record.images[1].platforms.as_mut_slice() else { panic!("two platforms") };
        std::mem::swap(&mut first.sboms, &mut second.sboms);
    })?;
    let found = released.wrong();
    for (platform, other) in released.node().platforms.iter().zip(released.node().platforms.iter().rev()) {
        let manifest = platform.manifest.digest.hex();
        for sbom in &other.sboms {
            assert_told(&found, &[&sbom.artifact.digest.hex(), "subject is not", &manifest]);
            assert_told(&found, &[&sbom.document.digest.hex(), "doesn't name", &manifest]);
        }
    }
    Ok(())
}

#[test]
fn swapped_platforms_are_told() -> Result<()> {
    let released = Released::new()?;
    released.rewrite(|record| {
        let [first, second] = record.images[1].platforms.as_mut_slice() else { panic!("two platforms") };
        std::mem::swap(&mut first.platform, &mut second.platform);
    })?;
    let found = released.wrong();
    for (platform, actual) in [("linux/amd64", "linux/arm64"), ("linux/arm64", "linux/amd64")] {
        assert_told(&found, &["goverse-node", &format!("{platform} config"), &format!("it is for {actual}")]);
        assert_told(&found, &[&released.node().index.digest.hex(), &format!("it has no {platform}")]);
    }
    Ok(())
}

#[test]
fn an_index_with_a_platform_more_or_less_is_told() -> Result<()> {
    let released = Released::new()?;
    released.rewrite(|record| record.images[1].platforms.truncate(1))?;
    assert_told(&released.wrong(), &["goverse-node", "linux/arm64", "which the release has not"]);
    Ok(())
}

#[test]
fn labels_that_disagree_with_the_record_are_told() -> Result<()> {
    let released = Released::new()?;
    released.rewrite(|record| record.source.revision = Some("deadbeef".into()))?;
    assert_told(&released.wrong(), &["goverse-node", "its label revision is c0ffee, the release's deadbeef"]);
    Ok(())
}

#[test]
fn a_moved_or_missing_version_tag_is_told_alone() -> Result<()> {
    let released = Released::new()?;
    let node = released.node();
    let layout = released.layout();
    layout.set_tag("v1.2.0", &layout.manifest(&node.platforms[0].manifest.digest)?.unwrap())?;
    let found = released.wrong();
    let named = node.platforms[0].manifest.digest.to_string();
    assert_told(&found, &["goverse-node:v1.2.0", &named, &node.index.digest.to_string()]);
    assert_eq!(found.len(), 1, "the floating tags still name what was released: {found:?}");

    let released = Released::new()?;
    let index = released.place.root().join("goverse-node/index.json");
    let text = String::from_utf8(std::fs::read(&index).unwrap()).unwrap();
    replace(&index, text.replace("\"v1.2.0\"", "\"v0.0.1\"").as_bytes());
    assert_told(&released.wrong(), &["goverse-node:v1.2.0 names nothing"]);
    Ok(())
}

#[test]
fn floating_tags_may_be_at_a_later_version_but_not_at_an_earlier_or_at_none() -> Result<()> {
    let released = Released::new()?;
    released.place.release("1.3.0", "y")?;
    released.verify()?;
    released.verify_tag("v1.3.0")?;

    let layout = released.layout();
    let old = layout.manifest(&released.node().index.digest)?.unwrap();
    layout.set_tag("latest", &old)?;
    released.verify()?;
    assert_told(&wrong(released.verify_tag("v1.3.0")), &["goverse-node:latest", &old.descriptor.digest.hex()]);

    let unversioned = layout.manifest(&released.node().platforms[0].manifest.digest)?.unwrap();
    layout.set_tag("v1", &unversioned)?;
    for tag in ["v1.2.0", "v1.3.0"] {
        assert_told(&wrong(released.verify_tag(tag)), &["goverse-node:v1 names", &unversioned.descriptor.digest.hex()]);
    }
    Ok(())
}

#[test]
fn a_release_without_a_record_does_not_exist() -> Result<()> {
    let released = Released::new()?;
    let error = released.verify_tag("v9.9.9").unwrap_err();
    assert_eq!(error.class(), Class::Verification);
    assert_eq!(error.hint_text(), Some("cargo xtask release v9.9.9"));
    Ok(())
}

#[test]
fn a_record_that_is_damaged_or_of_something_else_is_told() -> Result<()> {
    let record_blobs = |released: &Released| {
        let layout = Layout::open(released.place.root().join("goverse-release")).unwrap();
        let manifest = layout.resolve("v1.2.0").unwrap().unwrap().digest;
        let document = Digest::of(&released.record.to_json().unwrap());
        [manifest, document].map(|digest| layout.store().path(&digest))
    };
    for which in 0..2 {
        let released = Released::new()?;
        let path = &record_blobs(&released)[which];
        let damaged = String::from_utf8(std::fs::read(path).unwrap()).unwrap().replace(':', ";");
        replace(path, damaged.as_bytes());
        assert_told(&wrong(released.verify()), &["goverse-release"]);
    }

    let released = Released::new()?;
    released.rewrite(|record| record.version = Version::new(1, 9, 0))?;
    assert_told(&released.wrong(), &["the record under v1.2.0 is of v1.2.0, version 1.9.0"]);

    let released = Released::new()?;
    std::fs::remove_dir_all(released.place.root().join("goverse-release")).unwrap();
    std::fs::rename(released.place.root().join("goverse-gate"), released.place.root().join("goverse-release")).unwrap();
    assert_told(&wrong(released.verify()), &["goverse-release:v1.2.0 is no release record"]);
    Ok(())
}

#[test]
fn trouble_on_the_way_is_no_mismatch() -> Result<()> {
    let released = Released::new()?;
    // A real mismatch besides doesn't turn a dead line into a verdict.
    released.flip(&released.node().platforms[0].config);
    let record = &released.published.plan().record;
    let request = Request { tag: "v1.2.0", record, published: None, bundle: None, manifests: &[] };
    let watched = Meddled::new(&released.place.destination, Watch::default());
    assert_eq!(verify(&request, &watched, &Ui::silent()).unwrap_err().class(), Class::Verification);
    for at in 0..watched.meddler().calls().len() {
        let dying = Meddled::new(&released.place.destination, Death::at(at));
        let error = verify(&request, &dying, &Ui::silent()).unwrap_err();
        assert_eq!(error.class(), Class::Network, "dead at {at}: {error}");
    }
    Ok(())
}

/// The release's folder with these files more, and its list of checksums.
fn bundle(released: &Released, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let record = released.record.to_json().unwrap();
    let mut all: BTreeMap<&str, &[u8]> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    all.insert("release.json", &record);
    let (chart, name) = released.record.bundled_chart().unwrap();
    let archive = released.place.store.read(&chart.archive).unwrap_or_default();
    all.insert(&name, &archive);
    let mut sums = String::new();
    for (name, bytes) in all {
        crate::fs::write(&folder.path().join(name), bytes).unwrap();
        sums.push_str(&format!("{}  {name}\n", Digest::of(bytes).hex()));
    }
    crate::fs::write(&folder.path().join("SHA256SUMS"), sums.as_bytes()).unwrap();
    folder
}

#[test]
fn a_bundle_is_verified_file_by_file() -> Result<()> {
    let released = Released::new()?;
    let files = [("sbom/a.json", "{}"), ("k8s/node.yaml", "kind: Service\n")];
    let folder = bundle(&released, &files);
    crate::fs::write(&folder.path().join("SHA256SUMS.sig"), b"signature")?;
    assert_eq!(released.bundled(folder.path(), &[])?.files, 4);

    crate::fs::write(&folder.path().join("sbom/a.json"), b"[]")?;
    crate::fs::write(&folder.path().join("k8s/stray.yaml"), b"")?;
    std::fs::remove_file(folder.path().join("k8s/node.yaml")).unwrap();
    let found = wrong(released.bundled(folder.path(), &[]));
    assert_told(&found, &["sbom/a.json", &Digest::of(b"[]").hex(), &Digest::of(b"{}").hex()]);
    assert_told(&found, &["k8s/stray.yaml is not in SHA256SUMS"]);
    assert_told(&found, &["k8s/node.yaml is missing"]);
    assert_eq!(found.len(), 3, "{found:?}");
    Ok(())
}

#[test]
fn a_bundle_without_a_readable_list_or_with_another_record_is_told() -> Result<()> {
    let released = Released::new()?;
    let folder = bundle(&released, &[]);
    let sums = folder.path().join("SHA256SUMS");
    let good = std::fs::read(&sums).unwrap();
    for bad in
        [&b"nonsense\n"[..], b"\xff\xfe\n", &format!("{}  ../release.json\n", "0".repeat(64)).into_bytes(), &good]
    {
        std::fs::write(&sums, [&good, bad].concat()).unwrap();
        assert_told(&wrong(released.bundled(folder.path(), &[])), &["SHA256SUMS:3:"]);
    }
    std::fs::remove_file(&sums).unwrap();
    assert_told(&wrong(released.bundled(folder.path(), &[])), &["SHA256SUMS is missing"]);

    let other = Released { record: fixture::record("1.3.0")?, ..Released::new()? };
    let folder = bundle(&other, &[]);
    assert_told(&wrong(released.bundled(folder.path(), &[])), &["release.json is not the published record"]);
    Ok(())
}

#[test]
fn stale_pins_are_told_with_the_rest() -> Result<()> {
    let released = Released::new()?;
    let pods = |tag: &str| {
        let pod = |image: &ReleasedImage| {
            let name = &image.repository;
            let image = format!("ghcr.io/example/{name}:{tag}@{}", image.index.digest);
            format!("kind: Pod\nspec:\n  containers:\n    - image: {image}\n")
        };
        released.record.images.iter().map(pod).collect::<Vec<_>>().join("---\n")
    };
    let folder = bundle(&released, &[("k8s/pods.yaml", &pods("v1.2.0"))]);
    let manifests = [folder.path().join("k8s")];
    assert_eq!(released.bundled(folder.path(), &manifests)?.pins, 2);

    released.flip(&released.node().platforms[0].config);
    let folder = bundle(&released, &[("k8s/pods.yaml", &pods("v1.1.0"))]);
    let found = wrong(released.bundled(folder.path(), &[folder.path().join("k8s")]));
    assert_told(&found, &["pods.yaml", "v1.1.0"]);
    assert_told(&found, &[&released.node().platforms[0].config.digest.hex()]);
    Ok(())
}

#[test]
fn the_store_is_not_what_is_verified() -> Result<()> {
    let released = Released::new()?;
    let layer = &released.node().platforms[0].layers[1];
    released.flip(layer);
    let intact = std::fs::read(Store::new(released.place.store.root()).path(&layer.digest)).unwrap();
    assert_eq!(Digest::of(&intact), layer.digest);
    assert_told(&released.wrong(), &[&layer.digest.hex()]);
    Ok(())
}

#[test]
fn what_the_same_run_has_read_back_is_not_read_again_but_its_tags_are() -> Result<()> {
    let released = Released::new()?;
    let destination = released.place.destination.clone();
    let (published, record) = (released.published.clone(), released.published.plan().record.clone());
    let request = Request { tag: "v1.2.0", record: &record, published: Some(&published), bundle: None, manifests: &[] };
    let watched = Meddled::new(&destination, Watch::default());
    verify(&request, &watched, &Ui::silent())?;
    let layer = format!("blob {}", released.node().platforms[0].layers[0].digest);
    assert!(!watched.meddler().calls().iter().any(|(_, call)| *call == layer));

    // A record of something else says nothing about what was read.
    released.flip(&released.node().platforms[0].layers[0].clone());
    verify(&request, &destination, &Ui::silent())?;
    released.rewrite(|record| record.images[0].platforms[0].size += 1)?;
    assert_told(&wrong(verify(&request, &destination, &Ui::silent())), &["layer sha256:"]);
    Ok(())
}
