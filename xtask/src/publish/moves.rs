//! Tags: what a release would do to them, and doing it.
//!
//! Takes a destination's tags, gives [`TagMove`]s. A version tag is only ever created; floating tags go where
//! [`super::tags`] says, and the repository is listed again after every change, so that of two releases at once the
//! one that writes last has seen the other's version. Never sets a tag to what isn't there.

use semver::Version;
use serde::Serialize;

use super::{Destination, Remote, commit, tags};
use crate::build::{Built, BuiltImage};
use crate::error::{Class, Error, Item, Result};
use crate::oci::Digest;
use crate::oci::spec::Document;
use crate::plan::Plan;
use crate::pool;
use crate::record::Identity;

/// How many repositories are looked at side by side.
const REPOSITORIES: usize = 8;
/// How often floating tags are computed anew before giving up: each further round means that another release set a
/// version tag in the meantime.
const ROUNDS: usize = 5;

/// What becomes of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It wasn't there.
    Created,
    /// It named this release already.
    Already,
    /// It named something else.
    Moved,
    /// It names a higher version and stays there.
    Kept,
    /// It is a version tag that names something else: the release must not go on.
    Refused,
}

/// One tag of one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TagMove {
    /// The tag.
    pub tag: String,
    /// What becomes of it.
    pub action: Action,
    /// What it named before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Digest>,
    /// What it names afterwards.
    pub to: Digest,
    /// The version that this is.
    pub version: Version,
}

impl TagMove {
    fn new(tag: &str, from: Option<Digest>, to: Digest, version: &Version) -> TagMove {
        let action = match from {
            None => Action::Created,
            Some(from) if from == to => Action::Already,
            Some(_) => Action::Moved,
        };
        TagMove { tag: tag.to_owned(), action, from, to, version: version.clone() }
    }

    fn changes(&self) -> bool {
        matches!(self.action, Action::Created | Action::Moved)
    }
}

/// The tags of one image's repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageMoves {
    /// The image's name in the table.
    pub name: String,
    /// Its repository, in full.
    pub repository: String,
    /// The version's tag first.
    pub tags: Vec<TagMove>,
}

/// Every tag a release would set, move, keep or be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TagMoves {
    /// Where.
    pub destination: String,
    /// In the order of the plan.
    pub images: Vec<ImageMoves>,
    /// How the version's record, where it has one already, contradicts this release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<String>,
}

impl TagMoves {
    /// The error (class tag conflict) with which a release would end; none when nothing is refused.
    pub fn refusal(&self) -> Option<Error> {
        let refused = |image: &ImageMoves| {
            let of = |m: &&TagMove| m.action == Action::Refused;
            image.tags.iter().filter(of).map(|m| conflict(&image.repository, m)).collect::<Vec<_>>()
        };
        let recorded = self.contradictions.iter().cloned().map(item);
        refusal(self.images.iter().flat_map(refused).chain(recorded).collect())
    }
}

/// What a release of `built` would do to the tags at `destination`, which stays as it is.
pub fn moves<'a>(built: &'a Built, destination: &dyn Destination) -> Result<TagMoves> {
    let images = pool::map(&built.images, REPOSITORIES, |image| {
        let remote = destination.remote(&image.plan.repository)?;
        let version = version_tag(&*remote, &image.index.digest, &built.plan)?;
        let floating = floating_tags(&*remote, &image.index.digest, &built.plan)?;
        let tags = std::iter::once(version).chain(floating).collect();
        Ok(ImageMoves { name: image.plan.name.clone(), repository: remote.name(), tags })
    })?;
    let record = commit::fetch(destination, &built.plan.record, &built.plan.tags.version)?;
    let identity =
        |i: &'a BuiltImage| Identity { name: &i.plan.name, repository: &i.plan.repository, index: i.index.digest };
    let contradictions = record.map(|r| r.differences(&built.plan.version, built.images.iter().map(identity)));
    let contradictions = contradictions.unwrap_or_default();
    Ok(TagMoves { destination: destination.describe(), images, contradictions })
}

/// One image's repository and what its tags are to name.
pub(super) struct Tagging<'a> {
    pub(super) remote: &'a dyn Remote,
    pub(super) index: &'a Document,
}

/// Looks at the version tag of every repository; gives what each becomes, and an item for each that names something
/// else.
pub(super) fn look(all: &[(&dyn Remote, Digest)], plan: &Plan) -> Result<(Vec<TagMove>, Vec<Item>)> {
    let moves = pool::map(all, REPOSITORIES, |(remote, index)| version_tag(*remote, index, plan))?;
    let refused = all.iter().zip(&moves).filter(|(_, m)| m.action == Action::Refused);
    let items = refused.map(|((remote, _), m)| conflict(&remote.name(), m)).collect();
    Ok((moves, items))
}

fn check_versions(all: &[(&dyn Remote, Digest)], plan: &Plan) -> Result<Vec<TagMove>> {
    let (moves, items) = look(all, plan)?;
    refusal(items).map_or(Ok(moves), Err)
}

/// Sets all version tags, then the floating ones. Gives each repository's tags in the order of `all`.
pub(super) fn apply(all: &[Tagging<'_>], plan: &Plan) -> Result<Vec<Vec<TagMove>>> {
    let wanted: Vec<_> = all.iter().map(|t| (t.remote, t.index.descriptor.digest)).collect();
    let versions = check_versions(&wanted, plan)?;
    let missing: Vec<&Tagging<'_>> = all.iter().zip(&versions).filter(|(_, m)| m.changes()).map(|(t, _)| t).collect();
    pool::map(&missing, REPOSITORIES, |t| t.remote.set_tag(&plan.tags.version, t.index))?;
    // Another release of the same version may have come in between: whoever sees the other's digest says so.
    if !missing.is_empty() {
        check_versions(&wanted, plan)?;
    }
    let floating = pool::map(all, REPOSITORIES, |tagging| settle(tagging, plan))?;
    Ok(versions.into_iter().zip(floating).map(|(version, floating)| [vec![version], floating].concat()).collect())
}

fn version_tag(remote: &dyn Remote, index: &Digest, plan: &Plan) -> Result<TagMove> {
    let from = remote.resolve(&plan.tags.version)?.map(|d| d.digest);
    let mut found = TagMove::new(&plan.tags.version, from, *index, &plan.version);
    if found.action == Action::Moved {
        found.action = Action::Refused;
    }
    Ok(found)
}

fn floating_tags(remote: &dyn Remote, index: &Digest, plan: &Plan) -> Result<Vec<TagMove>> {
    if plan.tags.floating.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for target in tags::targets(&remote.tags()?, &plan.version, &plan.tags) {
        let own = target.version == plan.version;
        let to = if own { Some(*index) } else { remote.resolve(&target.version_tag)?.map(|d| d.digest) };
        let to = to.ok_or_else(|| {
            let listed = format!("{} lists tag {} but does not have it", remote.name(), target.version_tag);
            Error::network(listed).hint("run the same command again")
        })?;
        let from = remote.resolve(&target.tag)?.map(|d| d.digest);
        let mut next = TagMove::new(&target.tag, from, to, &target.version);
        if !own && next.action == Action::Already {
            next.action = Action::Kept;
        }
        found.push(next);
    }
    Ok(found)
}

/// Moves floating tags until a look at the repository finds nothing left to move.
fn settle(tagging: &Tagging<'_>, plan: &Plan) -> Result<Vec<TagMove>> {
    let Tagging { remote, index } = tagging;
    let mut made: Vec<TagMove> = Vec::new();
    for _ in 0..ROUNDS {
        let mut wanted = floating_tags(*remote, &index.descriptor.digest, plan)?;
        if !wanted.iter().any(TagMove::changes) {
            for last in &mut wanted {
                if let Some(change) = made.iter().rfind(|m| m.tag == last.tag && m.to == last.to) {
                    *last = change.clone();
                }
            }
            return Ok(wanted);
        }
        // A rival of the same version moves these tags back for as long as both go on: its version tag tells.
        check_versions(&[(*remote, index.descriptor.digest)], plan)?;
        for next in wanted.into_iter().filter(TagMove::changes) {
            set(tagging, &next)?;
            made.push(next);
        }
    }
    let message = format!("the floating tags of {} changed {ROUNDS} times while being set", remote.name());
    Err(Error::network(message).because("other releases are under way").hint("run the same command again"))
}

fn set(tagging: &Tagging<'_>, next: &TagMove) -> Result<()> {
    let Tagging { remote, index } = tagging;
    if next.to == index.descriptor.digest {
        return remote.set_tag(&next.tag, index);
    }
    let document = remote.manifest(&next.to)?.filter(|d| Digest::of(&d.bytes) == next.to).ok_or_else(|| {
        Error::verification(format!(
            "the tag of {} in {} names {}, which isn't there",
            next.version,
            remote.name(),
            next.to
        ))
    })?;
    remote.set_tag(&next.tag, &document)
}

fn conflict(repository: &str, found: &TagMove) -> Item {
    let TagMove { tag, from, to, .. } = found;
    let from = from.map_or_else(|| "nothing".to_owned(), |d| d.to_string());
    item(format!("{repository}:{tag} names {from}, this release is {to}"))
}

/// One contradiction.
pub(super) fn item(what: String) -> Item {
    Item { what, fix: None }
}

/// The error for version tags that name something else; none for no items.
pub(super) fn refusal(items: Vec<Item>) -> Option<Error> {
    if items.is_empty() {
        return None;
    }
    let message = "this version was released with other content, and a version tag never moves";
    Some(Error::new(Class::TagConflict, message).items(items).hint("release the change under a new version"))
}
