//! The documents of an image: configuration, manifest and index.
//!
//! Takes plans and layers, gives [`Document`]s. Pure; every time in them is the source's.

use super::base::Base;
use super::{BuiltPlatform, files};
use crate::error::Result;
use crate::oci::Platform;
use crate::oci::layer::Layer;
use crate::oci::spec::{Annotations, Document, Empty, Execution, History, ImageConfig, Index, Manifest, RootFs, media};
use crate::plan::{self, ImagePlan, Plan};

/// The search path of a container whose base sets none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Configuration and manifest for one platform; `layers` are those above the base, with what they hold.
pub(super) fn manifest(
    plan: &Plan,
    image: &ImagePlan,
    platform: &Platform,
    base: &Base,
    layers: &[(&str, Layer)],
) -> Result<(Document, Document)> {
    let created = plan::created(plan.source.epoch)?;
    let step = |what: &str| History {
        created: Some(created.clone()),
        created_by: Some(format!("xtask: {what}")),
        empty_layer: false,
    };
    let config = ImageConfig {
        created: Some(created.clone()),
        architecture: platform.architecture().into(),
        os: platform.os().into(),
        variant: platform.variant().map(Into::into),
        config: execution(image, base),
        rootfs: RootFs {
            kind: "layers".into(),
            diff_ids: base.diff_ids.iter().copied().chain(layers.iter().map(|(_, l)| l.diff_id)).collect(),
        },
        history: base.history.iter().cloned().chain(layers.iter().map(|(what, _)| step(what))).collect(),
    };
    let config = Document::new(media::CONFIG, &config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.into(),
        artifact_type: None,
        config: config.descriptor.clone(),
        layers: base.layers.iter().cloned().chain(layers.iter().map(|(_, l)| l.descriptor.clone())).collect(),
        subject: None,
        annotations: annotations(image),
    };
    Ok((config, Document::new(media::MANIFEST, &manifest)?))
}

/// The index of an image's platforms.
pub(super) fn index(image: &ImagePlan, platforms: &[BuiltPlatform]) -> Result<Document> {
    let entry = |built: &BuiltPlatform| {
        let mut descriptor = built.manifest.clone();
        descriptor.platform = Some((&built.platform).into());
        descriptor
    };
    let manifests = platforms.iter().map(entry).collect();
    let index =
        Index { schema_version: 2, media_type: Some(media::INDEX.into()), manifests, annotations: annotations(image) };
    Document::new(media::INDEX, &index)
}

/// The labels of the OCI namespace: what registries show of an image.
fn annotations(image: &ImagePlan) -> Annotations {
    image
        .labels
        .iter()
        .filter(|(key, _)| key.starts_with("org.opencontainers."))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn execution(image: &ImagePlan, base: &Base) -> Execution {
    let mut env = base.env.clone();
    for line in [PATH.to_owned(), format!("SSL_CERT_FILE={}", files::ROOTS)] {
        let name = line.split('=').next().unwrap_or_default().to_owned() + "=";
        if !env.iter().any(|e| e.starts_with(&name)) {
            env.push(line);
        }
    }
    Execution {
        user: format!("{}:{}", image.user.uid, image.user.gid),
        exposed_ports: image.ports.iter().map(|p| (format!("{}/tcp", p.number()), Empty {})).collect(),
        env,
        entrypoint: vec![image.program.to_string()],
        cmd: image.args.clone(),
        working_dir: image.working_dir.to_string(),
        labels: image.labels.clone(),
        stop_signal: String::new(),
    }
}
