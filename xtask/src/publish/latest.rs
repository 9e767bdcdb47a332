//! The newest finished release of a destination.
//!
//! Takes the tags of the record's repository, gives one of them. A version without a record isn't finished, and the tag
//! `latest` of an image isn't asked: its record is what says which release it belongs to.

use super::Destination;
use crate::config::{Repository, TagTemplate};
use crate::error::Result;

/// The tag of the highest stable version that has a record; `None` where there is none.
pub fn latest(destination: &dyn Destination, records: &Repository, template: &TagTemplate) -> Result<Option<String>> {
    let tags = destination.remote(records)?.tags()?;
    let versions = tags.iter().filter_map(|tag| Some((template.version_of(tag)?, tag)));
    let stable = versions.filter(|(version, _)| version.pre.is_empty());
    Ok(stable.max().map(|(_, tag)| tag.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::fixture::Place;

    #[test]
    fn the_newest_is_the_highest_stable_version_whatever_the_order() -> Result<()> {
        let place = Place::new();
        let (records, template) = ("goverse-release".parse()?, "v{version}".parse()?);
        assert_eq!(latest(&place.destination, &records, &template)?, None);
        for version in ["1.10.0", "1.9.0", "2.0.0-rc.1"] {
            place.release(version, version)?;
        }
        assert_eq!(latest(&place.destination, &records, &template)?.as_deref(), Some("v1.10.0"));
        Ok(())
    }
}
