//! A stand-in for GitHub: a bare repository that is pushed to, a `gh` that keeps what it is told in a folder and writes
//! down every call, and the environment of a runner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Outcome, Repo};

/// `gh` as far as a release needs it. Without a token it refuses, and a release needs its tag, as the real one's do.
const GH: &str = r#"#!/bin/sh
set -eu
[ -n "${GH_TOKEN:-}" ] || { echo "gh: set the GH_TOKEN environment variable" >&2; exit 4; }
case " $* " in *"$GH_TOKEN"*) echo "a token on the command line" >&2; exit 1 ;; esac
printf '%s\n' "$*" >>"$FAKE_GITHUB/calls"
releases=$FAKE_GITHUB/releases
case "$1 $2" in
"repo view") echo main ;;
"release view")
  [ -d "$releases/$3" ] || { echo "release not found" >&2; exit 1; }
  body=; [ ! -s "$releases/$3/body" ] || body=text
  printf '{"url":"https://github.example/%s","body":"%s","assets":[' "$3" "$body"
  comma=
  for file in "$releases/$3/assets"/*; do
    [ -f "$file" ] || continue
    printf '%s{"name":"%s","digest":"sha256:%s"}' "$comma" "${file##*/}" "$(sha256sum "$file" | cut -d' ' -f1)"
    comma=,
  done
  echo ']}' ;;
"release create")
  git --git-dir="$FAKE_GITHUB/repository.git" rev-parse --quiet --verify "refs/tags/$3" >/dev/null ||
    { echo "tag $3 doesn't exist" >&2; exit 1; }
  mkdir -p "$releases/$3/assets"
  cat >"$releases/$3/body" ;;
"release edit") cat >"$releases/$3/body" ;;
"release upload")
  tag=$3; shift 3
  for file; do case $file in /*) cp "$file" "$releases/$tag/assets/" ;; esac; done ;;
"pr list")
  if [ -f "$FAKE_GITHUB/pull" ]; then echo '[{"number":1,"url":"https://github.example/pull/1"}]'; else echo '[]'; fi ;;
"pr create")
  cat >"$FAKE_GITHUB/pull"
  echo https://github.example/pull/1 ;;
"pr edit") cat >"$FAKE_GITHUB/pull" ;;
*) echo "unknown command $*" >&2; exit 1 ;;
esac
"#;

/// Cargo as far as a workflow and the checks call it: `cargo xtask` is the program under test, what compiles is written
/// down, and what is installed is a program that has nothing to say.
const CARGO: &str = r#"#!/bin/sh
set -eu
if [ "$1" = xtask ]; then shift; exec "$XTASK" "$@"; fi
printf '%s\n' "$*" >>"$FAKE_GITHUB/cargo"
if [ "$1" = install ]; then
  name=$2
  for root; do :; done
  mkdir -p "$root/bin"
  printf '#!/bin/sh\nexit 0\n' >"$root/bin/$name"
  chmod +x "$root/bin/$name"
fi
"#;

pub(crate) struct GitHub {
    folder: TempDir,
}

impl GitHub {
    /// Has what `repo` has committed on its branch `main`, and becomes its origin.
    pub(crate) fn of(repo: &Repo) -> GitHub {
        let folder = TempDir::new().expect("a temporary folder");
        let github = GitHub { folder };
        for (name, text) in [("gh", GH), ("cargo", CARGO)] {
            github.program(name, text);
        }
        repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", &github.repository()]);
        repo.git(&["remote", "add", "origin", &github.repository()]);
        repo.git(&["push", "--quiet", "origin", "main"]);
        github
    }

    fn repository(&self) -> String {
        self.path("repository.git").display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path("bin").join(name);
        std::fs::create_dir_all(self.path("bin")).expect("the folder can be made");
        std::fs::write(&path, text).expect("the program can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be made a program");
    }

    /// A file that stand-ins write; empty when there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The calls of `gh` since the last time this was asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.read("calls").lines().map(str::to_owned).collect();
        let _ = std::fs::remove_file(self.path("calls"));
        calls
    }

    /// What the outputs' file sets.
    pub(crate) fn outputs(&self) -> BTreeMap<String, String> {
        let text = self.read("outputs");
        text.lines().filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    /// What git says of the repository that was pushed to.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git").arg("--git-dir").arg(self.repository()).args(args).output().expect("git runs");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a `run` line in `repo` with the environment of a job, as a runner does (`bash -e`, here any shell).
    pub(crate) fn run(&self, repo: &Repo, line: &str, env: &[(String, String)]) -> Outcome {
        let mut command = repo.command(&[]);
        let path = std::env::var("PATH").expect("PATH is set");
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", line]).current_dir(repo.path());
        for (name, _) in command.get_envs().filter(|(_, value)| value.is_none()) {
            shell.env_remove(name);
        }
        shell
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("XTASK", env!("CARGO_BIN_EXE_xtask"))
            .env("FAKE_GITHUB", self.folder.path())
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_REPOSITORY", "owner/name")
            .env("GITHUB_OUTPUT", self.path("outputs"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary"))
            .envs(env.iter().map(|(name, value)| (name, value)));
        command = shell;
        Outcome::of(command.stdin(std::process::Stdio::null()).output().expect("sh runs"))
    }

    /// The same, and it has to succeed.
    pub(crate) fn succeed(&self, repo: &Repo, line: &str, env: &[(String, String)]) -> Outcome {
        let outcome = self.run(repo, line, env);
        assert_eq!(outcome.code, Some(0), "{line}\n{}", outcome.stderr);
        outcome
    }
}

/// A file of a branch in the repository that was pushed to.
pub(crate) fn pushed(github: &GitHub, branch: &str, path: &Path) -> String {
    github.git(&["show", &format!("{branch}:{}", path.display())])
}
