//! What becomes visible when, and what a repeated run doesn't do.

use std::collections::BTreeMap;

use super::Site;
use crate::chart::fixture::packed;
use crate::error::Result;
use crate::publish::fixture::{Place, release};
use crate::publish::meddled::{Meddled, Watch};
use crate::publish::{Action, moves};

fn changes(operation: &str) -> bool {
    operation.starts_with("put_") || operation.starts_with("set_")
}

#[test]
fn content_comes_before_names_and_the_record_last() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let site = Site::new();
    let watched = Meddled::new(&site.destination, Watch::default());
    let (published, _) = release(&scanned, &place.store, &watched)?;
    let calls = watched.meddler().calls();
    let first = |of: &dyn Fn(&str, &str) -> bool| calls.iter().position(|(r, o)| of(r, o)).unwrap();
    let last = |of: &dyn Fn(&str, &str) -> bool| calls.iter().rposition(|(r, o)| of(r, o)).unwrap();
    let image = |repository: &str| repository != "goverse-release";

    let indexes: Vec<String> =
        published.images().iter().map(|i| format!("put_manifest {}", i.image().index.digest)).collect();
    let platforms: Vec<String> = published
        .images()
        .iter()
        .flat_map(|i| &i.image().platforms)
        .map(|p| format!("put_manifest {}", p.manifest.digest))
        .collect();
    let artifact = |r: &str, o: &str| {
        image(r) && o.starts_with("put_manifest") && !indexes.contains(&o.into()) && !platforms.contains(&o.into())
    };
    let is_index = |_: &str, o: &str| indexes.contains(&o.to_owned());
    let is_platform = |_: &str, o: &str| platforms.contains(&o.to_owned());
    let version = |r: &str, o: &str| image(r) && o == "set_tag v1.2.0";
    let chart = |r: &str, o: &str| r == "charts/goverse" && o.starts_with("set_tag");
    let floating = |r: &str, o: &str| image(r) && o.starts_with("set_tag") && !version(r, o) && !chart(r, o);
    let record = |r: &str, o: &str| r == "goverse-release" && o == "set_tag v1.2.0";

    assert!(last(&|r, o| image(r) && o.starts_with("put_blob")) < first(&is_platform));
    assert!(last(&is_platform) < first(&is_index));
    assert!(last(&is_index) < first(&artifact));
    let read_back = |_: &str, o: &str| o.starts_with("blob ");
    assert!(last(&artifact) < first(&read_back));
    assert!(last(&|r, o| image(r) && read_back(r, o)) < first(&version));
    assert!(last(&version) < first(&chart));
    assert!(last(&chart) < first(&floating));
    assert!(last(&floating) < first(&record));
    assert_eq!(last(&|_, o| changes(o)), first(&record), "nothing changes after the record");
    Ok(())
}

#[test]
fn every_byte_is_read_back_before_a_tag() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let site = Site::new();
    let watched = Meddled::new(&site.destination, Watch::default());
    release(&scanned, &place.store, &watched)?;
    let calls = watched.meddler().calls();
    let tagged = calls.iter().position(|(_, o)| o.starts_with("set_tag")).unwrap();
    for path in site.snapshot().into_keys().filter(|path| !path.starts_with("goverse-release")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.len() != 64 {
            continue;
        }
        let repository = path.to_string_lossy().split("/blobs/").next().unwrap().to_owned();
        let read = |(r, o): &(String, String)| {
            *r == repository && (*o == format!("blob sha256:{name}") || *o == format!("manifest sha256:{name}"))
        };
        assert!(calls[..tagged].iter().any(read), "{}", path.display());
    }
    Ok(())
}

#[test]
fn of_a_finished_release_everything_is_asked_for_once_and_nothing_sent() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let site = Site::new();
    let (_, record) = release(&scanned, &place.store, &site.destination)?;
    let before = site.snapshot();
    let watched = Meddled::new(&site.destination, Watch::default());
    let (published, again) = release(&scanned, &place.store, &watched)?;
    assert!(site.snapshot() == before);
    assert_eq!(again.to_json()?, record.to_json()?);
    assert!(published.images().iter().flat_map(|i| i.tags()).all(|m| m.action == Action::Already));
    // Documents with equal content are one blob, and each is read.
    let times = |digest: &str| {
        let images =
            record.images.iter().flat_map(|i| i.platforms.iter().flat_map(|p| p.attached()).chain(&i.attachments));
        images.filter(|a| a.document.digest.to_string() == digest).count().max(1)
    };
    let mut asked: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (repository, operation) in watched.meddler().calls() {
        assert!(!changes(&operation), "{repository}: {operation}");
        let Some((verb, of)) = operation.split_once(' ') else { continue };
        if repository != "goverse-release" && verb != "resolve" {
            let count = asked.entry((repository.clone(), operation.clone())).or_default();
            *count += 1;
            assert!(*count <= times(of), "{repository}: {operation} once more");
        }
    }
    let layers = scanned.built().images.iter().flat_map(|i| &i.platforms).flat_map(|p| &p.layers);
    for layer in layers {
        assert!(asked.keys().any(|(_, o)| *o == format!("blob {}", layer.digest)), "{}", layer.digest);
    }
    Ok(())
}

#[test]
fn a_finished_release_that_lost_something_is_mended_and_read_back_whole() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let site = Site::new();
    release(&scanned, &place.store, &site.destination)?;
    let before = site.snapshot();
    for path in before.keys().filter(|p| p.iter().any(|part| part == "blobs") && !p.starts_with("goverse-release")) {
        std::fs::remove_file(site.root().join(path)).unwrap();
        let watched = Meddled::new(&site.destination, Watch::default());
        release(&scanned, &place.store, &watched)?;
        assert!(site.snapshot() == before, "{}", path.display());
    }
    Ok(())
}

#[test]
fn a_record_stays_as_it_was_written_when_sboms_change() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let site = Site::new();
    let (_, record) = release(&scanned, &place.store, &site.destination)?;
    let mut sboms = scanned.sboms().clone();
    for sbom in &mut sboms.documents {
        sbom.bytes.push(b'\n');
    }
    let again = crate::scan::Scanned::skipped(scanned.built().clone(), sboms, "another reason");
    let before = site.snapshot();
    let (published, kept) = release(&again, &place.store, &site.destination)?;
    assert_eq!(kept.to_json()?, record.to_json()?);
    assert_eq!(published.images()[0].image(), &record.images[0]);
    assert!(site.snapshot() == before);
    Ok(())
}

#[test]
fn a_dry_run_changes_nothing_and_tells_what_the_run_then_does() -> Result<()> {
    let place = Place::new();
    let site = Site::new();
    for version in ["1.3.0", "1.2.1", "2.0.0-rc.1", "1.2.1"] {
        let scanned = place.scanned(version, "x")?;
        let before = site.snapshot();
        let told = moves(&packed(&scanned, &place.store)?, &site.destination)?;
        assert!(site.snapshot() == before);
        assert!(told.refusal().is_none());
        let (published, _) = release(&scanned, &place.store, &site.destination)?;
        for (told, done) in told.images.iter().zip(published.images()) {
            assert_eq!(told.tags, done.tags());
        }
    }
    Ok(())
}

#[test]
fn a_finished_release_keeps_its_report_and_a_copy_of_it_has_the_same() -> Result<()> {
    let (first, second) = (Place::new(), Place::new());
    let site = Site::new();
    let (_, record) = release(&first.scanned("1.2.0", "x")?, &first.store, &site.destination)?;
    let before = site.snapshot();

    // Another machine, and a newer database.
    let scanned = second.scanned("1.2.0", "x")?;
    let mut report = scanned.report().clone();
    report.databases[0].updated = "2026-02-02T00:00:00Z".into();
    let (built, sboms) = (scanned.built().clone(), scanned.sboms().clone());
    let later = crate::scan::Scanned::for_tests(built, sboms, report, Default::default());
    let (published, kept) = release(&later, &second.store, &site.destination)?;
    assert_eq!(kept.to_json()?, record.to_json()?);
    assert!(site.snapshot() == before);

    let copy = Site::new();
    crate::publish::commit::write(&kept, &published.plan().record, &second.store, &copy.destination)?;
    crate::publish::publish(
        &packed(&later, &second.store)?,
        &second.store,
        &copy.destination,
        &crate::ui::Ui::silent(),
    )?;
    copy.assert_sound("a copy")?;
    let request = crate::verify::Request {
        tag: "v1.2.0",
        record: &published.plan().record,
        published: None,
        bundle: None,
        manifests: &[],
    };
    assert_eq!(crate::verify::verify(&request, &copy.destination, &crate::ui::Ui::silent())?.attachments, 16);
    Ok(())
}
