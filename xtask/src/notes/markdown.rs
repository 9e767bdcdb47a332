//! Notes as Markdown that GitHub, GitLab and people read.
//!
//! Takes [`Notes`], gives text. What people wrote in commits is shown as text: it can neither hold HTML nor call
//! anybody by name.

use std::fmt::Write as _;

use super::{Change, Kind, Notes};
use crate::oci::Digest;
use crate::record::{Record, ReleasedChart, ReleasedImage};
use crate::ui::size;

/// How much of a commit's id is shown, enough to be found by.
const SHORT: usize = 10;

pub(super) fn document(notes: &Notes<'_>) -> String {
    let mut parts = vec![format!("# {}", notes.tag)];
    parts.extend(notes.changelog.map(str::to_owned));
    parts.extend(changes(notes));
    if let Some(record) = notes.record {
        parts.extend([source(record), images(record)]);
        parts.extend(record.chart.as_ref().map(|released| chart(record, released)));
        parts.extend([findings(record), sboms(record), verify(record)]);
    }
    parts.join("\n\n") + "\n"
}

fn changes(notes: &Notes<'_>) -> Vec<String> {
    let Some(history) = notes.history else { return Vec::new() };
    let since = history.previous.as_ref().map(|tag| format!("Changes since {tag}:"));
    let mut parts = vec![since.unwrap_or_else(|| "The first version.".into())];
    if history.changes.is_empty() && history.previous.is_some() {
        parts = vec![format!("No changes since {}.", history.previous.as_deref().unwrap_or_default())];
    }
    for kind in Kind::ALL {
        let lines: Vec<String> = history.changes.iter().filter(|c| c.kind == kind).map(line).collect();
        if !lines.is_empty() {
            parts.push(format!("## {}\n\n{}", kind.heading(), lines.join("\n")));
        }
    }
    if history.cut {
        parts.push(
            "Older changes are not listed: the checkout these notes were made from does not have them all.".into(),
        );
    }
    parts
}

fn line(change: &Change) -> String {
    let scope = change.scope.as_ref().map(|scope| format!("**{}:** ", inert(scope))).unwrap_or_default();
    let commit: String = change.commit.chars().take(SHORT).collect();
    let place = change.pull_request.iter().cloned().chain([commit]).collect::<Vec<_>>().join(", ");
    let mut line = format!("- {scope}{} ({place})", inert(&change.text));
    if let Some(breaking) = &change.breaking {
        line += &format!("\n  {}", inert(breaking));
    }
    line
}

/// Text that is only text, but for code between backticks, where Markdown itself takes nothing for markup.
fn inert(text: &str) -> String {
    let mut shown = String::new();
    let closed = text.matches('`').count() / 2 * 2;
    for (at, piece) in text.split('`').enumerate() {
        if at > 0 {
            shown.push_str(if at <= closed { "`" } else { "\\`" });
        }
        match at % 2 == 1 && at < closed {
            true => shown.push_str(piece),
            false => piece.chars().for_each(|c| match c {
                '<' => shown.push_str("&lt;"),
                '>' => shown.push_str("&gt;"),
                '@' => shown.push_str("@<!-- -->"),
                '[' | ']' | '!' | '\\' | '|' => shown.extend(['\\', c]),
                c if c.is_control() => shown.push(' '),
                c => shown.push(c),
            }),
        }
    }
    shown
}

fn source(record: &Record) -> String {
    let source = &record.source;
    let revision = source.revision.as_deref().unwrap_or("under no version control");
    let state = if source.dirty && source.revision.is_some() { ", with changes that are in no commit" } else { "" };
    let tools: Vec<String> = record.toolchain.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!("## Source\n\n`{}` at `{revision}`{state}, built with {}.", source.location, tools.join(", "))
}

fn images(record: &Record) -> String {
    let mut text = String::from("## Images\n\n| Image | Platform | Size | Digest |\n|---|---|---|---|");
    for image in &record.images {
        let _ = write!(text, "\n| `{}` | all | | `{}` |", name(image), image.index.digest);
        for platform in &image.platforms {
            let _ = write!(
                text,
                "\n| | {} | {} | `{}` |",
                platform.platform,
                size(platform.size),
                platform.manifest.digest
            );
        }
    }
    text
}

fn chart(record: &Record, chart: &ReleasedChart) -> String {
    let ReleasedChart { repository, reference, manifest, .. } = chart;
    let (name, version) = (repository.name(), &record.version);
    format!(
        "## Helm chart\n\nIts values name these images by digest: `{reference}@{}`.\n\n    \
         helm install {name} oci://{reference} --version {version}",
        manifest.digest
    )
}

fn findings(record: &Record) -> String {
    let scan = &record.scan;
    let mut text = String::from("## Known vulnerabilities\n\n");
    if let Some(reason) = &scan.skipped {
        return text + &format!("Not scanned: {}.", inert(reason));
    }
    let counts: Vec<String> = scan.findings.iter().rev().map(|(severity, n)| format!("{n} {severity}")).collect();
    text += &match counts.is_empty() {
        true => "None".to_owned(),
        false => counts.join(", "),
    };
    let databases =
        scan.databases.iter().map(|d| format!("{} of {}", d.name, d.updated)).collect::<Vec<_>>().join(", ");
    let _ = write!(text, ", by {}", scan.scanners.join(", "));
    text += &if databases.is_empty() { ".".to_owned() } else { format!(" with {databases}.") };
    for (id, why) in &scan.violations {
        let _ = write!(text, "\n- {id}: {}", inert(why));
    }
    text
}

fn sboms(record: &Record) -> String {
    let mut text = String::from("## SBOMs\n\nEach is a referrer of its image, to be had by its digest:\n");
    for image in &record.images {
        for platform in &image.platforms {
            for sbom in &platform.sboms {
                let reference = at(image, &sbom.artifact.digest);
                let _ = write!(text, "\n- {} {}, `{}`: `{reference}`", image.name, platform.platform, sbom.format);
            }
        }
    }
    text
}

fn verify(record: &Record) -> String {
    format!(
        "## Verify\n\nPull everything back and hash it again:\n\n    cargo xtask verify {} --from {}",
        record.tags.version, record.destination
    )
}

/// The image's name without a digest.
fn name(image: &ReleasedImage) -> &str {
    image.reference.split('@').next().unwrap_or_default()
}

fn at(image: &ReleasedImage, digest: &Digest) -> String {
    format!("{}@{digest}", name(image))
}
