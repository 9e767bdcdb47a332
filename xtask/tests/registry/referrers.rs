//! What refers to a manifest.

use serde_json::{Value, json};
use xtask::error::Class;
use xtask::oci::spec::{Descriptor, Document, media};
use xtask::registry::Repository;

use crate::common::Faults;
use crate::lab::{Lab, REPOSITORY, fails};

fn attached(lab: &Lab, repository: &Repository, subject: &Descriptor, names: &[&str]) -> Vec<Document> {
    let referrers: Vec<_> = names.iter().map(|name| lab.manifest(name, Some(subject.clone()))).collect();
    repository.attach(&referrers).unwrap();
    referrers
}

fn names(found: &[Descriptor]) -> Vec<&str> {
    let mut names: Vec<_> = found.iter().filter_map(|d| d.annotations.get("name")).map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn referrers_are_found_by_the_api_and_by_the_tag() {
    let faults: [fn(&mut Faults); 5] = [
        |_| (),
        |f| f.referrers_page = Some(1),
        |f| f.filters_referrers = true,
        |f| f.no_referrers = true,
        |f| (f.no_referrers, f.no_digest, f.no_head) = (true, true, true),
    ];
    for fault in faults {
        let lab = Lab::new();
        lab.registry.fault(fault);
        let (repository, subject) = (lab.repository(), lab.manifest("subject", None).descriptor);
        assert_eq!(repository.referrers(&subject.digest, None).unwrap(), []);
        let referrers = attached(&lab, &repository, &subject, &["sbom", "report", "vex"]);
        let all = repository.referrers(&subject.digest, None).unwrap();
        assert_eq!(names(&all), ["report", "sbom", "vex"]);
        assert!(all.is_sorted_by_key(|descriptor| descriptor.digest));
        assert!(
            referrers
                .iter()
                .all(|r| all.iter().any(|d| d.digest == r.descriptor.digest && d.size == r.descriptor.size))
        );
        let sboms = repository.referrers(&subject.digest, Some("application/vnd.test.sbom")).unwrap();
        assert_eq!(names(&sboms), ["sbom"]);
    }
}

fn fallback(lab: &Lab, subject: &Descriptor) -> Option<Value> {
    let snapshot = lab.registry.snapshot();
    let contents = snapshot.get(REPOSITORY)?;
    let digest = contents.tags.get(&format!("sha256-{}", subject.digest.hex()))?;
    serde_json::from_slice(&contents.manifests.get(digest)?.1).ok()
}

#[test]
fn a_registry_that_tracks_subjects_gets_no_tag() {
    let lab = Lab::new();
    let subject = lab.manifest("subject", None).descriptor;
    attached(&lab, &lab.repository(), &subject, &["sbom"]);
    assert_eq!(fallback(&lab, &subject), None);
}

#[test]
fn every_order_of_attaching_ends_in_the_same_index() {
    let index = |batches: &[&[&str]]| {
        let lab = Lab::new();
        lab.registry.fault(|f| f.no_referrers = true);
        let subject = lab.manifest("subject", None).descriptor;
        for names in batches {
            attached(&lab, &lab.repository(), &subject, names);
        }
        fallback(&lab, &subject).unwrap().to_string()
    };
    let one_by_one = index(&[&["a"], &["b"], &["c"]]);
    assert_eq!(one_by_one, index(&[&["c", "a", "b", "a"]]));
    assert_eq!(one_by_one, index(&[&["c"], &["b", "a", "c"]]));
}

#[test]
fn what_is_attached_together_is_listed_by_one_write() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.no_referrers = true);
    let subject = lab.manifest("subject", None).descriptor;
    attached(&lab, &lab.repository(), &subject, &["sbom", "report", "vex"]);
    assert_eq!(lab.count("PUT"), 3 + 1);
}

#[test]
fn threads_that_attach_to_one_subject_lose_nothing() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.no_referrers = true);
    let (repository, subject) = (lab.repository(), lab.manifest("subject", None).descriptor);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d", "e", "f"] {
            let (lab, repository, subject) = (&lab, &repository, &subject);
            scope.spawn(move || attached(lab, repository, subject, &[name]));
        }
    });
    let found = repository.referrers(&subject.digest, None).unwrap();
    assert_eq!(names(&found), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn a_tag_that_another_process_overwrote_is_written_again() {
    let lab = Lab::new();
    lab.registry.fault(|f| (f.no_referrers, f.clobber_fallback) = (true, 2));
    let (repository, subject) = (lab.repository(), lab.manifest("subject", None).descriptor);
    attached(&lab, &repository, &subject, &["sbom"]);
    assert_eq!(names(&repository.referrers(&subject.digest, None).unwrap()), ["sbom"]);

    lab.registry.fault(|f| f.clobber_fallback = u32::MAX);
    let other = lab.manifest("other", Some(subject));
    fails(repository.attach(&[other]), Class::Network, &["changed while", "given up after 5 tries"]);
}

#[test]
fn what_others_wrote_into_the_index_stays() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.no_referrers = true);
    let subject = lab.manifest("subject", None).descriptor;
    let other = lab.manifest("other", Some(subject.clone()));
    lab.registry.seed_manifest(REPOSITORY, media::MANIFEST, &other.bytes, None);
    let entry = json!({"mediaType": media::MANIFEST, "digest": other.descriptor.digest.to_string(),
        "size": other.descriptor.size, "data": "e30=", "unheard": {"of": true}});
    let index = json!({"schemaVersion": 2, "manifests": [entry], "annotations": {"kept": "yes"}}).to_string();
    let tag = format!("sha256-{}", subject.digest.hex());
    lab.registry.seed_manifest(REPOSITORY, media::INDEX, index.as_bytes(), Some(&tag));

    attached(&lab, &lab.repository(), &subject, &["sbom"]);
    let written = fallback(&lab, &subject).unwrap();
    assert!(written["manifests"].as_array().is_some_and(|all| all.len() == 2 && all.contains(&entry)), "{written}");
    assert_eq!(written["annotations"]["kept"], "yes");
    assert_eq!(written["mediaType"], media::INDEX, "an index in a registry says what it is");
}

#[test]
fn a_fallback_tag_that_is_no_index_is_not_overwritten() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.no_referrers = true);
    let image = lab.manifest("subject", None);
    let tag = format!("sha256-{}", image.descriptor.digest.hex());
    lab.registry.seed_manifest(REPOSITORY, media::MANIFEST, &image.bytes, Some(&tag));
    let referrer = lab.manifest("sbom", Some(image.descriptor));
    fails(lab.repository().attach(&[referrer]), Class::Verification, &["is not an index"]);
}
