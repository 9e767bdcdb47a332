//! `cargo xtask`: parses, runs, and maps an error to an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::cli::Cli;
use xtask::gha::Runner;
use xtask::ui::{Tone, Ui};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            let ui = Ui::new(false);
            ui.line(Tone::Plain, &format!("{} {err}", Tone::Bad.paint("error:")));
            if let Some(runner) = Runner::detect() {
                runner.failed(&err, &ui);
            }
            ExitCode::from(err.class() as u8)
        }
    }
}
