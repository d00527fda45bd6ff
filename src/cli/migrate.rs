//! `flightdeck migrate`.

use clap::Args;

use super::{Format, Session, output};
use flightdeck_core::text;
use flightdeck_verbs::{Migrate, MigrateReport, Outcome};

/// `migrate`
#[derive(Debug, Args)]
pub struct MigrateArguments {
    #[command(flatten)]
    pub migrate: Migrate,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// Exit code 1 when a TaskRun has no run in the end.
pub async fn migrate(session: &Session, arguments: MigrateArguments) -> anyhow::Result<u8> {
    let context = session.context().await?;
    let report = arguments.migrate.run(&context, &session.place.repo).await?;
    match arguments.output {
        Format::Table => show(&report, &context.namespace)?,
        Format::Name => report
            .task_runs
            .iter()
            .try_for_each(|run| output::line(&text::sanitize(&run.name)))?,
        format => output::value(format, &report)?,
    }
    Ok(u8::from(!report.is_complete()))
}

fn show(report: &MigrateReport, namespace: &str) -> anyhow::Result<()> {
    if report.task_runs.is_empty() {
        output::notice("there are no TaskRuns in this namespace");
        return Ok(());
    }
    let rows = report.task_runs.iter().map(|run| {
        let outcome = match &run.outcome {
            Outcome::Created if report.dry_run => "would be created, suspended".to_owned(),
            Outcome::Created => "created, suspended".to_owned(),
            Outcome::AlreadyThere => "was migrated before".to_owned(),
            Outcome::Refused(why) => format!("not migrated: {why}"),
        };
        let kind = run.kind.map_or("?", |kind| kind.resource_kind());
        [run.name.clone(), kind.to_owned(), outcome]
    });
    output::table(["TASKRUN", "BECOMES", "OUTCOME"], &rows.collect::<Vec<_>>())?;
    let lost = report.task_runs.iter().flat_map(|run| {
        run.lost
            .iter()
            .map(|lost| [run.name.clone(), lost.field.clone(), lost.why.clone()])
    });
    let lost: Vec<[String; 3]> = lost.collect();
    if !lost.is_empty() {
        output::line("")?;
        output::table(["TASKRUN", "NO COUNTERPART", "INSTEAD"], &lost)?;
    }
    let created = report
        .task_runs
        .iter()
        .find(|run| run.outcome == Outcome::Created);
    if let Some((run, kind)) = created
        .and_then(|run| Some((run, run.kind?)))
        .filter(|_| !report.dry_run)
    {
        let plural = format!("{}.orchestrator.io", kind.plural());
        output::notice(&format!(
            "they wait, suspended. To start one: kubectl --namespace {namespace} patch {plural} {} --type merge --patch '{{\"spec\":{{\"suspend\":false}}}}'",
            text::sanitize(&run.name)
        ));
    }
    Ok(())
}
