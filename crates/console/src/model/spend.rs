//! The cost of the repository's runs today.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::{
    model::Model,
    world::{FinishedRun, World},
};

/// Returns the finished runs of the ledger and the cluster. The cluster takes precedence: it is newer.
#[must_use]
pub fn finished_runs(world: &World) -> Vec<FinishedRun> {
    let mut finished: Vec<FinishedRun> = world
        .runs
        .iter()
        .filter_map(|(_, entry)| FinishedRun::of(&entry.run))
        .collect();
    let here: HashSet<&str> = world.runs.iter().map(|(id, _)| id.as_str()).collect();
    let archived = world.finished_runs.iter();
    finished.extend(
        archived
            .filter(|run| !here.contains(run.uid.as_str()))
            .cloned(),
    );
    finished
}

/// Returns the cost of this repository's runs that finished today or are active, in millionths of a US dollar.
#[must_use]
pub fn today(model: &Model) -> i64 {
    let world = &model.world;
    let repository = world.repository.get();
    let Some(label) = repository.and_then(|repository| repository.label.as_deref()) else {
        return 0;
    };
    let Some(midnight) = midnight(model) else {
        return 0;
    };
    let finished = model.finished_runs.iter();
    let finished = finished
        .filter(|run| run.repository.as_deref() == Some(label) && run.finished_at >= midnight)
        .map(|run| run.cost_micro_usd);
    let active = world.runs.iter().map(|(_, entry)| entry);
    let active = active
        .filter(|entry| entry.active() && entry.of_repository(label))
        .map(|entry| entry.usage().cost_micro_usd);
    finished.chain(active).fold(0, i64::saturating_add)
}

/// The start of the day in the local time zone.
fn midnight(model: &Model) -> Option<Timestamp> {
    let now = model.now.to_zoned(model.zone.clone());
    Some(now.start_of_day().ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::{
        harness::Harness,
        world::{Delta, Repository},
    };
    use flightdeck_core::{
        resources::{DocsRun, DocsRunSpec, Usage},
        runs::{Run, RunKind, naming},
    };

    const LABEL: &str = "own";

    fn earlier(uid: &str, finished: &str, repository: &str, cost: i64) -> FinishedRun {
        FinishedRun {
            uid: uid.into(),
            kind: RunKind::Docs,
            repository: Some(repository.into()),
            agent: String::new(),
            model: String::new(),
            tasks: 1,
            succeeded: true,
            finished_at: finished.parse().unwrap(),
            seconds: 1,
            cost_micro_usd: cost,
        }
    }

    fn archived(uid: &str, cost: i64) -> Delta {
        let mut run = Run::from(DocsRun::new(uid, DocsRunSpec::default()));
        run.metadata.uid = Some(uid.into());
        run.metadata.labels = Some([(naming::LABEL_REPOSITORY.into(), LABEL.into())].into());
        run.status.phase = Some("Succeeded".into());
        run.status.finished_at = Some("2030-03-17T09:00:00Z".into());
        run.status.usage = Some(Usage {
            cost_micro_usd: cost,
            ..Usage::default()
        });
        Delta::ArchivedRun(Box::new(run))
    }

    #[test]
    fn counts_each_run_of_today_once() {
        let mut console = Harness::new(140, 40);
        console.model.now = "2030-03-17T12:00:00Z".parse().unwrap();
        console.world([
            Delta::Repository(Ok(Repository {
                label: Some(LABEL.into()),
                ..Repository::default()
            })),
            Delta::FinishedRuns(vec![
                earlier("both", "2030-03-17T09:00:00Z", LABEL, 50_000),
                earlier("kept", "2030-03-17T00:00:00Z", LABEL, 100_000),
                earlier("yesterday", "2030-03-16T23:59:59Z", LABEL, 1_000_000),
                earlier("foreign", "2030-03-17T09:00:00Z", "other", 10_000_000),
            ]),
            archived("both", 70_000),
        ]);
        assert_eq!(console.model.spent_today, 170_000);
        assert!(console.screen().contains("$0.17 today"));
        console.model.zone = TimeZone::fixed(jiff::tz::offset(-6));
        assert_eq!(today(&console.model), 70_000, "midnight is local");
    }
}
