//! Images on a base: the base itself, and the packages it brings.

use super::*;

#[test]
fn a_base_is_a_part_of_the_image_and_scratch_is_nothing() {
    let table = TABLE.replace("[build]", &format!("[build]\nbase = \"gcr.io/distroless/static:nonroot@{BASE}\""));
    for document in Bench::with(&table, MODULES).pair() {
        let purl = format!("pkg:oci/static@{BASE}?repository_url=gcr.io%2Fdistroless%2Fstatic&tag=nonroot");
        let base: Fact = ("gcr.io/distroless/static".into(), "nonroot".into(), purl, Some(BASE[7..].into()));
        assert!(facts(&document).contains(&base), "{:?}", facts(&document));
        relations(&document);
    }
    for document in Bench::new().pair() {
        assert_eq!(facts(&document).iter().filter(|fact| fact.2.starts_with("pkg:oci/")).count(), 1);
    }
}

#[test]
fn packages_of_the_base_stand_between_the_base_and_nothing() {
    let mut bench = Bench::with(&on_a_base(), MODULES);
    bench.base(ALPINE);
    for document in bench.pair() {
        let facts = facts(&document);
        let package = |name: &str| -> Fact {
            let purl = format!("pkg:apk/alpine/{name}@1.2.5-r10?arch=x86_64&distro=alpine-3.22.1");
            (name.into(), "1.2.5-r10".into(), purl, None)
        };
        for fact in [package("musl"), package("musl-utils"), ("alpine".into(), "3.22.1".into(), String::new(), None)] {
            assert!(facts.contains(&fact), "{fact:?} in {facts:?}");
        }
        assert_eq!(license(&document, "musl").as_deref(), Some("MIT"));
        assert_eq!(license(&document, "musl-utils"), None, "what is no expression is not one");
        assert_eq!(properties(&document, "musl-utils")["aquasecurity:trivy:SrcName"], "musl");
    }
    let [cyclonedx, spdx] = bench.pair();
    let pairs = relations(&cyclonedx);
    for pair in
        [("image", "base"), ("base", "system"), ("system", "apk:musl:x86_64"), ("system", "apk:musl-utils:x86_64")]
    {
        assert!(pairs.contains(&(pair.0.into(), pair.1.into())), "{pair:?} in {pairs:?}");
    }
    // Beside DESCRIBES, the base is both what the image descends from and a part of it.
    assert_eq!(relations(&spdx).len(), 2 + pairs.len());
    let words = list(&spdx, "packages").into_iter().find(|p| p["name"] == "musl-utils").unwrap();
    assert_eq!(words["licenseComments"], "see file");
}

#[test]
fn a_base_is_unpacked_once_and_again_when_it_is_another() {
    let mut bench = Bench::with(&on_a_base(), MODULES);
    bench.base(ALPINE);
    let first = bench.pair();
    let layer = bench.built.images[0].platforms[0].layers[0].digest;
    std::fs::write(store(bench.folder.path()).path(&layer), b"no layer").unwrap();
    assert_eq!(bench.pair(), first);
    bench.base(&[("/etc/os-release", "ID=other\n")]);
    assert!(bench.error().to_string().contains("layer"), "{}", bench.error());
}

#[test]
fn packages_that_nobody_read_are_told_and_never_taken_for_none() {
    let mut bench = Bench::with(&on_a_base(), MODULES);
    bench.base(&[("/var/lib/rpm/rpmdb.sqlite", "SQLite format 3"), ("/etc/os-release", "ID=fedora\nVERSION_ID=43\n")]);
    for document in bench.pair() {
        let base = properties(&document, "registry.example/base");
        assert_eq!(base["packages:unread"], "/var/lib/rpm/rpmdb.sqlite");
    }
    let [cyclonedx, _] = bench.pair();
    let compositions = list(&cyclonedx, "compositions");
    let aggregate = |part: &str| {
        let about = |c: &&&Value| list(c, "dependencies").iter().any(|d| *d == part);
        compositions.iter().find(about).map(|c| text(&c["aggregate"]).to_owned())
    };
    assert_eq!((aggregate("system").as_deref(), aggregate("base").as_deref()), (Some("incomplete"), Some("unknown")));
    assert_eq!(aggregate("program").as_deref(), Some("complete"));
}
