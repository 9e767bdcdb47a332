//! The matrix of a job that builds each platform on a machine of its own.
//!
//! Takes platforms, gives the JSON that `strategy.matrix` reads.

use serde_json::{Value, json};

use crate::oci::Platform;

/// `{"include": [{"platform": "linux/arm64", "name": "linux-arm64", "runner": "ubuntu-24.04-arm"}, …]}`
pub fn matrix(platforms: &[Platform]) -> Value {
    let row = |p: &Platform| json!({"platform": p.to_string(), "name": p.slug(), "runner": runner(p)});
    json!({"include": platforms.iter().map(row).collect::<Vec<_>>()})
}

/// The hosted runner of this architecture. The compiler needs none: what has no runner is cross-compiled.
fn runner(platform: &Platform) -> &'static str {
    match platform.architecture() {
        "arm64" | "arm" => "ubuntu-24.04-arm",
        _ => "ubuntu-24.04",
    }
}
