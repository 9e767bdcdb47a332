//! A process that dies, a destination that lies.

use super::Site;
use crate::error::{Class, Result};
use crate::oci::spec::{Descriptor, Document};
use crate::publish::fixture::{Place, release};
use crate::publish::meddled::{Death, Meddled, Meddler, Watch};

#[test]
fn wherever_a_run_dies_no_tag_is_broken_and_the_next_run_ends_as_if_nothing_happened() -> Result<()> {
    let place = Place::new();
    let scanned = place.small("1.2.0", "x")?;
    let whole = Site::new();
    let watched = Meddled::new(&whole.destination, Watch::default());
    release(&scanned, &place.store, &watched)?;
    let (operations, wanted) = (watched.meddler().calls().len(), whole.snapshot());
    // Two images of seven blobs, four manifests and four tags each, all of them looked for, sent and read back.
    assert!(operations > 2 * (7 + 4 + 4) * 2, "{operations}");
    for at in 0..operations {
        let site = Site::new();
        let dying = Meddled::new(&site.destination, Death::at(at));
        let error = release(&scanned, &place.store, &dying).map(|_| ()).unwrap_err();
        assert_eq!(error.class(), Class::Network, "{error}");
        site.assert_sound(&format!("dead at {at}"))?;
        release(&scanned, &place.store, &site.destination)?;
        site.assert_sound(&format!("repeated after {at}"))?;
        let found = site.snapshot();
        assert!(found == wanted, "dead at {at}: {:?} and {:?}", found.keys(), wanted.keys());
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    AlteredManifest,
    LostManifest,
    AlteredBlob,
    ShortBlob,
    LongBlob,
    NoReferrers,
    BlobIsThere,
}

/// Lies in all repositories but the record's, or in that only.
struct Liar {
    lie: Lie,
    in_record: bool,
}

impl Liar {
    fn lies(&self, repository: &str, lie: Lie) -> bool {
        self.lie == lie && self.in_record == (repository == "goverse-release")
    }
}

fn altered(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[0] ^= 1;
    bytes
}

impl Meddler for Liar {
    fn manifest(&self, repository: &str, found: Option<Document>) -> Option<Document> {
        let found = found.filter(|_| !self.lies(repository, Lie::LostManifest));
        match self.lies(repository, Lie::AlteredManifest) {
            true => found.map(|d| Document { bytes: altered(d.bytes), ..d }),
            false => found,
        }
    }

    fn blob(&self, repository: &str, mut content: Vec<u8>) -> Vec<u8> {
        if self.lies(repository, Lie::AlteredBlob) {
            content = altered(content);
        }
        if self.lies(repository, Lie::ShortBlob) {
            content.pop();
        }
        if self.lies(repository, Lie::LongBlob) {
            content.push(0);
        }
        content
    }

    fn has_blob(&self, there: bool) -> bool {
        there || self.lie == Lie::BlobIsThere
    }

    fn referrers(&self, found: Vec<Descriptor>) -> Vec<Descriptor> {
        if self.lie == Lie::NoReferrers { Vec::new() } else { found }
    }
}

#[test]
fn a_destination_that_lies_gets_no_tag() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    use Lie::*;
    for lie in [AlteredManifest, LostManifest, AlteredBlob, ShortBlob, LongBlob, NoReferrers, BlobIsThere] {
        let site = Site::new();
        let lying = Meddled::new(&site.destination, Liar { lie, in_record: false });
        let error = release(&scanned, &place.store, &lying).map(|_| ()).unwrap_err();
        // A layout itself refuses a manifest whose blobs it doesn't have.
        let class = if lie == BlobIsThere { Class::Failed } else { Class::Verification };
        assert_eq!(error.class(), class, "{lie:?}: {error}");
        assert!(site.tags()?.is_empty(), "{lie:?}: {:?}", site.tags());
    }
    Ok(())
}

#[test]
fn every_lie_is_told_with_its_repository_and_digest() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let site = Site::new();
    let lying = Meddled::new(&site.destination, Liar { lie: Lie::AlteredBlob, in_record: false });
    let text = release(&scanned, &place.store, &lying).map(|_| ()).unwrap_err().to_string();
    for image in &scanned.built().images {
        for platform in &image.platforms {
            for blob in platform.layers.iter().chain([&platform.config]) {
                let named =
                    |line: &str| line.contains(image.plan.repository.as_str()) && line.contains(&blob.digest.hex());
                assert!(text.lines().any(named), "{} {}: {text}", image.plan.name, blob.digest);
            }
        }
    }
    Ok(())
}

#[test]
fn a_record_that_is_not_given_back_is_not_tagged() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    for lie in [Lie::AlteredManifest, Lie::LostManifest, Lie::AlteredBlob, Lie::ShortBlob] {
        let site = Site::new();
        let lying = Meddled::new(&site.destination, Liar { lie, in_record: true });
        let error = release(&scanned, &place.store, &lying).map(|_| ()).unwrap_err();
        assert_eq!(error.class(), Class::Verification, "{lie:?}: {error}");
        assert!(site.tags()?.keys().all(|(repository, _)| repository != "goverse-release"), "{lie:?}");
    }
    Ok(())
}

#[test]
fn a_build_whose_platforms_are_swapped_gets_no_tag() -> Result<()> {
    let place = Place::new();
    let mut built = place.scanned("1.2.0", "x")?.built().clone();
    let [first, second] = built.images[0].platforms.as_mut_slice() else { panic!("two platforms") };
    std::mem::swap(&mut first.platform, &mut second.platform);
    let platforms = &built.images[0].platforms;
    let index = crate::publish::fixture::index(platforms.iter().map(|p| (&p.platform, &p.manifest)))?;
    place.store.put(&index)?;
    built.images[0].index = index.descriptor;
    let sboms = crate::publish::fixture::sboms(&built);
    let scanned = crate::scan::Scanned::skipped(built, sboms, "test");
    let site = Site::new();
    let error = release(&scanned, &place.store, &site.destination).map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::Verification);
    let text = error.to_string();
    assert!(text.contains("it is for linux/arm64") && text.contains("it is for linux/amd64"), "{text}");
    assert!(site.tags()?.is_empty());
    Ok(())
}

#[test]
fn a_blob_that_was_cut_short_is_sent_again() -> Result<()> {
    let place = Place::new();
    let scanned = place.scanned("1.2.0", "x")?;
    let site = Site::new();
    release(&scanned, &place.store, &site.destination)?;
    let wanted = site.snapshot();
    let layer = &scanned.built().images[0].platforms[0].layers[1];
    let path = site.layouts()["goverse-gate"].store().path(&layer.digest);
    // The store's file is the same file: what is cut is a copy.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"cut").unwrap();
    release(&scanned, &place.store, &site.destination)?;
    assert!(site.snapshot() == wanted);
    Ok(())
}
