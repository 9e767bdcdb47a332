//! Kubernetes' API, asked by kubectl.
//!
//! Takes its arguments, gives what it wrote. Whatever the server warns of is an error.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where a server is, and the kubectl to ask it with.
pub(crate) struct Api {
    /// The folders of programs, kubectl's among them.
    pub(super) path: String,
    /// The server, and who asks.
    pub(super) kubeconfig: PathBuf,
}

impl Api {
    /// `kubectl ARGS` with `input`: what it wrote, or what it said when it failed. A warning of the server fails it.
    pub(crate) fn ask(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut kubectl = Command::new("kubectl")
            .args(["--warnings-as-errors"])
            .args(args)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let mut stdin = kubectl.stdin.take().expect("its input is piped");
        // One that has failed early reads nothing, and says why.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = kubectl.wait_with_output().expect("kubectl ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stdout) + &text(&output.stderr)),
        }
    }

    /// `kubectl ARGS`, which has to succeed.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.give(args, "")
    }

    /// `kubectl ARGS` with `input`, which has to succeed.
    #[track_caller]
    pub(crate) fn give(&self, args: &[&str], input: &str) -> String {
        self.ask(args, input).unwrap_or_else(|said| panic!("kubectl {args:?}: {said}"))
    }

    /// What a person would look at first, when a test has failed.
    #[expect(clippy::print_stderr, reason = "shown with the failure")]
    pub(super) fn tell(&self) {
        for what in ["pods --output=wide", "events --sort-by=.metadata.creationTimestamp"] {
            let args: Vec<&str> = ["get", "--all-namespaces"].into_iter().chain(what.split(' ')).collect();
            eprintln!("{}", self.ask(&args, "").unwrap_or_else(|said| said));
        }
    }

    /// `kubectl get ARGS` as JSON.
    #[track_caller]
    pub(crate) fn get(&self, args: &[&str]) -> Value {
        let said = self.kubectl(&[&["get", "--output=json"], args].concat());
        serde_json::from_str(&said).expect("kubectl writes JSON")
    }
}
