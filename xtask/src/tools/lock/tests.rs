use std::path::PathBuf;

use super::*;
use crate::error::Class;
use crate::registry::Downloads;
use crate::tools::fetch::LONGEST;
use crate::tools::fixture::{Answer, Server, sha256};
use crate::tools::{Mirror, lock_by};
use crate::ui::Ui;

const TABLE: &str = r#"# Everything.
[images.gate]
package = "./cmd/gate"
repository = "gate" # a comment

[publish]
registry = "ghcr.io/owner"

[tools]
go = "1.27.4"
protoc-gen-go = "1.36.11"
protoc-gen-go-grpc = "1.5.1"
govulncheck = "1.9.0"
# Reads what was published.
crane = "0.22.1"

[tools.trivy] # the scanner
version = "0.74.0" # not 0.69.4
[tools.trivy.sha256]
"linux/amd64" = "2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a" # seen twice
"#;

const AMD64: &str = "2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a";
const ARM64: &str = "b94ce1976bbf3c15b514b605ee88be7c6d94a29be2302847ff01cb794d47aad5";

/// A release table, and a publisher of lists by the end of their path.
struct Lab {
    folder: tempfile::TempDir,
    server: Server,
}

impl Lab {
    fn new(lists: &[(&'static str, String)]) -> Lab {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("release.toml"), TABLE).unwrap();
        let lists = lists.to_vec();
        let server = Server::start(move |asked, _| {
            let list = lists.iter().find(|(path, _)| asked.path.ends_with(path));
            list.map_or(Answer::new(404), |(_, text)| Answer::file(text.clone()))
        });
        Lab { folder, server }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("release.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn config(&self) -> Config {
        Config::parse(Path::new("release.toml"), &self.text()).unwrap()
    }

    fn lock(&self, wishes: &[&str], force: bool) -> Result<Vec<Locked>> {
        let wishes: Vec<Wish> = wishes.iter().map(|wish| wish.parse().unwrap()).collect();
        let mirror: Mirror = self.server.url().parse().unwrap();
        let fetcher = Fetcher { downloads: Downloads::new(LONGEST, &Ui::silent()), mirror: Some(&mirror) };
        lock_by(&fetcher, &self.file(), &self.config().tools, &wishes, force)
    }
}

fn trivy(version: &str, amd64: &str) -> String {
    format!(
        "{amd64}  trivy_{version}_Linux-64bit.tar.gz\n{ARM64}  trivy_{version}_Linux-ARM64.tar.gz\n{ARM64}  trivy_{version}_Linux-64bit.deb\n"
    )
}

#[test]
fn new_checksums_are_added_and_nothing_else_changes() {
    let lab = Lab::new(&[("trivy_0.74.0_checksums.txt", trivy("0.74.0", AMD64))]);
    let locked = lab.lock(&["trivy"], false).unwrap();
    assert!(locked[0].changed);
    let added = format!("\"linux/arm64\" = \"{ARM64}\"\n");
    assert_eq!(lab.text(), format!("{TABLE}{added}"));
    assert!(!lab.lock(&["trivy"], false).unwrap()[0].changed, "what is written is what is read");
    assert_eq!(
        lab.server.log()[0].path,
        "/github.com/aquasecurity/trivy/releases/download/v0.74.0/trivy_0.74.0_checksums.txt"
    );
}

#[test]
fn a_version_alone_becomes_a_table_and_keeps_its_comment() {
    let name = |machine| format!("go-containerregistry_{machine}.tar.gz");
    let list = format!("{AMD64} *{}\n{ARM64}  ./{}\n", name("Linux_x86_64"), name("Darwin_arm64"));
    let lab = Lab::new(&[("go-containerregistry/releases/download/v0.22.1/checksums.txt", list)]);
    lab.lock(&["crane"], false).unwrap();
    let pin = lab.config().tools.crane.unwrap();
    let checksum = |text: &str| text.parse::<Checksum>().unwrap();
    assert_eq!(pin.version, Version::new(0, 22, 1));
    assert_eq!(pin.sha256, [(Machine::LinuxAmd64, checksum(AMD64)), (Machine::DarwinArm64, checksum(ARM64))].into());
    let text = lab.text();
    assert!(text.contains("# Reads what was published.\n[tools.crane]\nversion = \"0.22.1\"\n"), "{text}");
    for line in TABLE.lines().filter(|line| !line.starts_with("crane")) {
        assert!(text.contains(line), "`{line}` is gone: {text}");
    }
}

#[test]
fn a_checksum_of_the_same_version_is_never_changed_but_by_force() {
    let other = sha256(b"replaced").to_string();
    let lab = Lab::new(&[("trivy_0.74.0_checksums.txt", trivy("0.74.0", &other))]);
    let error = lab.lock(&["trivy"], false).unwrap_err();
    assert_eq!(error.class(), Class::Verification);
    assert!(error.to_string().contains(&other) && error.to_string().contains(AMD64), "{error}");
    assert_eq!(lab.text(), TABLE);
    lab.lock(&["trivy"], true).unwrap();
    assert_eq!(lab.config().tools.trivy.unwrap().sha256[&Machine::LinuxAmd64].to_string(), other);
    assert!(lab.text().contains("# seen twice"));
}

#[test]
fn a_new_version_takes_its_own_checksums_and_leaves_no_old_ones() {
    let new = sha256(b"new").to_string();
    let list = format!("{new}  trivy_0.75.0_Linux-ARM64.tar.gz\n");
    let lab = Lab::new(&[("trivy_0.75.0_checksums.txt", list)]);
    lab.lock(&["trivy@0.75.0"], false).unwrap();
    let pin = lab.config().tools.trivy.unwrap();
    assert_eq!(pin.version, Version::new(0, 75, 0));
    assert_eq!(pin.sha256.keys().collect::<Vec<_>>(), [&Machine::LinuxArm64]);
    assert!(lab.text().contains("version = \"0.75.0\" # not 0.69.4"));
}

#[test]
fn a_hijacked_version_is_never_written() {
    let lab = Lab::new(&[("trivy_0.69.5_checksums.txt", trivy("0.69.5", AMD64))]);
    let error = lab.lock(&["trivy@v0.69.5"], true).unwrap_err();
    assert!(error.to_string().contains("CVE-2026-33634"), "{error}");
    assert_eq!(lab.text(), TABLE);
}

#[test]
fn when_one_cannot_be_looked_up_none_is_written() {
    let lab = Lab::new(&[("trivy_0.74.0_checksums.txt", trivy("0.74.0", AMD64))]);
    assert_eq!(lab.lock(&["trivy", "crane"], false).unwrap_err().class(), Class::Network);
    assert_eq!(lab.lock(&[], false).unwrap_err().class(), Class::Network);
    assert_eq!(lab.lock(&["govulncheck"], false).unwrap_err().class(), Class::Usage);
    assert_eq!(lab.text(), TABLE);
}

#[test]
fn lists_are_read_as_sha256sum_writes_them() {
    let found = |list: &str| checksum(list, "tool").map(|found| found.map(|found| found.to_string()));
    assert_eq!(found(&format!("{AMD64}  tool\n{ARM64}  tool.deb\n")), Ok(Some(AMD64.into())));
    assert_eq!(found(&format!("{AMD64} *tool\r\n")), Ok(Some(AMD64.into())));
    assert_eq!(found(&format!("{} tool", AMD64.to_uppercase())), Ok(Some(AMD64.into())));
    assert_eq!(found(&format!("{AMD64}  tool\n{AMD64}  tool\n")), Ok(Some(AMD64.into())));
    assert_eq!(found(&format!("{AMD64}  dist/tool\n\n# a tool\n")), Ok(None));
    assert!(found(&format!("{AMD64}  tool\n{ARM64}  tool\n")).is_err());
    assert!(found("abc  tool\n").is_err());
}

#[test]
fn a_list_without_the_file_is_an_error() {
    let lab = Lab::new(&[("trivy_0.74.0_checksums.txt", "<html>not found</html>".into())]);
    let error = lab.lock(&["trivy"], false).unwrap_err();
    assert_eq!(error.class(), Class::Verification);
    assert!(error.to_string().contains("lists no file of trivy 0.74.0"), "{error}");
}

#[test]
fn a_wish_is_a_name_and_maybe_an_exact_version() {
    assert!("trivy".parse::<Wish>().unwrap().version.is_none());
    assert_eq!("trivy@v1.2.3".parse::<Wish>().unwrap().version, Some(Version::new(1, 2, 3)));
    assert!("trivy@latest".parse::<Wish>().is_err());
}
