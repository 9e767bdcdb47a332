//! History: the changes between the version before and this one, as git knows them.
//!
//! Takes a checkout and a commit, gives [`History`]. A merged pull request is one change, whatever its commits are
//! called; what they say of breaking changes is not lost. Never fetches, and never changes the checkout.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use semver::Version;

use super::Change;
use super::commit::{Kind, merged};
use crate::error::Result;
use crate::source::git::{Git, LOCAL_LIMIT};
use crate::ui::Ui;

/// The most commits read; a release of more has no notes that anyone would read.
const COMMITS: usize = 10_000;

/// What changed, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The tag of the version before; `None` for the first.
    pub previous: Option<String>,
    /// The changes since.
    pub changes: Vec<Change>,
    /// Whether some are missing, because the checkout has only the newest commits or there are too many.
    pub cut: bool,
}

/// A commit with its parents.
struct Commit {
    parents: Vec<String>,
    subject: String,
    body: String,
}

/// The changes that led to `revision` since the highest version below `version` that it contains; `None` where
/// `folder` is under no git or the revision isn't there.
pub fn read(folder: &Path, revision: &str, version: &Version, ui: &Ui) -> Result<Option<History>> {
    let git = Git::new(None, ui)?;
    let known = git.output(folder, &["cat-file", "-e", &format!("{revision}^{{commit}}")], "", LOCAL_LIMIT)?;
    if !known.status.success() {
        return Ok(None);
    }
    let text = |args: &[&str]| -> Result<String> {
        Ok(String::from_utf8_lossy(&git.read(folder, args, LOCAL_LIMIT)?).into_owned())
    };
    let tags = text(&["tag", "--list", "--merged", revision])?;
    let previous = previous(tags.lines(), version);
    let shallow = text(&["rev-parse", "--is-shallow-repository"])?.trim() == "true";
    let range = previous.as_ref().map_or_else(|| revision.to_owned(), |tag| format!("refs/tags/{tag}..{revision}"));
    let limit = format!("--max-count={}", COMMITS + 1);
    let log = text(&["log", "-z", "--no-show-signature", "--format=%H%n%P%n%s%n%b", &limit, &range, "--"])?;
    let commits = parse(&log);
    let cut = commits.len() > COMMITS || (shallow && previous.is_none());
    let start = text(&["rev-parse", &format!("{revision}^{{commit}}")])?;
    Ok(Some(History { previous, changes: changes(&commits, start.trim()), cut }))
}

/// The highest version below `version`; a stable one follows the stable one before it, not its own candidates.
fn previous<'a>(tags: impl Iterator<Item = &'a str>, version: &Version) -> Option<String> {
    let versions = tags.filter_map(|tag| Some((tag.strip_prefix('v').unwrap_or(tag).parse::<Version>().ok()?, tag)));
    let below = versions.filter(|(v, _)| v < version && (v.pre.is_empty() || !version.pre.is_empty()));
    below.max().map(|(_, tag)| tag.to_owned())
}

fn parse(log: &str) -> BTreeMap<String, Commit> {
    let one = |record: &str| {
        let mut parts = record.splitn(4, '\n');
        let (id, parents, subject) = (parts.next()?, parts.next()?, parts.next()?);
        let parents = parents.split(' ').filter(|p| !p.is_empty()).map(str::to_owned).collect();
        let commit =
            Commit { parents, subject: subject.to_owned(), body: parts.next().unwrap_or_default().trim().to_owned() };
        Some((id.to_owned(), commit))
    };
    log.split('\0').filter_map(one).collect()
}

/// What is still to be looked at; `covered` when a pull request stands for it.
enum Step {
    /// A line of first parents, from its newest commit on.
    Line { newest: String, covered: bool },
    /// One commit of a line.
    Commit { id: String, covered: bool },
}

/// Walks the line of first parents and, from the oldest merge on, what each merge brought in. A pull request's merge
/// stands for its commits; another merge's commits stand for themselves.
fn changes(commits: &BTreeMap<String, Commit>, start: &str) -> Vec<Change> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut open = vec![Step::Line { newest: start.to_owned(), covered: false }];
    while let Some(step) = open.pop() {
        match step {
            Step::Line { newest, covered } => {
                let mut next = Some(newest);
                while let Some((id, commit)) = next.and_then(|id| commits.get(&id).map(|commit| (id, commit))) {
                    if !seen.insert(id.clone()) {
                        break;
                    }
                    let covers = covered || merged(&commit.subject).is_some();
                    open.push(Step::Commit { id, covered });
                    open.extend(
                        commit.parents.iter().skip(1).map(|p| Step::Line { newest: p.clone(), covered: covers }),
                    );
                    next = commit.parents.first().cloned();
                }
            }
            Step::Commit { id, covered } => found.extend(commits.get(&id).and_then(|c| change(&id, c, covered))),
        }
    }
    found.reverse();
    found
}

/// A merge says something only as a pull request's, and a commit that one stands for only when it breaks something.
fn change(id: &str, commit: &Commit, covered: bool) -> Option<Change> {
    let speaks = commit.parents.len() < 2 || merged(&commit.subject).is_some();
    let change = Change::of(id, &commit.subject, &commit.body);
    Some(change).filter(|change| speaks && (!covered || change.kind == Kind::Breaking))
}
