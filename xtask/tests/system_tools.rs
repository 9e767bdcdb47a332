//! The same as in `real_tools.rs`, for programs whose first compilation takes minutes.

mod harness;

use harness::tools;

#[test]
#[ignore = "needs go and the Go module proxy, and the first time a quarter of an hour"]
fn large_tools_are_compiled_at_their_pinned_versions() {
    for program in [tools::buildx(), tools::cosign(), tools::helm(), tools::syft(), tools::trivy()] {
        tools::assert_found_at_its_version(&program);
    }
    // It has no way to tell its version.
    harness::read(&tools::kubectl_validate(), ["--help"]);
}
