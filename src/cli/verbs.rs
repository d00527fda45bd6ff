//! The part of the command line that is generated from the table of verbs.

use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, builder::EnumValueParser};

use super::{
    Cli, Format, Place, Session, output,
    preflight::{self, FixOptions},
    run::{self, RunOptions},
};
use flightdeck_verbs::{Context, EXIT_CODES, PlannedOutput, VERBS, VerbError, VerbRow, verb};

/// Groups of verbs, with their help.
const GROUPS: &[(&str, &str)] = &[
    ("run", "Launch a run"),
    ("ledger", "Show archived runs, which outlive the cluster"),
    ("tasks", "Show the plan and set the status of tasks"),
];

/// A verb to run, as typed.
pub struct Invocation {
    row: &'static VerbRow,
    arguments: ArgMatches,
    format: Format,
}

/// What was typed.
pub enum Parsed {
    Command(Box<Cli>),
    Verb(Place, Box<Invocation>),
}

/// Parses the arguments of this process.
pub fn parse() -> Result<Parsed, clap::Error> {
    parsed(command().try_get_matches()?)
}

fn parsed(mut matches: ArgMatches) -> Result<Parsed, clap::Error> {
    let place = Place::from_arg_matches(&matches)?;
    let Some((row, arguments)) = leaf(&matches) else {
        let cli = Cli::from_arg_matches_mut(&mut matches)?;
        return Ok(Parsed::Command(Box::new(cli)));
    };
    let format = arguments.get_one("output").copied().unwrap_or_default();
    let invocation = Invocation {
        row,
        arguments: arguments.clone(),
        format,
    };
    Ok(Parsed::Verb(place, Box::new(invocation)))
}

/// Returns the verb of a generated command, and its arguments.
fn leaf(matches: &ArgMatches) -> Option<(&'static VerbRow, &ArgMatches)> {
    let (first, arguments) = matches.subcommand()?;
    let (name, arguments) = match arguments.subcommand() {
        Some((second, arguments)) => (format!("{first} {second}"), arguments),
        None => (first.to_owned(), arguments),
    };
    let row = verb(&name)?;
    Some((row, arguments))
}

/// Returns the whole command line.
#[must_use]
pub fn command() -> clap::Command {
    let root = Cli::command().after_help(exit_codes());
    VERBS.iter().fold(root, |root, row| {
        let (group, word) = row.words();
        let verb = with_options(row, (row.arguments)(clap::Command::new(word)))
            .about(row.about)
            .long_about(None::<&str>)
            .arg(output_argument());
        if group.is_empty() {
            return root.subcommand(verb);
        }
        if root.find_subcommand(group).is_some() {
            return root.mut_subcommand(group, |group| group.subcommand(verb));
        }
        let about = GROUPS.iter().find(|(name, _)| *name == group);
        root.subcommand(
            clap::Command::new(group)
                .about(about.map_or("", |(_, about)| about))
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(verb),
        )
    })
}

/// Returns the table of exit codes, for the help.
fn exit_codes() -> String {
    let codes = EXIT_CODES.iter();
    let lines = codes.map(|(code, meaning)| format!("\n  {code:<4} {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

/// Adds the options that only the command line has.
fn with_options(row: &VerbRow, command: clap::Command) -> clap::Command {
    match row.name {
        "run docs" | "run code" => RunOptions::augment_args(command),
        "preflight" => FixOptions::augment_args(command),
        _ if row.plan_arguments.is_some() => command.arg(
            clap::Arg::new("yes")
                .long("yes")
                .action(ArgAction::SetTrue)
                .help("Do it without asking"),
        ),
        _ => command,
    }
}

fn output_argument() -> clap::Arg {
    clap::Arg::new("output")
        .long("output")
        .short('o')
        .value_name("FORMAT")
        .value_parser(EnumValueParser::<Format>::new())
        .default_value("table")
        .help("Output format")
}

/// Runs a verb and prints its output. Returns the exit code.
pub async fn run(session: &Session, invocation: Invocation) -> anyhow::Result<u8> {
    let Invocation {
        row,
        arguments,
        format,
    } = invocation;
    match (row.name, row.plan_arguments) {
        ("run docs" | "run code", _) => run::run(session, row, arguments, format).await,
        ("preflight", _) => preflight::preflight(session, &arguments, format).await,
        (_, Some(plan)) if !arguments.get_flag("dry_run") => {
            let (yes, context) = (arguments.get_flag("yes"), session.verb_context());
            let plan = plan(arguments, &context).await?;
            apply(plan, yes, &context, format).await
        }
        _ => {
            let output = (row.run_arguments)(arguments, &session.verb_context()).await?;
            output::render(output.as_ref(), format)?;
            Ok(output.exit_code())
        }
    }
}

/// Prints a plan, asks unless `yes` is given, and applies the plan. Returns the exit code.
async fn apply(
    plan: Box<dyn PlannedOutput>,
    yes: bool,
    context: &Context,
    format: Format,
) -> anyhow::Result<u8> {
    output::render(plan.as_ref(), format)?;
    let Some(question) = plan.question() else {
        return Ok(0);
    };
    if !yes {
        match output::confirm(&question)? {
            Some(true) => {}
            Some(false) => return Ok(0),
            // A script that names an object must not take silence for success.
            None if plan.is_named() => {
                return Err(VerbError::Usage(
                    "confirmation needs a terminal; use --yes to skip it".into(),
                )
                .into());
            }
            None => {
                output::notice("Nothing was changed; use --yes to go ahead");
                return Ok(0);
            }
        }
    }
    let output = plan.apply(context).await?;
    // stdout has the plan, which is what a script asked for.
    output::notices(&output.warnings());
    output::notices(&output.notices());
    Ok(output.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_valid() {
        command().debug_assert();
    }

    #[test]
    fn accepts_documented_commands() {
        for line in [
            "flightdeck",
            "flightdeck demo --headless -o json",
            "flightdeck demo --forge --dir /tmp/x",
            "flightdeck run docs --task 1 --agent template --wait --follow",
            "flightdeck run code --task 2 --agent template --budget 2.50",
            "flightdeck runs logs docs-x --follow",
            "flightdeck preflight --fix --yes --override sync=known -o json",
            "flightdeck preflight --kind code --task 2 --docs-repository https://git.example/docs --docs-branch main",
            "flightdeck tasks list --status pending,review priority:high",
            "flightdeck tasks set-status 3.2 done --tag mvp",
            "flightdeck clean --older 3d --yes",
            "flightdeck clean --rule orphan --rule workspace --yes",
            "flightdeck clean --finalizers --context prod -n agents",
            "flightdeck embedded kubeconfig --path",
            "flightdeck migrate --dry-run --task 1 --task 2",
            "flightdeck manifests all --image registry.example/flightdeck:1 --namespace runs",
            "flightdeck doctor --context prod -n agents --github-user ada",
            "flightdeck controller --context prod -n agents --listen 0.0.0.0:8080 --log-format json",
            "flightdeck runs list -A -o wide",
            "flightdeck ledger prune --older 90d --yes",
            "flightdeck runs merge docs-x --yes",
            "flightdeck runs delete docs-x --dry-run -o yaml",
            "flightdeck embedded status -o json",
            "flightdeck embedded reset --force --yes",
            "flightdeck run docs --task 1 --dry-run -o name",
        ] {
            let matches = command().try_get_matches_from(line.split(' '));
            let matches = matches.unwrap_or_else(|error| panic!("{line}: {error}"));
            parsed(matches).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn global_options_reach_generated_commands() {
        let line = "flightdeck runs stop x --context prod -n agents -o json";
        let matches = command().try_get_matches_from(line.split(' ')).unwrap();
        let Parsed::Verb(place, invocation) = parsed(matches).unwrap() else {
            panic!("runs stop is a verb");
        };
        assert_eq!(place.context.as_deref(), Some("prod"));
        assert_eq!(place.namespace.as_deref(), Some("agents"));
        assert_eq!(invocation.row.name, "runs stop");
        assert_eq!(invocation.format, Format::Json);
    }
}
