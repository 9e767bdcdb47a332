use std::path::Path;

use super::*;
use crate::error::{Class, Result};

fn target(repository: &str) -> Target {
    Target {
        repository: repository.to_owned(),
        reference: format!("ghcr.io/x/{repository}"),
        tag: "v1.2.0".to_owned(),
        digest: Digest::of(repository.as_bytes()),
    }
}

fn targets() -> Vec<Target> {
    vec![target("goverse-node"), target("goverse-gate")]
}

/// What an image value becomes.
fn node() -> String {
    format!("ghcr.io/x/goverse-node:v1.2.0@{}", Digest::of(b"goverse-node"))
}

fn pin_as(name: &str, text: &str) -> Result<String> {
    Ok(edits(Path::new(name), text, &targets())?.apply(text))
}

fn pin(text: &str) -> Result<String> {
    pin_as("pod.yaml", text)
}

/// A pod whose container says `image: VALUE`.
fn pod(value: &str) -> String {
    format!("kind: Pod\nspec:\n  containers:\n    - name: a\n      image: {value}\n")
}

/// Pins `text` and expects every `@@` of it, which stands for an old image, to have become the pinned one and nothing
/// else to have changed.
fn check(text: &str, old: &str) -> Result<()> {
    assert_eq!(pin(&text.replace("@@", old))?, text.replace("@@", &node()));
    Ok(())
}

/// Expects an error of class `Usage` at `place` that says `words`.
fn refused(name: &str, text: &str, place: &str, words: &str) {
    let Err(error) = edits(Path::new(name), text, &targets()) else { panic!("no error for {text}") };
    assert_eq!(error.class(), Class::Usage);
    let shown = error.to_string();
    assert!(shown.starts_with(&format!("{place}: ")) && shown.contains(words), "{shown}");
}

#[test]
fn every_way_of_writing_an_image_is_pinned() -> Result<()> {
    let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    for old in [
        "goverse-node",
        "goverse-node:v1.1.0",
        "x/goverse-node:latest",
        "localhost:5000/goverse-node",
        "localhost:5000/goverse-node:v1",
        "registry.example.com:443/a/b/goverse-node:v1",
        "[::1]:5000/goverse-node:v1",
        &format!("ghcr.io/x/goverse-node@{digest}"),
        &format!("ghcr.io/x/goverse-node:v1.1.0@{digest}"),
        "ghcr.io/x/goverse-node:v1.1.0@sha256:TODO",
        "ghcr.io/x/goverse-node:",
    ] {
        for style in [
            "@@",
            "\"@@\"",
            "'@@'",
            "&img @@",
            "!!str \"@@\"",
            "&a !!str '@@'",
            "@@ # was: goverse-node:v1",
            "|-\n        @@",
        ] {
            // A plain scalar can't end with a colon or start with a bracket.
            let plain = !style.contains(['"', '\'', '|']);
            if !plain || !old.ends_with(':') && !old.starts_with('[') {
                check(&pod(style), old)?;
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_pinned_already_stays_as_it_is() -> Result<()> {
    let found = edits(Path::new("pod.yaml"), &pod(&node()), &targets())?;
    assert!(found.is_empty());
    assert_eq!(found.matched().iter().copied().collect::<Vec<_>>(), [0]);
    Ok(())
}

#[test]
fn images_of_others_stay_as_they_are() -> Result<()> {
    for other in [
        "nginx:1.29",
        "ghcr.io/x/goverse-node-debug:v1",
        "my-goverse-node",
        "ghcr.io/goverse-node/proxy:v1",
        "",
        "~",
        "{a: b}",
    ] {
        assert_eq!(pin(&pod(other))?, pod(other), "{other}");
    }
    Ok(())
}

#[test]
fn containers_are_found_wherever_a_pod_template_is() -> Result<()> {
    for text in [
        "kind: Pod\nspec: {containers: [{name: a, image: @@}], initContainers: [{image: '@@'}], ephemeralContainers: [{\"image\":\"@@\"}]}\n",
        "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - image: @@\n        name: a\n      - name: b\n        image: @@\n",
        "kind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n            - image: @@\n",
        "kind: List\nitems:\n  - kind: Deployment\n    spec: {template: {spec: {containers: [{image: @@}]}}}\n  - kind: Pod\n    spec: {containers: [{image: @@}]}\n",
        "kind: GameServer\nspec:\n  template:\n    spec:\n      containers:\n        - image: @@\n",
        "kind: Pod\nspec:\n  volumes:\n    - name: v\n      image:\n        reference: @@\n        pullPolicy: Always\n",
        "---\nkind: Pod\nspec: {containers: [{image: @@}]}\n--- # next\n# between\n---\nkind: Pod\nspec: {containers: [{image: @@}]}\n...\n",
    ] {
        check(text, "localhost:5000/goverse-node:v1")?;
    }
    Ok(())
}

#[test]
fn an_image_key_elsewhere_is_no_image() -> Result<()> {
    for text in [
        "image: goverse-node:v1\n",
        "containers:\n  - image: goverse-node:v1\n",
        "kind: Widget\nspec:\n  image: goverse-node:v1\n  containers:\n    image: goverse-node:v1\n",
        "kind: Pod\nmetadata:\n  annotations:\n    image: goverse-node:v1\nspec:\n  containers:\n    - env:\n        - {name: image, value: goverse-node:v1}\n",
        "kind: ConfigMap\ndata:\n  pod.yaml: |\n    kind: Pod\n    spec:\n      containers:\n        - image: goverse-node:v1\n",
        "kind: CustomResourceDefinition\nspec: {containers: {items: {properties: {image: {type: string, example: goverse-node}}}}}\n",
        "",
        "# image: goverse-node:v1\n",
        "---\n",
        "\u{feff}",
    ] {
        assert_eq!(pin(text)?, text);
    }
    Ok(())
}

#[test]
fn bytes_around_a_value_stay_whatever_they_are() -> Result<()> {
    let text = "# ünïcode → 日本 🎉\nkind: Pod # \ttab\t\nmetadata: {name: \"é🎉\"}\nspec:\n  containers:\n    - image: @@\t# 日本 goverse-node:v1\n      name: 'ß'";
    for text in [
        text.to_owned(),
        format!("\u{feff}{text}"),
        text.replace('\n', "\r\n"),
        format!("\u{feff}{}\r\n", text.replace('\n', "\r\n")),
    ] {
        check(&text, "goverse-node:v1")?;
    }
    check("kind: Pod\nspec:\n  containers:\n    - image: @@", "goverse-node:v1")
}

#[test]
fn an_aliased_image_is_edited_where_it_is_written() -> Result<()> {
    check(
        "kind: Pod\nmetadata: {annotations: {a: &img @@}}\nspec:\n  containers:\n    - image: *img\n    - image: *img\n",
        "goverse-node:v1",
    )?;
    check(
        "kind: Pod\nx: &base\n  image: '@@'\nspec:\n  containers:\n    - <<: *base\n      name: a\n    - <<: [*base]\n",
        "goverse-node:v1",
    )?;
    check(
        "kind: Pod\nx: &list\n  - image: @@\nspec:\n  containers: *list\n  initContainers: *list\n",
        "goverse-node:v1",
    )
}

#[test]
fn an_anchor_of_another_document_is_an_error() {
    refused("pod.yaml", "a: &a 1\n---\nb: *a\n", "pod.yaml:3:4", "alias");
}

#[test]
fn aliases_are_never_expanded() -> Result<()> {
    let mut text = "kind: Pod\na0: &a0 [{image: goverse-node:v1}]\n".to_owned();
    for level in 1..60 {
        let alias = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} {{containers: {alias}, initContainers: {alias}, volumes: {alias}, other: [{alias}, {alias}]}}\n"));
    }
    assert_eq!(pin(&text)?, text.replace("goverse-node:v1", &node()));
    let cycle = "kind: Pod\nspec: &s\n  containers: &c [*s, *c, {image: goverse-node:v1}]\n";
    assert_eq!(pin(cycle)?, cycle.replace("goverse-node:v1", &node()));
    Ok(())
}

#[test]
fn what_is_not_yaml_is_an_error_at_its_place() {
    refused("a/pod.yaml", "kind: Pod\nspec: [\n", "a/pod.yaml:3:1", "not valid YAML");
    refused("pod.yaml", "kind: Pod\nspec: @x\n", "pod.yaml:2:7", "not valid YAML");
    refused("pod.yaml", "kind: Pod\nspec:\n  x: {{ .Values.x }} y\n", "pod.yaml:3:22", "Helm template");
    refused("pod.yaml", &"- ".repeat(100_000), "pod.yaml:1:513", "nested deeper than 256");
}

#[test]
fn an_image_that_cannot_be_pinned_is_an_error_at_its_place() {
    refused("pod.yaml", &pod("goverse-node:${TAG}"), "pod.yaml:5:14", "is a template");
    refused("pod.yaml", &pod("'{{ .Registry }}/goverse-node'"), "pod.yaml:5:14", "is a template");
    refused("pod.yaml", &pod("goverse-node:v1\n      image: goverse-node:v2"), "pod.yaml:6:7", "`image` is here twice");
}

#[test]
fn the_place_of_an_edit_is_that_of_its_value() -> Result<()> {
    let found = edits(Path::new("k8s/pod.yaml"), &pod("goverse-node:v1"), &targets())?;
    let edit = found.edits().first().expect("one edit");
    assert_eq!(
        (edit.place.to_string().as_str(), edit.old.as_str(), edit.target),
        ("k8s/pod.yaml:5:14", "goverse-node:v1", 0)
    );
    Ok(())
}

#[test]
fn the_longest_repository_wins() -> Result<()> {
    let targets = [
        Target { reference: "r/short".into(), ..target("node") },
        Target { reference: "r/long".into(), ..target("goverse/node") },
    ];
    let pinned = |value: &str| Ok::<_, Error>(edits(Path::new("a.yaml"), &pod(value), &targets)?.apply(&pod(value)));
    assert!(pinned("ghcr.io/goverse/node:v1")?.contains("image: r/long:v1.2.0@"));
    assert!(pinned("ghcr.io/other/node:v1")?.contains("image: r/short:v1.2.0@"));
    Ok(())
}

/// Checks a kustomization, `D` standing for the digest.
fn kustomize(before: &str, after: &str) -> Result<()> {
    let after = after.replace("@D", &Digest::of(b"goverse-node").to_string());
    assert_eq!(pin_as("overlay/kustomization.yaml", before)?, after);
    assert_eq!(pin_as("overlay/kustomization.yaml", &after)?, after, "pinned twice");
    Ok(())
}

#[test]
fn kustomization_entries_get_what_they_lack() -> Result<()> {
    let name = "images:\n- name: ghcr.io/x/goverse-node";
    let all = format!("{name}\n  newTag: v1.2.0\n  digest: @D\n");
    kustomize(&format!("{name}\n"), &all)?;
    kustomize(&format!("{name}\n  newTag: v1\n"), &all)?;
    kustomize(&format!("{name}\n  digest: sha256:00\n"), &all)?;
    kustomize(&format!("{name}\n  newTag: v1\n  digest: sha256:00\n"), &all)?;
    kustomize(
        &format!("{name}\n  newName: a/goverse-node\n"),
        &format!("{name}\n  newName: ghcr.io/x/goverse-node\n  newTag: v1.2.0\n  digest: @D\n"),
    )?;
    kustomize(name, all.trim_end())?;
    kustomize(
        "images:\n  - name: goverse-node # ours\n    # a comment\n    newTag: 'v1' # old\n  - name: nginx\n    newTag: \"1.29\"\n",
        "images:\n  - name: goverse-node # ours\n    newName: ghcr.io/x/goverse-node\n    # a comment\n    newTag: 'v1.2.0' # old\n    digest: @D\n  - name: nginx\n    newTag: \"1.29\"\n",
    )?;
    kustomize(
        "images:\r\n-   digest: sha256:00\r\n    newName: localhost:5000/goverse-node\r\n    name: placeholder\r\n",
        "images:\r\n-   digest: @D\r\n    newName: ghcr.io/x/goverse-node\r\n    newTag: v1.2.0\r\n    name: placeholder\r\n",
    )?;
    kustomize(
        "images: [{name: goverse-node}, {\"name\":\"goverse-node\",\"newTag\":\"v1\"}, {name: nginx}]\n",
        "images: [{name: goverse-node, newName: ghcr.io/x/goverse-node, newTag: v1.2.0, digest: @D}, {\"name\":\"goverse-node\", newName: ghcr.io/x/goverse-node,\"newTag\":\"v1.2.0\", digest: @D}, {name: nginx}]\n",
    )
}

#[test]
fn a_kustomization_is_known_by_its_file_or_by_what_it_says() -> Result<()> {
    let images = "images:\n- name: goverse-node\n";
    for kind in ["Kustomization", "Component"] {
        let text = format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: {kind}\n{images}");
        assert!(pin_as("any.yaml", &text)?.ends_with(&format!("  digest: {}\n", Digest::of(b"goverse-node"))));
    }
    for name in ["kustomization.yml", "Kustomization"] {
        assert!(pin_as(name, images)?.contains("newTag: v1.2.0"));
    }
    let flux = format!("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n{images}");
    assert_eq!(pin_as("any.yaml", &flux)?, flux);
    Ok(())
}

#[test]
fn an_alias_in_a_kustomization_is_replaced_where_it_is_used() -> Result<()> {
    kustomize(
        "images:\n- name: nginx\n  newTag: &tag v1\n- name: ghcr.io/x/goverse-node\n  newTag: *tag\n",
        "images:\n- name: nginx\n  newTag: &tag v1\n- name: ghcr.io/x/goverse-node\n  newTag: v1.2.0\n  digest: @D\n",
    )
}

#[test]
fn an_entry_renamed_to_an_image_of_others_is_theirs() -> Result<()> {
    let text = "images:\n- name: goverse-node\n  newName: example.com/fork\n  newTag: v1\n";
    kustomize(text, text)
}

#[test]
fn a_tag_that_looks_like_a_number_is_quoted() -> Result<()> {
    let targets = [Target { tag: "1.20".into(), ..target("goverse-node") }];
    for text in [
        "images:\n- name: goverse-node\n",
        "images:\n- name: goverse-node\n  newTag: v1\n",
        "images:\n- name: goverse-node\n  newTag: 1.20\n",
    ] {
        assert!(
            edits(Path::new("kustomization.yaml"), text, &targets)?.apply(text).contains("\n  newTag: \"1.20\"\n"),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn an_entry_that_cannot_be_edited_is_an_error_at_its_place() {
    let entry = |rest: &str| format!("images:\n- name: goverse-node\n{rest}");
    refused("kustomization.yaml", &entry("  newTag:\n"), "kustomization.yaml:3:9", "`newTag` has no value");
    refused("kustomization.yaml", &entry("  tagSuffix: -dev\n"), "kustomization.yaml:3:14", "`tagSuffix`");
    refused("kustomization.yaml", &entry("  newTag: a\n  newTag: b\n"), "kustomization.yaml:4:3", "twice");
    refused("kustomization.yaml", &entry("  newTag: [a]\n"), "kustomization.yaml:3:11", "not a string");
    refused("kustomization.yaml", "images:\n- name: |-\n    goverse-node\n", "kustomization.yaml:3:5", "block scalar");
}

#[test]
fn five_megabytes_are_pinned() -> Result<()> {
    let filler = "kind: ConfigMap\nmetadata: {name: ä}\ndata:\n  a: \"b\"\n---\n".repeat(5 << 20 >> 6);
    let text = format!("{filler}{}", pod("@@"));
    assert!(text.len() > 4 << 20);
    check(&text, "goverse-node:v1")
}

#[test]
fn the_values_of_a_chart_are_pinned() -> Result<()> {
    let values = "node:\n  image: goverse-node:v0.0.0 # ours\n  pull: Always\netcd:\n  image: quay.io/coreos/etcd:v3\n";
    let expected = values.replace("goverse-node:v0.0.0", &node());
    assert_eq!(pin_as("values.yaml", values)?, expected);
    assert_eq!(pin_as("values-staging.yaml", values)?, expected);
    // The same text elsewhere says nothing of containers.
    assert_eq!(pin_as("settings.yaml", values)?, values);
    Ok(())
}
