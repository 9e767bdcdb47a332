//! What an object refers to is there: ConfigMaps and Secrets with the keys, ServiceAccounts, claims, volumes, classes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Bench;
use crate::k8s::object::{Object, Pod, list};

/// Priority classes that every cluster has.
const SYSTEM_CLASSES: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

pub(super) fn check(bench: &mut Bench<'_>) {
    for pod in bench.pods() {
        accounts(bench, pod);
        volumes(bench, pod);
        environment(bench, pod);
    }
    for ingress in bench.kind("Ingress") {
        for tls in ingress.list("/spec/tls") {
            let name = tls.get("secretName").and_then(Value::as_str).unwrap_or_default();
            required(bench, ingress, "/spec/tls", "Secret", name);
        }
    }
    for set in bench.kind("StatefulSet") {
        required(bench, set, "/spec/serviceName", "Service", set.text("/spec/serviceName"));
    }
}

fn required(bench: &mut Bench<'_>, object: &Object, path: &str, kind: &str, name: &str) {
    if !name.is_empty() && !bench.exists(kind, name) {
        let fix = format!("add it, or list {kind}/{name} in k8s.provided of release.toml when others make it");
        bench.report(object, path, format!("there is no {kind} {name}"), fix);
    }
}

fn accounts(bench: &mut Bench<'_>, pod: Pod<'_>) {
    let text = |key: &str| pod.spec().get(key).and_then(Value::as_str).unwrap_or_default();
    let (account, class) = (text("serviceAccountName"), text("priorityClassName"));
    let path = pod.spec_path();
    if account.is_empty() {
        let fix = "give it a ServiceAccount of its own, so that rights given to one are not given to all";
        bench.report(pod.object, &path, "it runs as the namespace's default ServiceAccount", fix);
    }
    required(bench, pod.object, &format!("{path}/serviceAccountName"), "ServiceAccount", account);
    if !SYSTEM_CLASSES.contains(&class) {
        required(bench, pod.object, &format!("{path}/priorityClassName"), "PriorityClass", class);
    }
}

fn volumes(bench: &mut Bench<'_>, pod: Pod<'_>) {
    let path = format!("{}/volumes", pod.spec_path());
    let mut names: BTreeSet<&str> = pod
        .object
        .list("/spec/volumeClaimTemplates")
        .iter()
        .filter_map(|one| one.pointer("/metadata/name")?.as_str())
        .collect();
    let volumes = list(pod.spec().get("volumes"));
    for volume in volumes {
        let text = |pointer| volume.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        names.insert(text("/name"));
        let here = format!("{path}/[{}]", text("/name"));
        if volume.pointer("/secret/optional") != Some(&Value::Bool(true)) {
            required(bench, pod.object, &here, "Secret", text("/secret/secretName"));
        }
        if volume.pointer("/configMap/optional") != Some(&Value::Bool(true)) {
            required(bench, pod.object, &here, "ConfigMap", text("/configMap/name"));
        }
        required(bench, pod.object, &here, "PersistentVolumeClaim", text("/persistentVolumeClaim/claimName"));
    }
    let mut mounted = BTreeSet::new();
    for container in pod.containers() {
        for mount in list(container.value.get("volumeMounts")) {
            let name = mount.get("name").and_then(Value::as_str).unwrap_or_default();
            mounted.insert(name);
            if !names.contains(name) {
                let here = format!("{}/volumeMounts/[{name}]", container.path);
                bench.report(pod.object, &here, format!("there is no volume {name}"), "add it to the pod's volumes");
            }
        }
    }
    for name in names.difference(&mounted) {
        let here = format!("{path}/[{name}]");
        bench.report(pod.object, &here, format!("no container mounts volume {name}"), "mount it or take it out");
    }
}

fn environment(bench: &mut Bench<'_>, pod: Pod<'_>) {
    for container in pod.containers() {
        for variable in list(container.value.get("env")) {
            let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
            let path = format!("{}/env/[{name}]", container.path);
            for (kind, key) in [("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")] {
                if let Some(reference) = variable.pointer(&format!("/valueFrom/{key}")) {
                    one_key(bench, pod.object, &path, kind, reference);
                }
            }
        }
        for source in list(container.value.get("envFrom")) {
            for (kind, key) in [("ConfigMap", "/configMapRef/name"), ("Secret", "/secretRef/name")] {
                let name = source.pointer(key).and_then(Value::as_str).unwrap_or_default();
                required(bench, pod.object, &format!("{}/envFrom", container.path), kind, name);
            }
        }
    }
}

fn one_key(bench: &mut Bench<'_>, object: &Object, path: &str, kind: &str, reference: &Value) {
    let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default();
    let (name, key) = (text("name"), text("key"));
    if reference.get("optional") == Some(&Value::Bool(true)) {
        return;
    }
    required(bench, object, path, kind, name);
    let Some(there) = bench.named(kind, name) else { return };
    let has = ["/data", "/stringData", "/binaryData"]
        .iter()
        .any(|at| there.value.pointer(at).is_some_and(|d| d.get(key).is_some()));
    if !has {
        bench.report(object, path, format!("{kind} {name} has no key {key}"), "name one of its keys, or add it");
    }
}
