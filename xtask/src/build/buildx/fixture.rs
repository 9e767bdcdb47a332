//! A plan and the configuration that agrees with it, for tests.

use std::path::Path;

use crate::config::Config;
use crate::oci::spec::{Empty, Execution, ImageConfig, RootFs};
use crate::plan::{Overrides, Plan, SourceFacts};

const TABLE: &str = r#"
[build]
platforms = ["linux/amd64", "linux/arm64"]
[build.buildx]
go-image = "registry.example.com/golang:1@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
cache-from = ["type=registry,ref=registry.example.com/cache:{image}"]
args = ["TEAM"]
secrets = [{ id = "netrc", file = "secrets/netrc" }, { id = "token", env = "TOKEN" }]
[images.gate]
package = "./cmd/gate"
repository = "gate"
description = "costs ${100}"
ports = [8080]
args = ["--listen", ":8080"]
[publish]
registry = "registry.example.com/team"
[tools]
go = "1.27.4"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.9.0"
"#;

/// The table.
pub(super) fn table() -> Config {
    Config::parse(Path::new("release.toml"), TABLE).unwrap()
}

/// Its plan.
pub(super) fn plan() -> Plan {
    let facts = SourceFacts { location: "here".into(), revision: None, epoch: 1_700_000_000, dirty: false };
    Plan::new(&table(), "1.2.0".parse().unwrap(), facts, &Overrides::default()).unwrap()
}

/// What a Dockerfile that follows the plan makes for linux/amd64.
pub(super) fn config() -> ImageConfig {
    let plan = plan();
    let image = plan.images.first().unwrap();
    ImageConfig {
        created: None,
        architecture: "amd64".into(),
        os: "linux".into(),
        variant: None,
        config: Execution {
            user: "1000:1000".into(),
            exposed_ports: [("8080/tcp".to_owned(), Empty {})].into(),
            env: vec!["PATH=/bin".into(), "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt".into()],
            entrypoint: vec!["/usr/local/bin/gate".into()],
            cmd: vec!["--listen".into(), ":8080".into()],
            working_dir: "/".into(),
            labels: image.labels.clone(),
            stop_signal: String::new(),
        },
        rootfs: RootFs { kind: "layers".into(), diff_ids: Vec::new() },
        history: Vec::new(),
    }
}
