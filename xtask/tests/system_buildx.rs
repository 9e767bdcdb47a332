//! Images that real BuildKit makes of the Dockerfiles, against those of the native builder. Needs root, and Debian's
//! runc and busybox-static.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::BTreeMap;
use std::path::Path;

use harness::buildkit::{Buildkit, by_digest, go_image, image, use_buildx, with};
use harness::difference::{self, Seen, differences, last_built};
use harness::registry::Registry;
use harness::{Outcome, Repo, digests, read, tools};
use serde_json::Value;
use tempfile::TempDir;
use xtask::oci::store::Store;

/// A repository whose release table names the image to compile in.
fn sample(go_image: &str) -> Repo {
    let repo = Repo::sample();
    use_buildx(&repo, go_image);
    repo
}

fn run(repo: &Repo, buildkit: &Buildkit, args: &[&str]) -> Outcome {
    let mut command = repo.command(args);
    buildkit.reach(&mut command);
    Outcome::of(command.output().unwrap())
}

fn build(repo: &Repo, buildkit: &Buildkit, args: &[&str]) -> (BTreeMap<String, Seen>, Value) {
    let outcome = run(repo, buildkit, &[&["build", "v1.2.0", "--json"], args].concat());
    assert_eq!(outcome.code, Some(0), "{args:?}\n{}", outcome.stderr);
    (last_built(repo.path()), outcome.json())
}

/// Nothing may differ, but for the digest of what is compressed.
fn assert_same(native: &BTreeMap<String, Seen>, buildx: &BTreeMap<String, Seen>) {
    let names = |seen: &BTreeMap<String, Seen>| seen.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(native), names(buildx));
    let differ = |(name, native): (&String, &Seen)| {
        differences(native, &buildx[name]).into_iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
    };
    let all: Vec<String> = native.iter().flat_map(differ).collect();
    assert!(all.is_empty(), "native | buildx\n{}", all.join("\n"));
}

/// A base for two platforms that brings a user, a variable, roots of its own, and a file that is removed and one that
/// stays.
fn base(registry: &Registry) -> String {
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("base.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    let files = [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbase:x:500:500::/:/bin/sh\n"),
        ("etc/group", "root:x:0:\nbase:x:500:\n"),
        ("etc/ssl/certs/ca-certificates.crt", "the base's own roots\n"),
        ("usr/share/base", "of the base\n"),
    ];
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.finish().unwrap();
    let name = format!("{}/base", registry.address());
    let settings = ["--env", "TZ=UTC", "--env", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"];
    let of = |architecture: &str| {
        image(&format!("{name}:{architecture}"), &archive, &format!("linux/{architecture}"), &settings)
    };
    let (amd64, arm64) = (of("amd64"), of("arm64"));
    let index = format!("{name}:1");
    read(&tools::crane(), ["index", "append", "--insecure", "-m", &amd64, "-m", &arm64, "--tag", &index]);
    by_digest(&index)
}

#[test]
#[ignore = "needs root, runc and busybox-static, and takes minutes: run by cargo xtask ci --all"]
fn both_builders_make_the_same_images() {
    let (registry, buildkit) = (Registry::start(), Buildkit::start());
    let repo = sample(&go_image(&format!("{}/golang:1", registry.address())));

    let (native, _) = build(&repo, &buildkit, &[]);
    let (buildx, _) = build(&repo, &buildkit, &["--builder", "buildx"]);
    assert_eq!(native.len(), 6, "three images, two platforms");
    for (name, seen) in &native {
        let program = format!("/usr/local/bin/{}", name.split(' ').next().unwrap());
        assert!(seen[&program].contains("755 time"), "{name} has its program: {}", seen[&program]);
    }
    assert_same(&native, &buildx);

    let base = base(&registry);
    let only = ["--image", "gate", "--base", base.as_str()];
    let (native, _) = build(&repo, &buildkit, &only);
    let (buildx, _) = build(&repo, &buildkit, &[&["--builder", "buildx"], &only[..]].concat());
    assert!(native["gate linux/arm64"].contains_key("/usr/share/base"), "it stands on the base");
    assert_same(&native, &buildx);

    // Everything after the build is the same for both: what buildx made is published, read back and verified.
    let args = ["release", "v1.2.0", "--builder", "buildx", "--skip-scan", "the scan has tests of its own"];
    let outcome = run(&repo, &buildkit, &[&args[..], &["--to", registry.address()]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let image = format!("{}/goverse-gate:v1.2.0", registry.address());
    read(&tools::crane(), ["validate", "--insecure", "--remote", &image]);
    let index: Value = serde_json::from_str(&read(&tools::crane(), ["manifest", "--insecure", &image])).unwrap();
    let platforms = index["manifests"].as_array().unwrap().iter().map(|m| m["platform"]["architecture"].clone());
    assert_eq!(platforms.collect::<Vec<_>>(), ["amd64", "arm64"], "no attestations among them");
}

#[test]
#[ignore = "needs root, runc and busybox-static, and takes minutes: run by cargo xtask ci --all"]
fn two_builds_from_empty_caches_have_equal_digests() {
    let registry = Registry::start();
    let repo = sample(&go_image(&format!("{}/golang:1", registry.address())));
    let built = [(); 2].map(|()| {
        let buildkit = Buildkit::start();
        std::fs::remove_dir_all(repo.path().join("target/xtask")).ok();
        let (_, json) = build(&repo, &buildkit, &["--builder", "buildx", "--image", "gate"]);
        digests(&json)
    });
    assert_eq!(built[0].len(), 1);
    assert_eq!(built[0], built[1]);
}

#[test]
#[ignore = "needs root, runc and busybox-static, and takes minutes: run by cargo xtask ci --all"]
fn a_dockerfile_works_on_its_own_where_generated_code_is_committed() {
    let (registry, buildkit) = (Registry::start(), Buildkit::start());
    let go_image = go_image(&format!("{}/golang:1", registry.address()));
    let (repo, sample) = (Repo::tiny(), Repo::sample());
    let layout = TempDir::new().unwrap();
    let gate = layout.path().join("gate");
    buildkit.buildx(&[
        "build",
        "--file",
        sample.path().join("docker/Dockerfile.gate").to_str().unwrap(),
        "--build-arg",
        &format!("GO_IMAGE={go_image}"),
        "--platform=linux/arm64",
        "--provenance=false",
        &format!("--output=type=oci,tar=false,dest={}", gate.display()),
        repo.path().join("source").to_str().unwrap(),
    ]);
    let listed: Value = serde_json::from_slice(&std::fs::read(gate.join("index.json")).unwrap()).unwrap();
    let seen = difference::seen(&Store::new(gate), &listed["manifests"][0]["digest"]);
    for (key, words) in [
        ("/usr/local/bin/gate", "0:0 755"),
        ("/etc/passwd", "0:0 644"),
        ("/etc/group", "0:0 644"),
        ("/etc/ssl/certs/ca-certificates.crt", "0:0 644"),
        ("/tmp", "Directory 0:0 1777"),
        ("/app", "Directory 0:0 755"),
        ("User", "1000:1000"),
        ("WorkingDir", "/app"),
        ("ExposedPorts 49000/tcp", "{}"),
        ("Env SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
        ("architecture", "arm64"),
    ] {
        assert!(seen.get(key).is_some_and(|line| line.contains(words)), "{key} has {words}: {:?}", seen.get(key));
    }
}

#[test]
#[ignore = "needs root, runc and busybox-static: run by cargo xtask ci --all"]
fn what_would_fail_is_told_before_anything_is_built() {
    let (repo, mut buildkit) = (Repo::sample(), Buildkit::start());
    let args = ["build", "v1.2.0", "--builder", "buildx"];
    let table = repo.read("release.toml");
    let named = |instance: &str| with(&table, &format!("instance = \"{instance}\""));

    repo.write("release.toml", &named("nobody"));
    std::fs::rename(repo.path().join("docker/Dockerfile.gate"), repo.path().join("docker/Dockerfile.door")).unwrap();
    let outcome = run(&repo, &buildkit, &args);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    for words in ["no builder called `nobody`", "buildx create --name nobody", "image gate has no Dockerfile"] {
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    }
    std::fs::rename(repo.path().join("docker/Dockerfile.door"), repo.path().join("docker/Dockerfile.gate")).unwrap();

    // A machine of one platform builds for all, unless something runs on the others.
    repo.write("release.toml", &named(Buildkit::NAME));
    let text = repo.read("docker/Dockerfile.node");
    repo.write("docker/Dockerfile.node", &format!("{text}RUN [\"/usr/local/bin/node\", \"--help\"]\n"));
    let outcome = run(&repo, &buildkit, &[&args[..], &["--platform", "linux/s390x"]].concat());
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("Dockerfile.node") && outcome.stderr.contains("RUN needs linux/s390x"),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("Dockerfile.gate"), "{}", outcome.stderr);

    buildkit.stop();
    let outcome = run(&repo, &buildkit, &args);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("builder `test` can't be used"), "{}", outcome.stderr);
    assert!(!Path::new(&repo.path().join("target/xtask/built.json")).exists());
}
