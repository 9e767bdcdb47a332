//! The definition that `docker buildx bake` is given: release.toml's plan as targets, one an image.
//!
//! Takes a plan and its contexts, gives a JSON document (bake file reference, "JSON"). Pure. Holds references to the
//! environment and never a value from it, so the file may lie on disk and be shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::contexts::Contexts;
use crate::config::{Base, Buildx, Cache, Compression, Secret};
use crate::oci::Platform;
use crate::plan::{ImagePlan, Plan};

/// What a definition is made of.
pub(super) struct Parts<'a> {
    pub(super) plan: &'a Plan,
    pub(super) settings: &'a Buildx,
    /// The source module.
    pub(super) module: &'a Path,
    /// The folder of the Dockerfiles.
    pub(super) dockerfiles: &'a Path,
    /// The folder that paths in release.toml are relative to.
    pub(super) root: &'a Path,
    pub(super) contexts: &'a Contexts,
    /// The folder below which each image gets its layout.
    pub(super) layouts: &'a Path,
    /// Variables of the go command whose values are in buildx's environment.
    pub(super) go_settings: &'a [&'a str],
}

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Definition {
    variable: BTreeMap<String, Variable>,
    target: BTreeMap<String, Target>,
}

/// A variable without a default: bake takes its value from the environment.
#[derive(Debug, Serialize)]
struct Variable {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Target {
    context: String,
    dockerfile: String,
    contexts: BTreeMap<&'static str, String>,
    args: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    annotations: Vec<String>,
    platforms: Vec<Platform>,
    attest: [&'static str; 2],
    output: [String; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_from: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_to: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret: Vec<String>,
}

impl Definition {
    pub(super) fn new(parts: &Parts<'_>) -> Definition {
        let args = parts.settings.args.iter().map(|name| name.as_str());
        let names: BTreeSet<&str> = parts.go_settings.iter().copied().chain(args).collect();
        let target = |image: &ImagePlan| (image.name.clone(), parts.target(image, &names));
        Definition {
            variable: names.iter().map(|name| ((*name).to_owned(), Variable {})).collect(),
            target: parts.plan.images.iter().map(target).collect(),
        }
    }
}

impl Parts<'_> {
    /// The Dockerfile of an image.
    pub(super) fn dockerfile(&self, image: &ImagePlan) -> PathBuf {
        self.dockerfiles.join(format!("Dockerfile.{}", image.name))
    }

    /// Where the image's layout is written.
    pub(super) fn layout(&self, image: &ImagePlan) -> PathBuf {
        self.layouts.join(&image.name)
    }

    /// `--allow` of everything outside the current folder that the definition names.
    pub(super) fn allowed(&self) -> Vec<String> {
        let read = |path: &Path| format!("--allow=fs.read={}", path.display());
        let mut all = vec![
            read(self.module),
            read(self.dockerfiles),
            read(&self.contexts.generated()),
            format!("--allow=fs.write={}", self.layouts.display()),
        ];
        for image in &self.plan.images {
            all.extend([read(&self.contexts.files(image)), read(&self.contexts.system(image))]);
            let folders = |caches: &[Cache]| -> Vec<PathBuf> {
                caches.iter().filter_map(|cache| cache.folder(&image.name)).map(|f| self.root.join(f)).collect()
            };
            all.extend(folders(&self.settings.cache_from).iter().map(|folder| read(folder)));
            let written = folders(&self.settings.cache_to);
            all.extend(written.iter().map(|folder| format!("--allow=fs.write={}", folder.display())));
        }
        all.extend(self.settings.secrets.iter().filter_map(|secret| match secret {
            Secret::File { file, .. } => Some(read(&self.root.join(file))),
            Secret::Variable { .. } => None,
        }));
        all
    }

    fn target(&self, image: &ImagePlan, variables: &BTreeSet<&str>) -> Target {
        let mut contexts = BTreeMap::from([
            ("files", path(&self.contexts.files(image))),
            ("generated", path(&self.contexts.generated())),
            ("system", path(&self.contexts.system(image))),
        ]);
        let mut args = self.args(image);
        let images = [("BASE", "base", Some(&image.base)), ("GO_IMAGE", "go", self.settings.go_image.as_ref())];
        for (arg, context, wanted) in images {
            let Some(wanted) = wanted else { continue };
            let value = match wanted {
                // A layout has no name that a Dockerfile could say, so it comes as a context.
                Base::Layout(folder, digest) => {
                    contexts.insert(context, format!("oci-layout://{}@{digest}", path(&self.root.join(folder))));
                    context.to_owned()
                }
                named => literal(&named.to_string()),
            };
            args.insert(arg.into(), value);
        }
        args.extend(variables.iter().map(|name| ((*name).to_owned(), format!("${{{name}}}"))));
        let cache = |caches: &[Cache]| caches.iter().map(|cache| literal(&cache.of(&image.name))).collect();
        Target {
            context: path(self.module),
            dockerfile: path(&self.dockerfile(image)),
            contexts,
            args,
            labels: image.labels.iter().map(|(key, value)| (key.clone(), literal(value))).collect(),
            annotations: annotations(image),
            platforms: self.plan.platforms.clone(),
            attest: ["type=provenance,disabled=true", "type=sbom,disabled=true"],
            output: [self.output(image)],
            cache_from: cache(&self.settings.cache_from),
            cache_to: cache(&self.settings.cache_to),
            secret: self.settings.secrets.iter().map(|secret| self.secret(secret)).collect(),
        }
    }

    fn args(&self, image: &ImagePlan) -> BTreeMap<String, String> {
        let plan = self.plan;
        let ports = image.ports.iter().map(|port| port.number().to_string()).collect::<Vec<_>>().join(" ");
        let mut args: BTreeMap<&str, String> = BTreeMap::from([
            ("GO_VERSION", plan.tools.go.to_string()),
            ("GROUP_ID", image.user.gid.to_string()),
            ("LDFLAGS", plan.ldflags.clone()),
            ("PACKAGE", image.package.to_string()),
            ("SOURCE_DATE_EPOCH", plan.source.epoch.to_string()),
            ("TAGS", plan.go_tags.join(",")),
            ("USER_ID", image.user.uid.to_string()),
            ("USER_NAME", image.user.name.clone()),
            ("WORKING_DIR", image.working_dir.to_string()),
        ]);
        // EXPOSE takes no empty list: an image without ports has no such line, and no such argument.
        args.extend((!ports.is_empty()).then_some(("PORTS", ports)));
        args.into_iter().map(|(name, value)| (name.to_owned(), literal(&value))).collect()
    }

    fn output(&self, image: &ImagePlan) -> String {
        let compression = match image.compression {
            Compression::Gzip(level) => format!("compression=gzip,compression-level={level}"),
            Compression::Zstd(level) => format!("compression=zstd,compression-level={level}"),
        };
        let layout = path(&self.layout(image));
        format!("type=oci,tar=false,dest={layout},rewrite-timestamp=true,oci-mediatypes=true,{compression}")
    }

    fn secret(&self, secret: &Secret) -> String {
        match secret {
            Secret::Variable { id, env } => format!("type=env,id={},env={env}", literal(id)),
            Secret::File { id, file } => format!("type=file,id={},src={}", literal(id), path(&self.root.join(file))),
        }
    }
}

/// What registries show of an image, on its manifests and its index as the native builder puts it.
fn annotations(image: &ImagePlan) -> Vec<String> {
    let shown = image.labels.iter().filter(|(key, _)| key.starts_with("org.opencontainers."));
    shown.map(|(key, value)| format!("index,manifest:{key}={}", literal(value))).collect()
}

/// Text as bake takes it: a JSON definition's strings are templates (HCL, "Templates").
fn literal(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

fn path(path: &Path) -> String {
    literal(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of the fixture's one image, as JSON.
    fn definition() -> serde_json::Value {
        let (plan, table) = (crate::build::buildx::fixture::plan(), crate::build::buildx::fixture::table());
        let contexts = Contexts::at("/cache/contexts".into());
        let parts = Parts {
            plan: &plan,
            settings: &table.build.buildx,
            module: Path::new("/module"),
            dockerfiles: Path::new("/root/docker"),
            root: Path::new("/root"),
            contexts: &contexts,
            layouts: Path::new("/cache/layouts"),
            go_settings: &["GOPROXY"],
        };
        serde_json::to_value(Definition::new(&parts)).unwrap()
    }

    #[test]
    fn everything_in_the_plan_is_in_the_definition() {
        let definition = definition();
        let gate = &definition["target"]["gate"];
        for (path, value) in [
            ("/context", "/module"),
            ("/dockerfile", "/root/docker/Dockerfile.gate"),
            ("/args/PACKAGE", "./cmd/gate"),
            ("/args/GO_VERSION", "1.27.4"),
            ("/args/SOURCE_DATE_EPOCH", "1700000000"),
            ("/args/PORTS", "8080"),
            ("/platforms/1", "linux/arm64"),
            ("/cache-from/0", "type=registry,ref=registry.example.com/cache:gate"),
            ("/labels/org.opencontainers.image.version", "v1.2.0"),
            ("/annotations/0", "index,manifest:org.opencontainers.image.created=2023-11-14T22:13:20Z"),
        ] {
            assert_eq!(gate.pointer(path).and_then(serde_json::Value::as_str), Some(value), "{path}");
        }
        let output = gate["output"][0].as_str().unwrap();
        assert!(output.contains("rewrite-timestamp=true") && output.contains("dest=/cache/layouts/gate"), "{output}");
        assert!(gate["args"]["GO_IMAGE"].as_str().unwrap().contains("@sha256:"), "{gate}");
    }

    #[test]
    fn what_is_secret_is_named_and_never_written() {
        let definition = definition();
        let gate = &definition["target"]["gate"];
        let references = ["type=file,id=netrc,src=/root/secrets/netrc", "type=env,id=token,env=TOKEN"];
        assert_eq!(gate["secret"], serde_json::json!(references));
        for name in ["TEAM", "GOPROXY"] {
            assert_eq!(definition["variable"][name], serde_json::json!({}), "no value of {name}");
            assert_eq!(gate["args"][name], format!("${{{name}}}"));
        }
    }

    #[test]
    fn text_is_no_template() {
        assert_eq!(literal("a ${B} %{if} $c"), "a $${B} %%{if} $c");
        assert_eq!(definition()["target"]["gate"]["labels"]["org.opencontainers.image.description"], "costs $${100}");
    }
}
