//! The network policies allow the flows of `[k8s]`, at both ends, and no others.
//!
//! Policies are weighed as the API defines them: a pod that a policy of a direction selects may do in that direction
//! what any of them allows, and all else is denied. Only targets that have policies are looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Bench;
use crate::config::{Flow, Peer};
use crate::k8s::object::{Object, Pod, labels, list, selects};

/// The label that every namespace has by itself.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
/// A namespace that no policy names; what may come from there may come from anywhere.
const ELSEWHERE: &str = "elsewhere.invalid";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

/// One end of a connection, as a policy sees it.
struct End<'o> {
    /// Of a pod in another namespace, its name; `None` in our own.
    namespace: Option<&'o str>,
    labels: BTreeMap<&'o str, &'o str>,
    /// Whether nothing is known of its labels, so that only a rule without a pod selector takes it for sure.
    any: bool,
}

pub(super) fn check(bench: &mut Bench<'_>) {
    if bench.kind("NetworkPolicy").is_empty() {
        return;
    }
    let pods = bench.pods();
    for pod in &pods {
        for (direction, name) in [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")] {
            if policies(bench, pod, direction).is_empty() {
                let fix = "add a policy that denies it for every pod";
                bench.report(pod.object, pod.path, format!("no policy limits its {name}"), fix);
            }
        }
    }
    let flows = bench.facts.config.flows.clone();
    flows.iter().for_each(|flow| declared(bench, &pods, flow));
    between(bench, &pods, &flows);
    from_outside(bench, &pods, &flows);
    to_outside(bench, &pods, &flows);
}

/// A flow that is declared is allowed.
fn declared(bench: &mut Bench<'_>, pods: &[Pod<'_>], flow: &Flow) {
    for port in &flow.ports {
        for pod in pods.iter().filter(|pod| is(&flow.from, pod)) {
            let far: Vec<End<'_>> = match &flow.to {
                Peer::Program(_) | Peer::Programs => pods.iter().filter(|to| is(&flow.to, to)).map(End::of).collect(),
                Peer::Namespace(name) => vec![End::outside(name)],
                Peer::Anywhere => vec![End::outside(ELSEWHERE)],
            };
            // A namespace's pods may be narrowed further by the policy, DNS to its servers.
            if far.iter().any(|end| !may(bench, pod, Direction::Egress, end, *port, None)) {
                report(bench, pod.object, pod.path, flow, *port, "its egress");
            }
        }
        for pod in pods.iter().filter(|pod| is(&flow.to, pod)) {
            let far: Vec<End<'_>> = match &flow.from {
                Peer::Program(_) | Peer::Programs => {
                    pods.iter().filter(|from| is(&flow.from, from)).map(End::of).collect()
                }
                Peer::Namespace(name) => vec![End::outside(name)],
                Peer::Anywhere => vec![End::outside(ELSEWHERE)],
            };
            if far.iter().any(|end| !may(bench, pod, Direction::Ingress, end, *port, Some(pod))) {
                report(bench, pod.object, pod.path, flow, *port, "its ingress");
            }
        }
    }
}

fn report(bench: &mut Bench<'_>, object: &Object, path: &str, flow: &Flow, port: u16, side: &str) {
    let what = format!("{side} denies {} → {} on port {port}, which release.toml declares", flow.from, flow.to);
    bench.report(object, path, what, "allow it in a policy, or take it out of k8s.flows");
}

/// What is allowed between our programs is declared.
fn between(bench: &mut Bench<'_>, pods: &[Pod<'_>], flows: &[Flow]) {
    for from in pods {
        for to in pods {
            for port in to.ports().into_iter().filter_map(|port| u16::try_from(port).ok()) {
                let allowed = may(bench, from, Direction::Egress, &End::of(to), port, Some(to))
                    && may(bench, to, Direction::Ingress, &End::of(from), port, Some(to));
                let known =
                    flows.iter().any(|flow| is(&flow.from, from) && is(&flow.to, to) && flow.ports.contains(&port));
                if allowed && !known {
                    undeclared(bench, to, &format!("{} → {} on port {port}", from.program(), to.program()));
                }
            }
        }
    }
}

/// What may come from another namespace, or from anywhere, is declared.
fn from_outside(bench: &mut Bench<'_>, pods: &[Pod<'_>], flows: &[Flow]) {
    let mut sources = namespaces(bench, Direction::Ingress);
    sources.insert(ELSEWHERE.to_owned());
    for to in pods {
        for port in to.ports().into_iter().filter_map(|port| u16::try_from(port).ok()) {
            for source in &sources {
                let known = flows.iter().any(|flow| {
                    let from = flow.from == Peer::Anywhere || flow.from == Peer::Namespace(source.clone());
                    from && is(&flow.to, to) && flow.ports.contains(&port)
                });
                if !known && may(bench, to, Direction::Ingress, &End::outside(source), port, Some(to)) {
                    let from = if source == ELSEWHERE { "anywhere".to_owned() } else { format!("namespace:{source}") };
                    undeclared(bench, to, &format!("{from} → {} on port {port}", to.program()));
                }
            }
        }
    }
}

/// Rules that let something out of the namespace name where to, and that is declared.
fn to_outside(bench: &mut Bench<'_>, pods: &[Pod<'_>], flows: &[Flow]) {
    for pod in pods {
        for policy in policies(bench, pod, Direction::Egress) {
            for rule in policy.list("/spec/egress") {
                for target in outside(rule) {
                    let known = |port: &u16| {
                        flows.iter().any(|flow| is(&flow.from, pod) && flow.to == target && flow.ports.contains(port))
                    };
                    let ports: Option<Vec<u16>> = numbers(rule);
                    if !ports.is_some_and(|ports| ports.iter().all(known)) {
                        undeclared(bench, pod, &format!("{} → {target} by policy {}", pod.program(), policy.name()));
                    }
                }
            }
        }
    }
}

fn undeclared(bench: &mut Bench<'_>, pod: &Pod<'_>, flow: &str) {
    let fix = "deny it, or declare it in k8s.flows of release.toml";
    bench.report(pod.object, pod.path, format!("the policies allow {flow}, which is not declared"), fix);
}

/// Where outside of the namespace an egress rule leads.
fn outside(rule: &Value) -> Vec<Peer> {
    let peers = list(rule.get("to"));
    if peers.is_empty() {
        return vec![Peer::Anywhere];
    }
    let one = |peer: &Value| match (peer.get("namespaceSelector"), peer.get("ipBlock")) {
        (Some(selector), _) => Some(match labels(selector.get("matchLabels")).get(NAMESPACE_LABEL) {
            Some(name) => Peer::Namespace((*name).to_owned()),
            None => Peer::Anywhere,
        }),
        (None, Some(_)) => Some(Peer::Anywhere),
        (None, None) => None,
    };
    peers.iter().filter_map(one).collect()
}

/// The ports of a rule as numbers; `None` where it allows all of them.
fn numbers(rule: &Value) -> Option<Vec<u16>> {
    let ports = list(rule.get("ports"));
    let number = |port: &Value| port.get("port")?.as_u64().and_then(|port| u16::try_from(port).ok());
    match ports.is_empty() {
        true => None,
        false => ports.iter().map(number).collect(),
    }
}

/// The namespaces that rules of a direction name.
fn namespaces(bench: &Bench<'_>, direction: Direction) -> BTreeSet<String> {
    let (key, peers) = direction.keys();
    let rules = bench.kind("NetworkPolicy").into_iter().flat_map(|policy| policy.list(key));
    let selectors = rules.flat_map(|rule| list(rule.get(peers))).filter_map(|peer| peer.get("namespaceSelector"));
    selectors
        .filter_map(|one| labels(one.get("matchLabels")).get(NAMESPACE_LABEL).map(|name| (*name).to_owned()))
        .collect()
}

/// The policies that limit what `pod` does in a direction.
fn policies<'a>(bench: &Bench<'a>, pod: &Pod<'_>, direction: Direction) -> Vec<&'a Object> {
    let limits = |policy: &&Object| {
        let types = policy.list("/spec/policyTypes");
        let named = types.iter().any(|one| one == direction.name());
        // Without types, ingress is limited, and egress where there are rules for it.
        let implied =
            types.is_empty() && (direction == Direction::Ingress || policy.value.pointer("/spec/egress").is_some());
        let selector = policy.value.pointer("/spec/podSelector").unwrap_or(&Value::Null);
        (named || implied) && selects(selector, &pod.labels())
    };
    bench.kind("NetworkPolicy").into_iter().filter(limits).collect()
}

/// Whether the policies of `pod` allow a connection with `far`; `accepting` knows the names of ports.
fn may(
    bench: &Bench<'_>,
    pod: &Pod<'_>,
    direction: Direction,
    far: &End<'_>,
    port: u16,
    accepting: Option<&Pod<'_>>,
) -> bool {
    let policies = policies(bench, pod, direction);
    let (key, peers) = direction.keys();
    let allows = |rule: &Value| {
        let ports = list(rule.get("ports"));
        let peers = list(rule.get(peers));
        let to_port = ports.is_empty() || ports.iter().any(|one| covers(one, port, accepting));
        to_port && (peers.is_empty() || peers.iter().any(|peer| far.meets(peer)))
    };
    policies.is_empty() || policies.iter().any(|policy| policy.list(key).iter().any(allows))
}

fn covers(rule: &Value, port: u16, accepting: Option<&Pod<'_>>) -> bool {
    let Some(said) = rule.get("port") else { return true };
    let number = said.as_u64().or_else(|| accepting?.port(said));
    let end = rule.get("endPort").and_then(Value::as_u64).or(number);
    number.zip(end).is_some_and(|(first, last)| (first..=last).contains(&u64::from(port)))
}

fn is(peer: &Peer, pod: &Pod<'_>) -> bool {
    match peer {
        Peer::Program(name) => name == pod.program(),
        Peer::Programs => true,
        Peer::Namespace(_) | Peer::Anywhere => false,
    }
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Direction::Ingress => "Ingress",
            Direction::Egress => "Egress",
        }
    }

    /// Where its rules are, and the key of a rule's peers.
    fn keys(self) -> (&'static str, &'static str) {
        match self {
            Direction::Ingress => ("/spec/ingress", "from"),
            Direction::Egress => ("/spec/egress", "to"),
        }
    }
}

impl<'o> End<'o> {
    fn of(pod: &Pod<'o>) -> End<'o> {
        End { namespace: None, labels: pod.labels(), any: false }
    }

    fn outside(namespace: &'o str) -> End<'o> {
        End { namespace: Some(namespace), labels: BTreeMap::new(), any: true }
    }

    fn meets(&self, peer: &Value) -> bool {
        let by_pod = peer.get("podSelector").is_none_or(|selector| self.any || selects(selector, &self.labels));
        match (peer.get("ipBlock"), peer.get("namespaceSelector")) {
            // Addresses of pods are not foreseen by a block; what it opens to the outside is looked at by itself.
            (Some(block), _) => self.namespace == Some(ELSEWHERE) && everything(block),
            (None, None) => self.namespace.is_none() && by_pod,
            (None, Some(selector)) => {
                let labels = self.namespace.map(|name| BTreeMap::from([(NAMESPACE_LABEL, name)])).unwrap_or_default();
                selects(selector, &labels) && by_pod
            }
        }
    }
}

fn everything(block: &Value) -> bool {
    [json!("0.0.0.0/0"), json!("::/0")].iter().any(|all| block.get("cidr") == Some(all))
}
