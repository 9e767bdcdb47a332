use std::sync::Arc;

use super::*;
use crate::error::Class;
use crate::registry::Policy;
use crate::tools::fixture::{Answer, Asked, Server, TestClock, files, sha256, tar_gz};

const MACHINE: Machine = Machine::LinuxAmd64;

fn release(kind: Kind, hosts: &'static [&'static str]) -> Release {
    Release {
        file: "https://publisher.example/v{version}/tool_{machine}",
        list: "https://publisher.example/v{version}/checksums.txt",
        kind,
        machines: ["l64", "larm", "d64", "darm"],
        hosts,
    }
}

/// A cache, and a clock that sleeping moves.
struct Lab {
    cache: tempfile::TempDir,
    clock: Arc<TestClock>,
}

impl Lab {
    fn new() -> Lab {
        Lab { cache: tempfile::tempdir().unwrap(), clock: TestClock::new() }
    }

    fn fetch(&self, server: &Server, release: &Release, sha256: Checksum) -> Result<PathBuf> {
        let (version, ui) = (Version::new(1, 2, 3), Ui::silent());
        let downloads = Downloads::patient(Policy::default(), Arc::clone(&self.clock) as _, LONGEST, &ui);
        let mirror = server.url().parse().unwrap();
        let fetcher = Fetcher { downloads, mirror: Some(&mirror) };
        let shelf = Shelf::new(self.cache.path(), "tool");
        let offer = Offer { name: "tool", version: &version, machine: MACHINE, release };
        fetcher.program(&offer, sha256, &shelf, &shelf.lock(&ui).unwrap(), &ui)
    }

    /// Fetches `body` as the file that it is.
    fn get(&self, server: &Server, body: &[u8]) -> Result<PathBuf> {
        self.fetch(server, &release(Kind::Bare, &[]), sha256(body))
    }

    /// The error of a fetch of which nothing may be left.
    #[track_caller]
    fn fails(&self, result: Result<PathBuf>, class: Class) -> String {
        let error = result.expect_err("it must not succeed");
        assert_eq!(files(self.cache.path()), ["tool"], "something is left: {error}");
        assert_eq!(error.class(), class, "{error}");
        error.to_string()
    }
}

fn serving(body: &[u8]) -> Server {
    let body = body.to_vec();
    Server::start(move |asked, _| Answer::ranged(&body, asked))
}

/// Bytes that don't repeat soon.
fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn a_bare_program_and_one_in_an_archive_are_put_on_the_shelf() {
    for (kind, body) in
        [(Kind::Bare, b"program".to_vec()), (Kind::TarGz("x_{machine}/tool"), tar_gz(&[("x_l64/tool", b"program")]))]
    {
        let lab = Lab::new();
        let server = serving(&body);
        let program = lab.fetch(&server, &release(kind, &[]), sha256(&body)).unwrap();
        assert_eq!(std::fs::read(&program).unwrap(), b"program");
        let folder = format!("tool/1.2.3-sha256-{}", sha256(&body));
        assert_eq!(files(lab.cache.path()), ["tool".to_owned(), folder.clone(), format!("{folder}/tool")]);
        let log = server.log();
        assert_eq!(
            log.iter().map(|asked| asked.path.as_str()).collect::<Vec<_>>(),
            ["/publisher.example/v1.2.3/tool_l64"]
        );
    }
}

#[test]
fn a_wrong_checksum_is_refused_before_anything_is_unpacked() {
    let lab = Lab::new();
    // An archive that would be refused for another reason, were it ever opened.
    let body = tar_gz(&[("other", b"x")]);
    let release = release(Kind::TarGz("tool"), &[]);
    let said = lab.fails(lab.fetch(&serving(&body), &release, sha256(b"what was released")), Class::Verification);
    assert!(said.contains("wrong checksum") && said.contains(&sha256(&body).to_string()), "{said}");
}

#[test]
fn an_archive_that_must_not_be_unpacked_leaves_nothing() {
    let lab = Lab::new();
    let body = tar_gz(&[("other", b"x")]);
    let release = release(Kind::TarGz("tool"), &[]);
    let said = lab.fails(lab.fetch(&serving(&body), &release, sha256(&body)), Class::Verification);
    assert!(said.contains("failed to unpack tool 1.2.3") && said.contains("no program called tool"), "{said}");
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was_cut() {
    let lab = Lab::new();
    let body = noise(300_000);
    let served = body.clone();
    let server = Server::start(move |asked: &Asked, before| match before {
        0 => Answer::ranged(&served, asked).cut(100_000),
        1 => Answer::ranged(&served, asked).cut(50_000),
        _ => Answer::ranged(&served, asked),
    });
    assert_eq!(std::fs::read(lab.get(&server, &body).unwrap()).unwrap(), body);
    let ranges: Vec<_> = server.log().iter().map(|asked| asked.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=150000-".into())]);
}

#[test]
fn a_server_that_knows_no_ranges_is_asked_again_from_the_start() {
    let lab = Lab::new();
    let body = noise(200_000);
    let served = body.clone();
    let server = Server::start(move |_, before| match before {
        0 => Answer::file(served.clone()).cut(70_000),
        _ => Answer::file(served.clone()),
    });
    assert_eq!(std::fs::read(lab.get(&server, &body).unwrap()).unwrap(), body);
}

#[test]
fn a_server_that_sends_another_range_or_another_file_is_refused() {
    let body = noise(200_000);
    for wrong in
        [Answer::new(206).with("Content-Range", "bytes 0-9/200000"), Answer::file(noise(199_999)), Answer::new(204)]
    {
        let lab = Lab::new();
        let (served, wrong) = (body.clone(), std::sync::Mutex::new(Some(wrong)));
        let server = Server::start(move |_, before| match before {
            0 => Answer::file(served.clone()).cut(70_000),
            _ => wrong.lock().unwrap().take().unwrap_or(Answer::new(404)),
        });
        lab.fails(lab.get(&server, &body), Class::Network);
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_waited_for_as_it_says() {
    let lab = Lab::new();
    let server = Server::start(|_, before| match before {
        0 => Answer::new(503).with("Retry-After", "7"),
        1 => Answer::new(429),
        _ => Answer::file("program"),
    });
    lab.get(&server, b"program").unwrap();
    assert_eq!(*lab.clock.slept.lock().unwrap(), [Duration::from_secs(7), Duration::from_millis(400)]);
}

#[test]
fn what_cannot_be_had_is_the_networks_fault_and_not_asked_for_ever() {
    for (status, times) in [(503, 5), (404, 1), (403, 1)] {
        let lab = Lab::new();
        let server = Server::start(move |_, _| Answer::new(status));
        let said = lab.fails(lab.get(&server, b"program"), Class::Network);
        assert!(said.contains(&status.to_string()) && said.contains("--mirror"), "{said}");
        assert_eq!(server.log().len(), times, "{status}");
    }
}

#[test]
fn a_server_that_never_gets_anywhere_is_given_up() {
    let lab = Lab::new();
    let server = Server::start(|asked, _| Answer::ranged(&noise(100_000), asked).cut(10));
    lab.fails(lab.get(&server, &noise(100_000)), Class::Network);
}

#[test]
fn a_file_may_not_take_longer_than_its_time() {
    // Each try gets further, so that patience alone would go on to the end; only pauses move the clock.
    let body = noise(64 << 20);
    let served = body.clone();
    let server = Server::start(move |asked, _| Answer::ranged(&served, asked).cut(2 << 20));
    let second = Duration::from_secs(1);
    let downloads = Downloads::patient(Policy::default(), TestClock::new(), second, &Ui::silent());
    let mut download = downloads.open(&server.url().parse().unwrap(), &|_, _| Ok(())).unwrap();
    let error = download.read_to_end(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("took longer than 1 s"), "{error}");
    assert!(server.log().len() < 10);
}

#[test]
fn a_file_that_is_too_large_is_not_fetched() {
    let lab = Lab::new();
    let server = Server::start(|_, _| Answer::file("x").announcing(LARGEST + 1));
    let said = lab.fails(lab.get(&server, b"x"), Class::Verification);
    assert!(said.contains("larger than 512.00 MiB"), "{said}");
}

#[test]
fn a_redirect_to_another_host_is_refused_and_that_host_never_asked() {
    let lab = Lab::new();
    let elsewhere = serving(b"program");
    let target = format!("{}/file", elsewhere.other_url());
    let server = Server::start(move |_, _| Answer::redirect(target.clone()));
    let said = lab.fails(lab.get(&server, b"program"), Class::Verification);
    assert!(
        said.contains("redirects to http://localhost") && said.contains("not one of the publisher's hosts"),
        "{said}"
    );
    assert!(elsewhere.log().is_empty());
}

#[test]
fn a_redirect_to_a_listed_host_is_followed_without_credentials() {
    let lab = Lab::new();
    let storage = serving(b"program");
    let target = format!("{}/file?signature=abc", storage.other_url());
    let server = Server::start(move |_, _| Answer::redirect(target.clone()).with("Set-Cookie", "session=secret"));
    lab.fetch(&server, &release(Kind::Bare, &["localhost"]), sha256(b"program")).unwrap();
    let asked = storage.log();
    assert_eq!(asked.iter().map(|asked| asked.path.as_str()).collect::<Vec<_>>(), ["/file?signature=abc"]);
    for asked in server.log().iter().chain(&asked) {
        for name in ["authorization", "proxy-authorization", "cookie", "referer"] {
            assert_eq!(asked.header(name), None);
        }
    }
}

#[test]
fn a_redirect_that_brings_credentials_along_is_refused() {
    let lab = Lab::new();
    let storage = serving(b"program");
    let target = storage.other_url().replace("http://", "http://user:password@");
    let server = Server::start(move |_, _| Answer::redirect(target.clone()));
    let said =
        lab.fails(lab.fetch(&server, &release(Kind::Bare, &["localhost"]), sha256(b"program")), Class::Verification);
    assert!(!said.contains("password"), "{said}");
    assert!(storage.log().is_empty());
}

#[test]
fn redirects_end() {
    let lab = Lab::new();
    let server = Server::start(|asked, _| Answer::redirect(asked.path.clone()));
    lab.fails(lab.get(&server, b"program"), Class::Network);
    assert!(server.log().len() < 10);
}

#[test]
fn tls_is_never_given_up_on_the_way_to_a_file() {
    let ui = Ui::silent();
    let fetcher = Fetcher { downloads: Downloads::new(LONGEST, &ui), mirror: None };
    let release = release(Kind::Bare, &["storage.example", "localhost"]);
    let first: Url = "https://publisher.example/x".parse().unwrap();
    let allowed =
        |from: &str, to: &str| fetcher.check(&first, &release, &from.parse().unwrap(), &to.parse().unwrap()).is_ok();
    assert!(allowed("https://publisher.example/x", "https://storage.example/y"));
    assert!(allowed("https://storage.example/y", "https://publisher.example/z"));
    for to in [
        "http://storage.example/y",
        "http://publisher.example/y",
        "http://localhost/y",
        "https://storage.example.evil.example/y",
        "https://evil.example/storage.example",
        "https://storage.example@evil.example/y",
        "ftp://storage.example/y",
        "file:///etc/passwd",
    ] {
        assert!(!allowed("https://publisher.example/x", to), "{to}");
    }
}

#[test]
fn a_list_of_checksums_is_text_of_a_bounded_length() {
    let ui = Ui::silent();
    let version = Version::new(1, 2, 3);
    let release = release(Kind::Bare, &[]);
    let offer = Offer { name: "tool", version: &version, machine: MACHINE, release: &release };
    let listed = |body: Vec<u8>| {
        let server = serving(&body);
        let mirror = server.url().parse().unwrap();
        Fetcher { downloads: Downloads::new(LONGEST, &ui), mirror: Some(&mirror) }.list(&offer)
    };
    assert_eq!(listed(b"abc  tool".to_vec()).unwrap(), "abc  tool");
    let too_long = vec![b'a'; usize::try_from(LARGEST_LIST).unwrap() + 1];
    assert_eq!(listed(too_long).unwrap_err().class(), Class::Verification);
    assert_eq!(listed(vec![0xff, 0xfe]).unwrap_err().class(), Class::Verification);
}
