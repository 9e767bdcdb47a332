//! Pods meet Pod Security's *restricted* profile and go beyond it: a read-only root, no token, limits.

use serde_json::Value;

use super::Bench;
use crate::k8s::object::{Container, Pod, list};

pub(super) fn check(bench: &mut Bench<'_>) {
    for namespace in bench.kind("Namespace") {
        if namespace.labels("/metadata/labels").get("pod-security.kubernetes.io/enforce") != Some(&"restricted") {
            let fix = "label it pod-security.kubernetes.io/enforce: restricted";
            bench.report(namespace, "/metadata", "Pod Security restricted is not enforced", fix);
        }
    }
    for pod in bench.pods() {
        of_pod(bench, pod);
        for container in pod.containers() {
            of_container(bench, pod, &container);
        }
    }
}

fn of_pod(bench: &mut Bench<'_>, pod: Pod<'_>) {
    let path = pod.spec_path();
    let spec = pod.spec();
    let account =
        spec.get("serviceAccountName").and_then(Value::as_str).and_then(|name| bench.named("ServiceAccount", name));
    let off =
        |value: Option<&Value>| value.and_then(|v| v.get("automountServiceAccountToken")) == Some(&Value::Bool(false));
    let unsaid = spec.get("automountServiceAccountToken").is_none();
    let without = off(Some(spec)) || (unsaid && off(account.map(|account| &account.value)));
    if !without {
        let fix = "set automountServiceAccountToken: false; nothing of Goverse talks to the API server";
        bench.report(pod.object, &path, "its pods get a service account's token", fix);
    }
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec.get(key) == Some(&Value::Bool(true)) {
            bench.report(pod.object, &format!("{path}/{key}"), format!("{key} shares the machine's"), "take it out");
        }
    }
    for volume in list(spec.get("volumes")).iter().filter(|volume| volume.get("hostPath").is_some()) {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        bench.report(
            pod.object,
            &format!("{path}/volumes/[{name}]"),
            "it mounts a folder of the machine",
            "use a claim",
        );
    }
}

fn of_container(bench: &mut Bench<'_>, pod: Pod<'_>, container: &Container<'_>) {
    let own = container.value.get("securityContext").unwrap_or(&Value::Null);
    let shared = pod.spec().get("securityContext").unwrap_or(&Value::Null);
    let either =
        |pointer: &str| own.pointer(pointer).or_else(|| shared.pointer(pointer)).cloned().unwrap_or(Value::Null);
    let drops = list(own.pointer("/capabilities/drop"));
    let adds = list(own.pointer("/capabilities/add"));
    let has = |pointer: &str| container.value.pointer(pointer).is_some();
    let rules: [(bool, &str); 9] = [
        (either("/runAsNonRoot") == true, "runAsNonRoot: true"),
        (either("/runAsUser").as_u64().is_some_and(|uid| uid > 0), "runAsUser: a number above 0"),
        (either("/seccompProfile/type") == "RuntimeDefault", "seccompProfile.type: RuntimeDefault"),
        (own.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)), "allowPrivilegeEscalation: false"),
        (own.get("readOnlyRootFilesystem") == Some(&Value::Bool(true)), "readOnlyRootFilesystem: true"),
        (own.get("privileged") != Some(&Value::Bool(true)), "privileged: false"),
        (drops.iter().any(|one| one == "ALL") && adds.is_empty(), "capabilities: {drop: [ALL]} and none added"),
        (has("/resources/requests/cpu") && has("/resources/requests/memory"), "resources.requests for cpu and memory"),
        (has("/resources/limits/memory"), "resources.limits.memory"),
    ];
    for (_, wanted) in rules.iter().filter(|(holds, _)| !holds) {
        let path = format!("{}/securityContext", container.path);
        let what = format!("container {} has not {wanted}", container.text("/name"));
        bench.report(pod.object, &path, what, format!("set {wanted}"));
    }
}
