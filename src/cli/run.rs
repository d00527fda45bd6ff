//! `flightdeck run docs|code`.

use std::time::Duration;

use super::{
    Format, RunArguments, Session,
    logs::{self, Logs},
    output, preflight,
};
use flightdeck_core::{
    runs::{Run, RunKind},
    text,
};
use flightdeck_verbs::{Launch, Wait, exit_code};

/// Interrupted by Ctrl-C; the run goes on.
const INTERRUPTED: u8 = 130;

/// `run docs|code`: checks, launches, and follows where asked to.
pub async fn run(session: &Session, kind: RunKind, arguments: RunArguments) -> anyhow::Result<u8> {
    let launch = Launch {
        kind,
        ..arguments.launch
    };
    let inquiry = preflight::Inquiry {
        tasks: launch.tasks.clone(),
        agent: launch.agent.clone(),
        github_user: launch.github_user.clone(),
        docs_repository: launch.docs_repository.clone(),
        service: launch.service.clone(),
        ..preflight::Inquiry::default()
    };
    let facts = preflight::facts(session, kind, &inquiry).await;
    let subject = preflight::subject(&facts)?;
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
            logs::print(&context, &Logs::following(&name))
                .await
                .map(drop)
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
