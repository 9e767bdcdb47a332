//! `cargo xtask tools` as people and scripts meet it. Needs git and sh, no Go and no network.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::{Outcome, Repo};
use serde_json::Value;

/// A repository that pins Trivy, and a machine that has nothing but what a test puts there.
struct Machine {
    repo: Repo,
    home: tempfile::TempDir,
}

impl Machine {
    fn new(pin: &str) -> Machine {
        let repo = Repo::tiny();
        let table = repo.read("release.toml");
        repo.write("release.toml", &format!("{table}{pin}\n"));
        Machine { repo, home: tempfile::tempdir().unwrap() }
    }

    /// A program on the PATH that says something.
    fn program(&self, name: &str, says: &str) {
        let path = self.home.path().join("bin").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, args: &[&str]) -> Outcome {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path: OsString = [self.home.path().join("bin").into_os_string(), inherited].join(&OsString::from(":"));
        let mut command = self.repo.command(args);
        command.env("PATH", path).env("XDG_CACHE_HOME", self.home.path().join("cache"));
        Outcome::of(command.output().unwrap())
    }

    fn row(&self, name: &str) -> Value {
        let list = self.run(&["tools", "list", "--json"]).json();
        list.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
    }
}

#[test]
fn the_list_says_where_each_pinned_tool_is() {
    let machine = Machine::new("trivy = \"0.999.0\"");
    let names = |list: &Value| list.as_array().unwrap().iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    let list = machine.run(&["tools", "list", "--json"]).json();
    assert_eq!(names(&list), ["govulncheck", "protoc-gen-go", "protoc-gen-go-grpc", "trivy"]);
    assert_eq!(machine.row("trivy")["found"], Value::Null);
    machine.program("trivy", "Version: 0.998.0");
    let row = machine.row("trivy");
    assert_eq!((&row["found"], row["passedOver"][0]["version"].as_str()), (&Value::Null, Some("0.998.0")));
    machine.program("trivy", "Version: 0.999.0");
    let row = machine.row("trivy");
    assert_eq!(row["found"]["how"], "path");
    assert!(Path::new(row["found"]["path"].as_str().unwrap()).starts_with(machine.home.path()));
    let shown = machine.run(&["tools", "list"]);
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(0), ""));
    assert!(shown.stderr.contains("trivy") && shown.stderr.contains("on the PATH"), "{}", shown.stderr);
}

#[test]
fn a_hijacked_trivy_is_refused_on_the_path_and_in_the_table() {
    let machine = Machine::new("trivy = \"0.999.0\"");
    machine.program("trivy", "Version: 0.69.5");
    for args in [&["tools", "list"][..], &["doctor"]] {
        let outcome = machine.run(args);
        assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("CVE-2026-33634"), "{}", outcome.stderr);
    }
    let outcome = Machine::new("trivy = \"0.69.5\"").run(&["tools", "list"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("release.toml:26:9: Trivy 0.69.5 is a hijacked release"), "{}", outcome.stderr);
}

#[test]
fn a_mistake_on_the_command_line_is_usage_and_shows_no_secret() {
    let machine = Machine::new("trivy = \"0.999.0\"");
    for (args, why) in [
        (&["tools", "lock", "trivy", "--mirror", "http://mirror.example"][..], "only https is"),
        (&["tools", "lock", "trivy", "--mirror", "https://me:secret@mirror.example"], "credentials are never sent"),
        (&["tools", "lock", "trivy@latest"], "not an exact version"),
        (&["tools", "lock", "govulncheck"], "no checksum to lock"),
        (&["tools", "lock", "helm"], "release.toml pins no version of helm"),
        (&["tools", "lock", "ls"], "no tool is called `ls`"),
        (&["tools", "install", "--offline", "--compile"], "cannot be used with"),
    ] {
        let outcome = machine.run(args);
        assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "{args:?}: {}", outcome.stderr);
    }
}
