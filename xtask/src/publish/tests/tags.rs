//! Floating tags, as they are at a destination after whole releases.

use std::collections::BTreeMap;

use super::Site;
use crate::error::Result;
use crate::oci::Digest;
use crate::publish::Action;
use crate::publish::fixture::{Place, release};
use crate::scan::Scanned;

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let insert = |order: Vec<usize>| (0..=last).map(move |at| [&order[..at], &[last], &order[at..]].concat());
    permutations(last).into_iter().flat_map(insert).collect()
}

/// The node's tags.
fn node(site: &Site) -> Result<BTreeMap<String, Digest>> {
    let tags = site.tags()?.into_iter();
    Ok(tags
        .filter(|((repository, _), _)| repository == "goverse-node")
        .map(|((_, tag), digest)| (tag, digest))
        .collect())
}

#[test]
fn a_backport_leaves_latest_and_the_major_tag_where_they_are() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    release(&place.scanned("1.3.0", "new")?, &place.store, &site.destination)?;
    let (published, _) = release(&place.scanned("1.2.1", "old")?, &place.store, &site.destination)?;
    let tags = node(&site)?;
    assert_eq!(tags["latest"], tags["v1.3.0"]);
    assert_eq!(tags["v1"], tags["v1.3.0"]);
    assert_eq!(tags["v1.3"], tags["v1.3.0"]);
    assert_eq!(tags["v1.2"], tags["v1.2.1"]);
    assert_ne!(tags["v1.2.1"], tags["v1.3.0"]);
    for image in published.images() {
        let actions: BTreeMap<&str, Action> = image.tags().iter().map(|m| (m.tag.as_str(), m.action)).collect();
        let wanted =
            [("v1.2.1", Action::Created), ("v1.2", Action::Created), ("v1", Action::Kept), ("latest", Action::Kept)];
        assert_eq!(actions, wanted.into());
    }
    Ok(())
}

#[test]
fn a_pre_release_has_its_own_tag_only() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    release(&place.scanned("1.3.0", "x")?, &place.store, &site.destination)?;
    let before = node(&site)?;
    release(&place.scanned("2.0.0-rc.1", "x")?, &place.store, &site.destination)?;
    let mut after = node(&site)?;
    assert!(after.remove("v2.0.0-rc.1").is_some());
    assert_eq!(after, before);
    Ok(())
}

#[test]
fn releases_in_any_order_end_in_the_same_destination() -> Result<()> {
    let place = Place::new();
    let versions = ["1.2.0", "1.2.1", "1.10.0", "2.0.0-rc.1"];
    let releases: Vec<Scanned> = versions.iter().map(|v| place.small(v, v)).collect::<Result<_>>()?;
    let mut wanted = None;
    for order in permutations(versions.len()) {
        let site = Site::new();
        for at in &order {
            release(&releases[*at], &place.store, &site.destination)?;
        }
        let tags = node(&site)?;
        for (floating, version) in [("latest", "v1.10.0"), ("v1", "v1.10.0"), ("v1.10", "v1.10.0"), ("v1.2", "v1.2.1")]
        {
            assert_eq!(tags[floating], tags[version], "{floating} after {order:?}");
        }
        assert_eq!(tags.len(), 8, "{tags:?}");
        let found = site.snapshot();
        assert!(*wanted.get_or_insert_with(|| found.clone()) == found, "{order:?}");
    }
    Ok(())
}

#[test]
fn floating_tags_that_were_moved_by_hand_are_put_right_by_any_release_of_their_range() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    let (old, new) = (place.scanned("1.2.0", "old")?, place.scanned("1.3.0", "new")?);
    for scanned in [&old, &new] {
        release(scanned, &place.store, &site.destination)?;
    }
    let wanted = node(&site)?;
    for repeated in [&old, &new] {
        let layout = &site.layouts()["goverse-node"];
        let stale = layout.manifest(&wanted["v1.2.0"])?.unwrap();
        layout.set_tag("latest", &stale)?;
        let (published, _) = release(repeated, &place.store, &site.destination)?;
        assert_eq!(node(&site)?, wanted);
        let of_node = published.images()[1].tags().iter().find(|m| m.tag == "latest").unwrap();
        assert_eq!((of_node.action, of_node.from), (Action::Moved, Some(wanted["v1.2.0"])));
    }
    Ok(())
}

#[test]
fn what_was_published_is_told_as_tag_and_action() -> Result<()> {
    let place = Place::new();
    let (published, _) = place.release("1.2.0", "x")?;
    let json = serde_json::to_value(&published).unwrap();
    let node = &json["images"][1];
    assert_eq!(node["name"], "node");
    assert_eq!(
        node["reference"],
        format!("ghcr.io/example/goverse-node@{}", published.images()[1].image().index.digest)
    );
    assert_eq!(node["tags"]["v1.2.0"], "created");
    assert_eq!(node["tags"]["latest"], "created");
    assert_eq!(node["platforms"][0]["sboms"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["destination"], "oci:oci");
    Ok(())
}
