//! What is in a chart's archive, for whoever verifies it.
//!
//! Takes the archive's bytes, gives a file of it. Reads no more than a chart may have.

use std::io::Read;

use super::VALUES;
use crate::error::{Error, Result};

/// The largest archive; Helm keeps what is installed in a Secret, which has 1 MiB at most.
pub const LIMIT: u64 = 1 << 20;
/// The largest content of an archive that is read.
const UNPACKED: u64 = 64 << 20;

/// The values in the archive of the chart `name`; `None` where it has none. An archive that can't be read is an error
/// of class verification.
pub fn values(name: &str, archive: &[u8]) -> Result<Option<String>> {
    read(&format!("{name}/{VALUES}"), archive)
        .map_err(|e| Error::verification(format!("the archive of the chart {name} can't be read")).because(e))
}

fn read(wanted: &str, archive: &[u8]) -> std::io::Result<Option<String>> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archive).take(UNPACKED));
    for entry in tar.entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() == wanted {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}
