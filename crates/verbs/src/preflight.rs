//! `preflight`: checks whether a launch would work on what the user sees.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Render, Table, Verb, VerbError, View};
use flightdeck_preflight::{CHECKS, CheckResult, Fix, Level, PreflightRequest, Report};

/// Checks a launch.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    #[command(flatten)]
    #[serde(flatten)]
    pub request: PreflightRequest,
    /// Exclude a failed check from the result, with a reason; repeat for several.
    #[arg(long = "override", value_name = "CHECK=REASON")]
    #[serde(default)]
    pub overrides: Vec<Override>,
}

/// A check to exclude, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Override {
    pub check: String,
    pub reason: String,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.split_once('=') {
            Some((check, reason)) if !reason.trim().is_empty() => Ok(Self {
                check: check.trim().to_owned(),
                reason: reason.trim().to_owned(),
            }),
            _ => Err("expected CHECK=REASON, like tasks-pushed=\"the remote is a mirror\"".into()),
        }
    }
}

impl Preflight {
    /// Fails on unknown checks.
    pub fn validate(&self) -> Result<(), VerbError> {
        let known = |id: &str| CHECKS.iter().any(|check| check.id() == id);
        match self.overrides.iter().find(|over| !known(&over.check)) {
            None => Ok(()),
            Some(unknown) => {
                let ids: Vec<&str> = CHECKS.iter().map(|check| check.id()).collect();
                Err(VerbError::Usage(format!(
                    "unknown check {}; expected one of {}",
                    unknown.check,
                    ids.join(", ")
                )))
            }
        }
    }
}

impl Verb for Preflight {
    const NAME: &'static str = "preflight";
    const ABOUT: &'static str = "Check that runs would clone what you see; exit with 5 if blocked";
    type Output = Report;

    async fn run(self, context: &Context) -> Result<Report, VerbError> {
        self.validate()?;
        let facts = context.preflight_facts(&self.request).await;
        let overrides = self.overrides.into_iter();
        Ok(Report::of(&facts).with_overrides(overrides.map(|over| (over.check, over.reason))))
    }
}

impl Render for Report {
    fn names(&self) -> Vec<String> {
        let blocking = self.blocking().into_iter().map(|(id, _)| id);
        blocking
            .filter(|id| !self.overridden.contains_key(id))
            .collect()
    }

    fn view(&self) -> View {
        let row = |check: &CheckResult| {
            let level = match check.level {
                Level::Pass => "pass",
                Level::Warn => "warn",
                Level::Fail if self.overridden.contains_key(check.id) => "overridden",
                Level::Fail => "FAIL",
            };
            let fix = check.fix.map_or("", Fix::as_str);
            [check.id, level, &check.message, fix]
                .map(str::to_owned)
                .to_vec()
        };
        View::Table(Table::new(
            &["CHECK", "RESULT", "MESSAGE", "FIX"],
            self.checks.iter().map(row).collect(),
        ))
    }

    fn exit_code(&self) -> u8 {
        if self.verdict == Level::Fail { 5 } else { 0 }
    }
}
