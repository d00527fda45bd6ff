//! Verdicts, and the report that holds one a check.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{CHECKS, Facts, Fix};
use flightdeck_core::runs::RunKind;

/// How a check ended; the worst of them is the report's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Pass,
    Warn,
    /// Refuses a launch.
    Fail,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    /// One sentence that names the thing. May hold remote text.
    pub message: String,
    /// Why it matters and what to do, for whoever asks; may be empty.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Stable name, for `--override`, scripts and records.
    pub id: &'static str,
    /// For people.
    #[serde(skip)]
    pub title: &'static str,
    #[serde(rename = "verdict")]
    pub level: Level,
    pub message: String,
    #[serde(skip)]
    pub explanation: String,
    pub fix: Option<Fix>,
}

/// What pre-flight found, in the order of [`CHECKS`]; checks whose facts are not known are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of the checks.
    pub verdict: Level,
    pub kind: RunKind,
    pub checks: Vec<Checked>,
    /// Failed checks that a person passes over, and why; they do not count for the verdict.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overridden: BTreeMap<String, String>,
}

impl Report {
    /// Runs every check.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let checked = |check: &&'static dyn super::Check| {
            let verdict = check.check(facts)?;
            Some(Checked {
                id: check.id(),
                title: check.title(),
                level: verdict.level,
                message: verdict.message,
                explanation: verdict.explanation,
                fix: verdict.fix,
            })
        };
        let checks: Vec<Checked> = CHECKS.iter().filter_map(checked).collect();
        Self {
            verdict: worst(&checks, |_| true),
            kind: facts.kind,
            checks,
            overridden: BTreeMap::new(),
        }
    }

    /// The same with failed checks passed over, by id and reason; a check that does not fail needs none.
    #[must_use]
    pub fn passing(mut self, overrides: impl IntoIterator<Item = (String, String)>) -> Self {
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

    /// The check of that id, when its facts were known.
    #[must_use]
    pub fn check(&self, id: &str) -> Option<&Checked> {
        self.checks.iter().find(|check| check.id == id)
    }

    /// Checks that refuse a launch: id and sentence.
    #[must_use]
    pub fn refused(&self) -> Vec<(String, String)> {
        self.checks
            .iter()
            .filter(|check| check.level == Level::Fail)
            .map(|check| (check.id.to_owned(), check.message.clone()))
            .collect()
    }
}

fn worst(checks: &[Checked], counts: impl Fn(&Checked) -> bool) -> Level {
    let counted = checks.iter().filter(|check| counts(check));
    counted
        .map(|check| check.level)
        .max()
        .unwrap_or(Level::Pass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_report_is_written_as_scripts_read_it() {
        let mut facts = sample::facts();
        sample::there(&mut facts, |known| known.plan_blob = Some("b".repeat(40)));
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
        assert_eq!(report.refused()[0].0, "tasks-pushed");
    }

    #[test]
    fn a_check_that_is_passed_over_does_not_refuse() {
        let mut facts = sample::facts();
        sample::there(&mut facts, |known| known.plan_blob = Some("b".repeat(40)));
        let over = |id: &str| vec![(id.to_owned(), "a mirror".to_owned())];
        let report = Report::of(&facts).passing(over("tasks-pushed"));
        assert_eq!(report.verdict, Level::Pass);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["overridden"]["tasks-pushed"], "a mirror");
        let report = Report::of(&facts).passing(over("sync"));
        assert_eq!((report.verdict, report.overridden.len()), (Level::Fail, 0));
        assert_eq!(
            serde_json::to_value(&report).unwrap().get("overridden"),
            None
        );
    }

    #[test]
    fn everything_in_order_passes() {
        let report = Report::of(&sample::facts());
        let wrong: Vec<&Checked> = report
            .checks
            .iter()
            .filter(|check| check.level != Level::Pass)
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(report.verdict, Level::Pass);
    }

    #[test]
    fn outside_a_repository_only_what_is_known_is_said() {
        let mut facts = sample::facts();
        facts.repository = Err(flightdeck_host::repository::FactsError::NotARepository(
            "/srv".into(),
        ));
        let report = Report::of(&facts);
        assert_eq!(
            report.refused(),
            [("repo".to_owned(), "/srv is in no git repository".to_owned())]
        );
        assert!(report.check("tasks-pushed").is_none());
    }

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let mut ids: Vec<&str> = CHECKS.iter().map(|check| check.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CHECKS.len());
        assert!(CHECKS.iter().all(|check| !check.title().is_empty()));
    }
}
