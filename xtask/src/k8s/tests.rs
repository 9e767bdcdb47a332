//! Each check finds its fault, at its place, and nothing else; a sound set has none.

use std::collections::BTreeSet;

use super::fixture::{FILE, SOUND, changed, found, found_by, table, told};
use super::{Finding, failure};
use crate::error::{Class, Result};

/// The line of the fixture on which `text` is.
fn line(text: &str) -> usize {
    SOUND.lines().position(|line| line.contains(text)).map_or(0, |at| at + 1)
}

/// The one thing that is found when `old` becomes `new`.
fn only(old: &str, new: &str) -> Result<Finding> {
    let found = found(&changed(old, new))?;
    assert_eq!(found.len(), 1, "{old} → {new}: {found:#?}");
    Ok(found.into_iter().next().unwrap_or_else(|| panic!("one was found")))
}

#[test]
fn a_sound_set_has_no_finding() -> Result<()> {
    assert_eq!(found(SOUND)?, []);
    assert!(failure(&[]).is_none());
    Ok(())
}

#[test]
fn a_finding_has_a_place_a_fix_and_every_target_that_has_it() -> Result<()> {
    let digest = format!("@sha256:{}", "a".repeat(64));
    let finding = only(&digest, "")?;
    assert_eq!(finding.place, format!("{FILE}:{}:18", line("image:")));
    assert_eq!(finding.object, "Deployment/server");
    assert_eq!(finding.what, "image registry.example/app-server:v1 is not pinned by digest");
    assert_eq!(finding.targets, BTreeSet::from(["dev".to_owned(), "production".to_owned()]));
    let failure = failure(&[finding]).unwrap_or_else(|| panic!("it is a failure"));
    assert_eq!(failure.class(), Class::Stale);
    assert!(failure.to_string().contains("fix: cargo xtask pin"), "{failure}");
    Ok(())
}

#[test]
fn only_images_of_ours_may_wait_for_a_release() -> Result<()> {
    let digest = format!("@sha256:{}", "a".repeat(64));
    let unpinned = changed(&digest, "");
    assert_eq!(found_by(&unpinned, &table()?, true)?, []);
    // A registry's port is no tag, and another name that ends alike is another image.
    for other in ["localhost:5000/other", "registry.example/my-app-server"] {
        let foreign = unpinned.replace("registry.example/app-server", other).replace("--listen", "--other");
        let found = found_by(&foreign, &table()?, true)?;
        assert_eq!(told(&found), BTreeSet::from([format!("image {other}:v1 is not pinned by digest").as_str()]));
    }
    Ok(())
}

#[test]
fn arguments_are_flags_of_the_program() -> Result<()> {
    let unknown = only("--listen=:8080", "--port=8080")?;
    assert_eq!(unknown.what, "server has no flag --port");
    assert_eq!(unknown.place, format!("{FILE}:{}:15", line("--listen")));
    assert_eq!(only("--listen=:8080", "listen")?.what, "argument listen is no flag");
    assert_eq!(only("--listen=:8080", "--peer=b")?.what, "--peer is said twice");
    assert_eq!(only("$(PEER)", "$(PEERS)")?.what, "$(PEERS) is not a variable of container server");
    Ok(())
}

#[test]
fn what_names_a_port_meets_one() -> Result<()> {
    let probe = "path: /ready\n              port: http";
    let finding = only(probe, "path: /ready\n              port: 9090")?;
    assert_eq!(finding.what, "readinessProbe asks port 9090, which the container does not declare");
    let finding = only("targetPort: http", "targetPort: web")?;
    assert_eq!(finding.what, "port web leads to none of Deployment/server's containers");
    assert_eq!(finding.place, format!("{FILE}:{}:19", line("targetPort")));
    let finding = only(
        "                port:\n                  name: http",
        "                port:\n                  name: web",
    )?;
    assert_eq!(finding.what, "Service server has no port web");
    let monitor = "---\nkind: ServiceMonitor\nmetadata:\n  name: m\nspec:\n  selector:\n    matchLabels:\n      \
                   app.kubernetes.io/name: server\n  endpoints:\n    - port: metrics\n";
    let found = found(&format!("{SOUND}{monitor}"))?;
    assert_eq!(told(&found), BTreeSet::from(["no Service it selects has port metrics"]));
    Ok(())
}

#[test]
fn selectors_select() -> Result<()> {
    let budget = "maxUnavailable: 1\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: server";
    let finding = only(budget, &budget.replace("name: server", "name: sever"))?;
    assert_eq!((finding.object.as_str(), finding.what.as_str()), ("PodDisruptionBudget/server", "selects no pods"));
    let workload = "replicas: 2\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: server";
    let finding = only(workload, &workload.replace("name: server", "name: sever"))?;
    assert_eq!(finding.what, "its selector does not match its own pods");
    let scaler = "---\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: s\nspec:\n  scaleTargetRef:\n    kind: \
                  StatefulSet\n    name: server\n";
    let found = found(&format!("{SOUND}{scaler}"))?;
    assert_eq!(told(&found), BTreeSet::from(["there is no StatefulSet/server"]));
    Ok(())
}

#[test]
fn a_budget_lets_a_machine_be_drained_and_protects() -> Result<()> {
    let cases = [
        ("minAvailable: 2", "2 of 2 must stay, so no machine can be drained"),
        ("minAvailable: 51%", "2 of 2 must stay, so no machine can be drained"),
        ("maxUnavailable: 0", "none may go, so no machine can be drained"),
        ("maxUnavailable: 100%", "2 of 2 may go at once, which protects nothing"),
    ];
    for (budget, expected) in cases {
        assert_eq!(only("maxUnavailable: 1", budget)?.what, expected);
    }
    let scaled = changed("maxUnavailable: 1", "minAvailable: 2")
        + "---\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: s\nspec:\n  minReplicas: 3\n  scaleTargetRef:\n    kind: \
           Deployment\n    name: server\n";
    assert_eq!(found(&scaled)?, []);
    Ok(())
}

#[test]
fn the_go_runtime_knows_its_limit() -> Result<()> {
    // Nine tenths of 256 MiB are 230.4 MiB.
    assert_eq!(only("230MiB", "256MiB")?.what, "GOMEMLIMIT is 256MiB, nine tenths of the limit are 230MiB");
    assert_eq!(
        only("memory: 256Mi", "memory: 2Gi")?.what,
        "GOMEMLIMIT is 230MiB, nine tenths of the limit are 1843MiB"
    );
    let unset = "            - name: GOMEMLIMIT\n              value: 230MiB\n";
    assert_eq!(only(unset, "")?.what, "GOMEMLIMIT is not set, nine tenths of the limit are 230MiB");
    Ok(())
}

#[test]
fn nothing_refers_to_what_is_not_there() -> Result<()> {
    let cases = [
        ("                  name: settings", "                  name: setting", "there is no ConfigMap setting"),
        ("key: peer", "key: pear", "ConfigMap settings has no key pear"),
        ("secretName: certificate", "secretName: key", "there is no Secret key"),
        ("emptyDir: {}", "persistentVolumeClaim: {claimName: data}", "there is no PersistentVolumeClaim data"),
        ("      volumes:", "      priorityClassName: high\n      volumes:", "there is no PriorityClass high"),
    ];
    for (old, new, expected) in cases {
        assert_eq!(only(old, new)?.what, expected);
    }
    let mount = found(&changed("            - name: scratch\n", "            - name: scrap\n"))?;
    assert_eq!(told(&mount), BTreeSet::from(["there is no volume scrap", "no container mounts volume scratch"]));
    Ok(())
}

#[test]
fn pods_are_restricted() -> Result<()> {
    let cases = [
        ("runAsNonRoot: true", "runAsNonRoot: false", "container server has not runAsNonRoot: true"),
        ("runAsUser: 1000", "runAsUser: 0", "container server has not runAsUser: a number above 0"),
        ("type: RuntimeDefault", "type: Unconfined", "container server has not seccompProfile.type: RuntimeDefault"),
        ("Escalation: false", "Escalation: true", "container server has not allowPrivilegeEscalation: false"),
        ("Filesystem: true", "Filesystem: false", "container server has not readOnlyRootFilesystem: true"),
        ("[ALL]", "[NET_RAW]", "container server has not capabilities: {drop: [ALL]} and none added"),
        ("enforce: restricted", "enforce: baseline", "Pod Security restricted is not enforced"),
        ("automountServiceAccountToken: false", "secrets: []", "its pods get a service account's token"),
        ("emptyDir: {}", "hostPath: {path: /}", "it mounts a folder of the machine"),
        ("      volumes:", "      hostNetwork: true\n      volumes:", "hostNetwork shares the machine's"),
    ];
    for (old, new, expected) in cases {
        assert_eq!(only(old, new)?.what, expected);
    }
    Ok(())
}

/// Another program that calls the server, for which no flow is declared.
fn caller() -> String {
    let server = SOUND.split("---\n").last().unwrap_or_default();
    let named = server
        .replace("name: server", "name: caller")
        .replace("serviceAccountName: caller", "serviceAccountName: server");
    format!("---\n{named}").replace("/app-server:", "/other:")
}

#[test]
fn policies_allow_what_is_declared_and_nothing_else() -> Result<()> {
    let open = "    - ports:\n        - port: 8080\n";
    let closed = found(&changed(open, "    - ports:\n        - port: 9090\n"))?;
    let denied = "its ingress denies anywhere → server on port 8080, which release.toml declares";
    assert_eq!(told(&closed), BTreeSet::from([denied]));

    let no_dns = found(&changed("        - port: 53\n", "        - port: 54\n"))?;
    let denied = "its egress denies * → namespace:kube-system on port 53, which release.toml declares";
    let undeclared = "the policies allow server → namespace:kube-system by policy server, which is not declared";
    assert_eq!(told(&no_dns), BTreeSet::from([denied, undeclared]));

    let mut silent = table()?;
    silent.flows.retain(|flow| flow.to.to_string() != "server");
    let undeclared = found_by(SOUND, &silent, false)?;
    let what = "the policies allow anywhere → server on port 8080, which is not declared";
    assert_eq!(told(&undeclared), BTreeSet::from([what]));
    Ok(())
}

#[test]
fn a_pod_without_a_policy_is_told() -> Result<()> {
    let narrowed = changed("podSelector: {}", "podSelector: {matchLabels: {app.kubernetes.io/name: other}}");
    let found = found(&narrowed)?;
    let what = told(&found);
    assert!(what.contains("no policy limits its ingress") && what.contains("no policy limits its egress"), "{what:?}");
    Ok(())
}

#[test]
fn a_flow_between_programs_needs_both_ends() -> Result<()> {
    // The caller may go anywhere and the server takes anyone, and that is declared for outsiders only.
    let egress = changed("  egress:\n", "  egress:\n    - to:\n        - podSelector: {}\n") + &caller();
    let found_open = found(&egress)?;
    let what = told(&found_open);
    assert!(what.contains("the policies allow caller → server on port 8080, which is not declared"), "{what:?}");
    let closed = SOUND.to_owned() + &caller();
    let found_closed = found(&closed)?;
    let what = told(&found_closed);
    assert!(!what.iter().any(|one| one.contains("caller → server")), "{what:?}");
    Ok(())
}
