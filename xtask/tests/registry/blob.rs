//! Blobs read.

use xtask::error::Class;
use xtask::oci::spec::{Descriptor, media};

use crate::common::{Access, Cut};
use crate::lab::{Lab, REPOSITORY, bytes, fails, impatient, read};

const SIZE: usize = 300_000;

fn seeded(lab: &Lab, content: &[u8]) -> Descriptor {
    lab.registry.seed_blob(REPOSITORY, content);
    Descriptor::of(media::LAYER_TAR, content)
}

#[test]
fn a_blob_is_what_was_stored_and_an_empty_one_is_empty() {
    let lab = Lab::new();
    for content in [bytes(SIZE), Vec::new()] {
        let descriptor = seeded(&lab, &content);
        assert!(lab.repository().has_blob(&descriptor).unwrap());
        assert_eq!(read(lab.repository().blob(&descriptor).unwrap()).unwrap(), content);
    }
}

#[test]
fn a_cut_download_goes_on_where_it_was_cut() {
    let lab = Lab::new();
    let content = bytes(SIZE);
    let descriptor = seeded(&lab, &content);
    lab.registry.fault(|f| f.cut_download = Some(Cut { at: 100_000, times: 2 }));
    assert_eq!(read(lab.repository().blob(&descriptor).unwrap()).unwrap(), content);
    let ranges: Vec<_> = lab.registry.log().into_iter().map(|entry| entry.range).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=200000-".into())]);
}

#[test]
fn a_registry_without_ranges_sends_again_what_is_skipped() {
    let lab = Lab::new();
    let content = bytes(SIZE);
    let descriptor = seeded(&lab, &content);
    lab.registry.fault(|f| (f.ignore_range, f.cut_download) = (true, Some(Cut { at: 100_000, times: 1 })));
    assert_eq!(read(lab.repository().blob(&descriptor).unwrap()).unwrap(), content);
}

#[test]
fn a_download_that_never_gets_further_is_given_up() {
    let lab = Lab::new();
    let descriptor = seeded(&lab, &bytes(SIZE));
    lab.registry.fault(|f| f.cut_download = Some(Cut { at: 0, times: u32::MAX }));
    fails(read(lab.repository().blob(&descriptor).unwrap()), Class::Network, &["given up after 5 tries"]);
    assert_eq!(lab.count("GET"), 5);
}

#[test]
fn an_altered_blob_is_never_taken_for_the_real_one() {
    let lab = Lab::new();
    let descriptor = seeded(&lab, &bytes(SIZE));
    lab.registry.fault(|f| f.alter_blobs = true);
    fails(read(lab.repository().blob(&descriptor).unwrap()), Class::Verification, &["hashes to"]);
}

#[test]
fn a_blob_of_another_size_or_none_is_an_error_of_verification() {
    let lab = Lab::new();
    let mut descriptor = seeded(&lab, &bytes(SIZE));
    descriptor.size += 1;
    fails(lab.repository().has_blob(&descriptor), Class::Verification, &["300000 bytes"]);
    fails(lab.repository().blob(&descriptor).map(|_| ()), Class::Verification, &["300000 bytes"]);
    let absent = Descriptor::of(media::LAYER_TAR, b"absent");
    assert!(!lab.repository().has_blob(&absent).unwrap());
    fails(lab.repository().blob(&absent).map(|_| ()), Class::Verification, &["is not in", REPOSITORY]);
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let lab = Lab::new();
    let content = bytes(SIZE);
    let descriptor = seeded(&lab, &content);
    lab.registry.fault(|f| {
        (f.access, f.redirect_blobs) = (Access::Basic, true);
        f.cut_download = Some(Cut { at: 100_000, times: 1 });
    });
    let repository = lab.repository_by(|options| options.credentials = crate::auth::user(&lab));
    assert_eq!(read(repository.blob(&descriptor).unwrap()).unwrap(), content);
    let log = lab.registry.log();
    let (there, here): (Vec<_>, Vec<_>) = log.iter().partition(|entry| entry.host == lab.registry.storage());
    assert!(there.len() >= 2 && there.iter().all(|entry| !entry.authorization), "{there:?}");
    assert!(here.iter().any(|entry| entry.authorization));
}

#[test]
fn an_error_shows_no_signature() {
    let lab = Lab::new();
    let descriptor = seeded(&lab, &bytes(SIZE));
    lab.registry.fault(|f| (f.redirect_blobs, f.cut_download) = (true, Some(Cut { at: 0, times: u32::MAX })));
    let failed = read(lab.repository().blob(&descriptor).unwrap());
    assert!(failed.as_ref().is_err_and(|e| !e.to_string().contains("secret")));
    fails(failed, Class::Network, &[&lab.registry.storage(), "?…", "the connection was cut"]);
}

#[test]
fn redirects_end() {
    let lab = Lab::new();
    let descriptor = seeded(&lab, &bytes(SIZE));
    lab.registry.fault(|f| f.redirect_loop = true);
    fails(lab.repository().blob(&descriptor).map(|_| ()), Class::Network, &["redirects more than 5 times"]);
    assert_eq!(lab.count("GET"), 6);
}

#[test]
fn a_registry_that_hangs_is_waited_for_so_long_and_no_longer() {
    let lab = Lab::new();
    let descriptor = seeded(&lab, &bytes(SIZE));
    lab.registry.fault(|f| f.hang = true);
    let repository = lab.repository_by(impatient);
    fails(repository.has_blob(&descriptor), Class::Network, &["timed out", "hint: run the same command again"]);
}

#[test]
fn a_registry_without_head_is_asked_by_get() {
    let lab = Lab::new();
    let descriptor = seeded(&lab, &bytes(SIZE));
    lab.registry.fault(|f| f.no_head = true);
    assert!(lab.repository().has_blob(&descriptor).unwrap());
    assert!(!lab.repository().has_blob(&Descriptor::of(media::LAYER_TAR, b"absent")).unwrap());
}
