//! Real registries on a free port of this machine: the reference implementation, and one with the referrers API.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::compiled::compiled;
use super::{checkout, free_port, tools};

/// What a registry asks of its clients, as its own configuration says it; by default nothing.
#[derive(Default)]
pub(crate) struct Guard {
    /// Where it listens, in place of the loopback address.
    pub(crate) address: Option<IpAddr>,
    pub(crate) tls: Value,
    pub(crate) auth: Value,
}

/// A running registry; it ends with this value.
pub(crate) struct Registry {
    process: Child,
    address: String,
    storage: TempDir,
}

impl Registry {
    /// Starts an empty registry and waits until it says that it listens.
    pub(crate) fn start() -> Registry {
        Registry::guarded(&Guard::default())
    }

    /// Starts one that asks its clients for something.
    pub(crate) fn guarded(guard: &Guard) -> Registry {
        let storage = TempDir::new().expect("a temporary folder");
        let address = format!("{}:{}", guard.address.unwrap_or(IpAddr::from([127, 0, 0, 1])), free_port());
        let config = storage.path().join("config.json");
        // YAML takes JSON.
        let settings = json!({
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": storage.path().join("blobs")}},
            "http": {"addr": address, "tls": guard.tls},
            "auth": guard.auth,
        });
        std::fs::write(&config, settings.to_string()).expect("the configuration can be written");
        let mut serve = Command::new(tools::registry());
        serve.arg("serve").arg(&config);
        Registry::run(serve, "listening on", address, storage)
    }

    /// Starts another implementation, go-containerregistry's, which has the referrers API.
    pub(crate) fn with_referrers() -> Registry {
        let storage = TempDir::new().expect("a temporary folder");
        let address = format!("127.0.0.1:{}", free_port());
        let module = checkout().join("xtask/tests/harness/referrers");
        let mut serve = Command::new(compiled("referrers", &module, "", ".").join("referrers"));
        serve.arg(&address).arg(storage.path());
        Registry::run(serve, "serving on", address, storage)
    }

    fn run(mut serve: Command, ready: &str, address: String, storage: TempDir) -> Registry {
        let mut process = serve.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the registry starts");
        let mut log = BufReader::new(process.stderr.take().expect("its log is piped")).lines();
        let listens = log.any(|line| line.is_ok_and(|line| line.contains(ready)));
        assert!(listens, "the registry ended before it listened");
        // Its log goes on; nobody reading it would stop the registry once the pipe is full.
        std::thread::spawn(move || log.for_each(drop));
        Registry { process, address, storage }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// Flips a bit in the middle of a blob, as a failing disk would.
    pub(crate) fn damage(&self, digest: &str) {
        let hex = digest.strip_prefix("sha256:").expect("a digest");
        let blobs = self.storage.path().join("blobs/docker/registry/v2/blobs/sha256");
        let path = blobs.join(&hex[..2]).join(hex).join("data");
        let mut bytes = std::fs::read(&path).expect("the blob is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("the blob can be written");
    }
}
