//! Objects of the Kubernetes API, and the pods that they make.
//!
//! Takes rendered text, gives [`Object`]s that can be asked. Never changes one.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::yaml;
use crate::error::Result;

/// The label by which programs are known.
pub(super) const NAME_LABEL: &str = "app.kubernetes.io/name";

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    /// What it says.
    pub value: Value,
    /// The template of a chart it came from.
    pub(super) template: Option<String>,
}

/// A pod's specification, wherever it is embedded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod<'o> {
    /// The object.
    pub(super) object: &'o Object,
    /// Where the pod's template is in it.
    pub(super) path: &'static str,
    /// The template.
    pub(super) template: &'o Value,
}

/// A container and where it is in its object.
#[derive(Debug)]
pub(super) struct Container<'o> {
    pub(super) path: String,
    pub(super) value: &'o Value,
    /// Whether it ends before others start.
    pub(super) init: bool,
}

/// The objects of a rendered text; lists are opened.
pub(super) fn objects(text: &str) -> Result<Vec<Object>> {
    let lines: Vec<&str> = text.lines().collect();
    // Helm says above each document where it comes from: `# Source: goverse/templates/node.yaml`.
    let template = |line: usize| {
        let above = lines.get(..line.saturating_sub(1)).unwrap_or_default().iter().rev();
        let comments = above.take_while(|text| text.starts_with('#') || text.is_empty());
        let source = comments.filter_map(|text| text.strip_prefix("# Source: ")).next()?;
        source.split_once('/').map(|(_, path)| path.to_owned())
    };
    let mut objects = Vec::new();
    let mut last = None;
    for document in yaml::documents(Path::new("rendered"), text)? {
        last = template(document.line).or(last);
        let kind = document.value.get("kind").and_then(Value::as_str);
        let items = document.value.get("items").and_then(Value::as_array);
        match (kind, items) {
            (Some("List"), Some(items)) => {
                objects.extend(items.iter().map(|value| Object { value: value.clone(), template: last.clone() }));
            }
            _ => objects.push(Object { value: document.value, template: last.clone() }),
        }
    }
    Ok(objects)
}

impl Object {
    /// `StatefulSet`
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Kind and name, `StatefulSet/goverse-node`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// `apps/v1`
    pub(super) fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// The string at a JSON pointer; empty where there is none.
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The strings of a mapping.
    pub(super) fn labels(&self, pointer: &str) -> BTreeMap<&str, &str> {
        labels(self.value.pointer(pointer))
    }

    /// The list at a JSON pointer; empty where there is none.
    pub(super) fn list(&self, pointer: &str) -> &[Value] {
        list(self.value.pointer(pointer))
    }

    /// The pod that this object is or makes.
    pub(super) fn pod(&self) -> Option<Pod<'_>> {
        let path = match self.kind() {
            "Pod" => "",
            "CronJob" => "/spec/jobTemplate/spec/template",
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => "/spec/template",
            _ => return None,
        };
        Some(Pod { object: self, path, template: self.value.pointer(path)? })
    }
}

impl<'o> Pod<'o> {
    /// The pod's labels.
    pub(super) fn labels(&self) -> BTreeMap<&'o str, &'o str> {
        labels(self.template.pointer("/metadata/labels"))
    }

    /// The program's name.
    pub(super) fn program(&self) -> &'o str {
        self.labels().get(NAME_LABEL).copied().unwrap_or_default()
    }

    /// The pod's specification.
    pub(super) fn spec(&self) -> &'o Value {
        self.template.get("spec").unwrap_or(&Value::Null)
    }

    /// Where the specification is in the object.
    pub(super) fn spec_path(&self) -> String {
        format!("{}/spec", self.path)
    }

    /// All containers.
    pub(super) fn containers(&self) -> Vec<Container<'o>> {
        let lists = [("initContainers", true), ("containers", false)];
        let one = |(key, init): (&str, bool)| {
            let path = format!("{}/{key}", self.spec_path());
            let all = list(self.spec().get(key)).iter().enumerate();
            all.map(|(at, value)| Container { path: yaml::step(&path, &yaml::item(value, at)), value, init })
                .collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(one).collect()
    }

    /// The number of a container's port, by name or number.
    pub(super) fn port(&self, wanted: &Value) -> Option<u64> {
        self.containers().iter().find_map(|container| container.port(wanted))
    }

    /// Every port of every container.
    pub(super) fn ports(&self) -> Vec<u64> {
        let of = |container: &Container<'o>| -> Vec<u64> {
            list(container.value.get("ports")).iter().filter_map(|p| p.get("containerPort")?.as_u64()).collect()
        };
        self.containers().iter().flat_map(of).collect()
    }
}

impl Container<'_> {
    /// The number of one of its ports, by name or number.
    pub(super) fn port(&self, wanted: &Value) -> Option<u64> {
        let ports = list(self.value.get("ports"));
        let found =
            ports.iter().find(|port| port.get("name") == Some(wanted) || port.get("containerPort") == Some(wanted));
        found?.get("containerPort")?.as_u64()
    }

    /// The string at a JSON pointer; empty where there is none.
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The items of a list; none of anything else.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The strings of a mapping.
pub(super) fn labels(value: Option<&Value>) -> BTreeMap<&str, &str> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

/// Whether a label selector (`matchLabels` and `matchExpressions`) takes `labels`; one without conditions takes all.
pub(super) fn selects(selector: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let equal = self::labels(selector.get("matchLabels")).iter().all(|(key, value)| labels.get(key) == Some(value));
    equal && list(selector.get("matchExpressions")).iter().all(|one| meets(one, labels))
}

fn meets(expression: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let text = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or_default();
    let found = labels.get(text("key")).copied();
    let listed = found.is_some_and(|value| list(expression.get("values")).iter().any(|one| one == value));
    match text("operator") {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}
