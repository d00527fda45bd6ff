//! `clean`: finds runs nobody needs any more, says why, and deletes those a person marked.

pub mod finalizers;
mod leftovers;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ClusterContext, Delete, Deleted, VerbError};
use flightdeck_core::{
    runs::{Phase, Run, Work},
    text,
};

pub use leftovers::{Found, Leftover};

/// Seconds after which a finished run counts as old: three days.
const OLD: i64 = 3 * 86_400;
/// Seconds a run may be pending before it counts as stuck: an hour.
const STUCK: i64 = 3_600;

/// Finds and deletes runs nobody needs any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct Clean {
    /// Finished runs older than this count, and workspaces unused for as long: 90s, 15m, 12h, 3d. Default 3d, workspaces 30d.
    #[arg(long, value_name = "AGE")]
    pub older: Option<String>,
    /// Only runs of this phase.
    #[arg(long)]
    pub phase: Option<String>,
    /// Only candidates of these rules. Orphans and workspaces, which are no repository's, are looked for only by their rules.
    #[arg(long = "rule", value_enum)]
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Every finished run, however young.
    #[arg(long)]
    #[serde(default)]
    pub finished: bool,
}

/// Why a run is a candidate.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A later run did the same work and succeeded, and nothing of this one is unpushed.
    Superseded,
    /// It ended longer ago than the limit.
    Finished,
    /// It has been pending for an hour without a pod.
    Stuck,
    /// An object whose run is gone.
    Orphan,
    /// A workspace of code runs that nobody used for long.
    Workspace,
}

impl Rule {
    /// Rules about runs; a run is listed under the first that fits.
    pub const ALL: [Self; 3] = [Self::Superseded, Self::Finished, Self::Stuck];

    /// As it is typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Finished => "finished",
            Self::Stuck => "stuck",
            Self::Orphan => "orphan",
            Self::Workspace => "workspace",
        }
    }
}

/// One run that could go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    pub name: String,
    pub uid: String,
    pub rule: Rule,
    /// The rule as a sentence about this run.
    pub why: String,
    /// What goes with it.
    pub frees: String,
    /// Stays on the remote.
    pub branch: Option<String>,
    /// Stays open.
    pub pull_request_url: Option<String>,
}

/// What cleaning would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CleanPlan {
    pub candidates: Vec<Candidate>,
    /// What no run accounts for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
}

/// What cleaning did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CleanReport {
    pub deleted: Vec<Deleted>,
    /// Leftovers that are gone, `Kind name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// `(name, sentence)`.
    pub failed: Vec<(String, String)>,
}

impl Clean {
    /// Whether runs are candidates: yes, unless only rules about other objects are named.
    #[must_use]
    pub fn wants_runs(&self) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|rule| Rule::ALL.contains(rule))
    }

    /// Chooses the candidates among `runs`. Pure; `now` is given.
    pub fn plan(&self, runs: &[Run], now: Timestamp) -> Result<CleanPlan, VerbError> {
        let limit = match &self.older {
            Some(age) => older(age)?,
            None if self.finished => 0,
            None => OLD,
        };
        let superseded = superseded(runs);
        let chosen = runs
            .iter()
            .filter(|run| run.metadata.deletion_timestamp.is_none())
            .filter_map(|run| {
                let (rule, why) = judge(run, &superseded, limit, now)?;
                let wanted = self.rules.is_empty() || self.rules.contains(&rule);
                let phase = self
                    .phase
                    .as_deref()
                    .is_none_or(|phase| run.phase().as_str().eq_ignore_ascii_case(phase));
                (wanted && phase).then(|| Candidate {
                    name: run.name().to_owned(),
                    uid: run.uid().to_owned(),
                    rule,
                    why,
                    frees: frees(run),
                    branch: run.status.commit.is_some().then(|| run.branch()),
                    pull_request_url: run.status.pull_request_url.clone(),
                })
            });
        let mut candidates: Vec<Candidate> = chosen.collect();
        candidates.sort_by(|a, b| (a.rule, &a.name).cmp(&(b.rule, &b.name)));
        Ok(CleanPlan {
            candidates,
            leftovers: Vec::new(),
        })
    }
}

impl CleanPlan {
    /// Whether there is nothing to delete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.leftovers.is_empty()
    }

    /// Deletes every candidate; one that fails does not stop the others. `progress` hears each name before it is deleted.
    pub async fn apply(
        &self,
        context: &ClusterContext,
        mut progress: impl FnMut(&str),
    ) -> CleanReport {
        let mut report = CleanReport::default();
        for candidate in &self.candidates {
            progress(&candidate.name);
            // A finished run that was retried since it was planned is refused by `Delete`, and left alone.
            let delete = Delete {
                name: candidate.name.clone(),
                force: candidate.rule == Rule::Stuck,
            };
            match delete.run(context).await {
                Ok(deleted) => report.deleted.push(deleted),
                Err(error) => report
                    .failed
                    .push((candidate.name.clone(), error.to_string())),
            }
        }
        for leftover in &self.leftovers {
            let name = format!("{} {}", leftover.kind, leftover.name);
            progress(&name);
            match leftover.delete(context).await {
                Ok(()) => report.removed.push(name),
                Err(error) => report.failed.push((name, error.to_string())),
            }
        }
        report
    }
}

/// Returns the uid of each superseded run with the name of the later run that did the same work and succeeded. A run that may
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

fn judge(
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
            format!("{later} did the same later and succeeded"),
        ));
    }
    if run.ended() {
        let ended = run
            .status
            .finished_at
            .as_deref()
            .and_then(|time| time.parse().ok());
        let age = since(ended);
        return (age >= limit).then(|| {
            (
                Rule::Finished,
                format!("{} {} ago", phase.as_str().to_lowercase(), text::age(age)),
            )
        });
    }
    let age = since(run.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let stuck = phase == Phase::Pending && age >= STUCK && !run.spec.suspend;
    stuck.then(|| {
        (
            Rule::Stuck,
            format!("pending for {} without a pod", text::age(age)),
        )
    })
}

fn frees(run: &Run) -> String {
    let jobs = text::count(run.status.attempts.len(), "job");
    let workspace = if run.status.workspace_name.is_some() && run.code.is_none() {
        ", its workspace"
    } else {
        ""
    };
    format!("{jobs}, its files{workspace}")
}

/// Seconds of what `--older` was given.
fn older(age: &str) -> Result<i64, VerbError> {
    parse_age(age).ok_or_else(|| {
        VerbError::Usage(format!(
            "--older {age}: write an age like 90s, 15m, 12h or 3d"
        ))
    })
}

/// Seconds of `90s`, `15m`, `12h`, `3d`.
#[must_use]
pub fn parse_age(age: &str) -> Option<i64> {
    let unit = age.chars().last()?;
    let number: i64 = age[..age.len() - unit.len_utf8()]
        .parse()
        .ok()
        .filter(|number| *number >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds)
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
        let plan = clean.plan(runs, at(0)).unwrap();
        plan.candidates
            .into_iter()
            .map(|candidate| (candidate.name, candidate.rule))
            .collect()
    }

    #[test]
    fn each_rule_chooses_what_it_says() {
        let runs = [
            run("old", "1", "Succeeded", OLD),
            run("young", "2", "Succeeded", OLD - 1),
            run("failed", "3", "Failed", 500),
            run("again", "3", "Succeeded", 400),
            run("stuck", "4", "Pending", STUCK),
            run("waiting", "5", "Pending", STUCK - 1),
            run("running", "6", "Running", OLD),
        ];
        let chosen = names(&Clean::default(), &runs);
        assert_eq!(
            chosen,
            [
                ("failed".into(), Rule::Superseded),
                ("old".into(), Rule::Finished),
                ("stuck".into(), Rule::Stuck)
            ]
        );
    }

    #[test]
    fn a_failure_after_a_success_is_not_superseded() {
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
    fn options_narrow_and_widen() {
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
    fn ages_are_read_or_refused() {
        assert_eq!(
            ["90s", "15m", "12h", "3d"].map(parse_age),
            [Some(90), Some(900), Some(43_200), Some(259_200)]
        );
        assert_eq!(
            ["", "d", "-1d", "3w", "9999999999999999999d", "1é"].map(parse_age),
            [None; 6]
        );
        assert_eq!(
            Clean {
                older: Some("soon".into()),
                ..Clean::default()
            }
            .plan(&[], at(0))
            .unwrap_err()
            .exit_code(),
            2
        );
    }
}
