//! What is attached to an image: for each document one artifact manifest whose subject is the manifest it is about
//! (image spec, manifest.md "Guidelines for Artifact Usage"; distribution spec, "Listing Referrers").
//!
//! Takes an [`Attachment`], gives documents to upload. Pure: no clock, so the same attachment gives the same artifact.

use crate::error::Result;
use crate::oci::spec::{Annotations, Descriptor, Document, Manifest, annotation, media};
use crate::record::Attached;
use crate::sbom::{Format, Sbom};

/// The formats every image platform must have.
pub const FORMATS: [Format; 2] = [Format::CycloneDx, Format::Spdx];

/// A document that is to be found from an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What it is, for whoever lists an image's referrers.
    pub artifact_type: String,
    /// What its bytes are; the same, unless they are compressed.
    pub media_type: String,
    /// Its file name.
    pub title: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// What the list of referrers says about it besides.
    pub annotations: Annotations,
}

impl Attachment {
    /// A document as it is; `created` is RFC 3339.
    pub fn new(artifact_type: &str, title: impl Into<String>, bytes: Vec<u8>, created: &str) -> Attachment {
        Attachment {
            artifact_type: artifact_type.into(),
            media_type: artifact_type.into(),
            title: title.into(),
            bytes,
            annotations: Annotations::from([(annotation::CREATED.into(), created.into())]),
        }
    }

    /// An SBOM; `created` is the source's time.
    pub fn sbom(sbom: &Sbom, created: &str) -> Attachment {
        let title = format!("{}-{}.{}", sbom.image, sbom.platform.slug(), sbom.format.extension());
        Attachment::new(sbom.format.media_type(), title, sbom.bytes.clone(), created)
    }
}

/// An artifact with one file in it.
pub struct Artifact {
    /// Its manifest.
    pub manifest: Document,
    /// Its one layer.
    pub document: Document,
    kind: String,
}

impl Artifact {
    /// `attachment` as an artifact about `subject`; one without a subject has to be tagged to be found.
    pub fn new(attachment: &Attachment, subject: Option<&Descriptor>) -> Result<Artifact> {
        let Attachment { artifact_type, media_type, title, bytes, annotations } = attachment;
        let document = Document { descriptor: Descriptor::of(media_type, bytes), bytes: bytes.clone() };
        let mut layer = document.descriptor.clone();
        layer.annotations.insert(annotation::TITLE.into(), title.clone());
        let mut annotations = annotations.clone();
        annotations.insert(annotation::TITLE.into(), title.clone());
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.into(),
            artifact_type: Some(artifact_type.clone()),
            config: empty().descriptor,
            layers: vec![layer],
            subject: subject.map(bare),
            annotations,
        };
        Ok(Artifact { manifest: Document::new(media::MANIFEST, &manifest)?, document, kind: artifact_type.clone() })
    }

    /// As the record names it.
    pub fn attached(&self) -> Attached {
        Attached {
            format: self.kind.clone(),
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
        let attachment =
            Attachment::new("application/spdx+json", "node.spdx.json", b"{}\n".to_vec(), "2026-01-01T00:00:00Z");
        let packed = Attachment { media_type: "application/spdx+json+gzip".into(), ..attachment };
        let artifact = Artifact::new(&packed, Some(&subject))?;
        let json: serde_json::Value = serde_json::from_slice(&artifact.manifest.bytes).unwrap();
        assert_eq!(json["artifactType"], "application/spdx+json");
        assert_eq!(json["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
        assert_eq!(json["subject"]["digest"], subject.digest.to_string());
        assert!(json["subject"].get("annotations").is_none());
        assert_eq!(json["layers"][0]["mediaType"], "application/spdx+json+gzip");
        assert_eq!(json["layers"][0]["annotations"]["org.opencontainers.image.title"], "node.spdx.json");
        assert_eq!(json["annotations"]["org.opencontainers.image.created"], "2026-01-01T00:00:00Z");
        assert_eq!(artifact.attached().format, "application/spdx+json");
        Ok(())
    }
}
