//! What is tried again, and when.

use std::time::Duration;

use xtask::error::Class;
use xtask::registry::Target;

use crate::common::{Cut, Refusal};
use crate::lab::{Lab, bytes, fails};

fn refused(method: &'static str, status: u16, times: u32, retry_after: Option<&'static str>) -> Lab {
    let lab = Lab::new();
    lab.registry.fault(|f| f.refusals.push(Refusal { method, path: "/v2/", status, times, retry_after }));
    lab
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn what_may_pass_is_tried_again_with_doubling_pauses() {
    for status in [408, 429, 500, 502, 503, 504] {
        let lab = refused("GET", status, 4, None);
        assert_eq!(lab.repository().tags().unwrap(), Vec::<String>::new());
        assert_eq!(lab.pauses(), [200 * MS, 400 * MS, 800 * MS, 1600 * MS], "{status}");
    }
}

#[test]
fn what_does_not_pass_is_given_up_with_the_registrys_words() {
    let lab = refused("GET", 503, u32::MAX, None);
    let parts =
        ["failed to GET http://127.0.0.1:", "503", "DENIED refused by the test registry", "after 5 tries", "hint: run"];
    fails(lab.repository().tags(), Class::Network, &parts);
    assert_eq!(lab.count("GET"), 5);
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for status in [400, 405, 410, 501] {
        let lab = refused("GET", status, u32::MAX, None);
        fails(lab.repository().tags(), Class::Network, &[]);
        assert_eq!((lab.count("GET"), lab.pauses().len()), (1, 0), "{status}");
    }
}

#[test]
fn a_registry_may_ask_for_a_pause_but_not_for_an_hour() {
    let asked = |after: &'static str| {
        let lab = refused("GET", 429, 1, Some(after));
        lab.repository().tags().unwrap();
        lab.pauses()
    };
    assert_eq!(asked("7"), [7000 * MS]);
    assert_eq!(asked("3600"), [60_000 * MS]);
    assert_eq!(asked("0"), [200 * MS]);
    assert_eq!(asked("soon"), [200 * MS]);
    // The test's clock stands at the epoch.
    assert_eq!(asked("Thu, 01 Jan 1970 00:00:30 GMT"), [30_000 * MS]);
    assert_eq!(asked("Wed, 31 Dec 1969 00:00:00 GMT"), [200 * MS]);
}

#[test]
fn uploads_and_manifests_are_tried_again_too() {
    let lab = Lab::new();
    for (method, path) in [("POST", "/blobs/uploads/"), ("PUT", "/blobs/uploads/"), ("PUT", "/manifests/")] {
        let refusal = Refusal { method, path, status: 503, times: 2, retry_after: None };
        lab.registry.fault(|f| f.refusals.push(refusal));
    }
    let content = bytes(1000);
    let descriptor = lab.blob(&content);
    lab.upload(&lab.repository(), &descriptor).unwrap();
    assert_eq!(lab.stored(&descriptor), Some(content));
    let document = lab.manifest("a", None);
    lab.repository().put_manifest(&document, Target::Tag("v1")).unwrap();
    assert_eq!(lab.pauses().len(), 6);
}

#[test]
fn documents_that_were_cut_are_read_again() {
    let lab = Lab::new();
    let subject = lab.manifest("subject", None);
    let again = |times| lab.registry.fault(|f| f.cut_documents = Some(Cut { at: 10, times }));
    lab.repository().put_manifest(&subject, Target::Tag("v1")).unwrap();
    lab.repository().attach(&[lab.manifest("sbom", Some(subject.descriptor.clone()))]).unwrap();
    again(2);
    assert_eq!(lab.repository().tags().unwrap(), ["v1"]);
    again(2);
    assert_eq!(lab.repository().referrers(&subject.descriptor.digest, None).unwrap().len(), 1);
    again(2);
    assert_eq!(lab.repository().manifest(Target::Tag("v1")).unwrap().as_ref(), Some(&subject));
    again(u32::MAX);
    fails(lab.repository().tags(), Class::Network, &["the connection was cut", "after 5 tries"]);
}

#[test]
fn a_manifest_whose_answer_was_lost_is_stored() {
    let lab = Lab::new();
    lab.registry.fault(|f| f.lose_answers = 2);
    let document = lab.manifest("a", None);
    lab.repository().put_manifest(&document, Target::Tag("v1")).unwrap();
    assert_eq!(lab.repository().manifest(Target::Tag("v1")).unwrap(), Some(document));
}

#[test]
fn nobody_listening_is_a_network_failure() {
    let addr = Lab::new().registry.addr();
    let lab = Lab::new();
    let repository = lab.client(|_| ()).repository(&addr, "a").unwrap();
    fails(repository.tags(), Class::Network, &["refused", "after 5 tries"]);
}

#[test]
fn a_registry_that_may_want_tls_is_told_of_as_such() {
    let lab = refused("GET", 400, 1, None);
    let client = lab.client(|_| ());
    fails(client.ping(&lab.registry.addr()), Class::Network, &["400", "asked without TLS"]);
}
