use super::evidence::{Gathered, gather};
use super::*;
use crate::oci::Digest;
use crate::oci::spec::{Descriptor, Document, media};
use crate::publish::fixture::Place;
use crate::publish::meddled::{Meddled, Meddler, Watch};
use crate::publish::referrer::{Artifact, Attachment};
use crate::publish::{Destination, attached};
use crate::record::{Record, ReleasedImage};
use crate::scan::extract::{self, Extract};
use crate::scan::released::Evidence;

/// v1.2.0, released.
struct Released {
    place: Place,
    record: Record,
}

impl Released {
    fn new() -> Released {
        let place = Place::new();
        let (_, record) = place.release("1.2.0", "x").unwrap();
        Released { place, record }
    }

    fn gate(&self) -> &ReleasedImage {
        &self.record.images[0]
    }

    /// The gate as `destination` has it; what the record says of attachments counts when `recorded`.
    fn image(&self, destination: &dyn Destination, recorded: bool) -> Image {
        let mut image = Image::released(self.gate(), "v1.2.0", destination.remote(&self.gate().repository).unwrap());
        if !recorded {
            image.parts.iter_mut().for_each(|part| part.recorded.clear());
        }
        image
    }

    fn gather(&self, recorded: bool) -> Result<Gathered> {
        let image = self.image(&self.place.destination, recorded);
        gather(&image, &image.parts[0], Class::Failed, &Ui::silent())
    }

    /// Attaches something to the gate's first platform.
    fn attach(&self, attachment: &Attachment) -> Digest {
        let image = self.image(&self.place.destination, true);
        let subject = &image.parts[0].manifest;
        let artifact = Artifact::new(attachment, Some(subject)).unwrap();
        assert!(attached::attach(&*image.remote, &artifact, &subject.digest, &self.place.store).unwrap());
        assert!(!attached::attach(&*image.remote, &artifact, &subject.digest, &self.place.store).unwrap(), "once");
        artifact.manifest.descriptor.digest
    }
}

fn programs(evidence: &Evidence) -> usize {
    let Evidence::Extracts(extracts) = evidence else { panic!("{evidence:?}") };
    extracts.len()
}

#[test]
fn only_what_is_attached_is_read() {
    let released = Released::new();
    let watched = Meddled::new(&released.place.destination, Watch::default());
    let image = released.image(&watched, true);
    for part in &image.parts {
        let gathered = gather(&image, part, Class::Network, &Ui::silent()).unwrap();
        assert_eq!(programs(&gathered.subject.evidence), 1);
        assert_eq!(gathered.subject.image, "gate");
        assert_eq!(gathered.last.unwrap().platforms[0].manifest, part.manifest.digest);
    }
    let layers: Vec<String> =
        released.gate().platforms.iter().flat_map(|p| &p.layers).map(|l| format!("blob {}", l.digest)).collect();
    let calls = watched.meddler().calls();
    assert!(calls.iter().any(|(_, operation)| operation.starts_with("blob ")), "extracts are blobs: {calls:?}");
    assert!(calls.iter().all(|(_, operation)| !layers.contains(operation)), "{calls:?}");
}

#[test]
fn an_extract_that_was_added_counts_beside_the_others_unless_a_record_lists_them() {
    let released = Released::new();
    let other = Extract::for_tests(Digest::of(b"another program")).pack().unwrap();
    released.attach(&Attachment::new(extract::ARTIFACT_TYPE, "x", other, "2026-01-01T00:00:00Z"));
    assert_eq!(programs(&released.gather(false).unwrap().subject.evidence), 2);
    assert_eq!(programs(&released.gather(true).unwrap().subject.evidence), 1);
}

/// Alters what is read of some blobs, or hides a referrer.
struct Damage {
    blobs: bool,
    hidden: Option<Digest>,
}

impl Meddler for Damage {
    fn blob(&self, _repository: &str, mut content: Vec<u8>) -> Vec<u8> {
        if self.blobs {
            content[0] ^= 1;
        }
        content
    }

    fn referrers(&self, mut found: Vec<Descriptor>) -> Vec<Descriptor> {
        found.retain(|d| Some(d.digest) != self.hidden);
        found
    }
}

/// Lists artifacts as registries do that know nothing of artifact types.
struct Untyped(Option<&'static str>);

impl Meddler for Untyped {
    fn referrers(&self, mut found: Vec<Descriptor>) -> Vec<Descriptor> {
        for entry in &mut found {
            entry.artifact_type = self.0.map(str::to_owned);
            entry.annotations.clear();
        }
        found
    }
}

#[test]
fn what_a_list_does_not_say_of_an_artifact_its_manifest_does() {
    let released = Released::new();
    let said = released.gather(true).unwrap();
    // Others may attach an index, which has no configuration.
    let image = released.image(&released.place.destination, true);
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::INDEX, "manifests": [], "subject": image.parts[0].manifest,
    });
    image.remote.put_manifest(&Document::new(media::INDEX, &index).unwrap()).unwrap();
    for kind in [None, Some("application/vnd.oci.empty.v1+json")] {
        let untyped = Meddled::new(&released.place.destination, Untyped(kind));
        let image = released.image(&untyped, true);
        let gathered = gather(&image, &image.parts[0], Class::Network, &Ui::silent()).unwrap();
        assert_eq!(programs(&gathered.subject.evidence), 1);
        assert_eq!((gathered.subject.sboms.len(), &gathered.last), (said.subject.sboms.len(), &said.last));
        assert!(gathered.last.is_some() && gathered.pulled.is_none());
    }
}

#[test]
fn a_damaged_or_missing_attachment_is_exit_code_6() {
    let released = Released::new();
    let extract = released.gate().platforms[0].attachments[1].artifact.digest;
    for damage in [Damage { blobs: true, hidden: None }, Damage { blobs: false, hidden: Some(extract) }] {
        let meddled = Meddled::new(&released.place.destination, damage);
        let image = released.image(&meddled, true);
        let err = gather(&image, &image.parts[0], Class::Network, &Ui::silent()).map(drop).unwrap_err();
        assert_eq!(err.class() as u8, 6, "{err}");
    }
}

#[test]
fn an_attachment_about_another_manifest_is_exit_code_6() {
    let released = Released::new();
    let remote = released.place.destination.remote(&released.gate().repository).unwrap();
    let [one, other] = released.gate().platforms.as_slice() else { panic!("two platforms") };
    let artifact = one.attachments[0].artifact.digest;
    assert!(attached::read(&*remote, &artifact, &one.manifest.digest, Class::Failed).is_ok());
    let err = attached::read(&*remote, &artifact, &other.manifest.digest, Class::Failed).unwrap_err();
    assert_eq!(err.class() as u8, 6);
    assert!(err.to_string().contains(&format!("its subject is {}", one.manifest.digest)), "{err}");
}

#[test]
fn an_equal_report_is_attached_once_and_a_newer_one_is_the_last() {
    let released = Released::new();
    let image = released.image(&released.place.destination, true);
    let old = released.gather(true).unwrap().last.unwrap();
    let mut report = Report { platforms: Vec::new(), ..old };
    for part in &image.parts {
        let own = gather(&image, part, Class::Failed, &Ui::silent()).unwrap().last.unwrap();
        report.platforms.extend(own.platforms);
    }
    let images = [image];
    let send = |report: &Report| attach(&images, report, &released.place.store, &Ui::silent()).unwrap().len();
    // What the release attached to each platform is there already; the index has the report of all images.
    assert_eq!(send(&report), 1);
    assert_eq!(send(&report), 0);
    report.databases[0].updated = "2026-02-01T00:00:00Z".into();
    report.databases[0].version = "v0.0.0-20260201000000-bbbbbbbbbbbb".into();
    assert_eq!(send(&report), 3, "two platforms and the index");
    assert_eq!(released.gather(true).unwrap().last.unwrap().databases, report.databases);
    // In whatever order they were attached: the release's is not the last again.
    report.databases[0].updated = "2025-02-01T00:00:00Z".into();
    assert_eq!(send(&report), 3);
    assert_eq!(released.gather(true).unwrap().last.unwrap().databases[0].updated, "2026-02-01T00:00:00Z");
}
