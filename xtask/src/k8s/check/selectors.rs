//! What selects pods selects the ones it is for.

use serde_json::Value;

use super::Bench;
use crate::k8s::object::{Object, selects};

pub(super) fn check(bench: &mut Bench<'_>) {
    for pod in bench.pods() {
        let Some(selector) = pod.object.value.pointer("/spec/selector") else { continue };
        if !selects(selector, &pod.labels()) {
            let what = "its selector does not match its own pods";
            bench.report(pod.object, "/spec/selector", what, "give the template the selector's labels");
        }
    }
    for service in bench.kind("Service") {
        let selector = service.labels("/spec/selector");
        let takes = |pod: &crate::k8s::object::Pod<'_>| selector.iter().all(|(k, v)| pod.labels().get(k) == Some(v));
        if !selector.is_empty() && !bench.pods().iter().any(takes) {
            bench.report(service, "/spec/selector", "selects no pods", "select labels that a pod template has");
        }
    }
    for object in bench.objects.iter().filter(|object| matches!(object.kind(), "PodDisruptionBudget" | "PodMonitor")) {
        exactly_one(bench, object);
    }
    for scaler in bench.kind("HorizontalPodAutoscaler") {
        let (kind, name) = (scaler.text("/spec/scaleTargetRef/kind"), scaler.text("/spec/scaleTargetRef/name"));
        if bench.named(kind, name).is_none() {
            bench.report(scaler, "/spec/scaleTargetRef", format!("there is no {kind}/{name}"), "name what is to scale");
        }
    }
}

/// Two workloads under one budget share it; none makes it void.
fn exactly_one(bench: &mut Bench<'_>, object: &Object) {
    let selector = object.value.pointer("/spec/selector").unwrap_or(&Value::Null);
    let chosen: Vec<String> =
        bench.pods().into_iter().filter(|pod| selects(selector, &pod.labels())).map(|pod| pod.object.id()).collect();
    match chosen.as_slice() {
        [_] => {}
        [] => bench.report(object, "/spec/selector", "selects no pods", "select labels that a pod template has"),
        many => {
            let what = format!("selects the pods of {}", many.join(" and of "));
            bench.report(object, "/spec/selector", what, "select those of one");
        }
    }
}
