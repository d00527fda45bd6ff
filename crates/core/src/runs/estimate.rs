//! Estimates duration and cost of a run from finished runs.

use jiff::Timestamp;

use super::{Phase, Run, RunKind, naming};

/// Number of most recent runs to sample.
const SAMPLE_LIMIT: usize = 10;

/// The data of a finished run that an estimate needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRun {
    pub uid: String,
    pub kind: RunKind,
    /// Value of the repository label.
    pub repository: Option<String>,
    pub agent: String,
    pub model: String,
    pub tasks: usize,
    pub succeeded: bool,
    pub finished_at: Timestamp,
    /// Duration.
    pub seconds: i64,
    pub cost_micro_usd: i64,
}

impl FinishedRun {
    /// Returns the data of a finished run; `None` for an active run.
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

/// Estimated totals of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Total duration.
    pub seconds: i64,
    /// 0 if the sampled runs have no cost.
    pub cost_micro_usd: i64,
    /// Number of sampled runs.
    pub sample_size: usize,
}

/// Estimates from successful runs of the same kind, agent and model, preferring the same repository: the median per
/// task, times the number of tasks. Returns `None` without such runs.
#[must_use]
pub fn estimate<'e>(
    run: &Run,
    finished: impl Iterator<Item = &'e FinishedRun>,
) -> Option<Estimate> {
    let similar = finished.filter(|other| {
        other.succeeded
            && other.kind == run.kind
            && other.agent == run.spec.agent
            && other.model == run.spec.model
            && other.uid != run.uid()
    });
    let similar: Vec<&FinishedRun> = similar.collect();
    let label = run.label(naming::LABEL_REPOSITORY);
    let own = similar
        .iter()
        .filter(|other| other.repository.as_deref() == label);
    let own: Vec<&FinishedRun> = own.copied().collect();
    let mut sample = if own.is_empty() { similar } else { own };
    sample.sort_by_key(|other| std::cmp::Reverse(other.finished_at));
    sample.truncate(SAMPLE_LIMIT);
    let tasks = run.tasks.len().max(1) as i64;
    let median = |value: fn(&FinishedRun) -> i64| {
        let mut values: Vec<i64> = sample
            .iter()
            .map(|other| value(other) / other.tasks as i64)
            .collect();
        values.sort_unstable();
        values
            .get(values.len() / 2)
            .map(|value| value.saturating_mul(tasks))
    };
    Some(Estimate {
        seconds: median(|other| other.seconds)?,
        cost_micro_usd: median(|other| other.cost_micro_usd)?,
        sample_size: sample.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{DocsRun, DocsRunSpec};

    fn finished(uid: &str, repository: &str, tasks: usize, seconds: i64) -> FinishedRun {
        FinishedRun {
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
    fn uses_median_of_similar_runs() {
        let sample = [
            finished("a", "own", 2, 200),
            finished("b", "own", 1, 300),
            finished("c", "own", 10, 5_000),
            finished("d", "other", 1, 9_999),
            FinishedRun {
                model: "sonnet".into(),
                ..finished("e", "own", 1, 1)
            },
            FinishedRun {
                succeeded: false,
                ..finished("f", "own", 1, 1)
            },
        ];
        let found = estimate(&run(4), sample.iter()).unwrap();
        assert_eq!((found.seconds, found.sample_size), (1_200, 3));
        assert_eq!(found.cost_micro_usd, 1_200_000);
        assert_eq!(
            estimate(&run(1), sample[3..4].iter()).map(|found| found.seconds),
            Some(9_999),
            "falls back to other repositories"
        );
        assert_eq!(estimate(&run(1), [].iter()), None);
    }
}
