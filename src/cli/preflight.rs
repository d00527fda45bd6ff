//! `flightdeck preflight`: what the checks say, and with `--fix` what can safely be put right.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Format, Preflight, Session, output};
use crate::connect::Target;
use flightdeck_core::{
    runs::{RunKind, naming},
    text,
};
use flightdeck_preflight::{
    Ask, CHECKS, ClusterFacts, Facts, Fix, Level, Report, Request, agent,
    cluster::{self, ClusterRequest},
    fix::{self, FixSheet, Progress},
};
use flightdeck_verbs::{Subject, VerbError};
use kube_embedded::endpoint;

/// Fixes that are tried one after the other before it is given up: each may uncover the next.
const ROUNDS: usize = 3;

/// What a launch is asked about, as far as the command line says.
#[derive(Clone, Debug, Default)]
pub(super) struct Inquiry {
    pub tasks: Vec<String>,
    pub tag: Option<String>,
    pub agent: Option<String>,
    pub github_user: Option<String>,
    pub docs_repository: Option<String>,
    pub service: Option<String>,
}

/// Gathers all that is known of a launch; the remote and the cluster are asked. Starts no cluster.
pub(super) async fn facts(session: &Session, kind: RunKind, inquiry: &Inquiry) -> Facts {
    let agent = inquiry.agent.as_ref();
    let agent = agent.unwrap_or(&session.settings.defaults.agent);
    let embedded = session.target() == Target::Embedded;
    let request = Request {
        tasks: inquiry.tasks.clone(),
        tag: inquiry.tag.clone(),
        ask: Ask::Now,
        embedded,
        agent: Some(agent::facts(
            agent,
            &session.settings,
            embedded,
            std::env::var_os("PATH").as_deref(),
        )),
        github_user: inquiry.github_user.clone(),
        docs_repository: inquiry.docs_repository.clone(),
        service: inquiry.service.clone(),
        ..Request::new(session.place.repo.clone(), kind)
    };
    let (mut facts, cluster) = tokio::join!(
        flightdeck_preflight::gather(request),
        cluster(session, agent, inquiry.github_user.as_deref())
    );
    if cluster.answers().is_some() {
        facts.active_runs = active_runs(session, &facts).await;
    }
    facts.cluster = Some(cluster);
    facts
}

/// What the cluster says that is meant.
pub(super) async fn cluster(
    session: &Session,
    agent: &str,
    github_user: Option<&str>,
) -> ClusterFacts {
    let directory = &session.paths.embedded;
    let context = match session.target() {
        Target::Embedded if endpoint::find(directory).is_none() => {
            return ClusterFacts::asleep(directory, Arc::clone(&session.settings));
        }
        Target::Embedded => None,
        Target::Context(context) => Some(context),
    };
    let named = session.place.namespace.clone();
    match session.connect().await {
        Ok(connection) => {
            let secrets = match &context {
                Some(_) => cluster::secrets_wanted(&session.settings, agent, github_user),
                None => Vec::new(),
            };
            cluster::ask(ClusterRequest {
                client: connection.client,
                disk: context.is_none().then(|| directory.clone()),
                context,
                namespace: connection.namespace,
                secrets,
                settings: Some(Arc::clone(&session.settings)),
            })
            .await
        }
        Err(error) => ClusterFacts::unreachable(
            context,
            named.unwrap_or_else(|| "default".into()),
            error.to_string(),
        ),
    }
}

/// Runs of the repository that have not ended; `None` when they cannot be listed.
async fn active_runs(
    session: &Session,
    facts: &Facts,
) -> Option<Vec<flightdeck_preflight::ActiveRun>> {
    let url = &facts.repository.as_ref().ok()?.remote.as_ref()?.clone_url;
    let context = session.context().await.ok()?;
    let runs = context.runs(Some(&naming::repository_label(url))).await;
    let active = runs.ok()?.into_iter().filter(|run| !run.ended());
    Some(
        active
            .map(|run| flightdeck_preflight::ActiveRun {
                name: run.name().to_owned(),
                kind: run.kind,
                tag: run.spec.tag.clone(),
                service: run.code.as_ref().map(|code| code.service.clone()),
                tasks: run.tasks,
            })
            .collect(),
    )
}

/// What a launch is about, or pre-flight's refusal of everything.
pub fn subject(facts: &Facts) -> Result<Subject, VerbError> {
    Subject::of(facts, &Report::of(facts))
}

/// `preflight`: 0 pass or warn, 5 fail.
pub(super) async fn preflight(session: &Session, arguments: Preflight) -> anyhow::Result<u8> {
    if let Some((unknown, _)) = arguments
        .overrides
        .iter()
        .find(|(id, _)| CHECKS.iter().all(|check| check.id() != id))
    {
        let known: Vec<&str> = CHECKS.iter().map(|check| check.id()).collect();
        return Err(VerbError::Usage(format!(
            "no check is called {unknown}; there is {}",
            known.join(", ")
        ))
        .into());
    }
    let inquiry = Inquiry {
        tasks: arguments.tasks,
        tag: arguments.tag,
        agent: arguments.agent,
        github_user: arguments.github_user,
        docs_repository: None,
        service: arguments.service,
    };
    let mut facts = facts(session, arguments.kind, &inquiry).await;
    if arguments.fix {
        for _ in 0..ROUNDS {
            let Some(fix) = safe_fix(&Report::of(&facts)) else {
                break;
            };
            let sheet = fix::plan(&facts, fix)
                .await
                .map_err(|error| VerbError::Failed(error.to_string()))?;
            show(&sheet);
            if !(arguments.yes || agreed()?) {
                break;
            }
            run(&sheet).await?;
            facts = self::facts(session, arguments.kind, &inquiry).await;
        }
    }
    let report = Report::of(&facts).passing(arguments.overrides);
    print(&report, arguments.output)?;
    Ok(if report.verdict == Level::Fail { 5 } else { 0 })
}

/// The fix to begin with, of those that only add: the one that does most, since a push needs the commit.
fn safe_fix(report: &Report) -> Option<Fix> {
    let offered = |fix: Fix| report.checks.iter().any(|check| check.fix == Some(fix));
    [Fix::CommitAndPush, Fix::Commit, Fix::Push]
        .into_iter()
        .find(|fix| offered(*fix))
}

/// Says what would be done, on stderr: stdout is for the report.
fn show(sheet: &FixSheet) {
    let line = output::notice;
    line("This would be run:");
    for command in &sheet.commands {
        line(&format!("  {command}"));
    }
    if let Some(destination) = &sheet.destination {
        let count = text::count(sheet.commits.len(), "commit");
        line(&format!(
            "{count} would leave this machine for {destination}:"
        ));
        for commit in &sheet.commits {
            let short = match commit.short.as_str() {
                "" => "(new)",
                short => short,
            };
            line(&format!("  {short} {} ({})", commit.subject, commit.author));
        }
    }
}

/// Asks the person; refuses where there is nobody to ask.
fn agreed() -> Result<bool, VerbError> {
    let asked = output::agreed("Do it?");
    let asked = asked.map_err(|error| VerbError::Failed(format!("asking: {error}")))?;
    asked.ok_or_else(|| {
        VerbError::Usage(
            "--fix asks before it changes anything, and there is no terminal to ask on; --yes says yes".into(),
        )
    })
}

/// Does it, saying on stderr what git says; Ctrl-C ends what is under way and says what stays.
async fn run(sheet: &FixSheet) -> Result<(), VerbError> {
    let cancel = CancellationToken::new();
    let tell = |progress: Progress| match progress {
        Progress::Begins(command) => output::notice(&format!("$ {command}")),
        Progress::Said(line) if line.overwritten => {}
        Progress::Said(line) => output::notice(&format!("  {}", line.text)),
    };
    let applied = fix::apply(sheet, &cancel, tell);
    tokio::pin!(applied);
    let applied = tokio::select! {
        applied = &mut applied => applied,
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            applied.await
        }
    };
    applied.map(drop).map_err(|unfinished| {
        VerbError::Failed(text::sanitize(&unfinished.to_string()).into_owned())
    })
}

fn print(report: &Report, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Name => report
            .refused()
            .iter()
            .filter(|(id, _)| !report.overridden.contains_key(id))
            .try_for_each(|(id, _)| output::line(id))?,
        Format::Table => {
            let rows: Vec<[String; 4]> = report
                .checks
                .iter()
                .map(|check| {
                    let word = match check.level {
                        Level::Pass => "pass",
                        Level::Warn => "warn",
                        Level::Fail if report.overridden.contains_key(check.id) => "passed over",
                        Level::Fail => "FAIL",
                    };
                    let fix = check.fix.map_or("", Fix::as_str);
                    [check.id, word, &check.message, fix].map(str::to_owned)
                })
                .collect();
            output::table(["CHECK", "VERDICT", "MESSAGE", "FIX"], &rows)?;
        }
        format => output::value(format, report)?,
    }
    Ok(())
}
