//! The part of the command line that is generated from the table of verbs.

use clap::{ArgMatches, CommandFactory, FromArgMatches, builder::EnumValueParser};

use super::{Cli, Format, Place, Session, output};
use flightdeck_verbs::{VERBS, VerbRow, verb};

/// Verbs with commands of their own, which wait, follow or ask before they run the verb.
const INTERACTIVE: &[&str] = &["run docs", "run code", "ledger prune", "preflight"];

/// Groups of verbs, with their help.
const GROUPS: &[(&str, &str)] = &[("tasks", "Show the plan and set the status of tasks")];

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
    let row = verb(&name).filter(|row| !INTERACTIVE.contains(&row.name))?;
    Some((row, arguments))
}

/// Returns the whole command line.
#[must_use]
pub fn command() -> clap::Command {
    let rows = VERBS.iter();
    let generated = rows.filter(|row| !INTERACTIVE.contains(&row.name));
    generated.fold(Cli::command(), |root, row| {
        let (group, word) = row.words();
        let verb = (row.arguments)(clap::Command::new(word))
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
    let context = session.verb_context();
    let output = (row.run_arguments)(arguments, &context).await?;
    output::render(output.as_ref(), format)?;
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
