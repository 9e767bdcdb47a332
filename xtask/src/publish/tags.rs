//! Which version each floating tag should name, given the tags of a repository.
//!
//! Pure: takes names, gives names. A floating tag only moves up: it names the highest stable version in the repository
//! among those whose template gives that tag, so that a backport never takes `latest` and a pre-release moves nothing.
//! The result depends on which versions are there, never on the order in which they came.
//!
//! Versions of equal precedence (semver 2.0, item 10: they differ in build metadata only) are put in the total order
//! of the `semver` crate: numeric parts by number, others by ASCII, more parts above fewer.

use semver::Version;

use crate::plan::Tags;

/// What a floating tag should name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The floating tag.
    pub tag: String,
    /// The highest stable version of its range.
    pub version: Version,
    /// That version's own tag.
    pub version_tag: String,
}

/// Where the floating tags of a release of `version` belong. The version counts as being there, because a registry's
/// list of tags may lag behind.
pub fn targets<'a>(existing: impl IntoIterator<Item = &'a String>, version: &Version, tags: &Tags) -> Vec<Target> {
    let known = existing.into_iter().filter_map(|tag| tags.template.version_of(tag));
    let stable: Vec<Version> = known.chain([version.clone()]).filter(|v| v.pre.is_empty()).collect();
    let target = |floating: &crate::plan::FloatingTag| {
        let highest = stable.iter().filter(|v| floating.template.tag(v) == floating.tag).max()?.clone();
        Some(Target { tag: floating.tag.clone(), version_tag: tags.template.tag(&highest), version: highest })
    };
    tags.floating.iter().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::TagTemplate;
    use crate::plan::FloatingTag;

    fn plan(version: &Version) -> Tags {
        let template = |text: &str| text.parse::<TagTemplate>().unwrap();
        let float = |text: &str| FloatingTag { tag: template(text).tag(version), template: template(text) };
        let floating = ["v{major}.{minor}", "v{major}", "latest"].map(float).into();
        Tags {
            version: template("v{version}").tag(version),
            template: template("v{version}"),
            floating: if version.pre.is_empty() { floating } else { Vec::new() },
        }
    }

    /// The floating tags after releases in this order.
    fn released(order: &[&str]) -> BTreeMap<String, String> {
        let mut registry: Vec<String> = vec!["nightly".into(), "v1.2.x".into(), "1.9.9".into()];
        let mut floating = BTreeMap::new();
        for text in order {
            let version: Version = text.parse().unwrap();
            let tags = plan(&version);
            registry.push(tags.version.clone());
            floating.extend(targets(&registry, &version, &tags).into_iter().map(|t| (t.tag, t.version_tag)));
            registry.extend(floating.keys().cloned());
        }
        floating
    }

    fn permutations<'a>(items: &[&'a str]) -> Vec<Vec<&'a str>> {
        let Some((first, rest)) = items.split_first() else { return vec![Vec::new()] };
        let insert = |order: Vec<&'a str>| {
            let at = move |at: usize| [&order[..at], &[*first], &order[at..]].concat();
            (0..items.len()).map(at).collect::<Vec<_>>()
        };
        permutations(rest).into_iter().flat_map(insert).collect()
    }

    #[test]
    fn a_backport_moves_only_its_own_range() {
        let tags = released(&["1.3.0", "1.2.1"]);
        let wanted = [("latest", "v1.3.0"), ("v1", "v1.3.0"), ("v1.2", "v1.2.1"), ("v1.3", "v1.3.0")];
        assert_eq!(tags, wanted.map(|(t, v)| (t.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn a_pre_release_moves_nothing_and_is_no_target() {
        assert_eq!(released(&["2.0.0-rc.1"]), BTreeMap::new());
        assert_eq!(released(&["1.0.0", "2.0.0-rc.1"])["latest"], "v1.0.0");
        assert_eq!(released(&["2.0.0-rc.1", "1.0.0"])["latest"], "v1.0.0");
    }

    #[test]
    fn ten_is_above_nine_and_builds_of_one_version_have_an_order() {
        assert_eq!(released(&["1.10.0", "1.9.0"])["latest"], "v1.10.0");
        assert_eq!(released(&["1.0.0+build.10", "1.0.0+build.9", "1.0.0"])["latest"], "v1.0.0_build.10");
    }

    #[test]
    fn any_order_of_releases_ends_with_the_same_tags() {
        let versions = ["1.2.0", "1.2.1", "1.3.0", "2.0.0-rc.1", "2.0.0", "2.0.0+hotfix"];
        let wanted = [
            ("latest", "v2.0.0_hotfix"),
            ("v1", "v1.3.0"),
            ("v1.2", "v1.2.1"),
            ("v1.3", "v1.3.0"),
            ("v2", "v2.0.0_hotfix"),
            ("v2.0", "v2.0.0_hotfix"),
        ];
        let wanted: BTreeMap<String, String> = wanted.map(|(t, v)| (t.to_owned(), v.to_owned())).into();
        let orders = permutations(&versions);
        assert_eq!(orders.len(), 720);
        for order in orders {
            assert_eq!(released(&order), wanted, "{order:?}");
        }
    }
}
