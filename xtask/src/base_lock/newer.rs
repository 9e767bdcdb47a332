//! Which tag of an image is newer than another one: `1.27.4-bookworm` above `1.27.1-bookworm`.
//!
//! Takes tags, gives the highest of the same kind: as many numbers, and the same words after them. Pure.

/// Numbers with dots between them and what follows, of a tag such as `v1.27.1-bookworm`.
fn parts(tag: &str) -> Option<(Vec<u64>, &str)> {
    let bare = tag.strip_prefix('v').unwrap_or(tag);
    let end = bare.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(bare.len());
    let (numbers, rest) = bare.split_at_checked(end)?;
    let numbers = numbers.split('.').map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>()?;
    Some((numbers, rest))
}

/// Whether a tag says a version.
pub(super) fn is_version(tag: &str) -> bool {
    parts(tag).is_some()
}

/// The highest of `tags` above `tag`, where there is one of its kind.
pub(super) fn above(tag: &str, tags: &[String]) -> Option<String> {
    let (own, words) = parts(tag)?;
    let alike = tags.iter().filter_map(|other| {
        let (numbers, rest) = parts(other)?;
        let same = rest == words && numbers.len() == own.len() && other.starts_with('v') == tag.starts_with('v');
        (same && numbers > own).then_some((numbers, other))
    });
    alike.max().map(|(_, other)| other.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_of_the_same_kind_are_newer() {
        let tags = [
            "1.27.1-bookworm",
            "1.27.10-bookworm",
            "1.27.9-bookworm",
            "1.28.0",
            "1.28",
            "1",
            "2-bookworm",
            "v9.9.9-bookworm",
        ];
        let tags: Vec<String> = tags.map(str::to_owned).to_vec();
        for (tag, newer) in [
            ("1.27.1-bookworm", Some("1.27.10-bookworm")),
            ("1.27.10-bookworm", None),
            ("1.27.3", Some("1.28.0")),
            ("1.27", Some("1.28")),
            ("latest", None),
            ("nonroot", None),
            ("v1.0.0-bookworm", Some("v9.9.9-bookworm")),
        ] {
            assert_eq!(above(tag, &tags).as_deref(), newer, "{tag}");
        }
    }
}
