//! The backups' own commands, taken from the manifests and the documentation, on a real PostgreSQL. Needs Debian's
//! postgresql.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

mod harness;

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use harness::checkout;
use serde_json::Value;
use tempfile::TempDir;

/// Whom the server runs as when the test is root, which it refuses.
const NOBODY: u32 = 65534;

/// A running server with one database, and a folder for backups; it ends with this value.
struct Postgres {
    folder: TempDir,
}

impl Postgres {
    fn start() -> Postgres {
        let folder = TempDir::new().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["data", "socket", "backup"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            if folder.path().metadata().unwrap().uid() == 0 {
                chown(folder.path().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let server = Postgres { folder };
        let data = server.at("data");
        server.run("initdb", &["--pgdata", &data, "--username=goverse", "--auth=trust", "--encoding=UTF8"]);
        let settings = format!("-k {} -c listen_addresses=", server.at("socket"));
        let log = server.at("socket/log");
        server.run("pg_ctl", &["start", "--wait", "--pgdata", &data, "--log", &log, "--options", &settings]);
        server.run("createdb", &["objects"]);
        server
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A program as the containers run it: by their variables, as a user without rights.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env("PATH", format!("{}:/usr/bin:/bin", programs().display()));
        for (name, value) in [("USER", "goverse"), ("DATABASE", "objects"), ("HOST", &self.at("socket"))] {
            command.env(format!("PG{name}"), value);
        }
        command.env("POSTGRES_USER", "goverse").env("POSTGRES_DB", "objects");
        if self.folder.path().metadata().unwrap().uid() == 0 {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// What a program writes, or what it says when it fails.
    fn ask(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let output = self.command(program).args(args).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|e| panic!("{program}: {e}; install postgresql"));
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(format!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        self.ask(program, args).unwrap()
    }

    fn sql(&self, query: &str) -> String {
        self.run("psql", &["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", query])
    }

    /// Runs a container of a job, with the folder for backups and the server in the places of the cluster's.
    fn job(&self, container: &Value) -> Result<String, String> {
        let here = |text: &Value| {
            let text = text.as_str().unwrap();
            let text = text.replace("/backup", &self.at("backup")).replace("$(JOB_NAME)", "today");
            text.replace("--host=goverse-postgres", &format!("--host={}", self.at("socket")))
        };
        let args: Vec<String> = container["args"].as_array().unwrap().iter().map(here).collect();
        let program = container["command"][0].as_str().unwrap();
        self.ask(program, &args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stop = ["stop", "--mode=immediate", "--pgdata", &self.at("data")];
        let _ = self.command("pg_ctl").args(stop).stdout(Stdio::null()).status();
    }
}

/// Debian keeps each version's programs in a folder of its own: the newest.
fn programs() -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").unwrap_or_else(|e| panic!("{e}: install postgresql")).flatten();
    let version = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|entry| entry.path()).max_by_key(|path| version(path)).unwrap();
    newest.join("bin")
}

/// The pod of a backup's job.
fn pod(file: &str) -> Value {
    let text = std::fs::read_to_string(checkout().join("k8s/components/backup").join(file)).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let job = documents.iter().find(|document| document["kind"] == "CronJob").unwrap();
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone()
}

#[test]
#[ignore = "needs postgresql: run by cargo xtask ci --all"]
fn a_dump_is_checked_and_restored_as_the_documentation_says() {
    let server = Postgres::start();
    server.sql("CREATE TABLE object (id text PRIMARY KEY, state jsonb); INSERT INTO object VALUES ('ChatRoom-a', '{\"n\": 1}')");
    let pod = pod("postgres.yaml");
    for step in pod["initContainers"].as_array().unwrap() {
        server.job(step).unwrap();
    }
    server.sql("UPDATE object SET state = '{}'; INSERT INTO object VALUES ('ChatRoom-b', '{}'); CREATE INDEX late ON object (state)");

    let text = std::fs::read_to_string(checkout().join("docs/kubernetes.md")).unwrap();
    let line = text.split('\'').find(|quoted| quoted.starts_with("pg_restore ")).unwrap();
    let dump = File::open(server.at("backup/today.dump")).unwrap();
    let restored = server.command("sh").args(["-c", line]).stdin(dump).output().unwrap();
    assert!(restored.status.success(), "{line}: {}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(server.sql("SELECT id, state FROM object").trim(), "ChatRoom-a|{\"n\": 1}");

    // A dump that is cut fails the job before older ones are removed.
    let whole = std::fs::read(server.at("backup/today.dump")).unwrap();
    std::fs::write(server.at("backup/today.dump"), &whole[..100]).unwrap();
    assert!(server.job(&pod["initContainers"][1]).is_err(), "a cut dump passed the check");
}

#[test]
#[ignore = "needs postgresql: run by cargo xtask ci --all"]
fn only_old_backups_are_removed() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    for (file, ending) in [("postgres.yaml", "dump"), ("etcd.yaml", "db")] {
        let folder = TempDir::new().unwrap();
        for (name, age) in [("old", 16), ("kept", 13), ("new", 0)] {
            let path = folder.path().join(format!("{name}.{ending}"));
            File::create(&path).unwrap().set_modified(SystemTime::now() - age * DAY).unwrap();
        }
        let container = &pod(file)["containers"][0];
        let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
        let args = args.map(|arg| arg.replace("/backup", folder.path().to_str().unwrap()));
        assert!(Command::new(container["command"][0].as_str().unwrap()).args(args).status().unwrap().success());
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [format!("kept.{ending}"), format!("new.{ending}")]);
    }
}
