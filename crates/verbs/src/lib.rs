//! The operations of Flightdeck. One struct per verb is its command-line arguments, its JSON input and the code that runs; one
//! table, [`VERBS`], lists them all.

mod age;
mod archive;
pub mod clean;
mod cluster_context;
mod context;
mod delete;
mod doctor;
mod embedded;
mod error;
mod export;
mod info;
mod launch;
mod launch_source;
mod ledger;
mod merge;
mod migrate;
mod preflight;
mod publish;
mod render;
mod retry;
mod row;
mod runs;
mod set_status;
mod stop;
mod tasks;
mod verb;
mod wait;

pub use age::parse_age;
pub use archive::{ArchivedLog, LogArchiver, archive_run, archived_log, import_archived};
pub use clean::{Candidate, Clean, CleanPlan, CleanReport, CleanSelection, Rule};
pub use cluster_context::ClusterContext;
pub use context::{ClusterAccess, Context, Scope};
pub use delete::{Delete, DeletePlan, Deleted};
pub use doctor::Doctor;
pub use embedded::{
    DiskUsage, EmbeddedServer, EmbeddedStatus, ResetEmbedded, RunningServer, StatusEmbedded,
    StopEmbedded,
};
pub use error::{EXIT_CODES, VerbError};
pub use export::Export;
pub use info::Info;
pub use launch::{Launch, LaunchCode, LaunchDocs, NO_LIMIT, duplicate};
pub use launch_source::LaunchSource;
pub use ledger::{ListLedger, PruneLedger, PrunePlan, PruneResult, ShowLedger};
pub use merge::Merge;
pub use migrate::{DroppedField, Migrate, MigrateOutcome, MigrateReport, MigratedRun};
pub use preflight::Preflight;
pub use publish::Publish;
pub use render::{Column, Render, Rendered, Table, View};
pub use retry::{AddContext, Attempt, AttemptStart, CONTEXT_LIMIT, Retry};
pub use row::{PlannedOutput, VerbRow};
pub use runs::{GetRun, LaunchedRun, ListRuns, RunDetails, RunList};
pub use set_status::{SetStatus, StatusChanges, plan_file};
pub use stop::Stop;
pub(crate) use tasks::{ListTags, ListTasks, NextTask, ShowTask, ValidateTasks};
pub use verb::{DryRun, Plan, PlanOrOutput, PlannedVerb, Verb};
pub use wait::{Wait, exit_code};

/// Every verb. To add one, write its file and add its row.
pub static VERBS: &[VerbRow] = &[
    VerbRow::of::<LaunchDocs>(),
    VerbRow::of::<LaunchCode>(),
    VerbRow::of::<ListRuns>(),
    VerbRow::of::<GetRun>(),
    VerbRow::of::<Stop>(),
    VerbRow::of::<Retry>(),
    VerbRow::of::<AddContext>(),
    VerbRow::of::<Publish>(),
    VerbRow::of::<Export>(),
    VerbRow::planned::<Merge>(),
    VerbRow::planned::<Delete>(),
    VerbRow::of::<ListLedger>(),
    VerbRow::of::<ShowLedger>(),
    VerbRow::planned::<PruneLedger>(),
    VerbRow::planned::<Clean>(),
    VerbRow::of::<ListTasks>(),
    VerbRow::of::<NextTask>(),
    VerbRow::of::<ShowTask>(),
    VerbRow::of::<ListTags>(),
    VerbRow::of::<ValidateTasks>(),
    VerbRow::of::<SetStatus>(),
    VerbRow::of::<Preflight>(),
    VerbRow::of::<StatusEmbedded>(),
    VerbRow::of::<StopEmbedded>(),
    VerbRow::planned::<ResetEmbedded>(),
    VerbRow::of::<Doctor>(),
    VerbRow::of::<Migrate>(),
    VerbRow::of::<Info>(),
];

/// Returns the verb of that name.
#[must_use]
pub fn verb(name: &str) -> Option<&'static VerbRow> {
    VERBS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verb_names_are_unique_and_described() {
        for (at, row) in VERBS.iter().enumerate() {
            assert!(!VERBS[..at].iter().any(|other| other.name == row.name));
            assert!(!row.about.is_empty() && !row.about.ends_with('.'));
        }
    }

    #[test]
    fn every_verb_has_schemas() {
        for row in VERBS {
            let input = (row.input_schema)();
            assert_eq!(input.get("type"), Some(&"object".into()), "{}", row.name);
            let _ = (row.output_schema)();
        }
    }

    #[test]
    fn every_verb_has_valid_arguments() {
        for row in VERBS {
            (row.arguments)(clap::Command::new(row.name)).debug_assert();
        }
    }
}
