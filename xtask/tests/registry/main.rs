//! The registry client against a registry that cuts, stalls, lies and refuses.
//!
//! Every test goes through the public API, and asserts what a release relies on: it succeeds in spite of a fault, or it
//! ends with an error of the right class and with nothing wrong stored. Time is the test's own, so no test waits.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a test that can't be set up fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod auth;
mod blob;
mod lab;
mod lists;
mod manifest;
mod referrers;
mod retry;
mod upload;
