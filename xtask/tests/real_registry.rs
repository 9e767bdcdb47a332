//! Releases to registries that ask for something: TLS of one's own, a password, tokens; and to one that lists referrers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::registry::{Guard, Registry};
use harness::tokens::Tokens;
use harness::{Outcome, Repo, digests, read, tools};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::ui::Ui;

const USER: &str = "releaser";
const PASSWORD: &str = "correct horse";
/// `PASSWORD` by bcrypt, as `htpasswd -B` writes it.
const HASHED: &str = "$2a$04$G1tBvmSBzfuLChJeq6J38e24dFK2A4xFEMAW/p8pl100M7Kwi.WCS";

/// `release` as it is said the most, whose output must hold no secret.
fn release(repo: &Repo, registry: &Registry, change: impl FnOnce(&mut Command)) -> Outcome {
    let skip = ["--skip-scan", "the scan has tests of its own"];
    let args = [&["release", "v1.2.0", "--json", "--verbose", "--to", registry.address()], &skip[..]].concat();
    let mut command = repo.command(&args);
    change(&mut command);
    Outcome::of(command.output().unwrap())
}

fn with_password(password: &str) -> impl Fn(&mut Command) {
    move |command| _ = command.env("XTASK_REGISTRY_USER", USER).env("XTASK_REGISTRY_PASSWORD", password)
}

/// A folder with Docker's configuration, in which the password is.
fn docker_config(registry: &Registry) -> TempDir {
    let folder = TempDir::new().unwrap();
    let auth = json!({"auths": {registry.address(): {"auth": STANDARD.encode(format!("{USER}:{PASSWORD}"))}}});
    std::fs::write(folder.path().join("config.json"), auth.to_string()).unwrap();
    folder
}

/// An address of this machine that others reach it by: the loopback address is spoken to without TLS. Nothing is sent.
fn address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // For documentation only (RFC 5737), but there is a way to it.
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip()
}

/// A certificate for this machine and its key, signed by itself; Go's own generator made them.
fn certificate(address: IpAddr) -> TempDir {
    let folder = TempDir::new().unwrap();
    let go = tools::go();
    let read = |args: &[&str]| go.run(folder.path(), None, args).unwrap().read(&Ui::silent()).unwrap();
    let root = String::from_utf8(read(&["env", "GOROOT"])).unwrap();
    let generator = Path::new(root.trim()).join("src/crypto/tls/generate_cert.go").display().to_string();
    let host = format!("--host={address}");
    read(&["run", &generator, &host, "--ecdsa-curve=P256", "--duration=24h"]);
    folder
}

/// What `oras resolve`, with more said to it, reads is what the release says, and nothing that was said is a secret.
fn assert_released(outcome: &Outcome, registry: &Registry, how: &[&str], secrets: &[String]) {
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for (image, digest) in digests(&outcome.json()) {
        let name = format!("{}/tiny-{image}:v1.2.0", registry.address());
        assert_eq!(read(&tools::oras(), [&["resolve", &name], how].concat()).trim(), digest);
    }
    assert_kept(outcome, secrets);
}

fn assert_kept(outcome: &Outcome, secrets: &[String]) {
    for secret in secrets {
        assert!(!outcome.stderr.contains(secret) && !outcome.stdout.contains(secret), "{secret}: {}", outcome.stderr);
    }
}

fn secrets() -> Vec<String> {
    vec![PASSWORD.to_owned(), STANDARD.encode(format!("{USER}:{PASSWORD}"))]
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_registry_with_a_certificate_of_its_own_and_a_password() {
    let (repo, address) = (Repo::tiny(), address());
    let certificate = certificate(address);
    let passwords = certificate.path().join("passwords");
    std::fs::write(&passwords, format!("{USER}:{HASHED}\n")).unwrap();
    let [trusted, key] = ["cert.pem", "key.pem"].map(|name| certificate.path().join(name));
    let registry = Registry::guarded(&Guard {
        tls: json!({"certificate": trusted, "key": key}),
        auth: json!({"htpasswd": {"realm": "test", "path": passwords}}),
        address: Some(address),
    });
    let trusting = |command: &mut Command| _ = command.env("SSL_CERT_FILE", &trusted);

    let outcome = release(&repo, &registry, with_password(PASSWORD));
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("certificate"), "{}", outcome.stderr);
    assert_kept(&outcome, &secrets());

    for password in ["", "a wrong one"] {
        let outcome = release(&repo, &registry, |command| {
            trusting(command);
            with_password(password)(command);
        });
        assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("docker login"), "{}", outcome.stderr);
        assert_kept(&outcome, &["a wrong one".to_owned()]);
    }

    let outcome = release(&repo, &registry, |command| {
        trusting(command);
        with_password(PASSWORD)(command);
    });
    let trusted = trusted.display().to_string();
    let how = ["--ca-file", &trusted, "--username", USER, "--password", PASSWORD];
    assert_released(&outcome, &registry, &how, &secrets());
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_registry_that_wants_tokens() {
    let (repo, tokens) = (Repo::tiny(), Tokens::start(USER, PASSWORD));
    let registry = Registry::guarded(&tokens.guard());
    let outcome = release(&repo, &registry, with_password("a wrong one"));
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("docker login"), "{}", outcome.stderr);
    assert_eq!(tokens.given(), Vec::<String>::new());

    let config = docker_config(&registry);
    let outcome = release(&repo, &registry, |command| _ = command.env("DOCKER_CONFIG", config.path()));
    let given = [secrets(), tokens.given()].concat();
    assert!(given.len() > 2, "the registry asked for tokens");
    assert_released(&outcome, &registry, &["--plain-http", "--username", USER, "--password", PASSWORD], &given);
}

#[test]
#[ignore = "needs go and the module proxy: run by cargo xtask ci"]
fn a_registry_that_lists_referrers() {
    let (repo, registry) = (Repo::tiny(), Registry::with_referrers());
    let outcome = release(&repo, &registry, |_| ());
    assert_released(&outcome, &registry, &["--plain-http"], &[]);
    for image in outcome.json()["images"].as_array().unwrap() {
        for platform in image["platforms"].as_array().unwrap() {
            let name = image["reference"].as_str().unwrap().split('@').next().unwrap();
            let name = format!("{name}@{}", platform["manifest"]["digest"].as_str().unwrap());
            let args = ["discover", "--plain-http", "--distribution-spec=v1.1-referrers-api", "--format=json", &name];
            let found: Value = serde_json::from_str(&read(&tools::oras(), args)).unwrap();
            // By digest: this registry lists every artifact under the type of its configuration.
            let digests = |list: &Value, digest: fn(&Value) -> &Value| -> BTreeSet<String> {
                list.as_array().unwrap().iter().map(|entry| digest(entry).as_str().unwrap().to_owned()).collect()
            };
            let attached = digests(&platform["sboms"], |sbom| &sbom["artifact"]["digest"]);
            assert_eq!(attached.len(), 2);
            assert_eq!(digests(&found["referrers"], |referrer| &referrer["digest"]), attached);
        }
    }
    let verified = repo.run(&["verify", "v1.2.0", "--from", registry.address()]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}
