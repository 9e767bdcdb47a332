//! Reports that Trivy has made, kept by everything they depend on: nothing is scanned twice.
//!
//! Takes and gives a report's bytes. They are kept beside the database they were made with, and go with it. Never keeps
//! a report that can't be relied on: callers put in only what they could read, and read again what they get.

use std::path::PathBuf;

use serde_json::Value;

use crate::error::Result;
use crate::fs;
use crate::oci::Digest;

/// The largest report that is read; one of a base image with everything in it has some 50 MB.
const LIMIT: u64 = 512 << 20;

/// A folder of reports.
pub(super) struct Results {
    folder: PathBuf,
}

impl Results {
    pub(super) fn new(folder: PathBuf) -> Results {
        Results { folder }
    }

    /// The report made of exactly this.
    pub(super) fn get(&self, key: &Value) -> Option<Vec<u8>> {
        fs::read_small(&self.path(key), LIMIT).ok()
    }

    pub(super) fn put(&self, key: &Value, report: &[u8]) -> Result<()> {
        fs::write(&self.path(key), report)
    }

    fn path(&self, key: &Value) -> PathBuf {
        self.folder.join(format!("{}.json", Digest::of(key.to_string().as_bytes()).hex()))
    }
}
