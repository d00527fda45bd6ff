//! `runs list` and `runs get`.

mod card;

use std::{borrow::Cow, cmp::Reverse};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::{ClusterContext, Context, Render, Scope, Table, Verb, VerbError, View};
use flightdeck_core::{
    runs::{Run, estimate::FinishedRun},
    text,
};

/// Lists runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRuns {
    /// Runs of all repositories.
    #[arg(long, short = 'A')]
    #[serde(default)]
    pub all: bool,
}

/// Runs, newest first.
#[derive(Clone, Debug)]
pub struct RunList(pub Vec<Run>);

impl JsonSchema for RunList {
    fn schema_name() -> Cow<'static, str> {
        "RunList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let run = generator.subschema_for::<RunDetails>();
        json_schema!({ "type": "array", "items": run })
    }
}

impl Serialize for RunList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|run| resource(run.clone())))
    }
}

/// Returns the custom resource with its status.
#[must_use]
pub(crate) fn resource(run: Run) -> Value {
    let status = serde_json::json!(run.status);
    let mut value = run.into_resource();
    value["status"] = status;
    value
}

impl Verb for ListRuns {
    const NAME: &'static str = "runs list";
    const ABOUT: &'static str = "List the runs of this repository";
    type Output = RunList;

    async fn run(self, context: &Context) -> Result<RunList, VerbError> {
        let cluster = context.cluster().await?;
        let scope = context.scope(self.all).await;
        if let Scope::Unknown(reason) = &scope {
            let notice = format!("{reason}: listing the runs of all repositories");
            context.access().notice(&notice);
        }
        let mut runs = cluster.runs(scope.label()).await?;
        runs.sort_by_key(|run| Reverse(created(run)));
        Ok(RunList(runs))
    }
}

fn created(run: &Run) -> Option<Timestamp> {
    run.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

impl Render for RunList {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|run| run.name().to_owned()).collect()
    }

    fn view(&self) -> View {
        let now = Timestamp::now();
        View::Table(Table::new(
            &[
                "KIND", "NAME", "TASKS", "PHASE", "STAGE", "AGE", "TURNS", "TOKENS", "COST",
                "BRANCH", "+MODEL", "+UID",
            ],
            self.0.iter().map(|run| row(run, now)).collect(),
        ))
    }
}

fn row(run: &Run, now: Timestamp) -> Vec<String> {
    let age = created(run).map_or(0, |created| now.duration_since(created).as_secs());
    let tasks = if run.tasks.len() > 3 {
        text::count(run.tasks.len(), "task")
    } else {
        run.tasks.join(",")
    };
    let usage = run.status.usage.unwrap_or_default();
    let unless_zero = |n: i64, format: fn(i64) -> String| match n {
        ..=0 => String::new(),
        n => format(n),
    };
    let tokens = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens;
    let stage = run.stage();
    vec![
        run.kind.to_string(),
        run.name().to_owned(),
        tasks,
        run.phase().as_str().to_owned(),
        stage.map_or_else(String::new, |stage| stage.to_string()),
        text::age(age),
        unless_zero(usage.turns, |n| n.to_string()),
        unless_zero(tokens, text::compact),
        unless_zero(usage.cost_micro_usd, text::usd),
        run.branch(),
        run.spec.model.clone(),
        run.uid().to_owned(),
    ]
}

/// Shows one run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct GetRun {
    /// Name of the run.
    pub name: String,
}

/// A run as the server returned it.
#[derive(Clone, Debug)]
pub struct RunDetails {
    run: Run,
    object: Value,
    /// Earlier runs, for the estimate of the duration.
    finished: Vec<FinishedRun>,
}

impl JsonSchema for RunDetails {
    fn schema_name() -> Cow<'static, str> {
        "Run".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "A DocsRun or CodeRun" })
    }
}

impl Serialize for RunDetails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl Verb for GetRun {
    const NAME: &'static str = "runs get";
    const ABOUT: &'static str = "Show one run";
    type Output = RunDetails;

    async fn run(self, context: &Context) -> Result<RunDetails, VerbError> {
        let cluster = context.cluster().await?;
        let (run, object) = cluster.run_and_object(&self.name).await?;
        Ok(RunDetails {
            run,
            object,
            finished: finished(cluster)?,
        })
    }
}

impl Render for RunDetails {
    fn names(&self) -> Vec<String> {
        vec![self.run.name().to_owned()]
    }

    fn view(&self) -> View {
        View::Text(card::lines(&self.run, &self.finished, Timestamp::now()))
    }
}

/// Returns the finished runs of the ledger, for estimates.
fn finished(cluster: &ClusterContext) -> Result<Vec<FinishedRun>, VerbError> {
    let Some(ledger) = &cluster.ledger else {
        return Ok(Vec::new());
    };
    let entries = ledger.list();
    let entries = entries.map_err(|error| VerbError::Failed(error.to_string()))?;
    let earlier = entries.iter().filter_map(|entry| {
        let cost = entry.usage().map_or(0, |usage| usage.cost_micro_usd);
        Some(FinishedRun {
            cost_micro_usd: cost,
            ..FinishedRun::of(&entry.run)?
        })
    });
    Ok(earlier.collect())
}

/// A run that was just created, has just ended, or would be created.
#[derive(Clone, Debug)]
pub struct LaunchedRun {
    run: Run,
    dry_run: bool,
}

impl LaunchedRun {
    /// A run on the cluster.
    #[must_use]
    pub const fn created(run: Run) -> Self {
        Self {
            run,
            dry_run: false,
        }
    }

    /// A run that is not created.
    pub(crate) const fn dry(run: Run) -> Self {
        Self { run, dry_run: true }
    }
}

impl JsonSchema for LaunchedRun {
    fn schema_name() -> Cow<'static, str> {
        RunDetails::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        RunDetails::json_schema(generator)
    }
}

impl Serialize for LaunchedRun {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let run = self.run.clone();
        if self.dry_run {
            run.into_resource().serialize(serializer)
        } else {
            resource(run).serialize(serializer)
        }
    }
}

impl Render for LaunchedRun {
    fn names(&self) -> Vec<String> {
        vec![self.run.name().to_owned()]
    }

    fn view(&self) -> View {
        if self.dry_run {
            View::Yaml
        } else {
            View::Text(self.names())
        }
    }

    fn notices(&self) -> Vec<String> {
        if self.dry_run || self.run.ended() {
            return Vec::new();
        }
        let Run { kind, tasks, .. } = &self.run;
        vec![format!(
            "Launched {}: {kind} of {} on {}",
            self.run.name(),
            text::count(tasks.len(), "task"),
            self.run.spec.source_branch
        )]
    }
}
