//! A real registry, the reference implementation, on a free port of this machine.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{free_port, tools};

/// A running registry; it ends with this value.
pub(crate) struct Registry {
    process: Child,
    address: String,
    storage: TempDir,
}

impl Registry {
    /// Starts an empty registry and waits until it says that it listens.
    pub(crate) fn start() -> Registry {
        let storage = TempDir::new().expect("a temporary folder");
        let address = format!("127.0.0.1:{}", free_port());
        let config = storage.path().join("config.yml");
        let root = storage.path().join("blobs");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
            root.display()
        );
        std::fs::write(&config, text).expect("the configuration can be written");
        let mut process = Command::new(tools::registry())
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the registry starts");
        let mut log = BufReader::new(process.stderr.take().expect("its log is piped")).lines();
        let listens = log.any(|line| line.is_ok_and(|line| line.contains("listening on")));
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
