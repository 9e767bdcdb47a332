//! A git repository as a source: `URL@REV` becomes a pristine checkout of one commit in the cache.
//!
//! Takes a [`GitSource`], gives a [`Source`]. Below the cache is one folder a repository, and in it one shallow
//! checkout a commit, made beside and then renamed; git itself says whether it is still as it was. Never alters what it
//! fetched: no filters, no line-end conversion, no hooks, no submodules.

mod url;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::url::Url;
use super::Source;
use super::git::{Git, LOCAL_LIMIT};
use super::path::Checkout;
use crate::config::GitSource;
use crate::error::{Class, Context, Error, Result};
use crate::oci::Digest;
use crate::plan::{SourceFacts, Workspace};
use crate::ui::Ui;

/// The longest a transfer may take. One that stalls is given up much earlier, see [`STALLED`].
const FETCH_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Gives up on less than 1000 bytes a second for 60 seconds.
const STALLED: [&str; 4] = ["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60"];

/// The bytes of the commit as they are, whatever its `.gitattributes` and the user's settings want to make of them.
const ATTRIBUTES: &str = "* -text -ident -filter -working-tree-encoding\n";

/// The module at a revision, from the cache where the commit is there.
pub(super) fn resolve(
    source: &GitSource,
    workspace: &Workspace,
    source_date_epoch: Option<i64>,
    ui: &Ui,
) -> Result<Source> {
    let url = Url::parse(&source.url)?;
    check_revision(&source.revision)?;
    let location = location(&url, source);
    let git = Git::new(url.login(), ui)?;
    let cache = cache(workspace, &url);
    let fetched = |(folder, checkout): (PathBuf, Checkout)| -> Result<Source> {
        let folder = folder.canonicalize().attempt(|| format!("find {}", folder.display()))?;
        Ok(Source { folder, facts: facts(location.clone(), &checkout, source_date_epoch), dirty_files: Vec::new() })
    };
    if let Some(kept) = commit_id(&source.revision).and_then(|id| kept(&git, &cache, &id, ui)) {
        return fetched(kept);
    }
    let step = ui.step(format!("fetch {location}"));
    let found = fetch(&git, &cache, &url, source, ui)
        .map_err(|e| match e.class() {
            Class::Failed | Class::Network => e.within(format!("failed to fetch {location}")),
            _ => e,
        })
        .and_then(fetched)?;
    step.done("");
    Ok(found)
}

/// What is known of it without a network.
pub(super) fn peek(
    source: &GitSource,
    workspace: &Workspace,
    source_date_epoch: Option<i64>,
    ui: &Ui,
) -> Result<SourceFacts> {
    let url = Url::parse(&source.url)?;
    check_revision(&source.revision)?;
    let commit = commit_id(&source.revision);
    let known = match &commit {
        Some(id) => kept(&Git::new(url.login(), ui)?, &cache(workspace, &url), id, ui).map(|(_, checkout)| checkout),
        None => None,
    };
    let checkout = known.unwrap_or(Checkout { commit, ..Checkout::default() });
    Ok(facts(location(&url, source), &checkout, source_date_epoch))
}

fn location(url: &Url, source: &GitSource) -> String {
    format!("{}@{}", url.clean(), source.revision)
}

fn facts(location: String, checkout: &Checkout, source_date_epoch: Option<i64>) -> SourceFacts {
    SourceFacts {
        location,
        revision: checkout.commit.clone(),
        epoch: source_date_epoch.unwrap_or(checkout.time),
        dirty: false,
    }
}

/// The folder of a repository's checkouts; a new login for it makes no new folder.
fn cache(workspace: &Workspace, url: &Url) -> PathBuf {
    workspace.cache.join("sources").join(Digest::of(url.clean().as_bytes()).short())
}

/// The checkout of commit `id`, if it is in the cache and as it was when it was made.
fn kept(git: &Git<'_>, cache: &Path, id: &str, ui: &Ui) -> Option<(PathBuf, Checkout)> {
    let folder = cache.join(id);
    // Without a .git of its own git would answer for a repository around the cache.
    if !folder.join(".git").is_dir() {
        return None;
    }
    let checkout = Checkout::read(git, &folder, ui).ok()?;
    (checkout.commit.as_deref() == Some(id) && checkout.dirty_files.is_empty()).then_some((folder, checkout))
}

fn fetch(git: &Git<'_>, cache: &Path, url: &Url, source: &GitSource, ui: &Ui) -> Result<(PathBuf, Checkout)> {
    std::fs::create_dir_all(cache).attempt(|| format!("create {}", cache.display()))?;
    let beside = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(cache)
        .attempt(|| format!("create a folder in {}", cache.display()))?;
    let folder = beside.path().join("checkout");
    let commit = commit_id(&source.revision);
    let remote = match &commit {
        Some(id) => Remote { name: id.clone(), id: id.clone() },
        None => look_up(git, url, source)?,
    };
    if let Some(kept) = kept(git, cache, &remote.id, ui) {
        return Ok(kept);
    }
    init(git, beside.path(), &remote.id)?;
    check_out(git, &folder, url, &remote, commit.is_some())?;
    let checkout = Checkout::read(git, &folder, ui)?;
    let Some(id) = &checkout.commit else {
        let hint = "the module must be at the top of the repository; submodules are not fetched";
        return Err(Error::usage(format!("source `{}` has no go.mod", location(url, source))).hint(hint));
    };
    let target = cache.join(id);
    place(git, &folder, &target, id, ui)?;
    Ok((target, checkout))
}

/// Gives a finished checkout its name. Another run may have been faster, and an altered one must go first.
fn place(git: &Git<'_>, folder: &Path, target: &Path, id: &str, ui: &Ui) -> Result<()> {
    let cache = target.parent().unwrap_or(target);
    if target.exists() && kept(git, cache, id, ui).is_none() {
        ui.note(&format!("{} had been altered and is replaced", target.display()));
        std::fs::remove_dir_all(target).attempt(|| format!("remove {}", target.display()))?;
    }
    match std::fs::rename(folder, target) {
        Err(_) if kept(git, cache, id, ui).is_some() => Ok(()),
        renamed => renamed.attempt(|| format!("name {}", target.display())),
    }
}

/// A revision as the remote repository knows it.
struct Remote {
    /// What to ask for: a reference's full name, or a commit id.
    name: String,
    /// The commit it stands for.
    id: String,
}

/// Asks the repository which reference `source` means: one round trip, and no objects.
fn look_up(git: &Git<'_>, url: &Url, source: &GitSource) -> Result<Remote> {
    // Not in the cache: the settings of a repository around it would apply here, but not to the fetch.
    let folder = Path::new("/");
    let revision = &source.revision;
    let names = match revision == "HEAD" || revision.starts_with("refs/") {
        true => vec![revision.clone()],
        false => vec![format!("refs/tags/{revision}"), format!("refs/heads/{revision}")],
    };
    let asked: Vec<String> = names.iter().flat_map(|name| [name.clone(), format!("{name}^{{}}")]).collect();
    let args: Vec<&str> = STALLED
        .iter()
        .copied()
        .chain(["ls-remote", "--quiet", "--", url.clean()])
        .chain(asked.iter().map(String::as_str))
        .collect();
    let answer = git.read(folder, &args, FETCH_LIMIT).map_err(unreachable)?;
    let answer = String::from_utf8_lossy(&answer);
    let id_of = |name: &str| {
        answer.lines().find_map(|line| line.split_once('\t').filter(|(_, n)| *n == name)).map(|(id, _)| id.to_owned())
    };
    // An annotated tag is an object of its own, and `^{}` the commit behind it.
    let mut found = names.iter().filter_map(|name| {
        Some(Remote { name: name.clone(), id: id_of(&format!("{name}^{{}}")).or_else(|| id_of(name))? })
    });
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(unknown(url, source)),
        (Some(tag), Some(branch)) => {
            Err(Error::usage(format!("{} has both a tag and a branch `{revision}`", url.clean()))
                .hint(format!("write @{} or @{}", tag.name, branch.name)))
        }
    }
}

fn unknown(url: &Url, source: &GitSource) -> Error {
    let hint = "name a tag, a branch, or a commit with all its digits";
    Error::usage(format!("{} has no revision `{}`", url.clean(), source.revision)).hint(hint)
}

fn unreachable(err: Error) -> Error {
    err.reclass(Class::Network)
        .hint("check the URL, the network, and that git on this machine may read the repository without asking")
}

/// Makes an empty repository whose objects are named as `id` is.
fn init(git: &Git<'_>, parent: &Path, id: &str) -> Result<()> {
    let format = if id.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    git.read(parent, &["init", "--quiet", "--template=", format, "checkout"], LOCAL_LIMIT)?;
    crate::fs::write(&parent.join("checkout/.git/info/attributes"), ATTRIBUTES.as_bytes())
}

/// Fetches one commit and puts its files in `folder`. A server may refuse to give a commit that isn't the tip of
/// anything; then all of its branches and tags are fetched.
fn check_out(git: &Git<'_>, folder: &Path, url: &Url, remote: &Remote, is_commit: bool) -> Result<()> {
    let fetch = |options: &[&str], what: &[&str]| {
        let fixed = [
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-recurse-submodules",
        ];
        let args = [STALLED.as_slice(), &fixed, options, &["--", url.clean()], what].concat();
        git.read(folder, &args, FETCH_LIMIT).map_err(unreachable)
    };
    let switch =
        |to: &str| git.read(folder, &["checkout", "--quiet", "--no-recurse-submodules", "--detach", to], FETCH_LIMIT);
    match fetch(&["--depth", "1"], &[&remote.name]) {
        Ok(_) => switch("FETCH_HEAD").map(|_| ()),
        Err(_) if is_commit => {
            fetch(&[], &["+refs/heads/*:refs/remotes/source/*", "+refs/tags/*:refs/tags/*"])?;
            switch(&remote.id).map(|_| ()).map_err(|e| {
                Error::usage(format!("{} has no commit {}", url.clean(), remote.id))
                    .because(e.message())
                    .hint("is it pushed?")
            })
        }
        Err(e) => Err(e),
    }
}

/// A whole commit id, in lower case: SHA-1 or SHA-256.
fn commit_id(revision: &str) -> Option<String> {
    let whole = matches!(revision.len(), 40 | 64) && revision.bytes().all(|b| b.is_ascii_hexdigit());
    whole.then(|| revision.to_ascii_lowercase())
}

/// Refuses what git would read as more than a name (git-check-ref-format(1)).
fn check_revision(revision: &str) -> Result<()> {
    let special = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let bad = revision.is_empty()
        || revision.starts_with(['-', '+', '/', '.'])
        || revision.ends_with(['/', '.'])
        || revision.contains(special);
    match bad || ["..", "@{", "//"].iter().any(|pair| revision.contains(pair)) {
        true => Err(Error::usage(format!("`{}` is not a revision", revision.escape_debug()))
            .hint("name a tag, a branch, or a commit with all its digits")),
        false => Ok(()),
    }
}
