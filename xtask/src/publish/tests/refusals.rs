//! Exit 8: a version that was released with other content.

use super::Site;
use crate::chart::fixture::packed;
use crate::error::{Class, Result};
use crate::oci::layout::Layout;
use crate::publish::fixture::{self, Place, release};
use crate::publish::{Action, moves};

#[test]
fn a_version_tag_never_moves_and_a_refused_release_changes_nothing() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    release(&place.scanned("1.2.0", "one")?, &place.store, &site.destination)?;
    let before = site.snapshot();
    let other = place.scanned("1.2.0", "two")?;
    let told = moves(&packed(&other, &place.store)?, &site.destination)?;
    let error = release(&other, &place.store, &site.destination).map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::TagConflict);
    assert_eq!(error.class() as u8, 8);
    assert!(site.snapshot() == before);
    let text = error.to_string();
    for image in &other.built().images {
        let tag = format!("{}:v1.2.0", image.plan.repository);
        assert!(text.contains(&tag) && text.contains(&image.index.digest.hex()), "{tag}: {text}");
    }
    assert!(told.images.iter().chain(&told.chart).all(|i| i.tags[0].action == Action::Refused));
    assert_eq!(told.refusal().unwrap().to_string(), text, "a dry run says the same");
    Ok(())
}

#[test]
fn one_repository_with_another_release_keeps_all_others_untouched() -> Result<()> {
    let place = Place::new();
    let (elsewhere, site) = (Site::new(), Site::new());
    release(&place.scanned("1.2.0", "one")?, &place.store, &elsewhere.destination)?;
    std::fs::create_dir(site.root()).unwrap();
    std::fs::rename(elsewhere.root().join("goverse-node"), site.root().join("goverse-node")).unwrap();
    let before = site.snapshot();
    let error = release(&place.scanned("1.2.0", "two")?, &place.store, &site.destination).map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::TagConflict);
    assert!(site.snapshot() == before);
    assert!(!site.root().join("goverse-gate").exists());
    Ok(())
}

#[test]
fn a_record_of_other_images_refuses_the_release_even_without_tags() -> Result<()> {
    let place = Place::new();
    let (elsewhere, site) = (Site::new(), Site::new());
    release(&place.scanned("1.2.0", "one")?, &place.store, &elsewhere.destination)?;
    std::fs::create_dir(site.root()).unwrap();
    std::fs::rename(elsewhere.root().join("goverse-release"), site.root().join("goverse-release")).unwrap();
    let before = site.snapshot();
    let other = place.scanned("1.2.0", "two")?;
    let told = moves(&packed(&other, &place.store)?, &site.destination)?;
    let error = release(&other, &place.store, &site.destination).map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::TagConflict);
    assert!(site.snapshot() == before);
    assert_eq!(told.contradictions.len(), 3, "both images and the chart: {:?}", told.contradictions);
    assert_eq!(told.refusal().unwrap().to_string(), error.to_string());
    Ok(())
}

#[test]
fn a_part_of_a_released_version_is_another_release() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    release(&place.scanned("1.2.0", "x")?, &place.store, &site.destination)?;
    let before = site.snapshot();
    let mut plan = fixture::plan("1.2.0")?;
    plan.images.truncate(1);
    let part = fixture::scanned(&place.store, &plan, "x")?;
    let error = release(&part, &place.store, &site.destination).map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::TagConflict);
    assert!(error.to_string().contains("node"), "{error}");
    assert!(site.snapshot() == before);
    Ok(())
}

#[test]
fn something_else_where_records_belong_is_refused_and_stays() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    let scanned = place.scanned("1.2.0", "x")?;
    release(&scanned, &place.store, &site.destination)?;
    std::fs::remove_dir_all(site.root().join("goverse-release")).unwrap();
    std::fs::rename(site.root().join("goverse-gate"), site.root().join("goverse-release")).unwrap();
    let before = site.snapshot();
    let error = release(&scanned, &place.store, &site.destination).map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::TagConflict);
    assert!(error.to_string().contains("goverse-release:v1.2.0 is no release record"), "{error}");
    assert!(site.snapshot() == before);
    Ok(())
}

#[test]
fn a_platform_without_both_sboms_is_not_released() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    let scanned = place.scanned("1.2.0", "x")?;
    for missing in 0..scanned.sboms().documents.len() {
        let mut sboms = scanned.sboms().clone();
        let removed = sboms.documents.remove(missing);
        let poor = crate::scan::Scanned::skipped(scanned.built().clone(), sboms, "test");
        let text = release(&poor, &place.store, &site.destination).map(|_| ()).unwrap_err().to_string();
        assert!(text.contains(&removed.image) && text.contains(removed.format.media_type()), "{text}");
    }
    assert!(!site.root().exists() && Layout::find(&site.root())?.is_none());
    Ok(())
}
