//! The summary printed by `runs get`.

use jiff::Timestamp;

use flightdeck_core::{
    resources::Usage,
    runs::{
        Run,
        estimate::{FinishedRun, estimate},
    },
    text,
};

/// Width of the labels, in columns.
const LABEL: usize = 12;

/// Returns the lines of a run's summary. `finished` are earlier runs, for the estimate of the duration.
pub(super) fn lines(run: &Run, finished: &[FinishedRun], now: Timestamp) -> Vec<String> {
    let status = &run.status;
    let mut facts: Vec<(&str, String)> = Vec::new();
    let mut add = |label, value: Option<String>| {
        facts.extend(
            value
                .filter(|value| !value.is_empty())
                .map(|value| (label, value)),
        );
    };
    add("run", Some(format!("{} ({})", run.name(), run.kind)));
    let stage = run.stage().filter(|_| !run.ended());
    let stage = stage.map_or_else(String::new, |stage| format!(", {stage}"));
    add("phase", Some(format!("{}{stage}", run.phase().as_str())));
    let reason = status.message.clone().or_else(|| status.reason.clone());
    add("reason", reason);
    add("tasks", Some(run.tasks.join(", ")));
    let documents = status.documents.as_ref();
    add(
        "documents",
        documents.map(|documents| format!("{} of {}", documents.written, documents.expected)),
    );
    let agent = [&run.spec.agent, &run.spec.model];
    let agent: Vec<&str> = agent.into_iter().map(String::as_str).collect();
    add("agent", Some(agent.join(" ").trim().to_owned()));
    add("session", status.session_id.clone());
    let budget = run.spec.budget_usd.as_deref();
    add("used", status.usage.map(|usage| used(&usage, budget)));
    add("took", took(run, finished, now));
    add("branch", Some(run.branch()));
    add("PR", status.pull_request_url.clone());
    facts
        .iter()
        .map(|(label, value)| format!("{label:<LABEL$}{value}"))
        .collect()
}

/// Formats usage: `14 turns · 41k in · 5k out · 310k cached · $0.42 of $5.00`.
fn used(usage: &Usage, budget: Option<&str>) -> String {
    let mut words = vec![text::count(usage.turns.max(0) as usize, "turn")];
    for (tokens, what) in [
        (usage.input_tokens, "in"),
        (usage.output_tokens, "out"),
        (usage.cache_read_tokens, "cached"),
    ] {
        if tokens > 0 {
            words.push(format!("{} {what}", text::compact(tokens)));
        }
    }
    if usage.cost_micro_usd > 0 {
        let cost = text::usd(usage.cost_micro_usd);
        let budget = budget.map_or_else(String::new, |budget| format!(" of ${budget}"));
        words.push(format!("{cost}{budget}"));
    }
    words.join(" · ")
}

/// Formats the duration: `2m41s, usually about 12m (3 earlier runs)`.
fn took(run: &Run, finished: &[FinishedRun], now: Timestamp) -> Option<String> {
    let time = |at: &Option<String>| at.as_deref()?.parse::<Timestamp>().ok();
    let began = time(&run.status.started_at)?;
    let until = if run.ended() {
        time(&run.status.finished_at)?
    } else {
        now
    };
    let took = text::duration(until.duration_since(began).as_secs().max(0));
    let usually = estimate(run, finished.iter()).map(|usual| {
        let runs = text::count(usual.sample_size, "earlier run");
        format!(", usually about {} ({runs})", text::age(usual.seconds))
    });
    Some(format!("{took}{}", usually.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_core::resources::{DocsRun, DocsRunSpec};

    #[test]
    fn shows_usage_and_omits_unknown_values() {
        let spec = DocsRunSpec {
            task_ids: vec!["1".into(), "2".into()],
            ..DocsRunSpec::default()
        };
        let mut run = Run::from(DocsRun::new("docs-1", spec));
        let now: Timestamp = "2030-01-01T00:02:41Z".parse().unwrap();
        run.spec.agent = "claude".into();
        run.spec.model = "opus".into();
        run.spec.budget_usd = Some("5.00".into());
        run.status.phase = Some("Running".into());
        run.status.stage = Some("agent".into());
        run.status.started_at = Some("2030-01-01T00:00:00Z".into());
        run.status.usage = Some(Usage {
            turns: 14,
            input_tokens: 41_000,
            output_tokens: 5_100,
            cost_micro_usd: 420_000,
            ..Usage::default()
        });
        assert_eq!(
            lines(&run, &[], now),
            [
                "run         docs-1 (docs)",
                "phase       Running, agent",
                "tasks       1, 2",
                "agent       claude opus",
                "used        14 turns · 41k in · 5k out · $0.42 of $5.00",
                "took        2m41s",
                "branch      docs/docs-1",
            ]
        );
    }
}
