//! Disruption budgets let a machine be drained, and leave enough behind.

use serde_json::Value;

use super::Bench;
use crate::k8s::object::{Object, selects};

pub(super) fn check(bench: &mut Bench<'_>) {
    for budget in bench.kind("PodDisruptionBudget") {
        let selector = budget.value.pointer("/spec/selector").unwrap_or(&Value::Null);
        let chosen = bench.pods().into_iter().find(|pod| selects(selector, &pod.labels()));
        let Some(replicas) = chosen.map(|pod| replicas(bench, pod.object)) else { continue };
        let path = "/spec/maxUnavailable";
        match (amount(budget, "minAvailable", replicas), amount(budget, "maxUnavailable", replicas)) {
            (Some(stay), _) if stay >= replicas => bench.report(
                budget,
                "/spec/minAvailable",
                format!("{stay} of {replicas} must stay, so no machine can be drained"),
                "ask for fewer than there are replicas, or say maxUnavailable",
            ),
            (_, Some(0)) => {
                bench.report(budget, path, "none may go, so no machine can be drained", "let one go");
            }
            (_, Some(go)) if replicas > 1 && go >= replicas => bench.report(
                budget,
                path,
                format!("{go} of {replicas} may go at once, which protects nothing"),
                "let fewer go than there are replicas",
            ),
            _ => {}
        }
    }
}

/// How many pods there are at the least.
fn replicas(bench: &Bench<'_>, workload: &Object) -> u64 {
    let of_scaler = |scaler: &&Object| {
        scaler.text("/spec/scaleTargetRef/kind") == workload.kind()
            && scaler.text("/spec/scaleTargetRef/name") == workload.name()
    };
    let scaler = bench.kind("HorizontalPodAutoscaler").into_iter().find(of_scaler);
    let at_least = scaler.and_then(|one| one.value.pointer("/spec/minReplicas"));
    at_least.or_else(|| workload.value.pointer("/spec/replicas")).and_then(Value::as_u64).unwrap_or(1)
}

/// A number, or a share of `replicas` rounded up, as the eviction API does.
fn amount(budget: &Object, key: &str, replicas: u64) -> Option<u64> {
    let value = budget.value.pointer("/spec")?.get(key)?;
    let share = || value.as_str()?.strip_suffix('%')?.parse::<u64>().ok();
    value.as_u64().or_else(|| Some((replicas * share()?).div_ceil(100)))
}
