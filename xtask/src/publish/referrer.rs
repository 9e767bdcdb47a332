//! SBOMs as referrers: for each document one artifact manifest whose subject is the image manifest it describes
//! (image spec, manifest.md "Guidelines for Artifact Usage"; distribution spec, "Listing Referrers").
//!
//! Takes [`Sbom`]s, gives documents to upload. Pure: no clock, so the same SBOM gives the same artifact.

use crate::build::BuiltPlatform;
use crate::error::{Error, Result};
use crate::oci::spec::{Annotations, Descriptor, Document, Manifest, annotation, media};
use crate::record::ReleasedSbom;
use crate::sbom::{Format, Sbom, Sboms};

/// The formats every image platform must have.
pub const FORMATS: [Format; 2] = [Format::CycloneDx, Format::Spdx];

/// An artifact with one file in it.
pub struct Artifact {
    /// Its manifest.
    pub manifest: Document,
    /// Its one layer.
    pub document: Document,
}

impl Artifact {
    /// `bytes` as an artifact of type `kind`, in a file called `title`, about `subject`. `created` is RFC 3339.
    pub fn new(kind: &str, bytes: &[u8], title: &str, subject: Option<&Descriptor>, created: &str) -> Result<Artifact> {
        let document = Document { descriptor: Descriptor::of(kind, bytes), bytes: bytes.to_vec() };
        let mut layer = document.descriptor.clone();
        layer.annotations.insert(annotation::TITLE.into(), title.into());
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.into(),
            artifact_type: Some(kind.into()),
            config: empty().descriptor,
            layers: vec![layer],
            subject: subject.map(bare),
            annotations: Annotations::from([
                (annotation::CREATED.into(), created.into()),
                (annotation::TITLE.into(), title.into()),
            ]),
        };
        Ok(Artifact { manifest: Document::new(media::MANIFEST, &manifest)?, document })
    }

    /// An SBOM about its image manifest.
    pub fn of(sbom: &Sbom, subject: &Descriptor, created: &str) -> Result<Artifact> {
        let title = format!("{}-{}.{}", sbom.image, sbom.platform.slug(), sbom.format.extension());
        Artifact::new(sbom.format.media_type(), &sbom.bytes, &title, Some(subject), created)
    }

    /// As the record names it.
    pub fn released(&self) -> ReleasedSbom {
        ReleasedSbom {
            format: self.document.descriptor.media_type.clone(),
            artifact: self.manifest.descriptor.clone(),
            document: self.document.descriptor.clone(),
        }
    }
}

/// The config of every artifact (manifest.md, "Guidance for an Empty Descriptor").
pub fn empty() -> Document {
    let bytes = b"{}".to_vec();
    Document { descriptor: Descriptor::of(media::EMPTY, &bytes), bytes }
}

/// The artifacts of one image platform, one for each of [`FORMATS`]; a missing SBOM is an error.
pub fn artifacts(sboms: &Sboms, image: &str, platform: &BuiltPlatform, created: &str) -> Result<Vec<Artifact>> {
    let artifact = |format: &Format| {
        let of = |s: &&Sbom| s.image == image && s.manifest == platform.manifest.digest && s.format == *format;
        let missing = || {
            let (platform, kind) = (&platform.platform, format.media_type());
            Error::failed(format!("failed to publish {image} for {platform}: it has no {kind} SBOM"))
        };
        Artifact::of(sboms.documents.iter().find(of).ok_or_else(missing)?, &platform.manifest, created)
    };
    FORMATS.iter().map(artifact).collect()
}

/// Type, digest and size alone, so that what else a descriptor says changes no document.
pub fn bare(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_config_is_the_one_of_the_specification() {
        let Descriptor { digest, size, .. } = empty().descriptor;
        // manifest.md, "Guidance for an Empty Descriptor".
        assert_eq!(digest.to_string(), "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        assert_eq!(size, 2);
    }

    #[test]
    fn an_artifact_has_type_subject_and_a_named_file() -> Result<()> {
        let mut subject = Descriptor::of(media::MANIFEST, b"image");
        subject.annotations.insert("x".into(), "y".into());
        let artifact =
            Artifact::new("application/spdx+json", b"{}\n", "node.spdx.json", Some(&subject), "2026-01-01T00:00:00Z")?;
        let json: serde_json::Value = serde_json::from_slice(&artifact.manifest.bytes).unwrap();
        assert_eq!(json["artifactType"], "application/spdx+json");
        assert_eq!(json["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
        assert_eq!(json["subject"]["digest"], subject.digest.to_string());
        assert!(json["subject"].get("annotations").is_none());
        assert_eq!(json["layers"][0]["annotations"]["org.opencontainers.image.title"], "node.spdx.json");
        assert_eq!(json["annotations"]["org.opencontainers.image.created"], "2026-01-01T00:00:00Z");
        Ok(())
    }
}
