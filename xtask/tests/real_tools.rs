//! The toolbox with the real go command: what it compiles is what release.toml pins, and says so itself.

mod harness;

use harness::tools;

#[test]
#[ignore = "needs go and the Go module proxy"]
fn small_tools_are_compiled_at_their_pinned_versions() {
    for program in [tools::actionlint(), tools::crane(), tools::kustomize(), tools::oras()] {
        tools::assert_found_at_its_version(&program);
    }
}
