//! What one commit says has changed: conventional commits 1.0.0 and the merges of pull requests.
//!
//! Takes subject and body, gives a [`Change`]. Never guesses: what follows no convention is listed under other changes.

/// Where a change is listed, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Needs the user's attention.
    Breaking,
    /// `feat`
    Feature,
    /// `fix`
    Fix,
    /// `perf`
    Performance,
    /// Everything else.
    Other,
}

impl Kind {
    /// All, in the order they are listed.
    pub const ALL: [Kind; 5] = [Kind::Breaking, Kind::Feature, Kind::Fix, Kind::Performance, Kind::Other];

    /// The heading.
    pub fn heading(self) -> &'static str {
        match self {
            Kind::Breaking => "Breaking changes",
            Kind::Feature => "Features",
            Kind::Fix => "Fixes",
            Kind::Performance => "Performance",
            Kind::Other => "Other changes",
        }
    }
}

/// One line of the notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is listed.
    pub kind: Kind,
    /// What part it is about, `gate` of `feat(gate): …`.
    pub scope: Option<String>,
    /// What changed.
    pub text: String,
    /// For a breaking change, what the commit says to do about it.
    pub breaking: Option<String>,
    /// `#12`
    pub pull_request: Option<String>,
    /// The commit.
    pub commit: String,
}

impl Change {
    /// Reads a commit. The title of a merged pull request is the first line of the merge's body.
    pub(super) fn of(commit: &str, subject: &str, body: &str) -> Change {
        let (title, mut pull_request) = match merged(subject) {
            Some(number) => (body.lines().find(|line| !line.trim().is_empty()).unwrap_or(subject), Some(number)),
            None => (subject, None),
        };
        let mut title = title.trim();
        if let Some((rest, number)) = suffix(title) {
            (title, pull_request) = (rest, pull_request.or(Some(number)));
        }
        let breaking = footer(body);
        let (kind, scope, text) = conventional(title).unwrap_or((Kind::Other, None, title));
        let kind = if breaking.is_some() { Kind::Breaking } else { kind };
        let owned = |text: &str| text.to_owned();
        Change {
            kind,
            scope: scope.map(owned),
            text: text.to_owned(),
            breaking,
            pull_request,
            commit: commit.to_owned(),
        }
    }
}

/// `Merge pull request #12 from someone/branch`
pub(super) fn merged(subject: &str) -> Option<String> {
    let number = subject.strip_prefix("Merge pull request #")?.split(' ').next()?;
    is_number(number).then(|| format!("#{number}"))
}

/// `Do something (#12)`, as a squashed pull request is called.
fn suffix(title: &str) -> Option<(&str, String)> {
    let (rest, number) = title.strip_suffix(')')?.rsplit_once("(#")?;
    is_number(number).then(|| (rest.trim_end(), format!("#{number}")))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `type(scope)!: description`; a type that isn't known is listed under other changes, with all of its words.
fn conventional(title: &str) -> Option<(Kind, Option<&str>, &str)> {
    let (head, text) = title.split_once(": ")?;
    let (head, breaking) = head.strip_suffix('!').map_or((head, false), |head| (head, true));
    let (name, scope) = match head.split_once('(') {
        Some((name, scope)) => (name, Some(scope.strip_suffix(')')?)),
        None => (head, None),
    };
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    let kind = match name.to_ascii_lowercase().as_str() {
        _ if !named || text.trim().is_empty() => return None,
        _ if breaking => Kind::Breaking,
        "feat" | "feature" => Kind::Feature,
        "fix" => Kind::Fix,
        "perf" => Kind::Performance,
        "build" | "chore" | "ci" | "docs" | "refactor" | "revert" | "style" | "test" => Kind::Other,
        _ => return None,
    };
    Some((kind, scope.filter(|s| !s.is_empty()), text.trim()))
}

/// The text of a `BREAKING CHANGE:` footer, up to the next footer or paragraph.
fn footer(body: &str) -> Option<String> {
    let mut lines = body.lines().skip_while(|line| breaking_footer(line).is_none());
    let first = breaking_footer(lines.next()?)?;
    let more = lines.take_while(|line| !line.trim().is_empty() && !is_footer(line));
    let words: Vec<&str> = [first].into_iter().chain(more.map(str::trim)).collect();
    Some(words.join(" "))
}

fn breaking_footer(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("BREAKING CHANGE: ").or_else(|| line.strip_prefix("BREAKING-CHANGE: "))?;
    Some(rest.trim()).filter(|rest| !rest.is_empty())
}

/// `Token-like-this: value`
fn is_footer(line: &str) -> bool {
    let token = line.split_once(": ").map(|(token, _)| token);
    token.is_some_and(|t| t.contains('-') && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}
