//! A real Kubernetes of one node on this machine: from API server to kubelet, with enforced network policies. Needs root
//! (by sudo, where the user isn't) and Debian's containerd, runc, containernetworking-plugins, iptables, ipset and jq.
//!
//! What Debian hasn't got is compiled from its module into the machine's cache, once a version: the first time takes
//! a quarter of an hour. `cluster/` has the scripts that start and stop it; one runs at a time on a machine.

mod api;
pub(crate) mod server;

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use api::Api;
use xtask::tools::machine_cache;
use xtask::ui::Ui;

use super::{buildkit, checkout, tools};

/// Where the cluster's state is; its address and its bridges are fixed too.
const STATE: &str = "/var/lib/goverse-cluster";
/// The module of the cluster's programs and the version that it names.
const NEWEST: (&str, &str) = ("kubernetes", "1.37.2");
/// How often a condition is looked at.
const AGAIN: Duration = Duration::from_millis(300);

/// A running cluster; it ends with this value.
pub(crate) struct Cluster {
    api: Api,
    _alone: File,
}

impl Cluster {
    /// Starts a cluster that pulls from `registry` over plain HTTP, and waits until it runs pods.
    pub(crate) fn start(registry: &str) -> Cluster {
        let shelf = machine_cache().expect("the machine has a cache");
        let path = path(programs(&shelf));
        let alone = File::create(shelf.join("cluster-lock")).expect("the cache can be written");
        alone.lock().expect("the lock can be waited for");
        let api = Api { path, kubeconfig: Path::new(STATE).join("kubeconfig") };
        let cluster = Cluster { api, _alone: alone };
        // A test that was killed has left its cluster.
        cluster.script("down.sh", "");
        cluster.script("up.sh", registry);
        cluster
    }

    /// Runs a script as root, which has to succeed.
    fn script(&self, name: &str, registries: &str) {
        let user = super::read(Path::new("id"), ["-u"]);
        let sudo: &[&str] = if user.trim() == "0" { &[] } else { &["sudo", "--non-interactive"] };
        let line = [sudo, &["env"]].concat();
        let (program, rest) = line.split_first().expect("env is there");
        let output = Command::new(program)
            .args(rest)
            .args([format!("PATH={}", self.api.path), format!("CLUSTER_DIR={STATE}")])
            .arg(format!("CLUSTER_REGISTRIES={registries}"))
            .arg(folder().join(name))
            .stdin(Stdio::null())
            .output()
            .expect("the script runs");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Deref for Cluster {
    type Target = Api;
    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        self.script("down.sh", "");
    }
}

/// Waits until `look` finds something; after `limit` the test has failed with what was seen last.
#[track_caller]
pub(crate) fn await_that<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if start.elapsed() > limit => panic!("{what}: not within {limit:?}, but {seen}"),
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

/// One HTTP request over a connection of its own: the status and the body. The node's machine reaches pods and Services.
pub(crate) fn http(method: &str, address: &str, path: &str, body: &str) -> Result<(u16, String), String> {
    use std::io::Read;
    const LIMIT: Duration = Duration::from_secs(25);
    let said = |e: std::io::Error| format!("{address}: {e}");
    let place = address.parse().map_err(|e| format!("{address}: {e}"))?;
    let mut stream = TcpStream::connect_timeout(&place, LIMIT).map_err(said)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(said)?;
    // 1.0, whose responses end with the connection and have no chunks.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .map_err(said)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(said)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{address}: cut off: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| format!("{address}: {head}"))?, body.to_owned()))
}

/// A PATH that begins with `folders`.
fn path(folders: Vec<PathBuf>) -> String {
    let mut path = std::env::join_paths(folders).expect("folders can be joined");
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path.into_string().expect("UTF-8")
}

/// The modules and scripts.
fn folder() -> PathBuf {
    checkout().join("xtask/tests/harness/cluster")
}

/// The folders of all programs that Debian hasn't got.
fn programs(shelf: &Path) -> Vec<PathBuf> {
    let alone = |package: &str, version: &str| {
        let version = version.parse().expect("a version");
        let program = tools::go().install(shelf, package, &version, &Ui::new(false)).expect("it can be installed");
        program.parent().expect("a program is in a folder").to_owned()
    };
    vec![
        kubernetes(NEWEST),
        compiled("addons", "-s -w", "./..."),
        etcd(),
        alone("sigs.k8s.io/cri-tools/cmd/crictl", "1.37.0"),
        alone("github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", "2.1.0"),
    ]
}

/// The folder of the programs of a module that names `version` of Kubernetes, which they are to tell.
fn kubernetes((module, version): (&str, &str)) -> PathBuf {
    let minor = version.split('.').nth(1).expect("a version has three parts");
    let version = format!("v{version}");
    let settings = [("gitVersion", &*version), ("gitMajor", "1"), ("gitMinor", minor), ("gitTreeState", "clean")];
    let settings = settings.map(|(name, value)| format!(" -X k8s.io/component-base/version.{name}={value}"));
    compiled(module, &format!("-s -w{}", settings.concat()), "tool")
}

/// The folder of etcd's three programs, of the version that the manifests have.
fn etcd() -> PathBuf {
    let folder = compiled("etcd", "-s -w", "tool");
    let (server, etcd) = (folder.join("server"), folder.join("etcd"));
    if !etcd.is_file() {
        std::os::unix::fs::symlink(server, &etcd).expect("the cache can be written");
    }
    folder
}

/// The folder of the programs of one of the modules here.
fn compiled(module: &str, ldflags: &str, packages: &str) -> PathBuf {
    super::compiled::compiled(&format!("cluster-{module}"), &folder().join(module), ldflags, packages)
}

/// Puts an image of programs at `reference` of a registry and gives the reference by digest. Each program comes with its
/// places in the image.
pub(crate) fn image(reference: &str, programs: &[(&Path, &[&str])]) -> String {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let archive = folder.path().join("image.tar");
    let mut tar = tar::Builder::new(File::create(&archive).expect("the folder can be written"));
    for (program, places) in programs {
        for place in *places {
            let program = program.canonicalize().expect("the program is there");
            tar.append_path_with_name(program, place).expect("the program can be read");
        }
    }
    tar.finish().expect("the folder can be written");
    buildkit::image(reference, &archive, "linux/amd64", &["--env", "PATH=/usr/local/bin:/bin"])
}

/// An image of etcd with what Kubernetes' manifests run of it, where the official one has it.
pub(crate) fn etcd_image(reference: &str) -> String {
    let folder = etcd();
    let programs = ["etcd", "etcdctl", "etcdutl"].map(|name| (folder.join(name), format!("usr/local/bin/{name}")));
    let places = programs.each_ref().map(|(program, place)| (program.as_path(), [place.as_str()]));
    image(reference, &places.each_ref().map(|(program, place)| (*program, place.as_slice())))
}
