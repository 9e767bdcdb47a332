//! `cargo xtask`: parses, runs, and maps an error to an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::cli::Cli;
use xtask::ui::{Tone, Ui};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            Ui::new(false).line(Tone::Plain, &format!("{} {err}", Tone::Bad.paint("error:")));
            ExitCode::from(err.class() as u8)
        }
    }
}
