//! The images as a container runtime would run them, and as large as they get. Needs root, skopeo and qemu-user-static.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{Repo, digests, free_port, read};
use serde_json::Value;
use tempfile::TempDir;

/// How long a program may take to answer its first request; under emulation that is seconds.
const START: Duration = Duration::from_secs(60);
/// What xtask may use itself, in KiB.
const MEMORY: u64 = 150 << 10;

/// The file system of one image platform, unpacked from its layout.
fn unpack(layout: &Path, architecture: &str) -> (TempDir, Value) {
    let document = |digest: &str| -> Value {
        let path = layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let listed: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let tag = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == "v1.2.0";
    let index = listed["manifests"].as_array().unwrap().iter().find(tag).unwrap();
    let index = document(index["digest"].as_str().unwrap());
    let entry = index["manifests"].as_array().unwrap().iter().find(|m| m["platform"]["architecture"] == architecture);
    let manifest = document(entry.unwrap()["digest"].as_str().unwrap());
    let root = TempDir::new().unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let blob = layout.join("blobs/sha256").join(&layer["digest"].as_str().unwrap()[7..]);
        read(Path::new("tar"), ["-xzpf", blob.to_str().unwrap(), "-C", root.path().to_str().unwrap()]);
    }
    (root, document(manifest["config"]["digest"].as_str().unwrap()))
}

/// The image's own command in its file system, as its own user, in its own folder.
fn start(root: &Path, config: &Value, emulator: Option<&str>, args: &[String]) -> Child {
    let text = |key: &str| config["config"][key].as_str().unwrap();
    let (user, group) = text("User").split_once(':').unwrap();
    let mut command = Command::new("unshare");
    command.arg("--root").arg(root).args(["--wd", text("WorkingDir"), "--setgid", group, "--setuid", user]);
    if let Some(emulator) = emulator {
        let inside = root.join("emulator");
        std::fs::copy(emulator, &inside).unwrap_or_else(|e| panic!("{emulator}: {e}; install qemu-user-static"));
        command.arg("/emulator");
    }
    let entrypoint = config["config"]["Entrypoint"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    command.args(entrypoint).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.process_group(0).spawn().unwrap()
}

/// What `GET path` answers, once something listens.
fn get(port: u16, path: &str, child: &mut Child) -> String {
    let start = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(e) => {
                if let Some(status) = child.try_wait().unwrap() {
                    let mut log = String::new();
                    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
                    panic!("the program ended with {status}: {log}");
                }
                assert!(start.elapsed() < START, "nothing listens: {e}");
                std::thread::yield_now();
            }
        }
    };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = BufReader::new(stream);
    let mut status = String::new();
    answer.read_line(&mut status).unwrap();
    let mut rest = String::new();
    answer.read_to_string(&mut rest).unwrap();
    assert!(status.contains(" 200 "), "{path}: {status}{rest}");
    rest
}

#[test]
#[ignore = "needs root and qemu-user-static: run by cargo xtask ci --all"]
fn every_program_of_the_sample_runs_in_its_image_as_its_user_on_both_platforms() {
    let repo = Repo::sample();
    repo.succeed(&["release", "v1.2.0", "--skip-scan", "the scan has tests of its own"]);
    let http = |name: &str, port: u16| match name {
        "inspector" => vec![format!("--http-addr=127.0.0.1:{port}"), "--grpc-addr=127.0.0.1:0".to_owned()],
        "gate" => vec![format!("--ops-listen=127.0.0.1:{port}"), "--listen=127.0.0.1:0".to_owned()],
        _ => vec![format!("--http-listen=127.0.0.1:{port}"), "--listen=127.0.0.1:0".to_owned()],
    };
    for (architecture, emulator) in [("amd64", None), ("arm64", Some("/usr/bin/qemu-aarch64-static"))] {
        for name in ["node", "gate", "inspector"] {
            let layout = repo.path().join("dist/v1.2.0/oci").join(format!("goverse-{name}"));
            let (root, config) = unpack(&layout, architecture);
            assert_eq!(config["config"]["User"], "1000:1000");
            let port = free_port();
            let mut child = start(root.path(), &config, emulator, &http(name, port));
            get(port, "/healthz", &mut child);
            if name == "inspector" {
                assert!(get(port, "/", &mut child).contains("<html"), "its page is in the image");
            }
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            assert!(status.contains("Uid:\t1000\t1000"), "{status}");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[test]
#[ignore = "needs skopeo: run by cargo xtask ci --all"]
fn skopeo_reads_every_platform_from_layout_and_registry() {
    let (repo, registry) = (Repo::tiny(), harness::registry::Registry::start());
    let args = ["release", "v1.2.0", "--json", "--skip-scan", "no need", "--to", registry.address()];
    let record = repo.succeed(&args).json();
    let copies = TempDir::new().unwrap();
    for (image, _) in digests(&record) {
        let from = [
            format!("docker://{}/tiny-{image}:v1.2.0", registry.address()),
            format!("oci:{}:v1.2.0", repo.path().join("dist/v1.2.0/oci").join(format!("tiny-{image}")).display()),
        ];
        for (at, from) in from.iter().enumerate() {
            let to = format!("dir:{}", copies.path().join(format!("{image}{at}")).display());
            let args = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false", from, &to];
            read(Path::new("skopeo"), [&["--insecure-policy"], &args[..]].concat());
        }
    }
}

#[test]
#[ignore = "takes minutes: run by cargo xtask ci --all"]
fn a_static_file_of_four_gigabytes_costs_no_memory() {
    let repo = Repo::tiny();
    let large: PathBuf = repo.path().join("source/web/large.bin");
    std::fs::File::create(&large).unwrap().set_len(4 << 30).unwrap();
    repo.write(".gitignore", "/target/\n/dist/\nlarge.bin\n");
    repo.commit("ignore a large file");
    let args = ["release", "v1.2.0", "--skip-scan", "no need", "--image", "node", "--platform", "linux/amd64"];
    let mut child = repo.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default());
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(ended.success());
    assert!((1 << 10..MEMORY).contains(&peak), "xtask's own peak was {peak} KiB");
}
