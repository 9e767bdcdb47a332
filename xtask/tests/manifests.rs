//! What the manifests say to people and to Prometheus: only metrics that exist, and a page for every alert.

#![allow(clippy::unwrap_used, reason = "a test fails by them")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Goverse's metrics.
const GOVERSE: &[&str] = &[
    "goverse_clients_connected",
    "goverse_gate_active_clients",
    "goverse_gate_dropped_messages_total",
    "goverse_gate_pushed_messages_total",
    "goverse_method_calls_total",
    "goverse_node_connected_gates",
    "goverse_node_dropped_messages_total",
    "goverse_node_pushed_messages_total",
    "goverse_objects_total",
    "goverse_operation_timeouts_total",
    "goverse_shard_claims_total",
    "goverse_shard_mapping_write_failures_total",
    "goverse_shard_method_calls_total",
    "goverse_shard_migrations_total",
    "goverse_shard_reallocations_total",
    "goverse_shard_releases_total",
    "goverse_shards_migrating",
    "goverse_shards_total",
    "goverse_watch_reconnections_total",
];

/// Goverse's histograms, which are read by their series.
const HISTOGRAMS: &[&str] =
    &["goverse_method_call_duration", "goverse_node_stop_duration_seconds", "goverse_operation_duration_seconds"];

/// Others' metrics: Prometheus, etcd, the kubelet, kube-state-metrics, cert-manager.
const OTHERS: &[&str] = &[
    "up",
    "etcd_server_has_leader",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "kube_cronjob_status_last_successful_time",
    "certmanager_certificate_expiration_timestamp_seconds",
];

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(checkout().join(path)).unwrap()
}

/// The names before `{`: every selector of ours has labels.
fn metrics(query: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let before = |at: usize| {
        let head = query.get(..at).unwrap();
        head.get(head.rfind(|c| !is_part(c)).map_or(0, |end| end + 1)..).unwrap().to_owned()
    };
    query.match_indices('{').map(|(at, _)| before(at)).filter(|name| !name.is_empty()).collect()
}

fn exists(metric: &str) -> bool {
    let series = |name: &&&str| ["_bucket", "_sum", "_count"].iter().any(|end| metric == format!("{name}{end}"));
    GOVERSE.contains(&metric) || OTHERS.contains(&metric) || HISTOGRAMS.iter().any(|name| series(&name))
}

fn assert_exist(file: &str, metrics: &BTreeSet<String>) {
    let unknown: Vec<_> = metrics.iter().filter(|metric| !exists(metric)).collect();
    assert!(unknown.is_empty(), "{file} uses {unknown:?}");
    assert!(metrics.len() > 5, "{file} uses {metrics:?}");
}

/// The values of the lines `KEY: VALUE`, as items or not.
fn said<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let prefix = format!("{key}: ");
    text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(&prefix)).collect()
}

#[test]
fn alerts_use_metrics_that_exist() {
    let file = "k8s/components/monitoring/rules.yaml";
    assert_exist(file, &metrics(&read(file)));
}

#[test]
fn dashboards_use_metrics_that_exist_and_do_not_overlap() {
    for name in ["overview", "calls"] {
        let file = format!("k8s/components/monitoring/dashboards/{name}.json");
        let board: Value = serde_json::from_str(&read(&file)).unwrap();
        let panels = board["panels"].as_array().unwrap();
        let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
        let used = queries.flat_map(|target| metrics(target["expr"].as_str().unwrap())).collect();
        assert_exist(&file, &used);
        let mut taken = BTreeSet::new();
        for panel in panels {
            let number = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for x in number("x")..number("x") + number("w") {
                for y in number("y")..number("y") + number("h") {
                    assert!(x < 24 && taken.insert((x, y)), "{file}: panel {} lies on another", panel["title"]);
                }
            }
        }
        let chart = read(&format!("k8s/helm/goverse/files/{name}.json"));
        assert_eq!(chart, read(&file), "the chart's copy of {name}.json differs");
    }
}

#[test]
fn every_alert_has_a_page_that_names_it_and_a_test() {
    let rules = read("k8s/components/monitoring/rules.yaml");
    let (alerts, pages) = (said(&rules, "alert"), said(&rules, "runbook_url"));
    assert_eq!(alerts.len(), pages.len());
    let tests = read("k8s/components/monitoring/rules.test.yaml");
    let fires: BTreeSet<&str> = tests
        .split("- eval_time:")
        .filter(|case| case.contains("exp_alerts:"))
        .flat_map(|case| said(case, "alertname"))
        .collect();
    for (alert, page) in alerts.iter().zip(&pages) {
        let name = page.rsplit('/').next().unwrap();
        assert!(read(&format!("docs/runbooks/{name}")).contains(alert), "docs/runbooks/{name} does not name {alert}");
        assert!(fires.contains(alert), "no test has {alert} fire");
    }
    let linked: BTreeSet<&str> = pages.iter().map(|page| page.rsplit('/').next().unwrap()).collect();
    for entry in std::fs::read_dir(checkout().join("docs/runbooks")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(linked.contains(name.as_str()), "no alert leads to docs/runbooks/{name}");
    }
}
