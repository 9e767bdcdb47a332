//! Debian's packages that the checks of `--all` need, installed where they are missing.
//!
//! Takes nothing, changes only what the package manager changes; it is asked through sudo by everybody but root.

use std::path::PathBuf;

use xshell::{Shell, cmd};

use crate::cmd::Run;
use crate::error::{Context, Result};
use crate::ui::Ui;

/// What the tests called `system_*` run, and the package that has it. A program counts wherever it comes from: Docker's
/// packages bring a containerd and a runc, and don't stand beside Debian's.
const PROGRAMS: &[(&str, &str)] = &[
    ("/bin/busybox", "busybox-static"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/bin/qemu-aarch64-static", "qemu-user-static"),
    ("containerd", "containerd"),
    ("ip", "iproute2"),
    ("ipset", "ipset"),
    ("iptables", "iptables"),
    ("jq", "jq"),
    ("openssl", "openssl"),
    ("pg_lsclusters", "postgresql"),
    ("runc", "runc"),
    ("skopeo", "skopeo"),
    ("sysctl", "procps"),
];
/// Where programs for root are; the PATH of others may lack it.
const FOR_ROOT: &str = "/usr/sbin:/sbin";

/// Installs what is missing.
pub(super) fn install(ui: &Ui) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(std::env::split_paths(FOR_ROOT)).collect();
    let missing = missing(&folders);
    if missing.is_empty() {
        return Ok(());
    }
    let shell = Shell::new().attempt(|| "find the current folder".into())?;
    let sudo = super::sudo(ui)?;
    let hint = "install them yourself: apt-get install ".to_owned() + &missing.join(" ");
    let options = ["--quiet", "--yes", "--no-install-recommends"];
    for args in [&["update", "--quiet"][..], &[&["install"][..], &options, &missing].concat()] {
        let line: Vec<&str> = [sudo, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], args].concat();
        let (program, args) = line.split_first().unwrap_or((&"apt-get", &[]));
        Run::new(cmd!(shell, "{program} {args...}")).show(ui).map_err(|err| err.hint(&hint))?;
    }
    Ok(())
}

/// The packages whose programs aren't in `folders`.
fn missing(folders: &[PathBuf]) -> Vec<&'static str> {
    // Joined to a folder, an absolute path stands for itself.
    let is_there = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
    PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_needless_where_its_program_is() {
        let folder = tempfile::tempdir().unwrap();
        for program in ["containerd", "runc"] {
            std::fs::write(folder.path().join(program), "").unwrap();
        }
        let missing = missing(&[folder.path().to_owned()]);
        assert!(!missing.contains(&"containerd") && !missing.contains(&"runc"), "{missing:?}");
        assert!(missing.contains(&"skopeo"), "{missing:?}");
    }
}
