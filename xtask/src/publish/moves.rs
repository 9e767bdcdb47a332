//! Tags: what a release would do to them, and doing it.
//!
//! Takes a destination's tags, gives [`TagMove`]s. A version tag is only ever created; floating tags go where
//! [`super::tags`] says, and the repository is listed again after every change, so that of two releases at once the
//! one that writes last has seen the other's version. Never sets a tag to what isn't there.

use semver::Version;
use serde::Serialize;

use super::{Destination, Remote, commit, tags};
use crate::build::BuiltImage;
use crate::chart::{Chart, Packed};
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
    /// The Helm chart's one tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<ImageMoves>,
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
        refusal(self.images.iter().chain(&self.chart).flat_map(refused).chain(recorded).collect())
    }
}

/// What a release of `packed` would do to the tags at `destination`, which stays as it is.
pub fn moves<'a>(packed: &'a Packed<'_>, destination: &dyn Destination) -> Result<TagMoves> {
    let (built, plan) = (packed.built(), &packed.built().plan);
    let images = pool::map(&built.images, REPOSITORIES, |image| {
        let remote = destination.remote(&image.plan.repository)?;
        let named = Named { remote: &*remote, tag: &plan.tags.version, digest: image.index.digest };
        let floating = floating_tags(&*remote, &image.index.digest, plan)?;
        let tags = std::iter::once(version_tag(&named, &plan.version)?).chain(floating).collect();
        Ok(ImageMoves { name: image.plan.name.clone(), repository: remote.name(), tags })
    })?;
    let record = commit::fetch(destination, &plan.record, &plan.tags.version)?;
    let identity =
        |i: &'a BuiltImage| Identity { name: &i.plan.name, repository: &i.plan.repository, index: i.index.digest };
    let wanted = packed.chart().map(|chart| (&chart.plan.repository, chart.manifest.digest));
    let contradictions =
        record.as_ref().map(|r| r.differences(&plan.version, built.images.iter().map(identity), wanted));
    let contradictions = contradictions.unwrap_or_default();
    // What is finished without a chart stays without one.
    let chart = packed.chart().filter(|_| record.is_none_or(|record| record.chart.is_some()));
    let chart = chart.map(|chart| chart_moves(chart, plan, destination)).transpose()?;
    Ok(TagMoves { destination: destination.describe(), images, chart, contradictions })
}

fn chart_moves(chart: &Chart, plan: &Plan, destination: &dyn Destination) -> Result<ImageMoves> {
    let remote = destination.remote(&chart.plan.repository)?;
    let named = Named { remote: &*remote, tag: &chart.plan.tag, digest: chart.manifest.digest };
    let tags = vec![version_tag(&named, &plan.version)?];
    Ok(ImageMoves { name: chart.plan.name.clone(), repository: remote.name(), tags })
}

/// What the tag of a version is to name.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) remote: &'a dyn Remote,
    pub(super) tag: &'a str,
    pub(super) digest: Digest,
}

/// A repository, the version's tag in it, and what that is to name.
pub(super) struct Tagging<'a> {
    pub(super) remote: &'a dyn Remote,
    pub(super) tag: &'a str,
    pub(super) document: &'a Document,
}

impl<'a> Tagging<'a> {
    fn named(&self) -> Named<'a> {
        Named { remote: self.remote, tag: self.tag, digest: self.document.descriptor.digest }
    }
}

/// Looks at the version's tag of every repository; gives what each becomes, and an item for each that names something
/// else.
pub(super) fn look(all: &[Named<'_>], version: &Version) -> Result<(Vec<TagMove>, Vec<Item>)> {
    let moves = pool::map(all, REPOSITORIES, |named| version_tag(named, version))?;
    let refused = all.iter().zip(&moves).filter(|(_, m)| m.action == Action::Refused);
    let items = refused.map(|(named, m)| conflict(&named.remote.name(), m)).collect();
    Ok((moves, items))
}

fn check_versions(all: &[Named<'_>], version: &Version) -> Result<Vec<TagMove>> {
    let (moves, items) = look(all, version)?;
    refusal(items).map_or(Ok(moves), Err)
}

/// Sets the version's tag in every repository, the chart's last, then the floating tags of `images`. Gives each
/// repository's tags, those of the chart last.
pub(super) fn apply(images: &[Tagging<'_>], chart: Option<&Tagging<'_>>, plan: &Plan) -> Result<Vec<Vec<TagMove>>> {
    let wanted: Vec<_> = images.iter().chain(chart).map(Tagging::named).collect();
    let versions = check_versions(&wanted, &plan.version)?;
    let missing: Vec<_> = images.iter().zip(&versions).filter(|(_, m)| m.changes()).map(|(t, _)| t).collect();
    pool::map(&missing, REPOSITORIES, |t| t.remote.set_tag(t.tag, t.document))?;
    if let Some(chart) = chart.filter(|_| versions.last().is_some_and(TagMove::changes)) {
        chart.remote.set_tag(chart.tag, chart.document)?;
    }
    // Another release of the same version may have come in between: whoever sees the other's digest says so.
    if versions.iter().any(TagMove::changes) {
        check_versions(&wanted, &plan.version)?;
    }
    let floating = pool::map(images, REPOSITORIES, |tagging| settle(tagging, plan))?;
    let floating = floating.into_iter().chain(chart.map(|_| Vec::new()));
    Ok(versions.into_iter().zip(floating).map(|(version, floating)| [vec![version], floating].concat()).collect())
}

fn version_tag(named: &Named<'_>, version: &Version) -> Result<TagMove> {
    let from = named.remote.resolve(named.tag)?.map(|d| d.digest);
    let mut found = TagMove::new(named.tag, from, named.digest, version);
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
    let Tagging { remote, document: index, .. } = tagging;
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
        check_versions(&[tagging.named()], &plan.version)?;
        for next in wanted.into_iter().filter(TagMove::changes) {
            set(tagging, &next)?;
            made.push(next);
        }
    }
    let message = format!("the floating tags of {} changed {ROUNDS} times while being set", remote.name());
    Err(Error::network(message).because("other releases are under way").hint("run the same command again"))
}

fn set(tagging: &Tagging<'_>, next: &TagMove) -> Result<()> {
    let Tagging { remote, document: index, .. } = tagging;
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
