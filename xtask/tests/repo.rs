//! The rules of this repository that no compiler checks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// No file is longer; a longer one is two concepts.
const LINES: usize = 600;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The sources by their path below `xtask/src`, without their test modules.
fn sources() -> BTreeMap<String, String> {
    let root = checkout().join("xtask/src");
    let files = walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap);
    let rust = files.filter(|entry| entry.path().extension().is_some_and(|e| e == "rs"));
    let named = rust.map(|entry| {
        let name = entry.path().strip_prefix(&root).unwrap().display().to_string();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    });
    let is_test = |name: &str| {
        name.ends_with("tests.rs")
            || name.contains("/tests/")
            || name.ends_with("fixture.rs")
            || name.ends_with("properties.rs")
    };
    named
        .filter(|(name, _)| !is_test(name))
        .map(|(name, text)| (name, text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()))
        .collect()
}

/// The room a file is in: `publish/tags.rs` → `publish`.
fn room(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap()
}

/// The rooms that a file's code names.
fn uses(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list
                .split('}')
                .next()
                .unwrap()
                .split(',')
                .map(|n| n.trim().split("::").next().unwrap().to_owned())
                .collect(),
            None => vec![rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()],
        };
        found.extend(names.into_iter().filter(|name| !name.is_empty()));
    }
    found
}

#[test]
fn imports_run_one_way() {
    // Each room and those it may name. What is not here may name nothing but errors.
    let ground = ["error", "fs", "pool", "ahead", "ui", "cmd", "oci", "config", "yaml"];
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("error", &[][..]),
        ("fs", &["error"][..]),
        ("pool", &["error"][..]),
        ("ahead", &[][..]),
        ("ui", &[][..]),
        ("yaml", &["error"][..]),
        ("cmd", &["error", "ui"][..]),
        ("oci", &["error", "fs", "config"][..]),
        ("config", &["error", "fs", "oci"][..]),
        ("plan", &["error", "config", "oci"][..]),
        ("go", &["error", "cmd", "ui", "oci", "fs"][..]),
        ("remote", &["registry", "plan"][..]),
        ("registry", &["plan"][..]),
        ("tools", &["registry", "go", "sbom"][..]),
        ("source", &["plan", "go"][..]),
        ("base_lock", &["remote"][..]),
        ("build", &["plan", "go", "source", "remote"][..]),
        ("sbom", &["plan", "build"][..]),
        ("scan", &["plan", "go", "build", "sbom", "tools", "remote", "registry"][..]),
        ("chart", &["plan", "build", "scan", "pin", "k8s"][..]),
        ("record", &["plan", "scan", "pin", "build", "publish"][..]),
        ("publish", &["plan", "build", "sbom", "scan", "chart", "remote", "record"][..]),
        ("pin", &[][..]),
        ("rescan", &["plan", "go", "publish", "record", "remote", "sbom", "scan"][..]),
        ("verify", &["plan", "publish", "record", "pin", "remote", "chart"][..]),
        ("bundle", &["sbom", "scan", "record"][..]),
        ("preflight", &["plan", "publish", "source", "pin", "chart"][..]),
        ("doctor", &["plan", "scan", "go", "tools"][..]),
        ("k8s", &[][..]),
        ("ci", &["plan", "go", "source", "tools", "gha"][..]),
        ("exchange", &["plan", "build"][..]),
        ("gha", &["record", "scan", "pin", "source", "notes"][..]),
        ("notes", &["plan", "record", "source"][..]),
    ]);
    // The ground rooms' own lists are exact; all others may stand on the ground.
    let exact = ["error", "fs", "pool", "ahead", "ui", "cmd", "oci", "config", "yaml", "plan", "go"];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let own = room(&name);
        if ["cli", "main", "lib"].contains(&own) {
            continue;
        }
        let list = allowed.get(own).unwrap_or_else(|| panic!("{own} has no place in this table"));
        for used in uses(&text) {
            let stands = used == own
                || list.contains(&used.as_str())
                || (!exact.contains(&own) && ground.contains(&used.as_str()));
            if !stands {
                wrong.push(format!("{name} names crate::{used}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn only_the_rooms_that_say_so_start_processes_open_sockets_or_read_the_environment() {
    let rules: [(&str, &[&str]); 4] = [
        ("Command::new", &["cmd"]),
        ("reqwest::", &["registry"]),
        ("TcpStream", &[]),
        ("std::env::", &["ci", "cli", "registry", "scan", "source", "tools", "gha"]),
    ];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        // Constants of the compiler's, not of whoever runs it.
        let text = text.replace("std::env::consts", "");
        for (word, rooms) in rules {
            if text.contains(word) && !rooms.contains(&room(&name)) {
                wrong.push(format!("{name} has {word}"));
            }
        }
        if text.contains("GITHUB_") && room(&name) != "gha" {
            wrong.push(format!("{name} reads GITHUB_"));
        }
        if text.contains("set_var") {
            wrong.push(format!("{name} changes the environment"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_module_says_what_it_is_and_none_is_long() {
    for (name, text) in sources() {
        assert!(text.starts_with("//! "), "{name} does not open with what it is");
        assert!(text.lines().count() <= LINES, "{name} is longer than {LINES} lines");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = checkout();
    let mut documents: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|n| root.join(n)).to_vec();
    for folder in ["docs", "k8s", "docker"] {
        let found = walkdir::WalkDir::new(root.join(folder)).into_iter().map(Result::unwrap);
        documents.extend(found.map(walkdir::DirEntry::into_path).filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap_or_else(|e| panic!("{}: {e}", document.display()));
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                let path = document.parent().unwrap().join(target);
                assert!(path.exists(), "{} links to {target}", document.display());
            }
        }
    }
}

/// A Dockerfile without what is its image's own: comments on top, defaults, static files and the program's name.
fn shared(name: &str) -> String {
    let text = std::fs::read_to_string(checkout().join(format!("docker/Dockerfile.{name}"))).unwrap();
    let own = |line: &str| {
        ["# ", "ARG PACKAGE=", "ARG PORTS=", "COPY cmd/"].iter().any(|start| line.starts_with(start)) || line == "#"
    };
    let lines =
        text.lines().filter(|line| !own(line)).map(|line| line.replace(&format!("/usr/local/bin/{name}"), "PROGRAM"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_dockerfiles_differ_only_in_what_is_their_images_own() {
    let gate = shared("gate");
    assert_eq!(gate, shared("node"));
    assert_eq!(gate, shared("inspector"));
}

#[test]
fn the_dockerfiles_defaults_are_what_release_toml_says() {
    let config = xtask::config::Config::load(&checkout(), None).unwrap();
    let build = &config.build;
    for (name, image) in &config.images {
        let text = std::fs::read_to_string(checkout().join(format!("docker/Dockerfile.{}", name.as_ref()))).unwrap();
        let ports: Vec<String> = image.ports.iter().map(|port| port.number().to_string()).collect();
        let mut lines = vec![
            format!("ARG GO_VERSION={}", config.tools.go),
            format!("ARG GO_IMAGE={}", build.buildx.go_image.as_ref().unwrap()),
            format!("ARG PACKAGE={}", image.package),
            format!("ARG PORTS=\"{}\"", ports.join(" ")),
            format!("ARG USER_ID={} GROUP_ID={} USER_NAME={}", build.user.uid, build.user.gid, build.user.name),
            format!("ARG WORKING_DIR={}", build.working_dir),
            format!("ENTRYPOINT [\"/usr/local/bin/{}\"]", name.as_ref()),
        ];
        lines.extend(image.files.iter().map(|files| format!("COPY {} {}", files.from, files.to)));
        for line in lines {
            assert!(text.lines().any(|l| l == line), "docker/Dockerfile.{} lacks `{line}`", name.as_ref());
        }
    }
}

#[test]
fn exit_codes_are_the_same_everywhere() {
    use xtask::error::Class;
    let readme = std::fs::read_to_string(checkout().join("README.md")).unwrap();
    let classes = [
        Class::Failed,
        Class::Usage,
        Class::Preflight,
        Class::Findings,
        Class::Stale,
        Class::Verification,
        Class::Network,
        Class::TagConflict,
    ];
    for class in classes {
        assert!(readme.contains(&format!("| {} |", class as u8)), "README.md has no row for exit code {}", class as u8);
    }
}
