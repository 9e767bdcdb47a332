//! The builder instance that buildx uses: whether it answers, and what it can do.
//!
//! Takes buildx's own lists, gives every reason why a build would fail there, each with its fix. A builder that isn't
//! running is started; nothing else is changed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use super::program::Program;
use crate::error::{Context, Error, Result};
use crate::oci::Platform;
use crate::ui::Ui;

/// How long a builder may take to start; a new one fetches its image first.
const START_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long the list of builders may take.
const LIST_LIMIT: Duration = Duration::from_secs(60);

/// A builder, as `buildx ls --format json` describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) driver: String,
    current: bool,
    err: Option<String>,
    nodes: Option<Vec<Node>>,
}

/// One machine of a builder.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    name: String,
    err: Option<String>,
    platforms: Option<Vec<String>>,
}

impl Instance {
    /// The instance called `name`, or buildx's current one, started.
    pub(super) fn find(program: &Program, name: Option<&str>, ui: &Ui) -> Result<Instance> {
        let inspect: Vec<&str> = ["inspect", "--bootstrap"].into_iter().chain(name).collect();
        let started = program.run(&inspect)?.limit(START_LIMIT).output(ui)?;
        let list = program.run(&["ls", "--format", "{{json .}}"])?.limit(LIST_LIMIT).read(ui)?;
        let instances = parse(&String::from_utf8_lossy(&list))?;
        let found = instances.into_iter().find(|i| name.map_or(i.current, |name| i.name == name));
        let said = String::from_utf8_lossy(&started.stderr).trim().trim_start_matches("ERROR: ").to_owned();
        match (found, started.status.success()) {
            (Some(instance), true) => Ok(instance),
            (Some(instance), false) => Err(instance.unreachable(&said)),
            (None, _) => Err(missing(name)),
        }
    }

    /// Why nothing can be built there.
    pub(super) fn check(&self) -> Result<()> {
        let nodes = self.nodes.as_deref().unwrap_or_default();
        let failed = nodes.iter().filter_map(|node| Some(format!("{}: {}", node.name, node.err.as_ref()?)));
        let said: Vec<String> = self.err.iter().cloned().chain(failed).collect();
        match said.is_empty() {
            true => Ok(()),
            false => Err(self.unreachable(&said.join("; "))),
        }
    }

    /// Those of `wanted` that no node can run.
    pub(super) fn lacks(&self, wanted: &[Platform]) -> Vec<Platform> {
        let nodes = self.nodes.iter().flatten();
        let has: BTreeSet<Platform> = nodes
            .flat_map(|node| node.platforms.iter().flatten())
            .filter_map(|platform| platform.trim_end_matches('*').parse().ok())
            .collect();
        wanted.iter().filter(|platform| !has.contains(platform)).cloned().collect()
    }

    fn unreachable(&self, said: &str) -> Error {
        let error = Error::failed(format!("buildx's builder `{}` can't be used", self.name)).because(said);
        match said.contains("docker.sock") || said.contains("Docker daemon") || said.contains("docker API") {
            true => error.hint("start Docker (`systemctl start docker`), or build without it: --builder native"),
            false => error.hint(format!("`docker buildx inspect --bootstrap {}` says more", self.name)),
        }
    }
}

fn missing(name: Option<&str>) -> Error {
    match name {
        Some(name) => Error::failed(format!("buildx has no builder called `{name}`")).hint(format!(
            "`docker buildx create --name {name} --driver docker-container --bootstrap`, or correct \
             build.buildx.instance in release.toml"
        )),
        None => Error::failed("buildx has no current builder").hint("`docker buildx create --use --bootstrap`"),
    }
}

/// One JSON document a line; a builder whose nodes can't be asked may have several lines of one name.
fn parse(list: &str) -> Result<Vec<Instance>> {
    let lines = list.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).attempt(|| "read `buildx ls --format json`".into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
{"Current":false,"Driver":"remote","Name":"far","Nodes":[{"Name":"far0","Platforms":["linux/amd64*","linux/arm64/v8"],"Status":"running"},{"Name":"far1","Err":"connection refused"}]}
{"Current":true,"Driver":"","Err":"failed to connect to the docker API at unix:///var/run/docker.sock","Name":"default","Nodes":[{"Name":""}]}
{"Current":false,"Driver":"remote","Name":"fresh","Nodes":null}
"#;

    #[test]
    fn what_a_builder_lacks_is_known() {
        let list = parse(LIST).unwrap();
        let wanted: Vec<Platform> = ["linux/amd64", "linux/arm64", "linux/s390x"].map(|p| p.parse().unwrap()).to_vec();
        assert_eq!(list[0].lacks(&wanted), [wanted[2].clone()]);
        assert_eq!(list[2].lacks(&wanted), wanted);
    }

    #[test]
    fn one_node_that_is_away_is_named_and_a_daemon_that_is_down_has_its_fix() {
        let list = parse(LIST).unwrap();
        let far = list[0].check().unwrap_err().to_string();
        assert!(far.contains("far1: connection refused"), "{far}");
        let daemon = list[1].check().unwrap_err().to_string();
        assert!(daemon.contains("systemctl start docker"), "{daemon}");
        assert!(list[2].check().is_ok());
    }

    /// A buildx whose instances are [`LIST`] and that can start only `far`.
    fn fake(folder: &std::path::Path) -> Program {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("buildx");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = ls ]; then cat <<'EOF'\n{LIST}EOF\nelif [ \"$3\" = far ]; then exit 0\n\
             else echo 'ERROR: it is away' >&2; exit 1\nfi\n"
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Program::of(&path)
    }

    #[test]
    fn an_instance_that_is_not_there_or_does_not_start_has_its_fix() {
        let folder = tempfile::tempdir().unwrap();
        let find = |name| Instance::find(&fake(folder.path()), name, &Ui::silent());
        assert_eq!(find(Some("far")).unwrap().driver, "remote");
        for (name, words) in [
            (Some("nobody"), "buildx create --name nobody"),
            (Some("fresh"), "`fresh` can't be used: it is away"),
            (None, "`default` can't be used: it is away"),
        ] {
            let error = find(name).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
