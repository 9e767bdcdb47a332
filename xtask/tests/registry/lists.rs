//! Lists of tags.

use xtask::error::Class;
use xtask::oci::spec::media;

use crate::lab::{Lab, REPOSITORY, fails};

fn tagged(tags: &[&str]) -> Lab {
    let lab = Lab::new();
    let document = lab.manifest("a", None);
    for tag in tags {
        lab.registry.seed_manifest(REPOSITORY, media::MANIFEST, &document.bytes, Some(tag));
    }
    lab
}

#[test]
fn all_pages_are_read() {
    let tags = ["latest", "v1", "v1.0.0", "v1.0.1", "v2"];
    for page in [1, 2, 5, 100] {
        let lab = tagged(&tags);
        lab.registry.fault(|f| f.tag_page = Some(page));
        assert_eq!(lab.repository().tags().unwrap(), tags, "{page} a page");
    }
}

#[test]
fn no_repository_and_no_tags_are_no_tags() {
    assert_eq!(Lab::new().repository().tags().unwrap(), Vec::<String>::new());
    assert_eq!(tagged(&[]).repository().tags().unwrap(), Vec::<String>::new());
}

#[test]
fn a_list_that_leads_in_a_circle_or_away_is_an_error() {
    let lab = tagged(&["a", "b", "c"]);
    lab.registry.fault(|f| (f.tag_page, f.endless_tags) = (Some(2), true));
    fails(lab.repository().tags(), Class::Network, &["doesn't end"]);
    let lab = tagged(&["a"]);
    lab.registry.fault(|f| f.tags_elsewhere = true);
    fails(lab.repository().tags(), Class::Network, &["leads to another host"]);
}
