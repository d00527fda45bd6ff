//! Starts the selected front end and maps errors to exit codes.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};

use flightdeck::{
    cli::{self, Command, Embedded, Parsed, Session, output::notice},
    daemon, demo,
    telemetry::{self, LogFormat},
};
use flightdeck_console::{
    Connected, ConsoleError, ConsoleOptions,
    keymap::{Keymap, KeymapError},
    theme::{Depth, Theme},
    world,
};
use flightdeck_core::text;
use flightdeck_host::{
    cluster::client::{ClientError, Prompts},
    settings::{Paths, SettingsError},
};
use flightdeck_verbs::VerbError;
use flightdeck_worker::{
    agents,
    controller::{self, ProcessError, ProcessOptions},
    stages,
};
use kube_embedded::fault::{Faults, Plan};

fn main() -> ExitCode {
    let parsed = match cli::parse() {
        Ok(parsed) => parsed,
        // The message quotes arguments, so it goes through the sanitizer of `notice`.
        Err(error) if error.use_stderr() => {
            notice(error.render().to_string().trim_end());
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    let command = match &parsed {
        Parsed::Command(cli) => cli.command.as_ref(),
        Parsed::Verb(..) => None,
    };
    // One shim runs per container; without a runtime it stays small.
    if let Some(Command::Shim { spec }) = command {
        return kube_embedded::shim::main(spec);
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    match command {
        Some(Command::Embedded(_)) => {}
        // Independent of the number of cores: workers cost memory, and the controller mostly waits for the API.
        Some(Command::Controller(_)) => {
            runtime.worker_threads(2);
        }
        // One worker for the network beside the main thread; more only cause wake-ups.
        _ => {
            runtime.worker_threads(1);
        }
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let ended = runtime.block_on(dispatch(parsed));
    // Do not wait for a blocked read of the terminal.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| fail(&error))
}

async fn dispatch(parsed: Parsed) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe()?;
    let cli = match parsed {
        Parsed::Command(cli) => cli,
        Parsed::Verb(place, invocation) => {
            let session = Session::open(&place, program)?;
            return Ok(cli::run_verb(&session, *invocation).await?.into());
        }
    };
    let place = cli.place;
    match cli.command {
        Some(Command::Stage { words }) => Ok(stages::run(&words).await),
        Some(Command::Agent { name }) => Ok(agents::run(&name).await),
        Some(Command::Shim { spec }) => Ok(kube_embedded::shim::main(&spec)),
        Some(Command::Embedded(Embedded::Serve { detach, fault })) => {
            serve(&Session::open(&place, program)?, detach, fault.as_deref()).await
        }
        Some(Command::Controller(arguments)) => run_controller(&arguments, place).await,
        Some(Command::Demo(arguments)) => run_demo(arguments, &place, program).await,
        None | Some(Command::Console) => {
            open_console(Session::open(&place, program)?, &place.repo).await
        }
        Some(command) => Ok(cli::run(&Session::open(&place, program)?, command)
            .await?
            .into()),
    }
}

async fn open_console(session: Session, start: &Path) -> anyhow::Result<ExitCode> {
    log_to(&session.paths.log)?;
    let (theme, warnings) = Theme::load(
        &session.settings.ui.theme,
        Depth::detect(|name| std::env::var(name).ok()),
        |name| fs::read_to_string(session.paths.themes.join(format!("{name}.toml"))).ok(),
    );
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let own_keys = match fs::read_to_string(&session.paths.keymap) {
        Ok(text) => vec![(session.paths.keymap.display().to_string(), text)],
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(
                anyhow::Error::from(error).context(session.paths.keymap.display().to_string())
            );
        }
    };
    let session = Arc::new(session);
    let options = ConsoleOptions {
        start: start.to_owned(),
        settings: Arc::clone(&session.settings),
        keymap: Arc::new(Keymap::overlaid(&own_keys)?),
        theme,
        ledger: session.ledger()?,
        connect: Arc::new(move || connect(Arc::clone(&session)).boxed()),
    };
    flightdeck_console::run(options).await?;
    Ok(ExitCode::SUCCESS)
}

async fn connect(session: Arc<Session>) -> Result<Connected, String> {
    // The console owns the screen and the keys.
    let connection = session.connect_with(Prompts::Never).await;
    let connection = connection.map_err(|error| error.to_string())?;
    let target = world::ClusterTarget {
        label: connection.target.to_string(),
        embedded: connection.embedded(),
        namespace: connection.namespace,
    };
    Ok(Connected {
        client: connection.client,
        disk: target.embedded.then(|| session.paths.embedded.clone()),
        target,
        notices: connection.notices,
    })
}

/// Runs the controller until SIGTERM or SIGINT.
async fn run_controller(
    arguments: &cli::ControllerArguments,
    place: cli::Place,
) -> anyhow::Result<ExitCode> {
    telemetry::log(io::stderr, arguments.log_format);
    let options = ProcessOptions {
        context: place.context,
        namespace: place.namespace,
        listen: arguments.listen,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listening = |address| {
        // The caller learns the port from this line if it asked for port 0.
        drop(writeln!(io::stdout(), "serving http://{address}"));
    };
    controller::serve(options, listening, async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

async fn run_demo(
    arguments: cli::Demo,
    place: &cli::Place,
    program: PathBuf,
) -> anyhow::Result<ExitCode> {
    let directory = match arguments.dir {
        Some(directory) => directory,
        None => Session::open(place, program.clone())?
            .paths
            .state
            .join("demo"),
    };
    let project = demo::Project::open(&directory).await?;
    let mut session = Session::with_paths(place, project.paths.clone(), program)?;
    if arguments.forge {
        project
            .add_forge(Arc::make_mut(&mut session.settings))
            .await?;
    }
    if arguments.headless {
        log_to(&session.paths.log)?;
        let headless = demo::Headless {
            project,
            session,
            format: arguments.output,
        };
        return Ok(headless.run().await?.into());
    }
    notice(&format!("Demo directory: {}", project.directory.display()));
    open_console(session, &project.repository).await
}

async fn serve(session: &Session, detach: bool, faults: Option<&Path>) -> anyhow::Result<ExitCode> {
    if detach {
        // The server must outlive the terminal.
        nix::unistd::setsid()?;
    }
    let plan = faults.map(Plan::read).transpose()?;
    let faults = plan.map_or_else(Faults::none, Faults::new);
    session.paths.create_state_dir()?;
    telemetry::log(io::stderr, LogFormat::Text);
    let mut options =
        daemon::Options::of_this_process(&session.paths, &session.settings, &session.program);
    options.faults = faults.clone();
    let served = daemon::serve(options, |address| {
        if !faults.is_empty() {
            let rules = text::count(faults.counts().len(), "rule");
            notice(&format!("Fault injection is on ({rules})"));
        }
        // The process that started the server waits for this line.
        drop(writeln!(io::stdout(), "serving {address}"));
    })
    .await;
    for count in faults.counts() {
        notice(&count.to_string());
    }
    served?;
    Ok(ExitCode::SUCCESS)
}

/// Logs to a file, because the terminal belongs to the front end.
fn log_to(path: &Path) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    telemetry::log(Arc::new(Paths::open_log(path)?), LogFormat::Text);
    Ok(())
}

/// Returns the messages of an error and its causes. Omits causes that an outer message already contains.
fn message(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |message, cause| {
        let cause = cause.to_string();
        if message.is_empty() {
            cause
        } else if message.contains(&cause) {
            message
        } else {
            format!("{message}: {cause}")
        }
    })
}

/// Prints an error and its hint. Returns the exit code.
fn fail(error: &anyhow::Error) -> ExitCode {
    notice(&format!("flightdeck: {}", message(error)));
    if let Some(hint) = error.downcast_ref().and_then(VerbError::hint) {
        notice(&format!("hint: {hint}"));
    }
    let usage = error.is::<SettingsError>()
        || error.is::<KeymapError>()
        || matches!(
            error.downcast_ref(),
            Some(ProcessError::Connect(ClientError::NoPod(_)))
        )
        || matches!(error.downcast_ref(), Some(ConsoleError::NoTerminal(_)));
    let code = if usage {
        2
    } else {
        error.downcast_ref().map_or(1, VerbError::exit_code)
    };
    ExitCode::from(code)
}
