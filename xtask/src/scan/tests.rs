use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::config::Config;
use crate::oci::spec::Descriptor;
use crate::plan::{Overrides, Plan, SourceFacts};

const TABLE: &str = r#"
[build]
platforms = ["linux/amd64", "linux/arm64"]

[images.gate]
package = "./cmd/gate"
repository = "goverse-gate"

[images.node]
package = "./cmd/node"
repository = "goverse-node"

[publish]
registry = "ghcr.io/xiaonanln"

[tools]
go = "1.27.3"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.9.0"
"#;

/// A finding that passes every policy but the one that fails unknown severities.
pub(super) fn finding(id: &str, package: &str) -> Finding {
    Finding {
        kind: Kind::Vulnerability,
        id: id.into(),
        aliases: Vec::new(),
        scanner: govulncheck::NAME.into(),
        severity: Severity::Unknown,
        package: package.into(),
        version: "v1.0.0".into(),
        fixed: None,
        reachable: None,
        summary: "a flaw".into(),
        fix: None,
        location: None,
        set_aside: None,
        violation: None,
    }
}

/// One platform of an image, whose blobs need not exist.
pub(super) fn platform(image: &str, platform: &str, program: &Path) -> BuiltPlatform {
    let blob =
        |what: &str| Descriptor::of("application/octet-stream", format!("{what} of {image} {platform}").as_bytes());
    BuiltPlatform {
        platform: platform.parse().unwrap(),
        manifest: blob("manifest"),
        config: blob("config"),
        layers: Vec::new(),
        program: program.into(),
        program_digest: Digest::of(format!("{image} {platform}").as_bytes()),
    }
}

/// A program in `folder` that is a POSIX shell script.
pub(super) fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    let path = folder.join(name);
    // Written by another process: a file that this one has open for writing can't be run (ETXTBSY), and a thread that is
    // just starting a program keeps it open for a moment longer.
    let mut child = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod +x \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{body}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    path
}

fn built() -> Built {
    let config = Config::parse(Path::new("release.toml"), TABLE).unwrap();
    let facts = SourceFacts { location: ".".into(), revision: None, epoch: 0, dirty: false };
    let plan = Plan::new(&config, "1.2.0".parse().unwrap(), facts, &Overrides::default()).unwrap();
    let images = plan.images.iter().map(|image| BuiltImage {
        plan: image.clone(),
        index: Descriptor::of("application/octet-stream", image.name.as_bytes()),
        platforms: plan.platforms.iter().map(|p| platform(&image.name, &p.to_string(), Path::new("program"))).collect(),
    });
    Built { images: images.collect(), plan }
}

fn scanned(built: Built, platforms: Vec<PlatformReport>) -> Scanned {
    let report = Report { platforms, ..Report::default() };
    Scanned { built, sboms: Sboms { documents: Vec::new() }, report, extracts: Arc::default() }
}

fn bad() -> Finding {
    Finding { reachable: Some(true), fixed: Some("v1.2.3".into()), ..finding("GO-1", "example.com/m") }
}

fn assembled(built: &Built, found: &BTreeMap<Digest, Vec<Finding>>) -> Result<Vec<PlatformReport>> {
    assembled_with(built, found, None)
}

fn assembled_with(
    built: &Built,
    found: &BTreeMap<Digest, Vec<Finding>>,
    by_trivy: Option<&BTreeMap<Digest, Vec<Hit>>>,
) -> Result<Vec<PlatformReport>> {
    let root = tempfile::tempdir().unwrap();
    let policy = Policy::read(root.path(), &built.plan.scan, jiff::civil::date(2026, 11, 25)).unwrap();
    let extent = Extent { all_images: true, by_trivy: by_trivy.is_some() };
    assemble(built, found, by_trivy, &policy, extent, &mut BTreeSet::new())
}

/// What can come of scanning one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Clean,
    Bad,
    Failed,
}

#[test]
fn no_combination_of_outcomes_turns_an_error_or_a_finding_into_a_pass() {
    let all = [Outcome::Clean, Outcome::Bad, Outcome::Failed];
    for combination in 0..81_usize {
        let outcomes: Vec<_> = (0..4).map(|place| all[combination / 3_usize.pow(place) % 3]).collect();
        let built = built();
        let programs: Vec<_> = built.images.iter().flat_map(|i| &i.platforms).map(|p| p.program_digest).collect();
        let outcome =
            |program: &BuiltPlatform| outcomes[programs.iter().position(|d| *d == program.program_digest).unwrap()];
        let found = scan_programs(&built, |program| match outcome(program) {
            Outcome::Clean => Ok(Vec::new()),
            Outcome::Bad => Ok(vec![bad()]),
            Outcome::Failed => Err(Error::failed("the scanner crashed")),
        });
        let result = found.and_then(|found| assembled(&built, &found)).map(|platforms| scanned(built, platforms));
        match (outcomes.contains(&Outcome::Failed), outcomes.contains(&Outcome::Bad)) {
            (true, _) => assert_eq!(result.unwrap_err().class(), Class::Failed, "{outcomes:?}"),
            (false, true) => assert_eq!(result.unwrap().gate().unwrap_err().class(), Class::Findings, "{outcomes:?}"),
            (false, false) => assert!(result.unwrap().gate().is_ok(), "{outcomes:?}"),
        }
    }
}

#[test]
fn a_platform_that_nobody_scanned_is_an_error() {
    let built = built();
    let mut found = scan_programs(&built, |_| Ok(Vec::new())).unwrap();
    assert_eq!(assembled(&built, &found).unwrap().len(), 4);
    found.remove(&built.images[1].platforms[0].program_digest);
    let err = assembled(&built, &found).unwrap_err().to_string();
    assert!(err.contains("node for linux/amd64 was not scanned"), "{err}");
}

#[test]
fn equal_programs_are_scanned_once() {
    let mut built = built();
    built.images[1].platforms[0].program_digest = built.images[0].platforms[0].program_digest;
    let count = std::sync::atomic::AtomicUsize::new(0);
    scan_programs(&built, |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Vec::<Finding>::new())
    })
    .unwrap();
    assert_eq!(count.into_inner(), 3);
}

#[test]
fn the_gate_lists_each_violation_once_with_its_places_and_its_fix() {
    let built = built();
    let found = scan_programs(&built, |_| Ok(vec![bad(), finding("GO-2", "example.com/m")])).unwrap();
    let platforms = assembled(&built, &found).unwrap();
    let err = scanned(built, platforms).gate().unwrap_err();
    assert_eq!(err.class() as u8, 4);
    assert_eq!(
        err.to_string(),
        "1 finding is above the policy\n  \
         - GO-1 in example.com/m v1.0.0 (gate, node): linked, and fixed in v1.2.3\n    \
         fix: go get example.com/m@v1.2.3\nhint: go get example.com/m@v1.2.3"
    );
}

#[test]
fn a_scan_skipped_on_purpose_passes_the_gate_and_says_why() {
    let skipped = Scanned::skipped(built(), Sboms { documents: Vec::new() }, "no network in the lab");
    assert!(skipped.gate().is_ok());
    assert!(String::from_utf8(skipped.report().to_json().unwrap()).unwrap().contains("no network in the lab"));
}

#[test]
fn no_order_of_two_engines_outcomes_turns_an_error_or_a_finding_into_a_pass() {
    let all = [Outcome::Clean, Outcome::Bad, Outcome::Failed];
    let built = built();
    let platforms: Vec<_> = built.images.iter().flat_map(|i| &i.platforms).collect();
    let place = |platform: &BuiltPlatform| platforms.iter().position(|p| p.manifest == platform.manifest).unwrap();
    let layout_of = |_: &BuiltImage| Ok(PathBuf::new());
    // Every outcome of Trivy on the four, against every outcome of govulncheck on one of them and its neighbours.
    for (combination, first) in (0..81_usize).flat_map(|c| (0..3_usize).map(move |first| (c, first))) {
        let trivy = |at: usize| all[combination / 3_usize.pow(at as u32) % 3];
        let go = |at: usize| all[(first + at * combination) % 3];
        let answer = |outcome, found: Vec<Finding>| match outcome {
            Outcome::Clean => Ok(Vec::new()),
            Outcome::Bad => Ok(found),
            Outcome::Failed => Err(Error::failed("it did not end within 600 s and was stopped")),
        };
        let severe = || Finding { severity: Severity::Critical, scanner: trivy::NAME.into(), ..finding("CVE-2", "m") };
        let by_program = scan_programs(&built, |p| answer(go(place(p)), vec![bad()]));
        let by_manifest = scan_images(&built, &layout_of, |_, p| {
            let found = answer(trivy(place(p)), vec![severe()])?;
            Ok(found.into_iter().map(|finding| Hit { target: "etc/x".into(), finding }).collect())
        });
        let result = by_program.and_then(|go| assembled_with(&built, &go, Some(&by_manifest?)));
        let outcomes: Vec<_> = (0..4).flat_map(|at| [trivy(at), go(at)]).collect();
        let verdict = result.and_then(|platforms| scanned(built.clone(), platforms).gate());
        match (outcomes.contains(&Outcome::Failed), outcomes.contains(&Outcome::Bad)) {
            (true, _) => assert_eq!(verdict.unwrap_err().class(), Class::Failed, "{outcomes:?}"),
            (false, true) => assert_eq!(verdict.unwrap_err().class(), Class::Findings, "{outcomes:?}"),
            (false, false) => assert!(verdict.is_ok(), "{outcomes:?}"),
        }
    }
}

#[test]
fn an_image_that_trivy_did_not_see_is_an_error_where_trivy_is_used() {
    let built = built();
    let go = scan_programs(&built, |_| Ok(Vec::new())).unwrap();
    let mut seen = scan_images(&built, &|_| Ok(PathBuf::new()), |_, _| Ok(Vec::new())).unwrap();
    assert!(assembled_with(&built, &go, Some(&seen)).is_ok());
    seen.remove(&built.images[1].platforms[1].manifest.digest);
    let err = assembled_with(&built, &go, Some(&seen)).unwrap_err().to_string();
    assert!(err.contains("node for linux/arm64 was not scanned"), "{err}");
}
