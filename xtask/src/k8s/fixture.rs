//! A small program in a cluster, without a fault, and what the checks find when something in it is changed.

use std::collections::{BTreeMap, BTreeSet};

use tempfile::TempDir;

use super::object::objects;
use super::{Facts, Finding, Rendered, Sources, Target, check};
use crate::config::K8s;
use crate::error::{Error, Result};
use crate::ui::Ui;

/// Where the fixture's objects are written.
pub(super) const FILE: &str = "k8s/base/app.yaml";

/// A server, who calls it, and what a pod needs.
pub(super) const SOUND: &str = r#"apiVersion: v1
kind: Namespace
metadata:
  name: app
  labels:
    pod-security.kubernetes.io/enforce: restricted
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: server
automountServiceAccountToken: false
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  peer: other:1
---
apiVersion: v1
kind: Service
metadata:
  name: server
  labels:
    app.kubernetes.io/name: server
spec:
  selector:
    app.kubernetes.io/name: server
  ports:
    - name: http
      port: 80
      targetPort: http
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: server
spec:
  tls:
    - secretName: certificate
  rules:
    - http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: server
                port:
                  name: http
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: server
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: server
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: server
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports:
        - port: 8080
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - port: 53
          protocol: UDP
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: server
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: server
  template:
    metadata:
      labels:
        app.kubernetes.io/name: server
    spec:
      serviceAccountName: server
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: server
          image: registry.example/app-server:v1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          args:
            - --listen=:8080
            - --peer=$(PEER)
          env:
            - name: PEER
              valueFrom:
                configMapKeyRef:
                  name: settings
                  key: peer
            - name: GOMEMLIMIT
              value: 230MiB
          ports:
            - name: http
              containerPort: 8080
          resources:
            requests: {cpu: 10m, memory: 64Mi}
            limits: {memory: 256Mi}
          readinessProbe:
            httpGet:
              path: /ready
              port: http
          volumeMounts:
            - name: scratch
              mountPath: /tmp
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
      volumes:
        - name: scratch
          emptyDir: {}
"#;

/// What the fixture is held against.
const TABLE: &str = r#"
schemas = []
provided = ["Secret/certificate"]
flows = [
    { from = "*", to = "namespace:kube-system", ports = [53] },
    { from = "anywhere", to = "server", ports = [8080] },
]
[flags]
server = ["listen", "peer"]
"#;

/// The table that the fixture agrees with.
pub(super) fn table() -> Result<K8s> {
    toml::from_str(TABLE).map_err(|e| Error::failed(e.to_string()))
}

/// What is found in `text`, written to [`FILE`], as an overlay gave it.
pub(super) fn found(text: &str) -> Result<Vec<Finding>> {
    found_by(text, &table()?, false)
}

/// The same against another table.
pub(super) fn found_by(text: &str, config: &K8s, unreleased: bool) -> Result<Vec<Finding>> {
    let root = TempDir::new().map_err(|e| Error::failed(e.to_string()))?;
    let file = root.path().join(FILE);
    let folder = file.parent().unwrap_or(root.path());
    std::fs::create_dir_all(folder).map_err(|e| Error::failed(e.to_string()))?;
    crate::fs::write(&file, text.as_bytes())?;
    let sources = Sources::read(root.path(), "k8s".as_ref())?;
    let targets = ["dev", "production"].map(|name| Target {
        name: name.into(),
        folder: format!("k8s/overlays/{name}").into(),
        chart: false,
    });
    let rendered: Result<Vec<Rendered>> =
        targets.into_iter().map(|target| Ok(Rendered { target, text: text.into(), objects: objects(text)? })).collect();
    let images = BTreeMap::from([("server".to_owned(), "app-server".to_owned())]);
    check(Facts { config, images: &images, unreleased }, &rendered?, &sources, None, &Ui::silent())
}

/// [`SOUND`] with `old`, which is there once, made `new`.
pub(super) fn changed(old: &str, new: &str) -> String {
    assert_eq!(SOUND.matches(old).count(), 1, "{old} is to be there once");
    SOUND.replace(old, new)
}

/// What was found, without the rest.
pub(super) fn told(found: &[Finding]) -> BTreeSet<&str> {
    found.iter().map(|finding| finding.what.as_str()).collect()
}
