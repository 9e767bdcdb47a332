//! The manifests on a real Kubernetes: a release of the sample comes up and keeps its clients.
//!
//! One cluster for all of it, so one test: each step goes on from the one before.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]
#![expect(clippy::print_stdout, reason = "the test has steps, and each takes its time")]

mod harness;

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::cluster::server::Server;
use harness::cluster::{Api, Cluster, await_that, etcd_image, http};
use harness::registry::Registry;
use harness::{Repo, digests, tools};
use serde_json::{Value, json};

/// The definitions of the monitors and rules that `production` has.
const OPERATOR: (&str, &str) = ("github.com/prometheus-operator/prometheus-operator", "0.85.0");
/// Within this, a cluster has done what it was told.
const SOON: Duration = Duration::from_secs(60);
/// How long a node may take to see a new policy.
const POLICY: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs root, containerd and Kubernetes, compiled through the module proxy: run by cargo xtask ci --all"]
fn a_release_comes_up_and_keeps_its_clients() {
    let lab = Lab::start();
    let start = Instant::now();
    for (name, step) in [
        ("every overlay and the chart is taken without a warning", Lab::is_taken as fn(&Lab)),
        ("a release comes up by digest", Lab::comes_up),
        ("a killed node is replaced", Lab::replaces_a_killed_node),
        ("gates and nodes scale apart, and a budget refuses", Lab::scales_and_refuses),
        ("a rollout loses no call", Lab::rolls),
        ("production comes up behind its policies", Lab::runs_production),
        ("a snapshot is restored", Lab::restores),
    ] {
        println!("{:>4} s: {name}", start.elapsed().as_secs());
        step(&lab);
    }
}

#[test]
#[ignore = "needs openssl, and Kubernetes, compiled through the module proxy: run by cargo xtask ci --all"]
fn the_oldest_kubernetes_takes_every_overlay_and_the_chart() {
    let (server, repo) = (Server::start(), Repo::sample());
    let version: Value = serde_json::from_str(&server.api.kubectl(&["get", "--raw", "/version"])).unwrap();
    assert_eq!(version["minor"], "33");
    is_taken(&server.api, &repo);
    // The namespace enforces: what isn't restricted is refused, and not only warned of.
    let pod = STRANGER.replace("namespace: default", "namespace: goverse");
    let refused = server.api.ask(&["create", "--dry-run=server", "--filename=-"], &pod).unwrap_err();
    assert!(refused.contains("violates PodSecurity"), "{refused}");
}

/// A cluster, the registry it pulls from, and a repository with a release.
struct Lab {
    cluster: Cluster,
    registry: Registry,
    repo: Repo,
    etcd: String,
}

impl Lab {
    fn start() -> Lab {
        let (registry, repo) = (Registry::start(), Repo::sample());
        let cluster = std::thread::scope(|scope| {
            let cluster = scope.spawn(|| Cluster::start(registry.address()));
            release(&repo, &registry, "v1.2.0");
            cluster.join().unwrap()
        });
        let etcd = etcd_image(&format!("{}/etcd:test", registry.address()));
        Lab { cluster, registry, repo, etcd }
    }

    fn is_taken(&self) {
        is_taken(&self.cluster, &self.repo);
    }

    fn comes_up(&self) {
        self.apply("dev", "v1.2.0", "");
        self.settled();
        let record = harness::read_json(&self.repo.path().join("dist/v1.2.0/release.json"));
        for (name, digest) in digests(&record) {
            for pod in self.pods(&format!("goverse-{name}")) {
                let repository = format!("{}/goverse-{name}", self.registry.address());
                assert_eq!(pod["spec"]["containers"][0]["image"], format!("{repository}:v1.2.0@{digest}"));
                assert_eq!(pod["status"]["containerStatuses"][0]["imageID"], format!("{repository}@{digest}"));
            }
        }
        for gate in self.pods("goverse-gate") {
            let ready = http("GET", &format!("{}:9090", address(&gate)), "/ready", "").unwrap();
            assert_eq!(ready.0, 200, "{ready:?}");
        }
        assert_eq!(self.join("ann").unwrap(), ["ann"]);
        // No policy in `dev`: what `production` keeps out comes in here.
        self.cluster.give(&["apply", "--filename=-"], STRANGER);
        self.cluster.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "pod/stranger"]);
        for (app, port) in [("goverse-node", 50051), ("goverse-etcd", 2379)] {
            self.stranger_reaches(&self.pods(app)[0], port).unwrap();
        }
    }

    /// The only node is killed without a word to etcd, and the sample's objects with it.
    fn replaces_a_killed_node(&self) {
        assert_eq!(self.join("bob").unwrap(), ["ann", "bob"]);
        self.kubectl(&["delete", "pod/goverse-node-0", "--grace-period=0", "--force"]);
        await_that("a new node answers", SOON, || match self.join("bob")? {
            members if members == ["bob"] => Ok(()),
            members => Err(format!("the old one did: {members:?}")),
        });
    }

    fn scales_and_refuses(&self) {
        let running = || (self.pods("goverse-node").len(), self.pods("goverse-gate").len());
        self.kubectl(&["scale", "statefulset/goverse-node", "--replicas=2"]);
        self.settled();
        assert_eq!(running(), (2, 1));
        self.kubectl(&["scale", "deployment/goverse-gate", "--replicas=2"]);
        self.settled();
        assert_eq!(running(), (2, 2));
        let (first, second) = (self.uid("goverse-node-0").unwrap(), self.uid("goverse-node-1").unwrap());
        self.evict("goverse-node-1").unwrap();
        let refused = self.evict("goverse-node-0").unwrap_err();
        assert!(refused.contains("disruption budget"), "{refused}");
        self.replaced("goverse-node-1", &second);
        // The budget counts what is ready, a moment after it is.
        await_that("the other may go now", SOON, || self.evict("goverse-node-0"));
        self.replaced("goverse-node-0", &first);
    }

    /// A client that opens a connection a call loses none: gates and nodes leave what leads to them before they stop, and
    /// finish the calls they have. What the members of a room were is lost: the sample keeps it in memory.
    fn rolls(&self) {
        self.repo.commit("take the pins");
        release(&self.repo, &self.registry, "v1.2.1");
        let (stop, gates) = (AtomicBool::new(false), self.gates());
        let (calls, lost) = std::thread::scope(|scope| {
            let client = scope.spawn(|| call_until(&gates, &stop));
            let rolled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.apply(
                    "dev",
                    "v1.2.1",
                    "replicas: [{name: goverse-node, count: 2}, {name: goverse-gate, count: 2}]",
                );
                self.settled();
            }));
            stop.store(true, Ordering::Relaxed);
            let counted = client.join().unwrap();
            rolled.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            counted
        });
        for app in ["goverse-node", "goverse-gate"] {
            let images = self.pods(app).into_iter().map(|pod| pod["spec"]["containers"][0]["image"].to_string());
            assert!(images.clone().all(|image| image.contains(":v1.2.1@")), "{:?}", images.collect::<Vec<_>>());
        }
        assert!(calls > 100, "only {calls} calls");
        assert_eq!(lost, Vec::<String>::new(), "of {calls} calls");
    }

    fn runs_production(&self) {
        self.delete("dev");
        self.apply("production", "v1.2.1", ONE_MACHINE);
        // The autoscalers give their lower bounds without having measured anything.
        for (app, least) in [("goverse-node", 3), ("goverse-gate", 2), ("goverse-etcd", 3)] {
            await_that(app, SOON, || match self.pods(app).len() {
                found if found == least => Ok(()),
                found => Err(format!("there are {found}")),
            });
        }
        self.settled();
        // By a gate, which the policies let reach nodes, as they let these reach etcd.
        assert_eq!(self.join("ann").unwrap(), ["ann"]);
        self.stranger_reaches(&self.pods("goverse-gate")[0], 60051).unwrap();
        for (app, port) in [("goverse-node", 50051), ("goverse-node", 8080), ("goverse-etcd", 2379)] {
            let pod = &self.pods(app)[0];
            await_that("the policy holds", POLICY, || match self.stranger_reaches(pod, port) {
                Ok(()) => Err(format!("a stranger reaches {app}:{port}")),
                Err(_) => Ok(()),
            });
            // From the machine it is reached: the port is open, and the policy is what keeps the stranger out.
            TcpStream::connect(format!("{}:{port}", address(pod))).unwrap();
        }
    }

    /// Step by step what docs/kubernetes.md says under "Restoring etcd".
    fn restores(&self) {
        const MEMBERS: [&str; 3] = ["goverse-etcd-0", "goverse-etcd-1", "goverse-etcd-2"];
        let etcdctl = |member: &str, args: &[&str]| self.kubectl(&[&["exec", member, "--", "etcdctl"], args].concat());
        etcdctl(MEMBERS[0], &["put", "kept", "before"]);
        self.kubectl(&["create", "job", "--from=cronjob/goverse-etcd-backup", "snapshot"]);
        self.kubectl(&["wait", "--for=condition=Complete", "--timeout=120s", "job/snapshot"]);
        etcdctl(MEMBERS[0], &["put", "kept", "after"]);

        self.kubectl(&["scale", "statefulset/goverse-node", "deployment/goverse-gate", "--replicas=0"]);
        self.kubectl(&["scale", "statefulset/goverse-etcd", "--replicas=0"]);
        let etcd = "--selector=app.kubernetes.io/name=goverse-etcd";
        self.kubectl(&["wait", "--for=delete", "--timeout=120s", "pod", etcd]);
        self.kubectl(
            &[&["delete", "pvc"][..], &MEMBERS.map(|member| format!("data-{member}")).each_ref().map(String::as_str)]
                .concat(),
        );
        let restore = self.repo.read("k8s/components/backup/restore-etcd.yaml");
        for member in ["0", "1", "2"] {
            let restore = restore.replace("MEMBER", member).replace("SNAPSHOT", "snapshot.db");
            let with_image = |line: &str| match line.split_once("image: ") {
                Some((indent, _)) => format!("{indent}image: {}\n", self.etcd),
                None => format!("{line}\n"),
            };
            self.cluster.give(&["apply", "--filename=-"], &restore.lines().map(with_image).collect::<String>());
            let pod = format!("pod/goverse-etcd-restore-{member}");
            self.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s", &pod]);
            self.kubectl(&["delete", &pod]);
        }
        self.apply("production", "v1.2.1", ONE_MACHINE);
        self.settled();
        assert_eq!(etcdctl(MEMBERS[0], &["get", "kept", "--print-value-only"]).trim(), "before");
        let leaders: BTreeSet<String> = MEMBERS
            .iter()
            .map(|member| {
                let status: Value =
                    serde_json::from_str(&etcdctl(member, &["endpoint", "status", "--write-out=json"])).unwrap();
                format!("{} in term {}", status[0]["Status"]["leader"], status[0]["Status"]["raftTerm"])
            })
            .collect();
        assert_eq!(leaders.len(), 1, "{leaders:?}");
        self.kubectl(&["scale", "statefulset/goverse-node", "--replicas=3"]);
        self.kubectl(&["scale", "deployment/goverse-gate", "--replicas=2"]);
        self.settled();
        assert_eq!(self.join("ann").unwrap(), ["ann"], "what was in memory is gone");
    }

    /// `kubectl apply -k` of an overlay from a bundle, with images that can be had here in place of those that can't.
    fn apply(&self, overlay: &str, version: &str, more: &str) {
        let place = format!("target/live/{overlay}");
        std::fs::create_dir_all(self.repo.path().join(&place)).unwrap();
        let (name, digest) = self.etcd.split_once('@').unwrap();
        let images = json!([
            {"name": "quay.io/coreos/etcd", "newName": name.replace(":test", ""), "digest": digest},
            // Of its programs only `find` is used, to remove old snapshots.
            {"name": "docker.io/library/postgres", "newName": "localhost/busybox", "newTag": "1"},
        ]);
        let bundle = format!("../../../dist/{version}/k8s/overlays/{overlay}");
        let text = format!("resources: [{bundle}]\nimages: {images}\n{more}\n");
        self.repo.write(&format!("{place}/kustomization.yaml"), &text);
        let place = self.repo.path().join(place).display().to_string();
        self.cluster.kubectl(&["apply", "--kustomize", &place]);
    }

    fn delete(&self, overlay: &str) {
        let place = self.repo.path().join("target/live").join(overlay).display().to_string();
        self.cluster.kubectl(&["delete", "--kustomize", &place, "--timeout=120s"]);
    }

    /// Waits until every workload is what it was told to be.
    fn settled(&self) {
        for kind in ["statefulset", "deployment"] {
            for one in self.cluster.get(&["--namespace=goverse", kind])["items"].as_array().unwrap() {
                let name = format!("{kind}/{}", one["metadata"]["name"].as_str().unwrap());
                self.kubectl(&["rollout", "status", "--timeout=180s", &name]);
            }
        }
    }

    fn kubectl(&self, args: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace=goverse"], args].concat())
    }

    /// The pods of a program that aren't on their way out.
    fn pods(&self, app: &str) -> Vec<Value> {
        let selector = format!("--selector=app.kubernetes.io/name={app}");
        let pods = self.cluster.get(&["--namespace=goverse", "pods", &selector]);
        let all = pods["items"].as_array().unwrap().iter();
        all.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).cloned().collect()
    }

    /// Which pod of that name it is.
    fn uid(&self, pod: &str) -> Result<String, String> {
        self.cluster.ask(&["--namespace=goverse", "get", "pod", pod, "--output=jsonpath={.metadata.uid}"], "")
    }

    /// Waits until another pod of that name is ready: what a workload's status says may be of before.
    fn replaced(&self, pod: &str, old: &str) {
        await_that("another pod is there", SOON, || match self.uid(pod)? {
            uid if uid != old => Ok(()),
            _ => Err(format!("{pod} is the old one")),
        });
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", &format!("pod/{pod}")]);
    }

    fn evict(&self, pod: &str) -> Result<String, String> {
        let eviction =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "goverse"}});
        let place = format!("/api/v1/namespaces/goverse/pods/{pod}/eviction");
        self.cluster.ask(&["create", "--raw", &place, "--filename=-"], &eviction.to_string())
    }

    /// Where clients find gates: the address of their Service.
    fn gates(&self) -> String {
        let service = self.cluster.get(&["--namespace=goverse", "service", "goverse-gate"]);
        format!("{}:8080", service["spec"]["clusterIP"].as_str().unwrap())
    }

    fn join(&self, user: &str) -> Result<Vec<String>, String> {
        join(&self.gates(), user)
    }

    /// Whether a pod of another namespace gets a connection.
    fn stranger_reaches(&self, pod: &Value, port: u16) -> Result<(), String> {
        let port = port.to_string();
        let connect = ["nc", "-w", "3", address(pod), &port, "-e", "/bin/true"];
        self.cluster.ask(&[&["exec", "stranger", "--"], &connect[..]].concat(), "").map(drop)
    }
}

/// Server-side apply of every overlay and of the chart, with nothing refused and nothing warned of.
fn is_taken(api: &Api, repo: &Repo) {
    let (module, version) = OPERATOR;
    let definitions = tools::module(module, version).join("example/prometheus-operator-crd");
    for name in ["servicemonitors", "podmonitors", "prometheusrules"] {
        let file = definitions.join(format!("monitoring.coreos.com_{name}.yaml")).display().to_string();
        api.kubectl(&["apply", "--server-side", "--filename", &file]);
        let definition = format!("customresourcedefinition/{name}.monitoring.coreos.com");
        // `wait` fails at once on what has no conditions yet.
        let wait = ["wait", "--for=condition=Established", "--timeout=30s", &definition];
        await_that("monitors can be made", SOON, || api.ask(&wait, ""));
    }
    // A dry run makes no namespace, and Pod Security says nothing in one that isn't there.
    let namespace = repo.path().join("k8s/base/namespace.yaml").display().to_string();
    api.kubectl(&["apply", "--filename", &namespace]);
    for target in ["dev", "staging", "production", "chart/goverse"] {
        let objects = repo.succeed(&["k8s", "render", target]).stdout;
        assert!(objects.contains("kind: StatefulSet"), "{target}: {objects}");
        api.give(&["apply", "--server-side", "--dry-run=server", "--filename=-"], &objects);
    }
}

/// Publishes a version of the sample and leaves its bundle.
fn release(repo: &Repo, registry: &Registry, version: &str) {
    repo.succeed(&["release", version, "--to", registry.address(), "--skip-scan", "the scan has tests of its own"]);
}

fn address(pod: &Value) -> &str {
    pod["status"]["podIP"].as_str().unwrap()
}

/// Lets a user into a room by a gate; gives who is there.
fn join(gates: &str, user: &str) -> Result<Vec<String>, String> {
    let user = json!({"user": user}).to_string();
    let (status, body) = http("POST", gates, "/api/v1/objects/call/ChatRoom/lobby/Join", &user)?;
    let answer: Value = serde_json::from_str(&body).map_err(|e| format!("{status} {body:?}: {e}"))?;
    let members = answer["members"].as_array().ok_or_else(|| format!("{status} {body:?}"))?;
    Ok(members.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect())
}

/// Calls one after the other: how many there were, and what became of those that failed.
fn call_until(gates: &str, stop: &AtomicBool) -> (usize, Vec<String>) {
    let (mut calls, mut lost) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        calls += 1;
        lost.extend(join(gates, "ann").err());
        // A person's pace, so that the client doesn't take the processors from those that it watches.
        std::thread::sleep(Duration::from_millis(20));
    }
    (calls, lost)
}

/// A pod that has nothing to do with Goverse.
const STRANGER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: default}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: shell, image: localhost/busybox:1, imagePullPolicy: Never, args: [sleep, infinity]}
";

/// What lets production into one small machine: fewer processors asked for, and no PostgreSQL, which isn't here.
const ONE_MACHINE: &str = r"
patches:
  - target: {kind: (StatefulSet|Deployment), name: goverse-.*}
    patch: |
      - {op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 10m}
  - target: {kind: StatefulSet, name: goverse-postgres}
    patch: |
      $patch: delete
      apiVersion: apps/v1
      kind: StatefulSet
      metadata: {name: goverse-postgres}
  # busybox here has no -delete; the snapshot is new, so it would delete nothing.
  - target: {kind: CronJob, name: goverse-etcd-backup}
    patch: |
      - op: replace
        path: /spec/jobTemplate/spec/template/spec/containers/0/args
        value: [/backup, -name, '*.db', -mtime, '+14', -print]
";
