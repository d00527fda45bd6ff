//! `run docs` and `run code`: launches a run, and waits for it or follows its log.

use std::time::Duration;

use super::{
    Format, RunArguments, Session,
    logs::{self, Logs},
    output,
};
use flightdeck_core::{
    runs::{Run, RunKind},
    text,
};
use flightdeck_preflight::{PreflightRequest, Report};
use flightdeck_verbs::{Launch, LaunchSource, LaunchedRun, Wait, exit_code};

/// Exit code after Ctrl-C; the run continues.
const INTERRUPTED: u8 = 130;

/// Runs the command. Returns the exit code.
pub(super) async fn run(
    session: &Session,
    kind: RunKind,
    arguments: RunArguments,
) -> anyhow::Result<u8> {
    let launch = Launch {
        kind,
        ..arguments.launch
    };
    let verbs = session.verb_context();
    let facts = verbs
        .preflight_facts(&PreflightRequest::from(&launch))
        .await;
    let source = LaunchSource::new(&facts, &Report::of(&facts))?;
    if arguments.dry_run {
        let run = launch.compose(&source, &session.settings, "0000")?;
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
    // Validate before connecting: that may start the embedded cluster.
    launch.compose(&source, &session.settings, "0000")?;
    let context = session.context().await?;
    let run = launch.run(&context, &source).await?;
    let name = run.name().to_owned();
    output::notice(&format!(
        "Launched {name}: {} of {} on {}",
        kind,
        text::count(run.tasks.len(), "task"),
        run.spec.source_branch
    ));
    if !(arguments.wait || arguments.follow) {
        print(run, arguments.output)?;
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
            output::notice(&format!("{name} continues; follow it with flightdeck runs logs {name} --follow"));
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
        print(ended, arguments.output)?;
    }
    Ok(if arguments.wait { exit_code(&phase) } else { 0 })
}

fn print(run: Run, format: Format) -> anyhow::Result<()> {
    output::render(&LaunchedRun(run), format)
}
