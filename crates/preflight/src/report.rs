//! Verdicts, and the report with one verdict per check.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{CHECKS, Facts, Fix};
use flightdeck_core::runs::RunKind;

/// Severity of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Pass,
    Warn,
    /// Blocks a launch.
    Fail,
}

/// Result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    /// One sentence naming the problem. May contain remote text.
    pub message: String,
    /// Why it matters and what to do; may be empty.
    pub explanation: String,
    pub fix: Option<Fix>,
}

impl Verdict {
    fn new(level: Level, message: impl Into<String>) -> Self {
        Self {
            level,
            message: message.into(),
            explanation: String::new(),
            fix: None,
        }
    }

    pub(super) fn pass(message: impl Into<String>) -> Self {
        Self::new(Level::Pass, message)
    }

    pub(super) fn warn(message: impl Into<String>) -> Self {
        Self::new(Level::Warn, message)
    }

    pub(super) fn fail(message: impl Into<String>) -> Self {
        Self::new(Level::Fail, message)
    }

    pub(super) fn because(mut self, explanation: impl Into<String>) -> Self {
        self.explanation = explanation.into();
        self
    }

    pub(super) fn fixed_by(mut self, fix: impl Into<Option<Fix>>) -> Self {
        self.fix = fix.into();
        self
    }
}

/// One row of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckResult {
    /// Stable name for `--override`, scripts and the run's record.
    pub id: &'static str,
    /// Label on screen.
    #[serde(skip)]
    pub title: &'static str,
    #[serde(rename = "verdict")]
    pub level: Level,
    pub message: String,
    #[serde(skip)]
    pub explanation: String,
    pub fix: Option<Fix>,
}

/// Verdicts in the order of [`CHECKS`]. Checks without a verdict are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// The worst level of the checks that count.
    pub verdict: Level,
    pub kind: RunKind,
    pub checks: Vec<CheckResult>,
    /// Overridden failures and the reasons; they do not count for the verdict.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overridden: BTreeMap<String, String>,
}

impl Report {
    /// Runs every check.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let checked = |check: &&'static dyn super::Check| {
            let verdict = check.check(facts)?;
            Some(CheckResult {
                id: check.id(),
                title: check.title(),
                level: verdict.level,
                message: verdict.message,
                explanation: verdict.explanation,
                fix: verdict.fix,
            })
        };
        let checks: Vec<CheckResult> = CHECKS.iter().filter_map(checked).collect();
        Self {
            verdict: worst(&checks, |_| true),
            kind: facts.kind,
            checks,
            overridden: BTreeMap::new(),
        }
    }

    /// Overrides failed checks, by ID and reason. Overrides of other checks are ignored.
    #[must_use]
    pub fn with_overrides(mut self, overrides: impl IntoIterator<Item = (String, String)>) -> Self {
        let fails = |id: &str| {
            self.check(id)
                .is_some_and(|check| check.level == Level::Fail)
        };
        let overridden = overrides.into_iter().filter(|(id, _)| fails(id));
        self.overridden = overridden.collect();
        self.verdict = worst(&self.checks, |check| {
            !self.overridden.contains_key(check.id)
        });
        self
    }

    /// Returns the check with that ID, if it has a verdict.
    #[must_use]
    pub fn check(&self, id: &str) -> Option<&CheckResult> {
        self.checks.iter().find(|check| check.id == id)
    }

    /// Returns the checks that block a launch: ID and message.
    #[must_use]
    pub fn blocking(&self) -> Vec<(String, String)> {
        self.checks
            .iter()
            .filter(|check| check.level == Level::Fail)
            .map(|check| (check.id.to_owned(), check.message.clone()))
            .collect()
    }
}

fn worst(checks: &[CheckResult], counts: impl Fn(&CheckResult) -> bool) -> Level {
    let counted = checks.iter().filter(|check| counts(check));
    counted
        .map(|check| check.level)
        .max()
        .unwrap_or(Level::Pass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn serializes_for_scripts() {
        let mut facts = fixtures::facts();
        fixtures::there(&mut facts, |known| known.plan_blob = Some("b".repeat(40)));
        let report = Report::of(&facts);
        assert_eq!(report.verdict, Level::Fail);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (json["verdict"].as_str(), json["kind"].as_str()),
            (Some("fail"), Some("docs"))
        );
        let pushed = json["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["id"] == "tasks-pushed")
            .unwrap();
        let keys: Vec<&String> = pushed.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "verdict", "message", "fix"]);
        assert_eq!(report.blocking()[0].0, "tasks-pushed");
    }

    #[test]
    fn overridden_check_does_not_block() {
        let mut facts = fixtures::facts();
        fixtures::there(&mut facts, |known| known.plan_blob = Some("b".repeat(40)));
        let over = |id: &str| vec![(id.to_owned(), "a mirror".to_owned())];
        let report = Report::of(&facts).with_overrides(over("tasks-pushed"));
        assert_eq!(report.verdict, Level::Pass);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["overridden"]["tasks-pushed"], "a mirror");
        let report = Report::of(&facts).with_overrides(over("sync"));
        assert_eq!((report.verdict, report.overridden.len()), (Level::Fail, 0));
        assert_eq!(
            serde_json::to_value(&report).unwrap().get("overridden"),
            None
        );
    }

    #[test]
    fn passes_if_all_facts_are_good() {
        let report = Report::of(&fixtures::facts());
        let wrong: Vec<&CheckResult> = report
            .checks
            .iter()
            .filter(|check| check.level != Level::Pass)
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(report.verdict, Level::Pass);
    }

    #[test]
    fn skips_unknown_checks_outside_a_repository() {
        let mut facts = fixtures::facts();
        facts.repository = Err(flightdeck_host::repository::FactsError::NotARepository(
            "/srv".into(),
        ));
        let report = Report::of(&facts);
        assert_eq!(
            report.blocking(),
            [(
                "repo".to_owned(),
                "/srv is not in a git repository".to_owned()
            )]
        );
        assert!(report.check("tasks-pushed").is_none());
    }

    #[test]
    fn check_ids_are_unique() {
        let mut ids: Vec<&str> = CHECKS.iter().map(|check| check.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CHECKS.len());
        assert!(CHECKS.iter().all(|check| !check.title().is_empty()));
    }
}
