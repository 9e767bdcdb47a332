//! What tests share that run the `xtask` program on a repository of their own, against real programs.
//!
//! A [`Repo`] is a temporary git repository from `fixtures/`, with caches of its own. Programs are installed once a
//! checkout, at the versions pinned in [`tools`], by the go command; a server started here ends with its value.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that can't be set up has failed"
)]

pub(crate) mod base;
pub(crate) mod buildkit;
pub(crate) mod cluster;
pub(crate) mod compiled;
pub(crate) mod difference;
pub(crate) mod github;
pub(crate) mod peers;
pub(crate) mod registry;
pub(crate) mod single;
pub(crate) mod tokens;
pub(crate) mod tools;
pub(crate) mod trivydb;
pub(crate) mod workflow;

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What the settings of whoever runs the tests could change.
const SCRUBBED: &[&str] = &[
    "SOURCE_DATE_EPOCH",
    "XTASK_REGISTRY_USER",
    "XTASK_REGISTRY_PASSWORD",
    "XTASK_TOOLS_MIRROR",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "XDG_RUNTIME_DIR",
    "NO_COLOR",
    "CLICOLOR_FORCE",
    "TZ",
    "GITHUB_ACTIONS",
    "GIT_DIR",
    "GIT_WORK_TREE",
];

/// The checkout whose tests these are.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace").to_owned()
}

/// A temporary repository that carries a release table, a Go module and manifests.
pub(crate) struct Repo {
    folder: TempDir,
}

impl Repo {
    /// Two small programs without dependencies, and everything committed at a fixed time.
    pub(crate) fn tiny() -> Repo {
        let repo = Repo { folder: TempDir::new().expect("a temporary folder") };
        copy(&checkout().join("xtask/tests/fixtures/tiny"), repo.path());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.commit("first");
        repo
    }

    /// A copy of this very checkout's release table, sample and manifests.
    pub(crate) fn sample() -> Repo {
        let repo = Repo { folder: TempDir::new().expect("a temporary folder") };
        let table = std::fs::read_to_string(checkout().join("release.toml")).expect("release.toml is there");
        // Trivy may be installed where its database can't be had; `system_trivy` brings one.
        repo.write(
            "release.toml",
            &(table
                + "
[scan.trivy]
when = \"never\"
"),
        );
        for folder in ["docker", "k8s"] {
            copy(&checkout().join(folder), &repo.path().join(folder));
        }
        std::fs::write(repo.path().join(".gitignore"), "/target/\n/dist/\n").expect("the folder can be written");
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.commit("first");
        repo
    }

    /// Adds a chart that runs both of the tiny programs.
    pub(crate) fn add_chart(&self) {
        let templates = self.path().join("k8s/helm/goverse/templates");
        std::fs::create_dir_all(templates).expect("the folder can be made");
        self.write("k8s/helm/goverse/Chart.yaml", "apiVersion: v2\nname: goverse\nversion: 0.1.0 # set by a release\n");
        self.write("k8s/helm/goverse/values.yaml", "gate: {image: tiny-gate}\nnode: {image: tiny-node}\n");
        self.write("k8s/helm/goverse/templates/pods.yaml", "{{ range .Values }}---\nimage: {{ .image }}\n{{ end }}");
        self.commit("add a chart");
    }

    /// Makes every program one with old dependencies, about which much is known.
    pub(crate) fn vulnerable(&self) {
        self.take("vulnerable");
    }

    /// Makes every program the one of a fixture.
    pub(crate) fn take(&self, fixture: &str) {
        copy(&checkout().join("xtask/tests/fixtures").join(fixture), &self.path().join("source"));
        let table = self.read("release.toml").replace("./cmd/gate", ".").replace("./cmd/node", ".");
        self.write("release.toml", &table);
        self.commit("take another program");
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Commits everything, always at the same time, so that equal content is an equal commit.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    pub(crate) fn git(&self, args: &[&str]) {
        let time = "2026-01-02T03:04:05Z";
        let output = Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(self.path())
            .envs([("GIT_AUTHOR_DATE", time), ("GIT_COMMITTER_DATE", time), ("GIT_CONFIG_GLOBAL", "/dev/null")])
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path().join(path), text).expect("the file can be written");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).expect("the file is there")
    }

    /// `cargo xtask ARGS`, its environment scrubbed, to be run or changed further.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        for name in SCRUBBED {
            command.env_remove(name);
        }
        command
    }

    /// Runs `cargo xtask ARGS` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command(args).output().expect("xtask runs"))
    }

    /// Runs it, and it has to succeed.
    pub(crate) fn succeed(&self, args: &[&str]) -> Outcome {
        let outcome = self.run(args);
        assert_eq!(outcome.code, Some(0), "cargo xtask {args:?}\n{}", outcome.stderr);
        outcome
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Outcome {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("xtask writes UTF-8");
        Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("xtask wrote JSON")
    }
}

/// The index digests of a record or of `build --json`, by image.
pub(crate) fn digests(json: &Value) -> Vec<(String, String)> {
    let images = json["images"].as_array().expect("it has images");
    let digest = |image: &Value| image["index"]["digest"].as_str().or(image["index"].as_str()).map(str::to_owned);
    images.iter().map(|i| (i["name"].as_str().unwrap_or_default().to_owned(), digest(i).expect("a digest"))).collect()
}

/// A JSON file that has to be there.
pub(crate) fn read_json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).expect("it is JSON")
}

/// Runs a program that has to succeed and gives what it wrote to stdout.
pub(crate) fn read(program: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Copies a folder without what git would ignore.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder is there").flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).expect("the file can be copied"),
        }
    }
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
