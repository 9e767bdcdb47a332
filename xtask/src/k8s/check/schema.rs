//! Objects of Kubernetes' own kinds are valid by its schemas, field by field, for each configured version.
//!
//! Kinds that others define have no schema here; what of them matters is looked at by the other checks.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use xshell::{Shell, cmd};

use super::Bench;
use crate::cmd::Run;
use crate::error::{Context, Error, Result};
use crate::k8s::object::Object;
use crate::ui::Ui;

/// The longest that validating one target may take.
const LIMIT: Duration = Duration::from_secs(300);

pub(super) fn check(bench: &mut Bench<'_>, program: &Path, ui: &Ui) -> Result<()> {
    let objects: Vec<&Object> = bench.objects.iter().filter(|object| is_builtin(object.api_version())).collect();
    for version in &bench.facts.config.schemas {
        for (object, failure) in validate(&objects, version, program, ui)? {
            for (field, why) in causes(&failure) {
                let path = field.split(['.', '[']).take_while(|part| !part.ends_with(']'));
                let path = path.map(|part| format!("/{part}")).collect::<String>();
                let what = format!("Kubernetes {version} takes no such object: {field}: {why}");
                bench.report(object, &path, what, format!("see `kubectl explain {}`", explain(object, &field)));
            }
        }
    }
    Ok(())
}

/// Whether a group is one of Kubernetes' own, which end in `k8s.io` or have no dot.
fn is_builtin(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// The objects that are not valid, each with the API's status.
fn validate<'o>(objects: &[&'o Object], version: &str, program: &Path, ui: &Ui) -> Result<Vec<(&'o Object, Value)>> {
    let folder = tempfile::tempdir().attempt(|| "create a temporary folder".into())?;
    let file = folder.path().join("objects.yaml");
    // JSON is YAML, and a document of it a line.
    let text: String = objects.iter().map(|object| format!("---\n{}\n", object.value)).collect();
    crate::fs::write(&file, text.as_bytes())?;
    let shell = Shell::new().attempt(|| "find the current folder".into())?;
    let output = Run::new(cmd!(shell, "{program} --version {version} --output json {file}")).limit(LIMIT).output(ui)?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let unusable = |why: String| {
        Error::failed(format!("failed to validate by the schemas of Kubernetes {version}"))
            .because(why)
            .hint("k8s.schemas in release.toml names versions that kubectl-validate carries; others it asks GitHub for")
    };
    let all: Value = serde_json::from_slice(&output.stdout).map_err(|e| unusable(format!("{e}: {}", said())))?;
    let statuses = all.as_object().and_then(|files| files.values().next()).and_then(Value::as_array);
    match statuses {
        Some(statuses) if statuses.len() == objects.len() => {
            let failed =
                objects.iter().zip(statuses).filter(|(_, status)| status.get("status") != Some(&"Success".into()));
            Ok(failed.map(|(object, status)| (*object, status.clone())).collect())
        }
        _ => Err(unusable(format!("it told of other objects than it was given: {}", said()))),
    }
}

/// Field and reason of each cause; the message alone where there are none.
fn causes(status: &Value) -> Vec<(String, String)> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let causes = status.pointer("/details/causes").and_then(Value::as_array);
    match causes.filter(|causes| !causes.is_empty()) {
        Some(causes) => causes.iter().map(|cause| (text(cause, "field"), text(cause, "message"))).collect(),
        None => vec![(String::new(), text(status, "message"))],
    }
}

/// What `kubectl explain` takes: the kind and the field's parents, without the numbers of items.
fn explain(object: &Object, field: &str) -> String {
    let parents = field.rsplit_once('.').map_or("", |(parents, _)| parents);
    let names =
        parents.split('.').map(|part| part.split('[').next().unwrap_or_default()).filter(|part| !part.is_empty());
    std::iter::once(object.kind().to_lowercase().as_str()).chain(names).collect::<Vec<_>>().join(".")
}
