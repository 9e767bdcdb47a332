//! Every argument of our programs is a flag that the program has, said once, and every variable in it is declared.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Bench, images};
use crate::k8s::object::{Container, Pod, list};

pub(super) fn check(bench: &mut Bench<'_>) {
    for pod in bench.pods() {
        for container in pod.containers() {
            variables(bench, pod, &container);
            let name = images::ours(bench, container.text("/image"));
            if let Some((name, flags)) = name.and_then(|name| Some((name, bench.facts.config.flags.get(name)?))) {
                known(bench, pod, &container, name, flags);
            }
        }
    }
}

/// Each argument stands for itself, `--flag=value`; there are no others.
fn known(bench: &mut Bench<'_>, pod: Pod<'_>, container: &Container<'_>, program: &str, flags: &BTreeSet<String>) {
    let mut said = BTreeSet::new();
    for (at, argument) in list(container.value.get("args")).iter().filter_map(Value::as_str).enumerate() {
        let path = format!("{}/args/[{at}]", container.path);
        let flag = argument.split_once('=').map_or(argument, |(flag, _)| flag);
        let name = flag.strip_prefix("--").or_else(|| flag.strip_prefix('-'));
        match name {
            None => bench.report(pod.object, &path, format!("argument {argument} is no flag"), "write --flag=value"),
            Some(name) if !flags.contains(name) => {
                let all = flags.iter().map(|flag| format!("--{flag}")).collect::<Vec<_>>().join(" ");
                bench.report(pod.object, &path, format!("{program} has no flag --{name}"), format!("it has {all}"));
            }
            Some(name) if !said.insert(name.to_owned()) => {
                bench.report(pod.object, &path, format!("--{name} is said twice"), "take one of them out");
            }
            Some(_) => {}
        }
    }
}

/// The kubelet leaves `$(NAME)` as it is where no variable of that name is declared.
fn variables(bench: &mut Bench<'_>, pod: Pod<'_>, container: &Container<'_>) {
    let declared: BTreeSet<&str> =
        list(container.value.get("env")).iter().filter_map(|one| one.get("name")?.as_str()).collect();
    for key in ["command", "args"] {
        for (at, text) in list(container.value.get(key)).iter().filter_map(Value::as_str).enumerate() {
            for name in expansions(text).into_iter().filter(|name| !declared.contains(name)) {
                let path = format!("{}/{key}/[{at}]", container.path);
                let what = format!("$({name}) is not a variable of container {}", container.text("/name"));
                bench.report(pod.object, &path, what, format!("declare {name} in its env"));
            }
        }
    }
}

/// The names in `$(NAME)`; `$$` is a dollar sign.
fn expansions(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            names.push(name);
            rest = after;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansions_are_those_of_the_kubelet() {
        for (text, expected) in [
            ("--a=$(POD_IP):1", vec!["POD_IP"]),
            ("$(A)$(B)", vec!["A", "B"]),
            ("$$(A)", vec![]),
            ("$$$(A)", vec!["A"]),
            ("$(A", vec![]),
            ("$A", vec![]),
        ] {
            assert_eq!(expansions(text), expected, "{text}");
        }
    }
}
