//! What names a port meets a container's: probes, Services, ingresses and monitors.

use serde_json::Value;

use super::Bench;
use crate::k8s::object::{Object, Pod, labels, list, selects};
use crate::k8s::yaml;

/// What asks a container over the network.
const PROBES: [&str; 5] =
    ["startupProbe", "readinessProbe", "livenessProbe", "lifecycle/preStop", "lifecycle/postStart"];

pub(super) fn check(bench: &mut Bench<'_>) {
    for pod in bench.pods() {
        probes(bench, pod);
    }
    bench.kind("Service").into_iter().for_each(|service| targets(bench, service));
    bench.kind("Ingress").into_iter().for_each(|ingress| backends(bench, ingress));
    bench.kind("ServiceMonitor").into_iter().for_each(|monitor| service_monitor(bench, monitor));
    bench.kind("PodMonitor").into_iter().for_each(|monitor| pod_monitor(bench, monitor));
}

fn probes(bench: &mut Bench<'_>, pod: Pod<'_>) {
    for container in pod.containers() {
        for probe in PROBES {
            for how in ["httpGet", "tcpSocket", "grpc"] {
                let pointer = format!("/{probe}/{how}/port");
                let Some(port) = container.value.pointer(&pointer) else { continue };
                if container.port(port).is_none() {
                    let path = format!("{}{pointer}", container.path);
                    let what = format!("{probe} asks port {}, which the container does not declare", shown(port));
                    bench.report(pod.object, &path, what, "name one of its ports");
                }
            }
        }
        let long_lived = !container.init && !matches!(pod.object.kind(), "CronJob" | "Job");
        if long_lived && container.value.get("readinessProbe").is_none() {
            bench.report(
                pod.object,
                &container.path,
                format!("container {} has no readiness probe", container.text("/name")),
                "add a readinessProbe, or it gets calls before it can answer them",
            );
        }
    }
}

fn targets(bench: &mut Bench<'_>, service: &Object) {
    let selector = service.labels("/spec/selector");
    if selector.is_empty() {
        return;
    }
    let pods: Vec<Pod<'_>> =
        bench.pods().into_iter().filter(|pod| selector.iter().all(|(k, v)| pod.labels().get(k) == Some(v))).collect();
    for (at, port) in service.list("/spec/ports").iter().enumerate() {
        let wanted = port.get("targetPort").or_else(|| port.get("port")).unwrap_or(&Value::Null);
        for pod in pods.iter().filter(|pod| pod.port(wanted).is_none()) {
            let path = yaml::step("/spec/ports", &yaml::item(port, at));
            let what = format!("port {} leads to none of {}'s containers", shown(wanted), pod.object.id());
            bench.report(service, &format!("{path}/targetPort"), what, "name one of its ports");
        }
    }
}

fn backends(bench: &mut Bench<'_>, ingress: &Object) {
    for rule in ingress.list("/spec/rules") {
        for path in list(rule.pointer("/http/paths")) {
            let text = |pointer| path.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let name = text("/backend/service/name");
            let Some(service) = bench.named("Service", name) else {
                bench.report(ingress, "/spec/rules", format!("there is no Service {name}"), "name one that is there");
                continue;
            };
            let (by_name, by_number) =
                (path.pointer("/backend/service/port/name"), path.pointer("/backend/service/port/number"));
            let meets = |port: &Value| {
                (by_name.is_some() && port.get("name") == by_name)
                    || (by_number.is_some() && port.get("port") == by_number)
            };
            if !service.list("/spec/ports").iter().any(meets) {
                let port = by_name.or(by_number).map(shown).unwrap_or_default();
                bench.report(
                    ingress,
                    "/spec/rules",
                    format!("Service {name} has no port {port}"),
                    "name one of its ports",
                );
            }
        }
    }
}

fn service_monitor(bench: &mut Bench<'_>, monitor: &Object) {
    let selector = monitor.value.pointer("/spec/selector").unwrap_or(&Value::Null);
    let services = bench.kind("Service");
    let chosen: Vec<_> =
        services.into_iter().filter(|one| selects(selector, &labels(one.value.pointer("/metadata/labels")))).collect();
    for endpoint in monitor.list("/spec/endpoints") {
        let port = endpoint.get("port").unwrap_or(&Value::Null);
        let meets = |service: &&Object| service.list("/spec/ports").iter().any(|one| one.get("name") == Some(port));
        if !chosen.iter().any(meets) {
            let what = format!("no Service it selects has port {}", shown(port));
            bench.report(monitor, "/spec/endpoints", what, "select a Service that has it");
        }
    }
}

fn pod_monitor(bench: &mut Bench<'_>, monitor: &Object) {
    let selector = monitor.value.pointer("/spec/selector").unwrap_or(&Value::Null);
    let chosen: Vec<_> = bench.pods().into_iter().filter(|pod| selects(selector, &pod.labels())).collect();
    for endpoint in monitor.list("/spec/podMetricsEndpoints") {
        let port = endpoint.get("port").unwrap_or(&Value::Null);
        if !chosen.iter().any(|pod| pod.port(port).is_some()) {
            let what = format!("no pod it selects has port {}", shown(port));
            bench.report(monitor, "/spec/podMetricsEndpoints", what, "select pods that have it");
        }
    }
}

fn shown(port: &Value) -> String {
    port.as_str().map_or_else(|| port.to_string(), str::to_owned)
}
