use std::cell::Cell;

use super::*;
use crate::error::Class;

const VERSION: &str = "v0.0.0-20261105234957-e22db6528018";
const NEWER: &str = "v0.0.0-20261120000000-aaaaaaaaaaaa";

struct Bench {
    folder: tempfile::TempDir,
    downloads: Cell<usize>,
    offers: &'static str,
}

impl Bench {
    fn new(offers: &'static str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let osv = folder.path().join("module/data/osv");
        for id in ["GO-2025-0001", "GO-2025-0002"] {
            let entry = format!(
                r#"{{"id":"{id}","modified":"0001-01-01T00:00:00Z","affected":[{{"package":{{"name":"example.com/m"}}}}]}}"#
            );
            fs::write(&osv.join(format!("{id}.json")), entry.as_bytes()).unwrap();
        }
        Bench { folder, downloads: Cell::new(0), offers }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("a b%/vulndb")
    }

    fn open(&self, now: &str, offline: bool, network: bool) -> Result<VulnDb> {
        let wanted = Freshness { refresh: Duration::from_secs(6 * 3600), offline, now: now.parse().unwrap() };
        let download = || {
            self.downloads.set(self.downloads.get() + 1);
            match network {
                true => Ok(Module {
                    version: self.offers.into(),
                    dir: self.folder.path().join("module"),
                    error: String::new(),
                }),
                false => Err(unreachable("no route to host")),
            }
        };
        open(&self.root(), &wanted, download, &Ui::silent())
    }
}

#[test]
fn the_layout_is_what_govulncheck_reads() {
    let bench = Bench::new(VERSION);
    let db = bench.open("2026-11-25T00:00:00Z", false, true).unwrap();
    assert_eq!(db.updated(), "2026-11-05T23:49:57Z");
    assert!(
        db.url().starts_with("file:///") && db.url().ends_with(&format!("/a%20b%25/vulndb/{VERSION}")),
        "{}",
        db.url()
    );
    let folder = bench.root().join(VERSION);
    for file in
        ["index/db.json", "index/modules.json", "index/vulns.json", "ID/GO-2025-0001.json", "ID/GO-2025-0002.json"]
    {
        assert!(folder.join(file).is_file(), "{file}");
    }
    assert_eq!(
        std::fs::read_to_string(folder.join("index/db.json")).unwrap(),
        r#"{"modified":"2026-11-05T23:49:57Z"}"#
    );
}

#[test]
fn within_the_refresh_time_and_offline_nothing_is_looked_for() {
    let bench = Bench::new(VERSION);
    let first = bench.open("2026-11-25T00:00:00Z", false, true).unwrap();
    assert_eq!(bench.open("2026-11-25T05:59:00Z", false, true).unwrap(), first);
    assert_eq!(bench.open("2027-11-25T00:00:00Z", true, true).unwrap(), first);
    assert_eq!(bench.downloads.get(), 1);
    bench.open("2026-11-25T06:01:00Z", false, true).unwrap();
    assert_eq!(bench.downloads.get(), 2);
    bench.open("2026-11-24T00:00:00Z", false, true).unwrap();
    assert_eq!(bench.downloads.get(), 3, "a last look in the future says nothing");
}

#[test]
fn without_a_network_an_old_database_is_used_and_looked_for_again_next_time() {
    let mut bench = Bench::new(VERSION);
    bench.open("2026-11-25T00:00:00Z", false, true).unwrap();
    assert_eq!(bench.open("2026-12-25T00:00:00Z", false, false).unwrap().version(), VERSION);
    bench.offers = NEWER;
    assert_eq!(bench.open("2026-12-25T00:01:00Z", false, true).unwrap().version(), NEWER);
    assert_eq!(bench.open("2027-12-25T00:00:00Z", true, false).unwrap().version(), NEWER);
}

#[test]
fn no_database_and_no_network_is_exit_code_7() {
    for offline in [true, false] {
        let err = Bench::new(VERSION).open("2026-11-25T00:00:00Z", offline, false).unwrap_err();
        assert_eq!(err.class(), Class::Network, "{err}");
        assert!(err.hint_text().is_some_and(|h| h.contains("--offline")), "{err}");
    }
}

#[test]
fn a_damaged_database_is_no_database() {
    for damage in ["ID/GO-2025-0001.json", "index/modules.json", MARKER] {
        let bench = Bench::new(VERSION);
        let db = bench.open("2026-11-25T00:00:00Z", false, true).unwrap();
        std::fs::remove_file(bench.root().join(VERSION).join(damage)).unwrap();
        assert_eq!(bench.open("2026-11-25T00:01:00Z", true, true).unwrap_err().class(), Class::Network, "{damage}");
        assert_eq!(bench.open("2026-11-25T00:01:00Z", false, true).unwrap(), db, "{damage}");
        assert_eq!(bench.open("2026-11-25T00:01:00Z", true, true).unwrap(), db, "{damage}");
    }
}

#[test]
fn a_module_without_entries_or_with_a_wrong_one_is_an_error_and_leaves_nothing() {
    let none = Bench::new(VERSION);
    std::fs::remove_dir_all(none.folder.path().join("module/data/osv")).unwrap();
    std::fs::create_dir_all(none.folder.path().join("module/data/osv")).unwrap();
    let wrong = Bench::new(VERSION);
    std::fs::write(
        wrong.folder.path().join("module/data/osv/GO-2025-0003.json"),
        b"{\"id\":\"GO-1\",\"modified\":\"\"}",
    )
    .unwrap();
    let garbage = Bench::new(VERSION);
    std::fs::write(garbage.folder.path().join("module/data/osv/GO-2025-0003.json"), b"{").unwrap();
    for bench in [none, wrong, garbage] {
        assert!(bench.open("2026-11-25T00:00:00Z", false, true).is_err());
        assert_eq!(std::fs::read_dir(bench.root()).unwrap().count(), 0);
    }
}

#[test]
fn a_version_without_a_time_is_refused() {
    assert_eq!(time_of(VERSION).map(|t| t.to_string()).as_deref(), Some("2026-11-05T23:49:57Z"));
    assert_eq!(
        time_of("v1.2.4-0.20261105234957-e22db6528018").map(|t| t.to_string()).as_deref(),
        Some("2026-11-05T23:49:57Z")
    );
    for bad in [
        "",
        "v1.2.3",
        "v0.0.0-2026-e22",
        "v0.0.0-20261305234957-e22db6528018",
        "v0.0.0-20261105234957-../x",
        "../v0.0.0-20261105234957-e22",
    ] {
        assert_eq!(time_of(bad), None, "{bad}");
    }
}

#[test]
fn runs_that_start_together_share_one_database() {
    let bench = Bench::new(VERSION);
    let (root, dir) = (bench.root(), bench.folder.path().join("module"));
    let opened = pool::map(&[(); 16], 8, |()| {
        let wanted =
            Freshness { refresh: Duration::ZERO, offline: false, now: "2026-11-25T00:00:00Z".parse().unwrap() };
        let module = || Ok(Module { version: VERSION.into(), dir: dir.clone(), error: String::new() });
        let db = open(&root, &wanted, module, &Ui::silent())?;
        assert_eq!(VulnDb::at(db.folder.clone()), Some(db.clone()), "it stays whole");
        Ok(db)
    });
    assert!(opened.unwrap().windows(2).all(|pair| pair[0] == pair[1]));
}
