//! `cargo xtask`: parses, runs, and maps an error to an exit code.

fn main() {}
