//! Manifests and tags.

use xtask::error::Class;
use xtask::oci::Digest;
use xtask::oci::spec::{Descriptor, Document, Index, media};
use xtask::registry::Target;

use crate::common::Faults;
use crate::lab::{Lab, REPOSITORY, fails};

#[test]
fn a_manifest_is_found_by_digest_and_by_tag() {
    let lab = Lab::new();
    let document = lab.manifest("a", None);
    let (repository, digest) = (lab.repository(), document.descriptor.digest);
    assert_eq!(repository.resolve(Target::Tag("v1")).unwrap(), None);
    assert_eq!(repository.manifest(Target::Digest(&digest)).unwrap(), None);
    repository.put_manifest(&document, Target::Digest(&digest)).unwrap();
    assert_eq!(repository.resolve(Target::Tag("v1")).unwrap(), None);
    repository.put_manifest(&document, Target::Tag("v1")).unwrap();
    for target in [Target::Tag("v1"), Target::Digest(&digest)] {
        assert_eq!(repository.resolve(target).unwrap().as_ref(), Some(&document.descriptor));
        assert_eq!(repository.manifest(target).unwrap().as_ref(), Some(&document));
    }
}

#[test]
fn a_manifest_before_its_blobs_is_refused_with_the_registrys_words() {
    let lab = Lab::new();
    let child = Descriptor::of(media::MANIFEST, b"{}");
    let index = Index {
        schema_version: 2,
        media_type: Some(media::INDEX.into()),
        manifests: vec![child],
        annotations: Default::default(),
    };
    let document = Document::new(media::INDEX, &index).unwrap();
    let stored = lab.repository().put_manifest(&document, Target::Tag("v1"));
    fails(stored, Class::Network, &["failed to PUT http://127.0.0.1:", "404", "MANIFEST_UNKNOWN"]);
}

#[test]
fn what_does_not_hash_to_its_digest_is_refused() {
    for fault in [(|f| f.alter_manifests = true) as fn(&mut Faults), |f| f.wrong_digest = true] {
        let lab = Lab::new();
        let document = lab.manifest("a", None);
        lab.registry.seed_manifest(REPOSITORY, media::MANIFEST, &document.bytes, Some("v1"));
        lab.registry.fault(fault);
        for target in [Target::Tag("v1"), Target::Digest(&document.descriptor.digest)] {
            fails(lab.repository().manifest(target), Class::Verification, &[]);
        }
    }
    let lab = Lab::new();
    let document = lab.manifest("a", None);
    lab.registry.fault(|f| f.wrong_digest = true);
    fails(lab.repository().put_manifest(&document, Target::Tag("v1")), Class::Verification, &["stored"]);
}

#[test]
fn a_registry_that_claims_no_digest_or_knows_no_head_is_read() {
    for fault in [(|f| f.no_digest = true) as fn(&mut Faults), |f| f.no_head = true, |f| f.no_stored_location = true] {
        let lab = Lab::new();
        let document = lab.manifest("a", None);
        lab.registry.fault(fault);
        lab.repository().put_manifest(&document, Target::Tag("v1")).unwrap();
        assert_eq!(lab.repository().resolve(Target::Tag("v1")).unwrap(), Some(document.descriptor));
        assert_eq!(lab.repository().resolve(Target::Tag("v2")).unwrap(), None);
    }
}

#[test]
fn a_manifest_served_as_something_else_is_refused() {
    let lab = Lab::new();
    let document = lab.manifest("a", None);
    lab.registry.seed_manifest(REPOSITORY, media::MANIFEST, &document.bytes, Some("v1"));
    lab.registry.fault(|f| f.manifest_type = Some(media::INDEX));
    fails(lab.repository().manifest(Target::Tag("v1")), Class::Verification, &["calls itself"]);
    // A server that knows no types says the general one; then the document's own word counts.
    lab.registry.fault(|f| f.manifest_type = Some("application/json"));
    assert_eq!(lab.repository().manifest(Target::Tag("v1")).unwrap(), Some(document));
}

#[test]
fn a_manifest_that_is_too_large_is_not_read() {
    let lab = Lab::new();
    let bytes = vec![b' '; (4 << 20) + 1];
    let digest = lab.registry.seed_manifest(REPOSITORY, media::MANIFEST, &bytes, None);
    fails(lab.repository().manifest(Target::Digest(&digest)), Class::Network, &["larger than 4194304 bytes"]);
}

#[test]
fn a_name_that_is_no_name_is_never_sent() {
    let lab = Lab::new();
    fails(lab.repository().resolve(Target::Tag("../v1")), Class::Usage, &[]);
    fails(lab.client(|_| ()).repository(&lab.registry.addr(), "a/../b").map(|_| ()), Class::Usage, &[]);
    fails(lab.client(|_| ()).repository("user:pass@host", "a").map(|_| ()), Class::Usage, &[]);
    assert!(lab.registry.log().is_empty());
    assert_eq!(lab.repository().manifest(Target::Digest(&Digest::of(b""))).unwrap(), None);
}
