//! `flightdeck clean`: prints what could go and why; deletes with `--yes`, or after a yes on a terminal.

use jiff::Timestamp;

use super::{CleanArguments, Format, Session, output};
use flightdeck_core::{runs::Run, text};
use flightdeck_verbs::{
    CleanPlan, ClusterContext, Scope, VerbError,
    clean::{
        Found,
        finalizers::{self, Held},
    },
};

/// Runs the command; the exit code is 0 unless something could not be deleted.
pub(super) async fn clean(session: &Session, arguments: CleanArguments) -> anyhow::Result<u8> {
    let context = session.context().await?;
    let place = format!("{}, namespace {}", session.target(), context.namespace);
    if arguments.finalizers {
        return let_go(&context, &arguments, &place).await;
    }
    let now = Timestamp::now();
    let runs = runs_in_scope(session, &context, &arguments).await?;
    let mut plan = arguments.clean.plan(&runs, now)?;
    if arguments.clean.wants_leftovers() {
        let found = Found::look(&context).await?;
        plan.leftovers = arguments.clean.leftovers(&found, now)?;
    }
    show(&plan, arguments.output)?;
    if plan.is_empty() {
        return Ok(0);
    }
    let question = format!("Delete {} on {place}?", numbers(&plan));
    if !(arguments.yes || asked(&question)?) {
        return Ok(0);
    }
    let report = plan
        .apply(&context, |name| output::notice(&format!("deleting {name}")))
        .await;
    for deleted in &report.deleted {
        if let Some(kept) = deleted.kept() {
            output::notice(&format!("{}: {kept}", deleted.name));
        }
    }
    let number = report.deleted.len() + report.removed.len();
    output::notice(&format!("{number} deleted"));
    for (name, sentence) in &report.failed {
        output::notice(&format!("{name}: {sentence}"));
    }
    Ok(u8::from(!report.failed.is_empty()))
}

/// Returns the runs that may be deleted. Without `--all`, these are the runs of this repository; none if it is unknown.
async fn runs_in_scope(
    session: &Session,
    context: &ClusterContext,
    arguments: &CleanArguments,
) -> Result<Vec<Run>, VerbError> {
    if !arguments.clean.wants_runs() {
        return Ok(Vec::new());
    }
    match session.verb_context().scope(arguments.all).await {
        Scope::All => context.runs(None).await,
        Scope::Repository(label) => context.runs(Some(&label)).await,
        Scope::Unknown(why) => {
            output::notice(&format!(
                "{why}, so no run is known to belong to it; -A cleans runs of all repositories"
            ));
            Ok(Vec::new())
        }
    }
}

fn numbers(plan: &CleanPlan) -> String {
    let runs = (!plan.candidates.is_empty()).then(|| text::count(plan.candidates.len(), "run"));
    let objects = (!plan.leftovers.is_empty()).then(|| text::count(plan.leftovers.len(), "object"));
    let both: Vec<String> = runs.into_iter().chain(objects).collect();
    both.join(" and ")
}

fn show(plan: &CleanPlan, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Name => {
            for candidate in &plan.candidates {
                output::line(&candidate.name)?;
            }
            for leftover in &plan.leftovers {
                output::line(&format!("{}/{}", leftover.kind, leftover.name))?;
            }
        }
        Format::Table if plan.is_empty() => output::notice("nothing to clean"),
        Format::Table => {
            let runs = plan.candidates.iter().map(|candidate| {
                [
                    candidate.name.clone(),
                    candidate.rule.as_str().to_owned(),
                    candidate.why.clone(),
                    candidate.frees.clone(),
                ]
            });
            let objects = plan.leftovers.iter().map(|leftover| {
                [
                    format!("{}/{}", leftover.kind, leftover.name),
                    leftover.rule.as_str().to_owned(),
                    text::sanitize(&leftover.why).into_owned(),
                    format!("uid {}", leftover.uid),
                ]
            });
            let rows: Vec<[String; 4]> = runs.chain(objects).collect();
            output::table(["NAME", "RULE", "WHY", "FREES"], &rows)?;
        }
        format => output::value(format, plan)?,
    }
    Ok(())
}

/// `clean --finalizers`.
async fn let_go(
    context: &ClusterContext,
    arguments: &CleanArguments,
    place: &str,
) -> anyhow::Result<u8> {
    let held = finalizers::held(context).await?;
    match arguments.output {
        Format::Table if held.is_empty() => output::notice("no run waits for a controller"),
        Format::Table => {
            let row = |held: &Held| {
                [
                    format!("{}/{}", held.kind, held.name),
                    held.uid.clone(),
                    held.deleted_at.clone(),
                    text::count(held.live_pods, "pod"),
                ]
            };
            let rows: Vec<[String; 4]> = held.iter().map(row).collect();
            output::table(["NAME", "UID", "DELETED", "STILL RUNNING"], &rows)?;
        }
        Format::Name => {
            for held in &held {
                output::line(&format!("{}/{}", held.kind, held.name))?;
            }
        }
        format => output::value(format, &held)?,
    }
    if held.is_empty() {
        return Ok(0);
    }
    if let Some(controller) = finalizers::controller(context).await? {
        return Err(VerbError::Conflict(format!(
            "the controller {} is at work there and lets runs go by itself; see what it says of them (kubectl get events), or stop it first",
            text::sanitize(&controller)
        ))
        .into());
    }
    let question = format!(
        "Take the finalizer from {} on {place}? What still runs is no longer stopped first.",
        text::count(held.len(), "run")
    );
    if !(arguments.yes || asked(&question)?) {
        return Ok(0);
    }
    let mut failed = 0;
    for run in &held {
        match run.release(context).await {
            Ok(()) => output::notice(&format!("let {} {} go", run.kind, run.name)),
            Err(error) => {
                failed += 1;
                output::notice(&error.to_string());
            }
        }
    }
    Ok(u8::from(failed > 0))
}

/// Asks on a terminal; anywhere else the answer is no.
fn asked(question: &str) -> Result<bool, VerbError> {
    let agreed = output::confirm(question);
    let agreed =
        agreed.map_err(|error| VerbError::Failed(format!("reading the answer: {error}")))?;
    if agreed.is_none() {
        output::notice("nothing was deleted; --yes deletes");
    }
    Ok(agreed == Some(true))
}
