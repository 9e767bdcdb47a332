//! How long it takes to see what pinning changes in a large repository of manifests, read from disk.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::Criterion;
use xtask::error::{Context, Result};
use xtask::oci::Digest;
use xtask::pin::{self, Target};

const FILES: usize = 1_000;

/// A deployment with its service, as such files usually look: about 2 KiB.
fn manifest(n: usize) -> String {
    let env: String = (0..20)
        .map(|i| format!("            - name: SETTING_{i}\n              value: \"{n}\" # a comment\n"))
        .collect();
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: node-{n}\n  labels: {{app: node, part-of: goverse}}\nspec:\n  replicas: 3\n  \
         template:\n    spec:\n      containers:\n        - name: node\n          image: localhost:5000/goverse-node:v1.1.0 # pinned\n          \
         env:\n{env}          ports:\n            - containerPort: 48000\n              name: grpc\n---\napiVersion: v1\nkind: Service\n\
         metadata:\n  name: node-{n}\nspec:\n  selector: {{app: node}}\n  ports:\n    - port: 48000\n      targetPort: grpc\n"
    )
}

fn target() -> Target {
    let digest = Digest::of(b"goverse-node");
    Target {
        repository: "goverse-node".into(),
        reference: "ghcr.io/x/goverse-node".into(),
        tag: "v1.2.0".into(),
        digest,
    }
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().attempt(|| "make a folder".into())?;
    for n in 0..FILES {
        xtask::fs::write(&folder.path().join(format!("{}/{n}.yaml", n % 20)), manifest(n).as_bytes())?;
    }
    let (roots, targets): ([PathBuf; 1], _) = ([folder.path().to_owned()], [target()]);
    assert_eq!(pin::plan(&roots, &targets)?.edits().count(), FILES);
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("plan of 1,000 files", |b| b.iter(|| pin::plan(black_box(&roots), &targets).is_ok()));
    let five_megabytes: String = (0..5 << 10 >> 1).map(|n| format!("---\n{}", manifest(n))).collect();
    criterion.bench_function("edits of 5 MB", |b| {
        b.iter(|| pin::edits(Path::new("all.yaml"), black_box(&five_megabytes), &targets).is_ok())
    });
    criterion.final_summary();
    Ok(())
}
