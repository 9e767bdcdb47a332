//! What is set aside: findings that are there and don't count, each with the reason and who says so.
//!
//! Takes the VEX documents and ignores of a repository, gives findings with `set_aside` and `violation` filled in. The
//! one place where that happens, whichever scanner found them: no finding is dropped here.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;

use jiff::civil::Date;

use super::ignore::{Extent, Ignores, Lapsed, Rule};
use super::vex::{Statements, Subject};
use super::{Finding, Kind, policy, trivyignore};
use crate::config;
use crate::error::Result;

/// The whole policy of a repository on a day.
pub(super) struct Policy<'a> {
    config: &'a config::Scan,
    statements: Statements,
    ignores: Ignores,
}

impl<'a> Policy<'a> {
    /// Reads what the policy names below `root`.
    ///
    /// # Errors
    /// [`crate::error::Class::Usage`] with file, line and column for a document that can't be understood.
    pub(super) fn read(root: &Path, config: &'a config::Scan, today: Date) -> Result<Policy<'a>> {
        let mut rules: Vec<Rule> = config.ignore.iter().map(Rule::of_table).collect();
        rules.extend(trivyignore::read(root)?);
        let statements = Statements::read(root, &config.vex)?;
        Ok(Policy { config, statements, ignores: Ignores::new(rules, today) })
    }

    /// Judges the findings of an image platform, or without `subject` those of the repository's files; sorts them,
    /// worst first. The places of the ignores that are about any of them are added to `used`.
    pub(super) fn apply(
        &self,
        findings: &mut Vec<Finding>,
        subject: Option<&Subject<'_>>,
        used: &mut BTreeSet<String>,
    ) {
        let rules = self.config.rules(subject.map(|subject| subject.image));
        for finding in findings.iter_mut() {
            // An ignore is needed for as long as what it is about is found, whatever else says that it doesn't count.
            let ignored = self.ignores.set_aside(finding, subject, used);
            let stated = subject.and_then(|subject| self.statements.set_aside(finding, subject));
            finding.set_aside = not_linked(finding).or(stated).or(ignored);
            finding.violation = policy::judge(finding, &rules);
        }
        findings.sort_by(|a, b| (Reverse(a.severity), a).cmp(&(Reverse(b.severity), b)));
        findings.dedup();
    }

    /// [`Ignores::lapsed`]
    pub(super) fn lapsed(&self, used: &BTreeSet<String>, extent: Extent) -> Vec<Lapsed> {
        self.ignores.lapsed(used, extent)
    }
}

/// Only govulncheck says that something isn't reachable, and only about a program that it looked at.
fn not_linked(finding: &Finding) -> Option<String> {
    let shown = finding.kind == Kind::Vulnerability && finding.reachable == Some(false);
    shown.then(|| "not affected by govulncheck: vulnerable_code_not_present, none of its symbols is linked".into())
}

#[cfg(test)]
mod tests;
