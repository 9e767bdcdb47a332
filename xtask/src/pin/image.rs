//! Which image values are ours.
//!
//! Pure. Works on the name as written, so that a value with a half-written tag or digest is still recognised and
//! repaired instead of being passed over.

use super::Target;

/// The target that `value`, an image as a manifest writes it, names; the one with the longest repository wins.
pub(super) fn target_of(targets: &[Target], value: &str) -> Option<usize> {
    let name = name(value.trim());
    let ours = targets.iter().enumerate().filter(|(_, target)| ends_with_path(name, &target.repository));
    ours.max_by_key(|(_, target)| target.repository.len()).map(|(at, _)| at)
}

/// An image without tag and digest. A colon before the last slash is a registry's port (distribution reference
/// grammar).
pub(super) fn name(value: &str) -> &str {
    let name = value.split_once('@').map_or(value, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((before, after)) if !after.contains('/') => before,
        _ => name,
    }
}

/// Whether a program is expected to fill in parts of this value later.
pub(super) fn is_template(value: &str) -> bool {
    value.contains(|c: char| matches!(c, '$' | '{' | '}' | '<' | '>') || c.is_whitespace())
}

/// Whether `name` is `repository`, or ends with it after a slash.
fn ends_with_path(name: &str, repository: &str) -> bool {
    !repository.is_empty()
        && name.strip_suffix(repository).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_before_tag_and_digest_but_keeps_a_port() {
        for (value, expected) in [
            ("goverse-node", "goverse-node"),
            ("goverse-node:5000", "goverse-node"),
            ("localhost:5000/goverse-node", "localhost:5000/goverse-node"),
            ("localhost:5000/a/goverse-node:v1@sha256:00", "localhost:5000/a/goverse-node"),
            ("[::1]:5000/goverse-node@sha256:00", "[::1]:5000/goverse-node"),
            ("", ""),
        ] {
            assert_eq!(name(value), expected);
        }
    }

    #[test]
    fn a_repository_matches_in_whole_components_only() {
        assert!(ends_with_path("ghcr.io/x/goverse-node", "goverse-node"));
        assert!(ends_with_path("ghcr.io/x/goverse-node", "x/goverse-node"));
        for other in ["my-goverse-node", "ghcr.io/goverse-node/proxy", "goverse-node-debug", "ghcr.io/x/Goverse-Node"] {
            assert!(!ends_with_path(other, "goverse-node"), "{other}");
        }
    }
}
