//! The extract of a Go program: all that a scan needs to know of it, a hundredth of its size.
//!
//! Takes what `govulncheck -mode extract` says of a program and the names of its functions, gives the document that is
//! attached to an image, and reads it back. With it a released image is scanned again without pulling a layer, and with
//! the same answer: the names say what is linked. Starts no process. No clock: the same program gives the same bytes.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::linked::Functions;
use crate::error::{Context, Error, Result};
use crate::oci::spec::parse;
use crate::oci::{Digest, Platform};

/// What the artifact is, at a registry.
pub const ARTIFACT_TYPE: &str = "application/vnd.goverse.program-extract.v1+json";
/// What its content is.
pub const MEDIA_TYPE: &str = "application/vnd.goverse.program-extract.v1+json+gzip";
/// The newest shape this program reads, and the one it writes.
pub(super) const SCHEMA: u32 = 1;
/// The largest document after unpacking: a program of 20 MB gives 2 MB.
const LIMIT: u64 = 256 << 20;
/// The name and version of the format of govulncheck's own part (`golang.org/x/vuln/internal/scan`, extract.go).
const FORMAT: [&str; 2] = ["govulncheck-extract", "0.1.0"];

/// What is known of one program.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extract {
    schema: u32,
    /// Who made it, `govulncheck 1.9.0`.
    scanner: String,
    /// The program it was made from.
    pub(super) program: Digest,
    /// What govulncheck reads in a program's place.
    pub(super) blob: String,
    /// The functions that are linked into it.
    pub(super) functions: Functions,
}

impl Extract {
    /// An extract of `program` made by `scanner`.
    pub(super) fn new(scanner: String, program: Digest, blob: String, functions: Functions) -> Extract {
        Extract { schema: SCHEMA, scanner, program, blob, functions }
    }

    /// An extract that says nothing.
    #[cfg(test)]
    pub(crate) fn for_tests(program: Digest) -> Extract {
        Extract::new("govulncheck 1.9.0".into(), program, "{}\n{}\n".into(), Functions::Unknown)
    }

    /// The document, compressed.
    pub fn pack(&self) -> Result<Vec<u8>> {
        let attempt = || "write a program's extract".into();
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&serde_json::to_vec(self).attempt(attempt)?).attempt(attempt)?;
        packed.finish().attempt(attempt)
    }

    /// Reads a document; `what` names it in errors (class verification: somebody handed us bad data).
    pub fn unpack(what: &str, packed: &[u8]) -> Result<Extract> {
        let damaged = |e: std::io::Error| Error::verification(format!("{what} can't be unpacked")).because(e);
        let mut bytes = Vec::new();
        GzDecoder::new(packed).take(LIMIT + 1).read_to_end(&mut bytes).map_err(damaged)?;
        if bytes.len() as u64 > LIMIT {
            return Err(Error::verification(format!("{what} unpacks to more than {LIMIT} bytes")));
        }
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let Version { schema } = parse(what, &bytes)?;
        if schema > SCHEMA {
            let message = format!("{what} has schema {schema}, newer than the {SCHEMA} this program knows");
            return Err(Error::failed(message).hint("use the xtask of a newer revision of this repository"));
        }
        parse(what, &bytes)
    }
}

/// Whether a packed extract of our own keeping is the bytes that were written: gzip has a checksum at its end.
pub(super) fn is_whole(packed: &[u8]) -> bool {
    std::io::copy(&mut GzDecoder::new(packed).take(LIMIT), &mut std::io::sink()).is_ok()
}

/// Go modules by name and version, and no word on what of them is linked: what an SBOM says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modules {
    /// Path and version, `golang.org/x/net` and `v0.30.0`.
    pub modules: Vec<(String, String)>,
    /// The version of the standard library, `1.27.3`.
    pub go: String,
}

impl Modules {
    /// As govulncheck reads them in the place of a program for `platform`.
    pub(super) fn blob(&self, platform: &Platform) -> String {
        let [name, version] = FORMAT;
        let modules: Vec<_> = self.modules.iter().map(|(path, v)| json!({"Path": path, "Version": v})).collect();
        // It wants a main module; this one can be in no database, being no module path.
        let main = json!({"Path": "sbom", "Version": "(devel)"});
        let body = json!({
            "path": "sbom", "main": main, "modules": modules, "goVersion": format!("go{}", self.go),
            "goos": platform.os(), "goarch": platform.architecture(),
        });
        format!("{}\n{body}\n", json!({"name": name, "version": version}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;
    use crate::scan::linked::Linked;

    fn extract() -> Extract {
        let functions =
            Functions::Stripped(Linked::for_tests(&["main.main", "golang.org/x/net/html.(*Tokenizer).Next"]));
        Extract::new("govulncheck 1.9.0".into(), Digest::of(b"program"), "{}\n{}\n".into(), functions)
    }

    #[test]
    fn what_is_written_is_read_and_equal_programs_give_equal_bytes() -> Result<()> {
        let packed = extract().pack()?;
        assert_eq!(packed, extract().pack()?);
        let back = Extract::unpack("x", &packed)?;
        assert_eq!(back, extract());
        let Functions::Stripped(linked) = &back.functions else { panic!("{back:?}") };
        assert!(linked.has("golang.org/x/net/html", "Tokenizer.Next"));
        Ok(())
    }

    #[test]
    fn every_cut_and_every_bomb_is_an_error() -> Result<()> {
        let packed = extract().pack()?;
        for end in 0..packed.len() {
            assert!(Extract::unpack("x", packed.get(..end).unwrap()).is_err(), "cut at {end}");
        }
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        std::io::copy(&mut std::io::repeat(b' ').take(LIMIT + 10), &mut bomb).unwrap();
        let err = Extract::unpack("the extract of x", &bomb.finish().unwrap()).unwrap_err();
        assert_eq!(err.class(), Class::Verification);
        assert!(err.to_string().contains("the extract of x unpacks to more than"), "{err}");
        Ok(())
    }

    #[test]
    fn a_newer_one_is_refused() {
        let packed = Extract { schema: 2, ..extract() }.pack().unwrap();
        assert!(Extract::unpack("x", &packed).unwrap_err().to_string().contains("schema 2"));
    }
}
