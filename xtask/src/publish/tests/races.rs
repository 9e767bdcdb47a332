//! Two releases into one destination at once.

use std::sync::{Arc, Barrier, Mutex};

use super::Site;
use crate::chart::fixture::packed;
use crate::error::{Class, Error, Result};
use crate::publish::fixture::{Place, release};
use crate::publish::meddled::{Meanwhile, Meddled, Watch};
use crate::publish::{commit, publish};
use crate::scan::Scanned;
use crate::ui::Ui;

/// How many times threads are let loose; which of them is first is up to the machine.
const ROUNDS: usize = 8;

/// Releases `first`, and in the middle of it, before its operation number `at`, the whole of `second`.
fn interrupt(place: &Place, site: &Site, at: usize, first: &Scanned, second: &Arc<Scanned>) -> [Option<Error>; 2] {
    let outcome = Arc::new(Mutex::new(None));
    let (store, destination) = (place.store.clone(), site.destination.clone());
    let (kept, second) = (Arc::clone(&outcome), Arc::clone(second));
    let meanwhile = Meanwhile::new(move |number| {
        if number == at {
            *kept.lock().unwrap() = Some(release(&second, &store, &destination).err());
        }
    });
    let meddled = Meddled::new(&site.destination, meanwhile);
    let first = release(first, &place.store, &meddled).err();
    let second = outcome.lock().unwrap().take().expect("the second release was made");
    [first, second]
}

/// The operations of a release into an empty destination.
fn calls(place: &Place, scanned: &Scanned) -> Result<Vec<String>> {
    let site = Site::new();
    let watched = Meddled::new(&site.destination, Watch::default());
    release(scanned, &place.store, &watched)?;
    Ok(watched.meddler().calls().into_iter().map(|(_, operation)| operation).collect())
}

#[test]
fn a_higher_version_released_in_the_middle_of_a_backport_keeps_its_tags() -> Result<()> {
    let place = Place::new();
    let (low, high) = (place.small("1.2.1", "low")?, Arc::new(place.small("1.3.0", "high")?));
    let one_by_one = Site::new();
    release(&high, &place.store, &one_by_one.destination)?;
    release(&low, &place.store, &one_by_one.destination)?;
    let wanted = one_by_one.snapshot();
    for at in 0..calls(&place, &low)?.len() {
        let site = Site::new();
        let errors = interrupt(&place, &site, at, &low, &high);
        assert!(errors.iter().all(Option::is_none), "at {at}: {errors:?}");
        assert!(site.snapshot() == wanted, "at {at}: {:?}", site.tags());
    }
    Ok(())
}

#[test]
fn the_same_release_made_twice_at_once_is_made_once() -> Result<()> {
    let place = Place::new();
    let scanned = Arc::new(place.small("1.2.0", "x")?);
    let once = Site::new();
    release(&scanned, &place.store, &once.destination)?;
    let wanted = once.snapshot();
    for at in 0..calls(&place, &scanned)?.len() {
        let site = Site::new();
        let errors = interrupt(&place, &site, at, &scanned, &scanned);
        assert!(errors.iter().all(Option::is_none), "at {at}: {errors:?}");
        assert!(site.snapshot() == wanted, "at {at}");
    }
    Ok(())
}

#[test]
fn of_two_releases_of_one_version_with_different_content_one_is_told() -> Result<()> {
    let place = Place::new();
    let (one, two) = (place.small("1.2.0", "one")?, Arc::new(place.small("1.2.0", "two")?));
    for at in 0..calls(&place, &one)?.len() {
        let site = Site::new();
        let errors = interrupt(&place, &site, at, &one, &two);
        assert!(errors.iter().any(Option::is_some), "at {at}: both believe they released v1.2.0");
        assert!(errors.iter().flatten().all(|e| e.class() == Class::TagConflict), "at {at}: {errors:?}");
        site.assert_sound(&format!("interrupted at {at}"))?;
    }
    Ok(())
}

/// Releases `first`; before its operation number `tags` the tags of `second` are set, before number `record`, or after
/// the end when `first` doesn't come so far, its record is written.
fn interleave(
    place: &Place,
    site: &Site,
    [tags, record]: [usize; 2],
    first: &Scanned,
    second: &Arc<Scanned>,
) -> [Option<Error>; 2] {
    let (store, destination) = (place.store.clone(), site.destination.clone());
    let tag = {
        let second = Arc::clone(second);
        move || publish(&packed(&second, &store)?, &store, &destination, &Ui::silent())
    };
    let (store, destination, second) = (place.store.clone(), site.destination.clone(), Arc::clone(second));
    let finish = move |published: Result<_>| {
        published.and_then(|p| commit(&p, second.report(), &store, &destination, &Ui::silent())).err()
    };
    let state = Arc::new(Mutex::new((None, None)));
    let (kept, commit_now) = (Arc::clone(&state), finish.clone());
    let meanwhile = Meanwhile::new(move |number| {
        let (published, outcome) = &mut *kept.lock().unwrap();
        if number == tags {
            *published = Some(tag());
        }
        if number == record {
            *outcome = published.take().map(&commit_now);
        }
    });
    let meddled = Meddled::new(&site.destination, meanwhile);
    let first = release(first, &place.store, &meddled).err();
    let (published, outcome) = std::mem::take(&mut *state.lock().unwrap());
    let second = outcome.or_else(|| published.map(finish)).expect("the second release was made");
    [first, second]
}

#[test]
fn one_is_told_even_when_each_comes_between_the_other_looking_and_writing() -> Result<()> {
    let place = Place::new();
    let (one, two) = (place.small("1.2.0", "one")?, Arc::new(place.small("1.2.0", "two")?));
    let calls = calls(&place, &one)?;
    let tagged = calls.iter().position(|operation| operation == "set_tag v1.2.0").expect("it sets the version's tag");
    let recorded = calls.iter().rposition(|operation| operation == "set_tag v1.2.0").expect("and the record's");
    for tags in tagged - 3..tagged + 3 {
        for record in recorded - 7..calls.len() {
            let site = Site::new();
            let errors = interleave(&place, &site, [tags, record], &one, &two);
            let when = format!("tags at {tags}, record at {record}");
            assert!(errors.iter().any(Option::is_some), "{when}: both believe they released v1.2.0");
            assert!(errors.iter().flatten().all(|e| e.class() == Class::TagConflict), "{when}: {errors:?}");
            site.assert_sound(&when)?;
        }
    }
    Ok(())
}

/// Both at once, on threads that start together.
fn together(place: &Place, site: &Site, releases: [&Scanned; 2]) -> [Option<Error>; 2] {
    let start = Barrier::new(releases.len());
    std::thread::scope(|scope| {
        let run = |scanned| {
            start.wait();
            release(scanned, &place.store, &site.destination).err()
        };
        let [one, two] = releases.map(|scanned| scope.spawn(move || run(scanned)));
        [one.join().unwrap(), two.join().unwrap()]
    })
}

#[test]
fn two_threads_end_well_or_one_says_why() -> Result<()> {
    let place = Place::new();
    let (low, high) = (place.small("1.2.1", "low")?, place.small("1.3.0", "high")?);
    let other = place.small("1.2.1", "other")?;
    let one_by_one = Site::new();
    release(&low, &place.store, &one_by_one.destination)?;
    release(&high, &place.store, &one_by_one.destination)?;
    let wanted = one_by_one.snapshot();
    for round in 0..ROUNDS {
        let site = Site::new();
        let errors = together(&place, &site, [&low, &high]);
        assert!(errors.iter().all(Option::is_none), "round {round}: {errors:?}");
        assert!(site.snapshot() == wanted, "round {round}: {:?}", site.tags());

        let site = Site::new();
        let errors = together(&place, &site, [&low, &other]);
        assert!(errors.iter().any(Option::is_some), "round {round}: both believe they released v1.2.1");
        assert!(errors.iter().flatten().all(|e| e.class() == Class::TagConflict), "round {round}: {errors:?}");
        site.assert_sound(&format!("round {round}"))?;
    }
    Ok(())
}
