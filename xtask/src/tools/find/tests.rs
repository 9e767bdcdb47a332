use std::path::Path;

use super::*;
use crate::sbom::fixture;
use crate::tools::fixture::script;

fn tools() -> Tools {
    let version = |minor| Version::new(1, minor, 0);
    let mut tools = Tools::new(version(27), version(36), version(5), version(9));
    tools.trivy = Some(PinnedTool::from(Version::new(0, 74, 0)));
    tools.helm = Some(PinnedTool::from(Version::new(4, 2, 3)));
    tools
}

/// Folders on a PATH, and a cache.
struct Lab {
    folder: tempfile::TempDir,
    tools: Tools,
}

impl Lab {
    fn new() -> Lab {
        Lab { folder: tempfile::tempdir().unwrap(), tools: tools() }
    }

    fn program(&self, folder: &str, name: &str, says: &str) -> PathBuf {
        let path = self.folder.path().join(folder).join(name);
        script(&path, says);
        path
    }

    fn finder(&self, folders: &[&str]) -> Finder<'_> {
        let path = std::env::join_paths(folders.iter().map(|folder| self.folder.path().join(folder))).unwrap();
        Finder { tools: &self.tools, cache: self.folder.path().join("cache"), path: Some(path) }
    }

    fn search(&self, folders: &[&str], name: &str) -> Result<Search> {
        let finder = self.finder(folders);
        finder.search(&finder.tool(name)?, &Ui::silent())
    }
}

fn on_path(path: &Path) -> Option<Found> {
    Some(Found { path: path.to_owned(), how: How::Path })
}

#[test]
fn the_pinned_version_is_taken_and_others_before_it_are_passed_over() {
    let lab = Lab::new();
    let old = lab.program("a", "trivy", "echo 'Version: 0.73.0'");
    let mute = lab.program("b", "trivy", "exit 0");
    let broken = lab.program("c", "trivy", "echo 'Version: 0.74.0'; exit 1");
    let right = lab.program("d", "trivy", "echo 'Version: 0.74.0'");
    let search = lab.search(&["a", "b", "nowhere", "c", "d"], "trivy").unwrap();
    assert_eq!(search.found, on_path(&right));
    let passed = [(old, Some(Version::new(0, 73, 0))), (mute, None), (broken, None)];
    assert_eq!(search.passed_over, passed.map(|(path, version)| PassedOver { path, version }));
}

#[test]
fn what_is_not_a_program_is_not_run() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.folder.path().join("a/trivy")).unwrap();
    std::fs::create_dir_all(lab.folder.path().join("b")).unwrap();
    std::fs::write(lab.folder.path().join("b/trivy"), "#!/bin/sh\necho 0.74.0\n").unwrap();
    let search = lab.search(&["a", "b"], "trivy").unwrap();
    assert_eq!((search.found, search.passed_over), (None, Vec::new()));
}

#[test]
fn a_relative_folder_on_the_path_is_not_looked_into() {
    let lab = Lab::new();
    lab.program("a", "trivy", "echo 'Version: 0.74.0'");
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = PathBuf::from(format!("{up}{}", lab.folder.path().join("a").strip_prefix("/").unwrap().display()));
    assert!(relative.join("trivy").is_file(), "the shell would find it there");
    let finder = Finder { path: Some(relative.into_os_string()), ..lab.finder(&[]) };
    let search = finder.search(&finder.tool("trivy").unwrap(), &Ui::silent()).unwrap();
    assert_eq!((search.found, search.passed_over), (None, Vec::new()));
}

#[test]
fn a_hijacked_release_is_refused_even_behind_the_right_one() {
    for version in ["0.69.4", "0.69.5", "0.69.6", "v0.69.5"] {
        let lab = Lab::new();
        lab.program("a", "trivy", &format!("echo 'Version: {version}'"));
        lab.program("b", "trivy", "echo 'Version: 0.74.0'");
        let error = lab.search(&["a", "b"], "trivy").unwrap_err();
        assert_eq!(error.class(), Class::Preflight);
        assert!(error.to_string().contains("CVE-2026-33634"), "{error}");
    }
    for version in ["0.69.3", "0.69.7"] {
        let lab = Lab::new();
        lab.program("a", "trivy", &format!("echo 'Version: {version}'"));
        assert_eq!(lab.search(&["a"], "trivy").unwrap().found, None);
    }
}

/// A Go program with nothing but build information: it can't be started.
fn go_program(lab: &Lab, module: &str, ldflags: &str) -> PathBuf {
    let information =
        format!("path\tmain\nmod\tgithub.com/aquasecurity/trivy\t{module}\t\nbuild\t-ldflags={ldflags}\n");
    let content = fixture::section("go1.26.8", &information);
    let path = lab.program("a", "trivy", "");
    std::fs::write(&path, fixture::elf(fixture::Layout::AMD64, ".go.buildinfo", &content)).unwrap();
    path
}

#[test]
fn a_hijacked_release_is_known_by_its_build_information_before_it_is_run() {
    for (module, ldflags) in
        [("v0.69.5", ""), ("(devel)", "\"-s -w -X=github.com/aquasecurity/trivy/pkg/version/app.ver=0.69.4\"")]
    {
        let lab = Lab::new();
        go_program(&lab, module, ldflags);
        let error = lab.search(&["a"], "trivy").unwrap_err();
        assert!(error.to_string().contains("CVE-2026-33634"), "{module}: {error}");
    }
    let lab = Lab::new();
    let path = go_program(&lab, "v0.69.7", "");
    assert_eq!(lab.search(&["a"], "trivy").unwrap().passed_over, [PassedOver { path, version: None }]);
}

#[test]
fn versions_are_found_in_what_programs_say() {
    for (says, expected) in [
        ("Version: 0.74.0\nVulnerability DB:\n  Version: 2", Some("0.74.0")),
        ("v5.8.1", Some("5.8.1")),
        ("github.com/docker/buildx v0.36.0 0123abcd", Some("0.36.0")),
        ("v4.2.3+g1a2b3c4", Some("4.2.3+g1a2b3c4")),
        ("syft [not provided]", None),
        ("protoc-gen-go-grpc 1.5.1", Some("1.5.1")),
        ("go1.26.3 linux/amd64", None),
        ("", None),
    ] {
        assert_eq!(version_in(says).map(|version| version.to_string()).as_deref(), expected, "{says}");
    }
}

#[test]
fn a_commit_in_the_version_is_the_same_release_and_a_changed_checkout_another() {
    let lab = Lab::new();
    let release = lab.program("a", "helm", "echo v4.2.3+g1a2b3c4");
    assert_eq!(lab.search(&["a"], "helm").unwrap().found, on_path(&release));
    lab.program("b", "helm", "echo v4.2.3+dirty");
    lab.program("c", "helm", "echo v4.2.3-rc.1");
    assert_eq!(lab.search(&["b", "c"], "helm").unwrap().found, None);
}

#[test]
fn one_that_cannot_tell_its_version_is_never_taken_from_the_path() {
    let lab = Lab::new();
    let path = lab.program("a", "govulncheck", "echo 1.9.0");
    let search = lab.search(&["a"], "govulncheck").unwrap();
    assert_eq!((search.found, search.passed_over), (None, vec![PassedOver { path, version: None }]));
}

#[test]
fn the_cache_has_programs_by_version_and_by_where_they_come_from() {
    let mut lab = Lab::new();
    let machine = this_machine().unwrap();
    let [mine, other] = [b"mine", b"othr"].map(|bytes| Checksum(crate::oci::Digest::of(bytes)));
    let tool = |lab: &Lab| lab.finder(&[]).cached(&lab.finder(&[]).tool("trivy").unwrap()).map(|found| found.path);
    let shelf = Shelf::new(&lab.folder.path().join("cache"), "trivy");
    let version = Version::new(0, 74, 0);
    script(&shelf.downloaded(&version, other), "");
    script(&shelf.built(&version, "go1.27.0"), "");
    script(&shelf.built(&Version::new(0, 73, 0), "go1.26.11"), "");
    assert_eq!(tool(&lab), None, "neither that checksum nor that toolchain nor that version is asked for");
    script(&shelf.built(&version, "go1.26.11"), "");
    assert_eq!(tool(&lab), Some(shelf.built(&version, "go1.26.11")));
    lab.tools.trivy = Some(PinnedTool { version: version.clone(), sha256: [(machine, mine)].into() });
    script(&shelf.downloaded(&version, mine), "");
    assert_eq!(tool(&lab), Some(shelf.downloaded(&version, mine)));
}

#[test]
fn a_name_that_is_not_known_or_not_pinned_is_usage() {
    let lab = Lab::new();
    for (name, says) in [("ls", "there are actionlint, buildx"), ("syft", "`syft = \"1.2.3\"` below [tools]")] {
        let error = lab.search(&[], name).unwrap_err();
        assert_eq!(error.class(), Class::Usage);
        assert!(error.to_string().contains(says), "{error}");
    }
}
