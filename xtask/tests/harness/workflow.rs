//! Workflows as data: their steps, and a job's `run` line run as a runner would run it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::checkout;

/// A workflow and what it is called.
pub(crate) struct Workflow {
    pub(crate) name: String,
    pub(crate) yaml: Value,
}

/// One step and its job.
pub(crate) struct Step {
    pub(crate) job: String,
    pub(crate) yaml: Value,
}

impl Workflow {
    pub(crate) fn parse(name: &str, text: &str) -> Workflow {
        let yaml = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        Workflow { name: name.to_owned(), yaml }
    }

    /// Those of this checkout, and those that the documentation offers.
    pub(crate) fn all() -> Vec<Workflow> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = |path: &PathBuf| Workflow::parse(&name(path), &std::fs::read_to_string(path).expect("a file"));
        Workflow::files().iter().map(read).collect()
    }

    /// Where they are.
    pub(crate) fn files() -> Vec<PathBuf> {
        let folder = checkout().join(".github/workflows");
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).expect("it is there").map(|e| e.expect("an entry").path()).collect();
        files.push(checkout().join("docs/fan-out.yml"));
        files.sort();
        files
    }

    /// The one of that file name.
    pub(crate) fn named(name: &str) -> Workflow {
        Workflow::all().into_iter().find(|workflow| workflow.name == name).expect("it is there")
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.yaml["jobs"].as_object().expect("it has jobs").iter().map(|(name, job)| (name.as_str(), job))
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        let steps = |job: &'_ Value| job["steps"].as_array().cloned().unwrap_or_default();
        let of = |(job, yaml): (&str, &Value)| {
            steps(yaml).into_iter().map(|yaml| Step { job: job.to_owned(), yaml }).collect::<Vec<_>>()
        };
        self.jobs().flat_map(of).collect()
    }

    /// The one `run` line of a job and its environment, expressions replaced by `values`.
    pub(crate) fn line(&self, job: &str, values: &BTreeMap<&str, &str>) -> (String, Vec<(String, String)>) {
        let steps = self.steps();
        let lines: Vec<_> = steps.iter().filter(|step| step.job == job && step.yaml["run"].is_string()).collect();
        assert_eq!(lines.len(), 1, "{}: job {job} has one line", self.name);
        let yaml = &lines[0].yaml;
        let env = yaml["env"].as_object().into_iter().flatten();
        let text = |value: &Value| evaluate(value.as_str().expect("text"), values);
        let env = env.map(|(name, value)| (name.clone(), text(value))).collect();
        (yaml["run"].as_str().unwrap_or_default().to_owned(), env)
    }
}

/// Replaces `${{ … }}`; an expression that `values` doesn't have fails the test.
fn evaluate(text: &str, values: &BTreeMap<&str, &str>) -> String {
    let mut parts = text.split("${{");
    let mut done = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once("}}").expect("an expression ends");
        let value = values.get(expression.trim());
        done += value.unwrap_or_else(|| panic!("the tests don't know the value of {expression}"));
        done += rest;
    }
    done
}
