//! Reading exports: first whether they are this release, together and whole; then every byte of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{FILE, Manifest, SCHEMA, recipe};
use crate::build::{Built, BuiltImage, BuiltPlatform};
use crate::error::{Class, Error, Item, Result};
use crate::oci::layout::Layout;
use crate::oci::spec::{Descriptor, ImageConfig, Manifest as ImageManifest, parse};
use crate::oci::store::Store;
use crate::oci::{Platform, rootfs};
use crate::plan::{ImagePlan, Plan, Workspace};
use crate::ui::Ui;
use crate::{fs, pool};

/// The largest [`FILE`] read: thousands of images.
const FILE_LIMIT: u64 = 4 << 20;

/// An export that agrees with the plan.
#[derive(Debug)]
pub struct Share {
    folder: PathBuf,
    manifest: Manifest,
}

/// Reads `folders` and compares each with the plan, and all with each other. A folder that is no export stands for the
/// exports in it. An error lists every disagreement.
pub fn read(folders: &[PathBuf], plan: &Plan) -> Result<Vec<Share>> {
    let (mut shares, mut wrong) = (Vec::new(), Vec::new());
    for folder in folders.iter().flat_map(|folder| expand(folder)) {
        match manifest(&folder) {
            Ok(manifest) => shares.push(Share { folder, manifest }),
            Err(err) => wrong.extend(err.into_items()),
        }
    }
    for share in &shares {
        wrong.extend(disagreements(share, plan)?);
    }
    wrong.extend(coverage(&shares, plan));
    match wrong.is_empty() {
        true => Ok(shares),
        false => Err(Error::new(Class::Preflight, "what was imported is not this release").items(wrong)),
    }
}

fn expand(folder: &Path) -> Vec<PathBuf> {
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut exports: Vec<_> = below.filter(|path| path.join(FILE).is_file()).collect();
    exports.sort();
    match folder.join(FILE).is_file() || exports.is_empty() {
        true => vec![folder.to_owned()],
        false => exports,
    }
}

fn manifest(folder: &Path) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    let path = folder.join(FILE);
    let hint = "name a folder that `cargo xtask build --export` wrote";
    let bytes = fs::read_small(&path, FILE_LIMIT).map_err(|err| err.hint(hint))?;
    let what = path.display().to_string();
    let Schema { schema } = parse(&what, &bytes).map_err(|err| err.hint(hint))?;
    match schema {
        SCHEMA => parse(&what, &bytes).map_err(|err| err.hint(hint)),
        other => Err(Error::failed(format!("{what} has schema {other}, this program reads {SCHEMA}"))
            .hint("export and import with the same revision of this repository")),
    }
}

/// How a share was made differently, each difference by the name it has in `plan --json`.
fn disagreements(share: &Share, plan: &Plan) -> Result<Vec<Item>> {
    let Share { folder, manifest } = share;
    let item = |what: String| Item {
        what: format!("{}: {what}", folder.display()),
        fix: Some(export_again(plan, manifest.platforms.keys(), folder)),
    };
    let mut wrong = Vec::new();
    let xtask = env!("CARGO_PKG_VERSION");
    if manifest.xtask != xtask {
        wrong.push(item(format!("xtask is {}, here it is {xtask}", manifest.xtask)));
    }
    let mut found = Vec::new();
    differences("", &manifest.recipe, &recipe(plan)?, &mut found);
    wrong.extend(found.into_iter().map(item));
    if manifest.recipe.pointer("/source/dirty") != Some(&Value::Bool(false)) {
        wrong.push(item("its source differs from its commit, so nobody can tell whether it is this one".into()));
    }
    for (platform, images) in &manifest.platforms {
        let missing = plan.images.iter().filter(|image| !images.contains_key(&image.name));
        wrong.extend(missing.map(|image| item(format!("{platform} has no image {}", image.name))));
    }
    Ok(wrong)
}

fn export_again<'a>(plan: &Plan, platforms: impl Iterator<Item = &'a Platform>, folder: &Path) -> String {
    let platforms: Vec<_> = platforms.map(ToString::to_string).collect();
    format!(
        "on this revision: cargo xtask build v{} --platform {} --export {}",
        plan.version,
        platforms.join(","),
        folder.display()
    )
}

/// The leaves in which two documents differ.
fn differences(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in ours {
                differences(&below(name), theirs.get(name).unwrap_or(&Value::Null), value, found);
            }
            for (name, value) in theirs.iter().filter(|(name, _)| !ours.contains_key(*name)) {
                differences(&below(name), value, &Value::Null, found);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (at, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                let name = ours.get("name").and_then(Value::as_str).map_or_else(|| at.to_string(), str::to_owned);
                differences(&below(&name), theirs, ours, found);
            }
        }
        _ if theirs == ours => {}
        _ => found.push(format!("{path} is {theirs}, here it is {ours}")),
    }
}

/// Every platform of the plan is to be there, once.
fn coverage(shares: &[Share], plan: &Plan) -> Vec<Item> {
    let mut places: BTreeMap<&Platform, Vec<String>> = BTreeMap::new();
    for share in shares {
        for platform in share.manifest.platforms.keys() {
            places.entry(platform).or_default().push(share.folder.display().to_string());
        }
    }
    let mut wrong = Vec::new();
    for platform in plan.platforms.iter().filter(|platform| !places.contains_key(platform)) {
        wrong.push(Item {
            what: format!("{platform} is in none of the imported folders"),
            fix: Some(export_again(plan, [platform].into_iter(), Path::new("DIR"))),
        });
    }
    for (platform, folders) in places {
        if folders.len() > 1 {
            let what = format!("{platform} is there more than once: in {}", folders.join(" and "));
            wrong.push(Item { what, fix: Some("import each platform once".into()) });
        }
        if !plan.platforms.contains(platform) {
            let what = format!("{}: {platform} is no platform of this release", folders.join(" and "));
            let fix = format!("don't import it, or add it to build.platforms or with --platform {platform}");
            wrong.push(Item { what, fix: Some(fix) });
        }
    }
    wrong
}

/// Brings the shares' blobs into the store, each hashed on the way, and joins their platforms. An error lists every
/// image that isn't what its manifest says.
pub fn import(shares: &[Share], plan: &Plan, store: &Store, workspace: &Workspace, ui: &Ui) -> Result<Built> {
    let step = ui.step(format!("import {} images for {} platforms", plan.images.len(), plan.platforms.len()));
    let jobs: Vec<_> = plan.images.iter().flat_map(|i| plan.platforms.iter().map(move |p| (i, p))).collect();
    let done = pool::map(&jobs, pool::cores(), |(image, platform)| {
        Ok(one(shares, image, platform, store, workspace).map_err(Error::into_items))
    })?;
    let (mut platforms, mut wrong) = (Vec::new(), Vec::new());
    for one in done {
        match one {
            Ok(platform) => platforms.push(platform),
            Err(items) => wrong.extend(items),
        }
    }
    if !wrong.is_empty() {
        return Err(Error::verification("what was imported is not what was exported").items(wrong));
    }
    let mut platforms = platforms.into_iter();
    let images = plan.images.iter().map(|image| {
        let own = platforms.by_ref().take(plan.platforms.len()).collect();
        BuiltImage::join(image, own, store)
    });
    let images = images.collect::<Result<_>>()?;
    step.done("");
    Ok(Built { plan: plan.clone(), images })
}

fn one(
    shares: &[Share],
    image: &ImagePlan,
    platform: &Platform,
    store: &Store,
    workspace: &Workspace,
) -> Result<BuiltPlatform> {
    let found =
        shares.iter().find_map(|share| Some((share, share.manifest.platforms.get(platform)?.get(&image.name)?)));
    let absent = || Error::failed(format!("no import has image {} for {platform}", image.name));
    let (share, descriptor) = found.ok_or_else(absent)?;
    let what = format!("{}: image {} for {platform}", share.folder.display(), image.name);
    let layout = Layout::open(&share.folder)?;
    let read = || {
        let blob = |descriptor: &Descriptor| take(descriptor, layout.store(), store);
        blob(descriptor)?;
        let manifest: ImageManifest = parse("its manifest", &store.read(descriptor)?)?;
        manifest.layers.iter().chain([&manifest.config]).try_for_each(blob)?;
        let config: ImageConfig = parse("its configuration", &store.read(&manifest.config)?)?;
        check_platform(&config, platform)?;
        let program = workspace.cache.join("imported").join(platform.slug()).join(&image.name);
        let path = image.program.as_str().trim_start_matches('/');
        let program_digest = rootfs::extract(&manifest.layers, store, path, &program, "its image")?
            .ok_or_else(|| Error::verification(format!("it has no program {}", image.program)))?;
        Ok(BuiltPlatform {
            platform: platform.clone(),
            manifest: descriptor.clone(),
            config: manifest.config,
            layers: manifest.layers,
            program,
            program_digest,
        })
    };
    read().map_err(|err: Error| err.within(what))
}

/// Takes a blob over. One that the store has already is read all the same: an export that is damaged is to be found
/// here, not by whoever needs it next.
fn take(descriptor: &Descriptor, from: &Store, to: &Store) -> Result<()> {
    let damaged =
        |err: std::io::Error| Error::verification(format!("blob {} is altered", descriptor.digest)).because(err);
    let mut blob = from.open(descriptor).map_err(|err| err.reclass(Class::Verification))?;
    if to.has(&descriptor.digest, descriptor.size) {
        return std::io::copy(&mut blob, &mut std::io::sink()).map(|_| ()).map_err(damaged);
    }
    to.copy_in(descriptor, blob)
}

fn check_platform(config: &ImageConfig, platform: &Platform) -> Result<()> {
    let said = config.platform();
    match said.known().as_ref() == Some(platform) {
        true => Ok(()),
        false => Err(Error::verification(format!("its configuration is for {said}"))),
    }
}
