//! `flightdeck runs ...`.

mod card;

use jiff::Timestamp;

use super::{Format, Runs, Session, logs, output};
use flightdeck_core::{
    resources::Usage,
    runs::{Run, estimate::FinishedRun, naming},
    text,
};
use flightdeck_host::repository;
use flightdeck_verbs::Context;

/// Runs the command; the exit code is 0 unless it fails.
pub async fn runs(session: &Session, command: Runs) -> anyhow::Result<u8> {
    // A log can be read without a cluster.
    if let Runs::Logs(logs) = command {
        return logs::logs(session, &logs).await;
    }
    let context = session.context().await?;
    match command {
        Runs::List { all, output } => list(session, &context, all, output).await?,
        Runs::Get { name, output } => {
            let (run, object) = context.run_and_object(&name).await?;
            match output {
                Format::Name => output::line(&name)?,
                Format::Table => {
                    let earlier = earlier(&context)?;
                    for line in card::lines(&run, &earlier, Timestamp::now()) {
                        output::line(&line)?;
                    }
                }
                format => output::value(format, &object)?,
            }
        }
        Runs::Logs(_) => {}
        Runs::Stop(stop) => {
            stop.run(&context).await?;
            output::notice(&format!("stopping {}; its log stays", stop.name));
        }
        Runs::Retry(retry) => {
            let version = retry.run(&context, &session.place.repo).await?;
            output::notice(&format!("{}: attempt v{version} begins", retry.name));
        }
        Runs::Context(add) => {
            let version = add.run(&context).await?;
            output::notice(&format!(
                "{}: context-v{version}.md added, attempt v{version} begins",
                add.name
            ));
        }
        Runs::Delete(delete) => {
            let deleted = delete.run(&context).await?;
            output::notice(&format!(
                "deleted {}{}",
                deleted.name,
                left_behind(
                    deleted.branch.as_deref(),
                    deleted.pull_request_url.as_deref()
                )
            ));
        }
        Runs::Merge { name, yes } => {
            return super::merge::merge(session, &context, &name, yes).await;
        }
    }
    Ok(0)
}

/// Which runs a command covers.
pub(super) enum Scope {
    /// Runs of all repositories (`--all`).
    All,
    /// Runs that carry this repository label.
    Repository(String),
    /// The repository cannot be told, for this reason: each command decides what that means.
    Unknown(String),
}

impl Scope {
    /// Returns the scope of a command started in the session's directory.
    pub(super) async fn of(session: &Session, all: bool) -> Self {
        if all {
            return Self::All;
        }
        match repository::read(&session.place.repo).await {
            Ok(facts) => match facts.remote {
                Some(remote) => Self::Repository(naming::repository_label(&remote.clone_url)),
                None => Self::Unknown("this repository has no remote".to_owned()),
            },
            Err(error) => Self::Unknown(error.to_string()),
        }
    }

    /// Label to select runs by; `None` selects the runs of all repositories.
    fn label(&self) -> Option<&str> {
        match self {
            Self::Repository(label) => Some(label),
            Self::All | Self::Unknown(_) => None,
        }
    }
}

async fn list(
    session: &Session,
    context: &Context,
    all: bool,
    format: Format,
) -> anyhow::Result<()> {
    let scope = Scope::of(session, all).await;
    if let Scope::Unknown(why) = &scope {
        output::notice(&format!("{why}: listing the runs of all repositories"));
    }
    let mut runs = context.runs(scope.label()).await?;
    runs.sort_by_key(|run| {
        std::cmp::Reverse(run.metadata.creation_timestamp.as_ref().map(|time| time.0))
    });
    match format {
        Format::Name => runs.iter().try_for_each(|run| output::line(run.name()))?,
        Format::Table => {
            let now = Timestamp::now();
            let rows: Vec<[String; 10]> = runs.iter().map(|run| row(run, now)).collect();
            output::table(
                [
                    "KIND", "NAME", "TASKS", "PHASE", "STAGE", "AGE", "TURNS", "TOKENS", "COST",
                    "BRANCH",
                ],
                &rows,
            )?;
        }
        format => {
            let objects: Vec<serde_json::Value> = runs.into_iter().map(object).collect();
            output::value(format, &objects)?;
        }
    }
    Ok(())
}

/// Runs that have ended, as the ledger knows them.
fn earlier(context: &Context) -> anyhow::Result<Vec<FinishedRun>> {
    let Some(ledger) = &context.ledger else {
        return Ok(Vec::new());
    };
    let kept = ledger.list()?;
    Ok(kept
        .iter()
        .filter_map(|entry| {
            let cost = entry.usage().map_or(0, |usage| usage.cost_micro_usd);
            Some(FinishedRun {
                cost_micro_usd: cost,
                ..FinishedRun::of(&entry.run)?
            })
        })
        .collect())
}

/// What an agent cost, as people write money; `None` when it cost nothing, or nobody said.
fn dollars(usage: &Usage) -> Option<String> {
    (usage.cost_micro_usd > 0).then(|| format!("${:.2}", usage.cost_micro_usd as f64 / 1e6))
}

/// `950`, `41k`, `1.2M`
fn short(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

fn row(run: &Run, now: Timestamp) -> [String; 10] {
    let age = run
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(0, |created| now.duration_since(created.0).as_secs());
    let tasks = if run.tasks.len() > 3 {
        text::count(run.tasks.len(), "task")
    } else {
        run.tasks.join(",")
    };
    let usage = run.status.usage.unwrap_or_default();
    let counted = |n: i64, words: String| if n > 0 { words } else { String::new() };
    let tokens = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens;
    [
        run.kind.to_string(),
        run.name().to_owned(),
        tasks,
        run.phase().as_str().to_owned(),
        run.stage()
            .map_or_else(String::new, |stage| stage.to_string()),
        text::age(age),
        counted(usage.turns, usage.turns.to_string()),
        counted(tokens, short(tokens)),
        dollars(&usage).unwrap_or_default(),
        run.branch(),
    ]
}

/// The custom resource with its status, as kubectl would show it.
fn object(run: Run) -> serde_json::Value {
    let status = serde_json::json!(run.status);
    let mut value = run.into_resource();
    value["status"] = status;
    value
}

pub(super) fn left_behind(branch: Option<&str>, pull_request: Option<&str>) -> String {
    let branch = branch.map(|branch| format!("branch {branch} stays on the remote"));
    let pull_request = pull_request.map(|url| format!("pull request {url} stays open"));
    let parts: Vec<String> = branch.into_iter().chain(pull_request).collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!("; {}", parts.join(", "))
    }
}
