use super::fixture::{Answer, Server, TestClock, files, script, sha256, tar_gz};
use super::*;
use crate::config::{Machine, PinnedTool};

/// Toolboxes on one machine: one cache, one publisher, one go command.
struct Lab {
    folder: tempfile::TempDir,
    tools: Tools,
    go: Go,
    server: Server,
}

const PROGRAM: &[u8] = b"#!/bin/sh\necho downloaded\n";

impl Lab {
    /// crane is offered as `served`, of which `pinned` is expected.
    fn new(served: Serve, pinned: &[u8]) -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let version = |minor| Version::new(1, minor, 0);
        let mut tools = Tools::new(version(27), version(36), version(5), version(9));
        let sha256 = Machine::ALL.map(|machine| (machine, sha256(pinned))).into();
        tools.crane = Some(PinnedTool { version: Version::new(0, 22, 1), sha256 });
        tools.trivy = Some(PinnedTool::from(Version::new(0, 74, 0)));
        let go = folder.path().join("bin/go");
        script(
            &go,
            &format!(
                "for package; do :; done; program=${{package%@*}}; echo \"$GOTOOLCHAIN $GOEXPERIMENT $*\" >> {0}/asked\n\
                 printf '#!/bin/sh\\necho built\\n' > $GOBIN/${{program##*/}}; chmod +x $GOBIN/*",
                folder.path().display()
            ),
        );
        let go = Go::scripted(&go, version(27));
        Lab { folder, tools, go, server: Server::start(move |_, _| served()) }
    }

    fn toolbox(&self, offline: bool) -> Toolbox<'_> {
        let mirror = Some(self.server.url().parse().unwrap());
        let toolbox = Toolbox::new(&self.tools, &self.go, self.cache(), mirror, offline);
        let finder = Finder { path: None, ..toolbox.finder };
        Toolbox { finder, clock: TestClock::new(), ..toolbox }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// What the go command was asked.
    fn asked(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }
}

type Serve = Box<dyn Fn() -> Answer + Send + Sync>;

fn serving(body: Vec<u8>) -> Serve {
    Box::new(move || Answer::file(body.clone()))
}

#[test]
fn what_was_downloaded_once_is_cached_for_every_checkout_and_offline() {
    let archive = tar_gz(&[("crane", PROGRAM)]);
    let lab = Lab::new(serving(archive.clone()), &archive);
    let ui = Ui::silent();
    assert_eq!(lab.toolbox(true).installed("crane", &ui).unwrap(), None);
    let first = lab.toolbox(false).provide("crane", &ui).unwrap();
    assert_eq!((first.how, std::fs::read(&first.path).unwrap().as_slice()), (How::Download, PROGRAM));
    for offline in [false, true] {
        assert_eq!(lab.toolbox(offline).provide("crane", &ui).unwrap(), Found { how: How::Cache, ..first.clone() });
    }
    assert_eq!(lab.toolbox(true).installed("crane", &ui).unwrap(), Some(first.path));
    assert_eq!((lab.server.log().len(), lab.asked()), (1, Vec::new()));
}

#[test]
fn a_wrong_checksum_ends_it_and_nothing_is_compiled_instead() {
    let lab = Lab::new(serving(tar_gz(&[("crane", PROGRAM)])), b"what was released");
    let error = lab.toolbox(false).get("crane", &Ui::silent()).unwrap_err();
    assert_eq!(error.class(), Class::Verification, "{error}");
    assert_eq!((files(&lab.cache()), lab.asked()), (vec!["crane".to_owned()], Vec::new()));
}

#[test]
fn a_publisher_that_cannot_be_reached_is_done_without() {
    let lab = Lab::new(Box::new(|| Answer::new(503)), b"what was released");
    let found = lab.toolbox(false).provide("crane", &Ui::silent()).unwrap();
    assert_eq!((found.how, lab.server.log().len()), (How::GoInstall, 5));
    let [asked] = &lab.asked()[..] else { panic!("{:?}", lab.asked()) };
    assert_eq!(
        asked,
        "go1.27.0  install -trimpath -ldflags=-s -w github.com/google/go-containerregistry/cmd/crane@v0.22.1"
    );
    assert_eq!(lab.toolbox(true).provide("crane", &Ui::silent()).unwrap().how, How::Cache);
}

#[test]
fn without_a_checksum_nothing_is_downloaded() {
    let lab = Lab::new(serving(tar_gz(&[("trivy", PROGRAM)])), b"");
    let found = lab.toolbox(false).provide("trivy", &Ui::silent()).unwrap();
    assert_eq!((found.how, lab.server.log().len()), (How::GoInstall, 0));
    let [asked] = &lab.asked()[..] else { panic!("{:?}", lab.asked()) };
    assert!(asked.starts_with("go1.26.11 jsonv2 install"), "{asked}");
    assert!(asked.contains("app.ver=0.74.0 ") && asked.ends_with("trivy@v0.74.0"), "{asked}");
}

#[test]
fn nothing_is_downloaded_when_all_is_to_be_compiled() {
    let archive = tar_gz(&[("crane", PROGRAM)]);
    let lab = Lab::new(serving(archive.clone()), &archive);
    assert_eq!(lab.toolbox(false).compiling().provide("crane", &Ui::silent()).unwrap().how, How::GoInstall);
    assert_eq!(lab.server.log().len(), 0);
}

#[test]
fn offline_nothing_new_is_got_and_the_fix_is_named() {
    let lab = Lab::new(serving(Vec::new()), b"");
    let error = lab.toolbox(true).get("crane", &Ui::silent()).unwrap_err();
    assert_eq!(error.class(), Class::Preflight);
    assert!(error.to_string().contains("cargo xtask tools install crane"), "{error}");
    assert_eq!((lab.server.log().len(), lab.asked()), (0, Vec::new()));
}

#[test]
fn many_at_once_get_it_once() {
    let archive = tar_gz(&[("crane", PROGRAM)]);
    let lab = Lab::new(serving(archive.clone()), &archive);
    let start = std::sync::Barrier::new(8);
    let paths: Vec<PathBuf> = std::thread::scope(|scope| {
        let one = || {
            start.wait();
            // A toolbox each, as processes have: locks are held by open files, not by processes.
            lab.toolbox(false).get("crane", &Ui::silent()).unwrap()
        };
        let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(paths.iter().all(|path| *path == paths[0] && std::fs::read(path).unwrap() == PROGRAM));
    assert_eq!(lab.server.log().len(), 1);
}

#[test]
fn what_a_killed_run_left_is_cleared_away() {
    let archive = tar_gz(&[("crane", PROGRAM)]);
    let lab = Lab::new(serving(archive.clone()), &archive);
    let left = lab.cache().join("crane/.download-killed");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("file"), "half").unwrap();
    lab.toolbox(false).get("crane", &Ui::silent()).unwrap();
    assert!(!left.exists());
}

#[test]
fn a_compilation_that_fails_leaves_nothing() {
    let mut lab = Lab::new(serving(Vec::new()), b"");
    let go = lab.folder.path().join("bin/broken");
    script(&go, "touch $GOBIN/half; echo 'no such module' >&2; exit 1");
    lab.go = Go::scripted(&go, Version::new(1, 27, 0));
    let error = lab.toolbox(false).compiling().get("crane", &Ui::silent()).unwrap_err();
    assert!(error.to_string().contains("no such module"), "{error}");
    assert_eq!(files(&lab.cache()), ["crane"]);
}
