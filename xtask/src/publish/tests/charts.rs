//! The chart: once, with its images, or not at all.

use super::Site;
use crate::chart::fixture::{bare, packed, with_values};
use crate::error::{Class, Result};
use crate::publish::fixture::{Place, release, release_packed};
use crate::publish::{Action, moves};

const CHART: &str = "charts/goverse";

fn tag(site: &Site) -> Result<Option<crate::oci::Digest>> {
    Ok(site.tags()?.remove(&(CHART.to_owned(), "1.2.0".to_owned())))
}

#[test]
fn a_release_has_its_chart_under_the_version_and_nothing_else_there() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    let (published, record) = release(&place.scanned("1.2.0", "x")?, &place.store, &site.destination)?;
    let chart = record.chart.expect("it has a chart");
    assert_eq!(published.chart(), Some(&chart));
    assert_eq!((chart.reference.as_str(), chart.tag.as_str()), ("ghcr.io/example/charts/goverse", "1.2.0"));
    assert_eq!(tag(&site)?, Some(chart.manifest.digest));
    let tags = site.tags()?.into_keys().filter(|(repository, _)| repository == CHART).count();
    assert_eq!(tags, 1, "a chart has no floating tags: Helm takes versions alone");
    Ok(())
}

#[test]
fn build_metadata_is_written_as_helm_wants_it() -> Result<()> {
    let place = Place::new();
    let (_, record) = place.release("2.0.0-rc.1+build.5", "x")?;
    let (chart, file) = record.bundled_chart().expect("it has a chart");
    assert_eq!((chart.tag.as_str(), file.as_str()), ("2.0.0-rc.1_build.5", "charts/goverse-2.0.0-rc.1+build.5.tgz"));
    Ok(())
}

#[test]
fn another_chart_for_a_released_version_is_refused_and_changes_nothing() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let (_, record) = release(&scanned, &place.store, &site.destination)?;
    let was = record.chart.expect("it has a chart").manifest.digest;
    let other = with_values(&scanned, &place.store, "more: 1\n")?;
    // With the record, and with the tag alone as an interrupted run leaves it.
    for recorded in [true, false] {
        if !recorded {
            std::fs::remove_dir_all(site.root().join("goverse-release")).unwrap();
        }
        let before = site.snapshot();
        let told = moves(&other, &site.destination)?;
        let error = release_packed(&other, &place.store, &site.destination).map(|_| ()).unwrap_err();
        assert_eq!(error.class() as u8, 8);
        let text = error.to_string();
        assert!(text.contains("charts/goverse:1.2.0") && text.contains(&was.hex()), "{text}");
        assert_eq!(told.chart.as_ref().map(|chart| chart.tags[0].action), Some(Action::Refused));
        assert_eq!(told.refusal().expect("a refusal").to_string(), text, "a dry run says the same");
        assert!(site.snapshot() == before);
    }
    Ok(())
}

#[test]
fn what_was_released_without_a_chart_stays_without_one() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let (_, record) = release_packed(&bare(&scanned), &place.store, &site.destination)?;
    assert_eq!(record.chart, None);
    let before = site.snapshot();
    let packed = packed(&scanned, &place.store)?;
    assert_eq!(moves(&packed, &site.destination)?.chart, None);
    let (published, kept) = release_packed(&packed, &place.store, &site.destination)?;
    assert_eq!((published.chart(), kept.chart), (None, None));
    assert!(site.snapshot() == before);
    Ok(())
}

#[test]
fn a_release_keeps_its_chart_when_it_is_repeated_without_and_a_copy_of_it_has_it_too() -> Result<()> {
    let (first, second) = (Place::new(), Place::new());
    let site = Site::new();
    let (_, record) = release(&first.scanned("1.2.0", "x")?, &first.store, &site.destination)?;
    let before = site.snapshot();
    // Another machine, which has never packed the chart.
    let scanned = second.scanned("1.2.0", "x")?;
    let bare = bare(&scanned);
    let (published, kept) = release_packed(&bare, &second.store, &site.destination)?;
    assert_eq!(published.chart(), record.chart.as_ref());
    assert!(site.snapshot() == before);

    let copy = Site::new();
    let records = &published.plan().record;
    crate::publish::commit::write(&kept, records, &second.store, &copy.destination)?;
    crate::publish::publish(&bare, &second.store, &copy.destination, &crate::ui::Ui::silent())?;
    copy.assert_sound("a copy")?;
    assert_eq!(tag(&copy)?, record.chart.map(|chart| chart.manifest.digest));
    Ok(())
}

#[test]
fn of_two_releases_that_differ_in_their_charts_alone_the_second_is_told() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let [one, other] = [packed(&scanned, &place.store)?, with_values(&scanned, &place.store, "more: 1\n")?];
    let ui = crate::ui::Ui::silent();
    let uploaded = crate::publish::prepare(&one, &place.store, &site.destination, &ui)?.upload()?.verify()?;
    release_packed(&other, &place.store, &site.destination)?;
    let before = site.tags()?;
    let error = uploaded.tag().map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::TagConflict);
    assert_eq!(site.tags()?, before);
    Ok(())
}
