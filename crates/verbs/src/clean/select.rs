//! Selects the runs to delete. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Candidate, Clean, Rule, older};
use crate::VerbError;
use flightdeck_core::{
    runs::{Phase, Run, Work},
    text,
};

/// Seconds after which a finished run is old: three days.
const OLD: i64 = 3 * 86_400;
/// Seconds after which a pending run is stuck: one hour.
const STUCK: i64 = 3_600;

impl Clean {
    /// Selects the runs to delete at the time `now`, by rule and name.
    pub fn select(&self, runs: &[Run], now: Timestamp) -> Result<Vec<Candidate>, VerbError> {
        let limit = match &self.older {
            Some(age) => older(age)?,
            None if self.finished => 0,
            None => OLD,
        };
        let superseded = superseded(runs);
        let deletable = runs
            .iter()
            .filter(|run| run.metadata.deletion_timestamp.is_none());
        let selected = deletable.filter_map(|run| {
            let (rule, why) = matching_rule(run, &superseded, limit, now)?;
            let phase = run.phase();
            let phase_matches = |wanted: &str| phase.as_str().eq_ignore_ascii_case(wanted);
            let wanted = (self.rules.is_empty() || self.rules.contains(&rule))
                && self.phase.as_deref().is_none_or(phase_matches);
            wanted.then(|| Candidate {
                name: run.name().to_owned(),
                uid: run.uid().to_owned(),
                rule,
                why,
                frees: frees(run),
                branch: run.status.commit.is_some().then(|| run.branch()),
                pull_request_url: run.status.pull_request_url.clone(),
            })
        });
        let mut selected: Vec<Candidate> = selected.collect();
        selected.sort_by(|a, b| (a.rule, &a.name).cmp(&(b.rule, &b.name)));
        Ok(selected)
    }
}

/// Returns the UID of each superseded run with the name of the later run that did the same work and succeeded. A run that may
/// hold unpushed work is never superseded.
fn superseded(runs: &[Run]) -> BTreeMap<&str, &str> {
    let created = |run: &Run| run.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let mut newest: BTreeMap<Work, &Run> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.phase() == Phase::Succeeded) {
        let best = newest.entry(run.work()).or_insert(run);
        if created(run) > created(best) {
            *best = run;
        }
    }
    let finished = runs
        .iter()
        .filter(|run| run.ended() && !run.may_hold_unpushed_work());
    let pairs = finished.filter_map(|run| {
        let later = newest.get(&run.work())?;
        (created(later) > created(run)).then(|| (run.uid(), later.name()))
    });
    pairs.collect()
}

/// Returns the first rule that applies to a run, and a phrase that explains it.
fn matching_rule(
    run: &Run,
    superseded: &BTreeMap<&str, &str>,
    limit: i64,
    now: Timestamp,
) -> Option<(Rule, String)> {
    let since = |time: Option<Timestamp>| time.map_or(0, |time| now.duration_since(time).as_secs());
    let phase = run.phase();
    if let Some(later) = superseded.get(run.uid()) {
        return Some((
            Rule::Superseded,
            format!("{later} did the same work later and succeeded"),
        ));
    }
    if run.ended() {
        let ended = run.status.finished_at.as_deref();
        let age = since(ended.and_then(|time| time.parse().ok()));
        let phase = phase.as_str().to_lowercase();
        return (age >= limit).then(|| (Rule::Finished, format!("{phase} {} ago", text::age(age))));
    }
    let age = since(run.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let stuck = phase == Phase::Pending && age >= STUCK && !run.spec.suspend;
    stuck.then(|| {
        let why = format!("pending for {} without a pod", text::age(age));
        (Rule::Stuck, why)
    })
}

/// Describes what is deleted with a run.
fn frees(run: &Run) -> String {
    let jobs = text::count(run.status.attempts.len(), "Job");
    let workspace = if run.status.workspace_name.is_some() && run.code.is_none() {
        ", workspace"
    } else {
        ""
    };
    format!("{jobs}, config{workspace}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

    use super::*;
    use flightdeck_core::{
        resources::{Attempt, RunSpec, RunStatus},
        runs::RunKind,
    };

    const NOW: i64 = 1_000_000_000;

    fn at(age: i64) -> Timestamp {
        Timestamp::from_second(NOW - age).unwrap()
    }

    fn run(name: &str, task: &str, phase: &str, age: i64) -> Run {
        Run {
            kind: RunKind::Docs,
            metadata: ObjectMeta {
                name: Some(name.into()),
                uid: Some(format!("uid-{name}")),
                creation_timestamp: Some(Time(at(age))),
                ..ObjectMeta::default()
            },
            tasks: vec![task.into()],
            spec: RunSpec::default(),
            code: None,
            status: RunStatus {
                phase: Some(phase.into()),
                finished_at: Some(at(age).to_string()),
                ..RunStatus::default()
            },
        }
    }

    fn names(clean: &Clean, runs: &[Run]) -> Vec<(String, Rule)> {
        let selected = clean.select(runs, at(0)).unwrap();
        selected
            .into_iter()
            .map(|candidate| (candidate.name, candidate.rule))
            .collect()
    }

    #[test]
    fn each_rule_selects_its_runs() {
        let runs = [
            run("old", "1", "Succeeded", OLD),
            run("young", "2", "Succeeded", OLD - 1),
            run("failed", "3", "Failed", 500),
            run("again", "3", "Succeeded", 400),
            run("stuck", "4", "Pending", STUCK),
            run("waiting", "5", "Pending", STUCK - 1),
            run("running", "6", "Running", OLD),
        ];
        assert_eq!(
            names(&Clean::default(), &runs),
            [
                ("failed".into(), Rule::Superseded),
                ("old".into(), Rule::Finished),
                ("stuck".into(), Rule::Stuck)
            ]
        );
    }

    #[test]
    fn failure_after_success_is_not_superseded() {
        let runs = [
            run("first", "1", "Succeeded", 500),
            run("second", "1", "Failed", 400),
        ];
        assert_eq!(names(&Clean::default(), &runs), []);
    }

    #[test]
    fn other_or_unpushed_work_is_not_superseded() {
        type Change = fn(&mut Run);
        let unpushed = |run: &mut Run| {
            run.status.attempts.push(Attempt {
                stage: "agent".into(),
                ..Attempt::default()
            });
        };
        let changes: [(Change, usize); 3] = [
            (|_| {}, 1),
            (|run| run.spec.working_directory = "apps/api".into(), 0),
            (unpushed, 0),
        ];
        for (change, number) in changes {
            let mut earlier = run("earlier", "1", "Failed", 500);
            change(&mut earlier);
            let runs = [earlier, run("later", "1", "Succeeded", 400)];
            assert_eq!(names(&Clean::default(), &runs).len(), number);
        }
    }

    #[test]
    fn options_narrow_and_widen_selection() {
        let runs = [
            run("a", "1", "Succeeded", 10),
            run("b", "2", "Failed", 10),
            run("c", "3", "Pending", STUCK),
        ];
        let finished = Clean {
            finished: true,
            ..Clean::default()
        };
        assert_eq!(names(&finished, &runs).len(), 3);
        assert_eq!(
            names(
                &Clean {
                    phase: Some("failed".into()),
                    ..finished.clone()
                },
                &runs
            ),
            [("b".into(), Rule::Finished)]
        );
        assert_eq!(
            names(
                &Clean {
                    rules: vec![Rule::Stuck],
                    ..finished
                },
                &runs
            ),
            [("c".into(), Rule::Stuck)]
        );
        assert_eq!(
            names(
                &Clean {
                    older: Some("11s".into()),
                    ..Clean::default()
                },
                &runs
            ),
            [("c".into(), Rule::Stuck)]
        );
    }

    #[test]
    fn rejects_invalid_age() {
        let clean = Clean {
            older: Some("soon".into()),
            ..Clean::default()
        };
        assert_eq!(clean.select(&[], at(0)).unwrap_err().exit_code(), 2);
    }
}
