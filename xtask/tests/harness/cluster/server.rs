//! The API server alone, of the oldest Kubernetes that the manifests are for: it takes objects, and runs none of them.
//!
//! Needs no root: it and its etcd are this user's processes, on free ports of this machine.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::super::{free_port, read};
use super::{Api, NEWEST, await_that, etcd, kubernetes, path};

/// The module and the version, four minor ones before [`NEWEST`].
const OLDEST: (&str, &str) = ("kubernetes-1.33", "1.33.13");
/// How long it takes at most to answer.
const READY: Duration = Duration::from_secs(90);

/// A running API server; it ends with this value.
pub(crate) struct Server {
    pub(crate) api: Api,
    processes: Vec<Child>,
    _folder: TempDir,
}

impl Server {
    /// Starts [`OLDEST`] and waits until it is ready.
    pub(crate) fn start() -> Server {
        // What may have to be compiled comes before what has to be ended.
        let (apiserver, kubectl, etcd) = (kubernetes(OLDEST), kubernetes(NEWEST), etcd());
        let folder = TempDir::new().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let [client, peer, secure] = [(); 3].map(|()| free_port());
        let (etcd_at, peers_at) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let etcd = Command::new(etcd.join("etcd"))
            .args(["--data-dir", &at("etcd"), "--listen-client-urls", &etcd_at, "--advertise-client-urls", &etcd_at])
            .args(["--listen-peer-urls", &peers_at])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        read("openssl".as_ref(), ["genrsa", "-out", &at("sa.key"), "2048"]);
        std::fs::write(at("tokens.csv"), "admin,admin,admin,system:masters\n").expect("the folder can be written");
        let kubeconfig = folder.path().join("kubeconfig");
        let server = format!("https://127.0.0.1:{secure}");
        std::fs::write(&kubeconfig, KUBECONFIG.replace("SERVER", &server)).expect("the folder can be written");
        let api = Api { path: path(vec![kubectl]), kubeconfig };
        let log = std::fs::File::create(at("log")).expect("the folder can be written");
        let apiserver = Command::new(apiserver.join("kube-apiserver"))
            .args(["--advertise-address=127.0.0.1", "--bind-address=127.0.0.1", "--authorization-mode=RBAC"])
            .args(["--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default.svc"])
            // No controller makes the accounts of a namespace.
            .arg("--disable-admission-plugins=ServiceAccount")
            .args([format!("--secure-port={secure}"), format!("--etcd-servers={etcd_at}")])
            .args([format!("--cert-dir={}", at("certificates")), format!("--token-auth-file={}", at("tokens.csv"))])
            .args(["key", "signing-key"].map(|what| format!("--service-account-{what}-file={}", at("sa.key"))))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the API server starts");
        let server = Server { api, processes: vec![apiserver, etcd], _folder: folder };
        await_that("the API server is ready", READY, || server.api.ask(&["get", "--raw", "/readyz"], ""));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Its certificate is one that it made itself, a moment ago, on this machine.
const KUBECONFIG: &str = r"
apiVersion: v1
kind: Config
current-context: server
clusters: [{name: server, cluster: {server: SERVER, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: admin}}]
contexts: [{name: server, context: {cluster: server, user: admin}}]
";
