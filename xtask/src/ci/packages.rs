//! Debian's packages that the checks of `--all` need, installed where they are missing.
//!
//! Takes nothing, changes only what the package manager changes; it is asked through sudo by everybody but root.

use xshell::{Shell, cmd};

use crate::cmd::Run;
use crate::error::{Context, Result};
use crate::ui::Ui;

/// What the tests called `system_*` run.
const PACKAGES: &[&str] = &["busybox-static", "qemu-user-static", "runc", "skopeo"];

/// Installs what is missing.
pub(super) fn install(ui: &Ui) -> Result<()> {
    let shell = Shell::new().attempt(|| "find the current folder".into())?;
    let format = "--showformat=${db:Status-Status}";
    let there = Run::new(cmd!(shell, "dpkg-query --show {format} {PACKAGES...}")).output(ui)?;
    let all = "installed".repeat(PACKAGES.len());
    if there.status.success() && there.stdout == all.as_bytes() {
        return Ok(());
    }
    let user = Run::new(cmd!(shell, "id -u")).read(ui)?;
    let sudo: &[&str] = if user.trim_ascii() == b"0" { &[] } else { &["sudo", "--non-interactive"] };
    let hint = "install them yourself: apt-get install ".to_owned() + &PACKAGES.join(" ");
    let options = ["--quiet", "--yes", "--no-install-recommends"];
    for args in [&["update", "--quiet"][..], &[&["install"][..], &options, PACKAGES].concat()] {
        let line: Vec<&str> = [sudo, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], args].concat();
        let (program, args) = line.split_first().unwrap_or((&"apt-get", &[]));
        Run::new(cmd!(shell, "{program} {args...}")).show(ui).map_err(|err| err.hint(&hint))?;
    }
    Ok(())
}
