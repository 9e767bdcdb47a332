//! Blobs sent.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use xtask::error::Class;
use xtask::oci::Digest;
use xtask::oci::spec::{Descriptor, media};
use xtask::registry::Sent;
use xtask::remote::Remote;
use xtask::remote::registry::RegistryRemote;

use crate::common::{Access, Cut, Faults, Refusal};
use crate::lab::{Lab, REPOSITORY, bytes, fails};

const SIZE: usize = 3 << 20;

/// Uploads `SIZE` bytes under a fault; the registry must then have them, and progress must add up.
fn survives(fault: impl FnOnce(&mut Faults)) -> Lab {
    let lab = Lab::new();
    let content = bytes(SIZE);
    let descriptor = lab.blob(&content);
    lab.registry.fault(fault);
    let sent = lab.upload(&lab.repository_by(|options| options.chunk = 1 << 20), &descriptor);
    assert_eq!(sent.map_err(|e| e.to_string()), Ok(SIZE as u64));
    assert!(lab.stored(&descriptor).is_some_and(|stored| stored == content));
    lab
}

fn received(lab: &Lab) -> u64 {
    lab.registry.log().iter().map(|entry| entry.received).sum()
}

#[test]
fn a_blob_is_sent_in_one_piece() {
    let lab = survives(|_| ());
    assert_eq!(lab.asked(), ["POST upload", "PUT upload"]);
}

#[test]
fn an_empty_blob_is_a_blob() {
    let lab = Lab::new();
    let descriptor = lab.blob(b"");
    assert_eq!(lab.upload(&lab.repository(), &descriptor).unwrap(), 0);
    assert_eq!(lab.stored(&descriptor), Some(Vec::new()));
}

#[test]
fn a_large_blob_is_streamed_and_not_read_ahead() {
    const LARGE: u64 = 64 << 20;
    /// What the two ends of a local connection may hold between them.
    const IN_FLIGHT: u64 = 16 << 20;
    let lab = Lab::new();
    let (digest, size) = Digest::of_reader(std::io::repeat(0).take(LARGE)).unwrap();
    let descriptor = Descriptor::new(media::LAYER_TAR, digest, size);
    let path = lab.store.path(&digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(path).unwrap().set_len(LARGE).unwrap();

    lab.registry.fault(|f| f.hang_upload = Some(1 << 20));
    let sent = AtomicU64::new(0);
    let progress = |bytes| {
        sent.fetch_add(bytes, Ordering::Relaxed);
    };
    let once = lab.repository_by(|options| {
        let answer = Duration::from_secs(1);
        (options.timeouts.answer, options.timeouts.slowest, options.policy.tries) = (answer, u64::MAX, 1);
    });
    let stuck = once.upload(&descriptor, &lab.store, None, &progress);
    fails(stuck, Class::Network, &["timed out"]);
    let ahead = sent.load(Ordering::Relaxed);
    assert!((1 << 20..IN_FLIGHT).contains(&ahead), "{ahead} bytes were read");

    lab.registry.fault(|f| f.hang_upload = None);
    assert_eq!(lab.upload(&lab.repository(), &descriptor).unwrap(), LARGE);
    assert_eq!(lab.stored(&descriptor).map(|bytes| bytes.len() as u64), Some(LARGE));
}

#[test]
fn a_cut_upload_goes_on_where_it_was_cut() {
    let lab = survives(|f| f.cut_upload = Some(Cut { at: 1_000_000, times: 1 }));
    assert_eq!(lab.asked(), ["POST upload", "PUT upload", "GET upload", "PATCH upload", "PUT upload"]);
    assert_eq!(received(&lab), SIZE as u64, "no byte arrives twice");
    assert_eq!(lab.registry.log()[3].range.as_deref(), Some("1000000-3145727"));
}

#[test]
fn an_upload_cut_again_and_again_is_sent_in_chunks() {
    let lab = survives(|f| f.cut_upload = Some(Cut { at: 300_000, times: 4 }));
    assert_eq!(received(&lab), SIZE as u64, "no byte arrives twice");
}

#[test]
fn an_upload_that_never_gets_further_is_given_up() {
    let lab = Lab::new();
    let descriptor = lab.blob(&bytes(SIZE));
    lab.registry.fault(|f| f.cut_upload = Some(Cut { at: 0, times: u32::MAX }));
    fails(lab.upload(&lab.repository(), &descriptor), Class::Network, &["given up after 5 tries"]);
}

#[test]
fn a_registry_that_forgets_cut_uploads_gets_the_blob_from_the_start() {
    let lab = survives(|f| (f.cut_upload, f.no_resume) = (Some(Cut { at: 1_000_000, times: 1 }), true));
    assert_eq!(lab.count("POST"), 2);
}

#[test]
fn a_blob_whose_answer_was_lost_is_not_sent_again() {
    let lab = survives(|f| f.lose_answers = 1);
    assert_eq!(received(&lab), SIZE as u64);
}

#[test]
fn upload_urls_may_be_absolute_or_at_another_host_without_the_credentials_of_this_one() {
    survives(|f| f.absolute_location = true);
    let lab = Lab::new();
    let content = bytes(SIZE);
    let descriptor = lab.blob(&content);
    lab.registry.fault(|f| {
        (f.access, f.upload_to_storage) = (Access::Token, true);
        f.cut_upload = Some(Cut { at: 1_000_000, times: 1 });
    });
    let repository = lab.repository_by(|options| options.credentials = crate::auth::user(&lab));
    lab.upload(&repository, &descriptor).unwrap();
    assert!(lab.stored(&descriptor).is_some_and(|stored| stored == content));
    let log = lab.registry.log();
    let there: Vec<_> = log.iter().filter(|entry| entry.host == lab.registry.storage()).collect();
    assert!(there.len() >= 2 && there.iter().all(|entry| !entry.authorization), "{there:?}");
}

#[test]
fn an_upload_without_a_usable_url_is_an_error() {
    for (fault, why) in [
        ((|f| f.no_upload_location = true) as fn(&mut Faults), "without saying where"),
        (|f| f.strange_location = true, "leads from http to ftp"),
    ] {
        let lab = Lab::new();
        let descriptor = lab.blob(&bytes(SIZE));
        lab.registry.fault(fault);
        fails(lab.upload(&lab.repository(), &descriptor), Class::Network, &[why]);
    }
}

#[test]
fn a_registry_that_takes_no_large_bodies_gets_chunks() {
    for rude in [false, true] {
        let lab = survives(|f| (f.largest_body, f.rude) = (Some(1 << 20), rude));
        assert_eq!(lab.count("PATCH"), 3, "rude: {rude}");
    }
}

#[test]
fn chunks_that_are_still_too_large_become_smaller() {
    survives(|f| f.largest_body = Some(300 << 10));
    let lab = Lab::new();
    let descriptor = lab.blob(&bytes(SIZE));
    lab.registry.fault(|f| f.largest_body = Some(1000));
    fails(lab.upload(&lab.repository(), &descriptor), Class::Network, &["413"]);
}

#[test]
fn a_registry_that_takes_blobs_in_chunks_alone_gets_chunks() {
    for rude in [false, true] {
        let lab = survives(|f| (f.only_chunks, f.rude) = (true, rude));
        assert_eq!(lab.count("PATCH"), 3, "rude: {rude}");
    }
}

#[test]
fn chunks_are_as_long_as_the_registry_wants_them() {
    let lab = survives(|f| (f.only_chunks, f.least_chunk) = (true, Some(2 << 20)));
    assert_eq!(lab.count("PATCH"), 2);
}

#[test]
fn a_stored_blob_needs_no_location() {
    survives(|f| (f.no_stored_location, f.no_digest) = (true, true));
}

#[test]
fn a_damaged_file_is_never_sent_as_a_whole_blob() {
    for damage in [&b"other content"[..], b"", &[0; SIZE], &[0; SIZE + 1]] {
        let lab = Lab::new();
        let descriptor = lab.blob(&bytes(SIZE));
        std::fs::write(lab.store.path(&descriptor.digest), damage).unwrap();
        fails(
            lab.upload(&lab.repository(), &descriptor),
            Class::Verification,
            &["failed to read what is being uploaded"],
        );
        assert_eq!(lab.stored(&descriptor), None);
        assert!(lab.count("PUT") <= 1, "what is damaged stays damaged");
    }
}

#[test]
fn no_sibling_is_asked_for_what_is_sent_as_fast() {
    let lab = Lab::new();
    let descriptor = lab.blob(b"an SBOM");
    let siblings = ["team/other".to_owned()];
    let remote = RegistryRemote::new(&lab.client(|_| ()), &lab.registry.addr(), REPOSITORY, &siblings).unwrap();
    remote.put_blob(&descriptor, &lab.store, &|_| ()).unwrap();
    assert_eq!(lab.asked(), ["POST upload", "PUT upload"]);
}

#[test]
fn a_blob_of_a_sibling_is_mounted() {
    let lab = Lab::new();
    let content = bytes(SIZE);
    let descriptor = lab.blob(&content);
    lab.registry.seed_blob("team/other", &content);
    lab.registry.fault(|f| f.access = Access::Token);
    let client = lab.client(|options| options.credentials = crate::auth::user(&lab));
    let siblings = ["team/none", "team/other", REPOSITORY].map(String::from);
    let remote = RegistryRemote::new(&client, &lab.registry.addr(), REPOSITORY, &siblings).unwrap();
    remote.put_blob(&descriptor, &lab.store, &|_| ()).unwrap();
    assert!(lab.stored(&descriptor).is_some());
    assert_eq!(received(&lab), 0);
}

#[test]
fn where_a_mount_is_refused_the_upload_it_starts_is_used() {
    let lab = Lab::new();
    let content = bytes(SIZE);
    let descriptor = lab.blob(&content);
    lab.registry.seed_blob("team/other", &content);
    lab.registry.fault(|f| f.no_mount = true);
    let sent = lab.repository().upload(&descriptor, &lab.store, Some("team/other"), &|_| ()).unwrap();
    assert_eq!(sent, Sent::Uploaded);
    assert_eq!(lab.asked(), ["POST upload", "PUT upload"]);
    assert!(lab.stored(&descriptor).is_some_and(|stored| stored == content));
}

#[test]
fn a_mount_that_is_forbidden_becomes_an_upload() {
    let lab = Lab::new();
    let descriptor = lab.blob(&bytes(SIZE));
    let refusal = Refusal { method: "POST", path: "/blobs/uploads/", status: 403, times: 1, retry_after: None };
    lab.registry.fault(|f| f.refusals.push(refusal));
    let sent = lab.repository().upload(&descriptor, &lab.store, Some("team/other"), &|_| ()).unwrap();
    assert_eq!(sent, Sent::Uploaded);
}

#[test]
fn whether_a_repository_may_be_pushed_to_is_asked_without_leaving_anything() {
    let lab = Lab::new();
    lab.repository().check_push().unwrap();
    assert_eq!(lab.asked(), ["POST upload", "DELETE upload"]);
    assert_eq!(lab.registry.uploads(), 0);
    lab.registry.fault(|f| f.access = Access::Token);
    fails(lab.repository().check_push(), Class::Failed, &["docker login"]);
}
