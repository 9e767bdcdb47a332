//! The auditor of workflows, zizmor, at its strictest. What GitHub itself would refuse is a test's business.
//!
//! Takes the checkout, gives nothing when there is nothing to say. Asks nobody on the network.

use xshell::{Shell, cmd};

use super::Bench;
use crate::cmd::Run;
use crate::error::{Context, Result};

const ZIZMOR: &str = "1.32.0";

pub(super) fn check(bench: &Bench<'_>) -> Result<()> {
    let zizmor = bench.installed("zizmor", ZIZMOR)?;
    let shell = Shell::new().attempt(|| "find the current folder".into())?;
    shell.change_dir(&bench.workspace.root);
    Run::new(cmd!(shell, "{zizmor} --offline --persona auditor --no-progress .github")).show(bench.ui)
}
