//! How long a run will take and what it will cost, from those that have ended. Pure.

use jiff::Timestamp;

use super::{Phase, Run, RunKind, naming};

/// Runs that are looked at: the latest.
const LATEST: usize = 10;

/// A run that has ended, as far as it is of use for judging others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    pub uid: String,
    pub kind: RunKind,
    /// Value of the label that names its repository.
    pub repository: Option<String>,
    pub agent: String,
    pub model: String,
    pub tasks: usize,
    pub succeeded: bool,
    pub finished_at: Timestamp,
    /// From its start to its end.
    pub seconds: i64,
    pub cost_micro_usd: i64,
}

impl Earlier {
    /// What a run tells that has ended; `None` of one under way.
    #[must_use]
    pub fn of(run: &Run) -> Option<Self> {
        let time = |at: &Option<String>| at.as_deref()?.parse::<Timestamp>().ok();
        let finished_at = time(&run.status.finished_at).filter(|_| run.ended())?;
        let started_at = time(&run.status.started_at).unwrap_or(finished_at);
        Some(Self {
            uid: run.uid().to_owned(),
            kind: run.kind,
            repository: run.label(naming::LABEL_REPOSITORY).map(str::to_owned),
            agent: run.spec.agent.clone(),
            model: run.spec.model.clone(),
            tasks: run.tasks.len().max(1),
            succeeded: run.phase() == Phase::Succeeded,
            finished_at,
            seconds: finished_at.duration_since(started_at).as_secs().max(0),
            cost_micro_usd: run.status.usage.map_or(0, |usage| usage.cost_micro_usd),
        })
    }
}

/// What a run will take in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// From its start to its end.
    pub seconds: i64,
    /// 0 when the earlier runs did not say.
    pub cost_micro_usd: i64,
    /// Runs it is reckoned from.
    pub from: usize,
}

/// Reckons from runs of the same kind, agent and model that succeeded, those of the same repository where there are any: the
/// middle of what they took for a task, times the tasks. `None` when there is no such run.
#[must_use]
pub fn estimate<'e>(run: &Run, earlier: impl Iterator<Item = &'e Earlier>) -> Option<Estimate> {
    let alike = earlier.filter(|other| {
        other.succeeded
            && other.kind == run.kind
            && other.agent == run.spec.agent
            && other.model == run.spec.model
            && other.uid != run.uid()
    });
    let alike: Vec<&Earlier> = alike.collect();
    let label = run.label(naming::LABEL_REPOSITORY);
    let own = alike
        .iter()
        .filter(|other| other.repository.as_deref() == label);
    let own: Vec<&Earlier> = own.copied().collect();
    let mut known = if own.is_empty() { alike } else { own };
    known.sort_by_key(|other| std::cmp::Reverse(other.finished_at));
    known.truncate(LATEST);
    let tasks = run.tasks.len().max(1) as i64;
    let middle = |value: fn(&Earlier) -> i64| {
        let mut values: Vec<i64> = known
            .iter()
            .map(|other| value(other) / other.tasks as i64)
            .collect();
        values.sort_unstable();
        values
            .get(values.len() / 2)
            .map(|value| value.saturating_mul(tasks))
    };
    Some(Estimate {
        seconds: middle(|other| other.seconds)?,
        cost_micro_usd: middle(|other| other.cost_micro_usd)?,
        from: known.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{DocsRun, DocsRunSpec};

    fn earlier(uid: &str, repository: &str, tasks: usize, seconds: i64) -> Earlier {
        Earlier {
            uid: uid.into(),
            kind: RunKind::Docs,
            repository: Some(repository.into()),
            agent: "claude".into(),
            model: "opus".into(),
            tasks,
            succeeded: true,
            finished_at: Timestamp::from_second(1_900_000_000 + seconds).unwrap(),
            seconds,
            cost_micro_usd: seconds * 1_000,
        }
    }

    fn run(tasks: usize) -> Run {
        let spec = DocsRunSpec {
            task_ids: (1..=tasks).map(|id| id.to_string()).collect(),
            ..DocsRunSpec::default()
        };
        let mut run = Run::from(DocsRun::new("docs-1", spec));
        run.spec.agent = "claude".into();
        run.spec.model = "opus".into();
        let label = (naming::LABEL_REPOSITORY.to_owned(), "own".to_owned());
        run.metadata.labels = Some([label].into());
        run
    }

    #[test]
    fn a_run_is_judged_by_the_middle_of_those_alike_of_its_own_repository() {
        let known = [
            earlier("a", "own", 2, 200),
            earlier("b", "own", 1, 300),
            earlier("c", "own", 10, 5_000),
            earlier("d", "other", 1, 9_999),
            Earlier {
                model: "sonnet".into(),
                ..earlier("e", "own", 1, 1)
            },
            Earlier {
                succeeded: false,
                ..earlier("f", "own", 1, 1)
            },
        ];
        let found = estimate(&run(4), known.iter()).unwrap();
        assert_eq!((found.seconds, found.from), (1_200, 3));
        assert_eq!(found.cost_micro_usd, 1_200_000);
        assert_eq!(
            estimate(&run(1), known[3..4].iter()).map(|found| found.seconds),
            Some(9_999),
            "another repository is better than nothing"
        );
        assert_eq!(estimate(&run(1), [].iter()), None);
    }
}
