//! `flightdeck run docs|code` and `flightdeck preflight`.

use std::time::Duration;

use super::{Format, Preflight, RunArguments, Session, logs, output};
use crate::{
    agents,
    cluster::connect::Target,
    preflight::{self, Ask, Facts, Level, Report, Request},
    runs::{Run, RunKind},
    text,
    verbs::{Launch, Subject, VerbError, Wait, exit_code},
};

/// Interrupted by Ctrl-C; the run goes on.
const INTERRUPTED: u8 = 130;

/// `preflight`: 0 pass or warn, 5 fail.
pub async fn preflight(session: &Session, arguments: Preflight) -> anyhow::Result<u8> {
    let request = Request {
        tasks: arguments.tasks,
        ..request(session, arguments.kind, None)
    };
    let report = Report::of(&preflight::gather(request).await);
    match arguments.output {
        Format::Name => report
            .refused()
            .iter()
            .try_for_each(|(id, _)| output::line(id))?,
        Format::Table => {
            let word = |level| match level {
                Level::Pass => "pass",
                Level::Warn => "warn",
                Level::Fail => "FAIL",
            };
            let rows: Vec<[String; 4]> = report
                .checks
                .iter()
                .map(|check| {
                    let fix = check.fix.map_or("", preflight::Fix::as_str);
                    [
                        check.id.to_owned(),
                        word(check.level).to_owned(),
                        check.message.clone(),
                        fix.to_owned(),
                    ]
                })
                .collect();
            output::table(["CHECK", "VERDICT", "MESSAGE", "FIX"], &rows)?;
        }
        format => output::value(format, &report)?,
    }
    Ok(if report.verdict == Level::Fail { 5 } else { 0 })
}

fn request(session: &Session, kind: RunKind, agent: Option<&str>) -> Request {
    let agent = agent.unwrap_or(&session.settings.defaults.agent);
    let embedded = session.target() == Target::Embedded;
    Request {
        ask: Ask::Now,
        embedded,
        agent: Some(agents::facts(
            agent,
            &session.settings,
            embedded,
            std::env::var_os("PATH").as_deref(),
        )),
        ..Request::new(session.place.repo.clone(), kind)
    }
}

/// `run docs|code`: checks, launches, and follows where asked to.
pub async fn run(session: &Session, kind: RunKind, arguments: RunArguments) -> anyhow::Result<u8> {
    let launch = Launch {
        kind,
        ..arguments.launch
    };
    let request = Request {
        tasks: launch.tasks.clone(),
        ..request(session, kind, launch.agent.as_deref())
    };
    let facts = preflight::gather(request).await;
    let subject = subject(&facts)?;
    if arguments.dry_run {
        let run = launch.compose(&subject, &session.settings, "0000")?;
        output::value(
            if arguments.output == Format::Json {
                Format::Json
            } else {
                Format::Yaml
            },
            &run.into_resource(),
        )?;
        return Ok(0);
    }
    // Refused launches start no cluster.
    launch.compose(&subject, &session.settings, "0000")?;
    let context = session.context().await?;
    let run = launch.run(&context, &subject).await?;
    let name = run.name().to_owned();
    output::notice(&format!(
        "launched {name}: {} of {} on {}",
        kind,
        text::count(run.tasks.len(), "task"),
        run.spec.source_branch
    ));
    if !(arguments.wait || arguments.follow) {
        announce(run, arguments.output)?;
        return Ok(0);
    }
    let wait = Wait {
        name: name.clone(),
        timeout: arguments.timeout.map(Duration::from_secs),
    };
    let following = async {
        if arguments.follow {
            logs::print(&context, &name, true, false).await.map(drop)
        } else {
            Ok(())
        }
    };
    let ended = tokio::select! {
        (ended, followed) = async { tokio::join!(wait.run(&context, |_| {}), following) } => { followed?; ended? }
        _ = tokio::signal::ctrl_c() => {
            output::notice(&format!("{name} goes on; flightdeck runs logs {name} --follow tails it again"));
            return Ok(INTERRUPTED);
        }
    };
    let phase = ended.phase();
    if let Some(message) = ended
        .status
        .message
        .as_deref()
        .filter(|message| !message.is_empty())
    {
        output::notice(&format!(
            "{name} {}: {}",
            phase.as_str().to_lowercase(),
            text::sanitize(message)
        ));
    }
    if !arguments.follow {
        announce(ended, arguments.output)?;
    }
    Ok(if arguments.wait { exit_code(&phase) } else { 0 })
}

/// What a launch is about, or pre-flight's refusal of everything.
pub fn subject(facts: &Facts) -> Result<Subject, VerbError> {
    Subject::of(facts, &Report::of(facts))
}

fn announce(run: Run, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table | Format::Name => output::line(run.name())?,
        format => {
            let status = serde_json::json!(run.status);
            let mut value = run.into_resource();
            value["status"] = status;
            output::value(format, &value)?;
        }
    }
    Ok(())
}
