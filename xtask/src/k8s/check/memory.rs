//! The Go runtime is told nine tenths of the memory limit, which it does not see by itself.

use super::{Bench, images};
use crate::k8s::object::{Container, list};

const MEBIBYTE: u64 = 1 << 20;

pub(super) fn check(bench: &mut Bench<'_>) {
    for pod in bench.pods() {
        for container in pod.containers() {
            let path = format!("{}/env/[GOMEMLIMIT]", container.path);
            let ours = images::ours(bench, container.text("/image")).is_some();
            let limit = bytes(container.text("/resources/limits/memory"));
            match (variable(&container), limit) {
                (None, _) if !ours => {}
                (_, None) => bench.report(
                    pod.object,
                    &format!("{}/resources", container.path),
                    format!("container {} has no memory limit in Ki, Mi or Gi", container.text("/name")),
                    "set resources.limits.memory",
                ),
                (said, Some(limit)) => {
                    let wanted = format!("{}MiB", limit / MEBIBYTE * 9 / 10);
                    if said != Some(wanted.as_str()) {
                        let what = format!(
                            "GOMEMLIMIT is {}, nine tenths of the limit are {wanted}",
                            said.unwrap_or("not set")
                        );
                        bench.report(pod.object, &path, what, format!("set it to {wanted}"));
                    }
                }
            }
        }
    }
}

fn variable<'o>(container: &Container<'o>) -> Option<&'o str> {
    let mut variables = list(container.value.get("env")).iter();
    let found = variables.find(|one| one.get("name").is_some_and(|name| name == "GOMEMLIMIT"))?;
    found.get("value")?.as_str()
}

/// A quantity of memory with a binary unit.
fn bytes(quantity: &str) -> Option<u64> {
    let units = [("Ki", 1 << 10), ("Mi", MEBIBYTE), ("Gi", 1 << 30)];
    let (number, unit) = units.iter().find_map(|(suffix, unit)| Some((quantity.strip_suffix(suffix)?, unit)))?;
    number.parse::<u64>().ok()?.checked_mul(*unit)
}
