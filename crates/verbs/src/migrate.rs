//! `migrate`: older `TaskRun`s become DocsRuns and CodeRuns, suspended, and what has no counterpart is said field by field.
//!
//! The old objects are left as they are. Doing it again does nothing: a run remembers what it was made from.

mod translate;

use std::path::Path;

use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde::{Deserialize, Serialize};

use super::{Context, Subject, VerbError};
use flightdeck_core::{
    remote_url,
    resources::{GROUP, VERSION},
    runs::{Run, RunKind, naming},
};
use flightdeck_preflight::{Ask, Report, Request};
pub use translate::Lost;
use translate::{Plans, translate};

/// On a run: the TaskRun it was made from, as `name/uid`.
const ANNOTATION_ORIGIN: &str = "flightdeck.dev/migrated-from";

/// Makes suspended runs of the older TaskRuns of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Migrate {
    /// A task of the documentation runs, which named none; may be given several times. Default: every task of the plan of the
    /// repository you are in, for its own runs.
    #[arg(long = "task", value_name = "ID")]
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Say what would be done; the cluster checks it and keeps nothing.
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of each TaskRun, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrateReport {
    pub dry_run: bool,
    pub task_runs: Vec<Migrated>,
}

/// What became of one TaskRun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migrated {
    /// Its name, and that of the run.
    pub name: String,
    /// Absent where not even that could be told.
    pub kind: Option<RunKind>,
    pub outcome: Outcome,
    /// What it says that a run has no place for.
    pub lost: Vec<Lost>,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome", content = "why")]
pub enum Outcome {
    /// A suspended run was created; in a dry run: would be.
    Created,
    /// It was migrated before.
    AlreadyThere,
    /// Nothing was created, and why.
    Refused(String),
}

impl MigrateReport {
    /// Whether every TaskRun has its run.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let refused = |run: &Migrated| matches!(run.outcome, Outcome::Refused(_));
        !self.task_runs.iter().any(refused)
    }
}

impl Migrate {
    /// Migrates every TaskRun of the namespace; one that cannot be does not stop the others. `start` is where the repository is
    /// looked for whose plan names the tasks of documentation runs.
    ///
    /// # Errors
    /// The cluster has no TaskRuns, or does not answer.
    pub async fn run(&self, context: &Context, start: &Path) -> Result<MigrateReport, VerbError> {
        let mut old = task_runs(context).await?;
        old.sort_by_key(ResourceExt::name_any);
        let plans = Plans {
            named: self.tasks.clone(),
            here: if self.tasks.is_empty() {
                plan_at(start).await
            } else {
                None
            },
        };
        let mut report = MigrateReport {
            dry_run: self.dry_run,
            task_runs: Vec::new(),
        };
        for object in &old {
            report
                .task_runs
                .push(self.one(context, object, &plans).await);
        }
        Ok(report)
    }

    async fn one(&self, context: &Context, object: &DynamicObject, plans: &Plans) -> Migrated {
        let name = object.name_any();
        let (run, lost) = translate(object, &context.settings, plans);
        let kind = run.as_ref().ok().map(|run| run.kind);
        let outcome = match run {
            Err(why) => Outcome::Refused(why),
            Ok(run) => self
                .create(context, object, run)
                .await
                .unwrap_or_else(|error| Outcome::Refused(error.to_string())),
        };
        Migrated {
            name,
            kind,
            outcome,
            lost,
        }
    }

    async fn create(
        &self,
        context: &Context,
        object: &DynamicObject,
        mut run: Run,
    ) -> Result<Outcome, VerbError> {
        let name = run.name().to_owned();
        let origin = format!("{name}/{}", object.uid().unwrap_or_default());
        let doing = VerbError::cluster(format!("looking for {} run {name}", run.kind));
        if let Some(existing) = context.api(run.kind).get_opt(&name).await.map_err(doing)? {
            return if existing.annotations().get(ANNOTATION_ORIGIN) == Some(&origin) {
                Ok(Outcome::AlreadyThere)
            } else {
                Err(VerbError::Conflict(format!(
                    "a {} {name} exists that was not made from this TaskRun",
                    run.kind.resource_kind()
                )))
            };
        }
        let annotations = run.metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION_ORIGIN.to_owned(), origin);
        annotations.insert(
            naming::ANNOTATION_LAUNCHED_FROM.to_owned(),
            format!("flightdeck {} migrate", env!("CARGO_PKG_VERSION")),
        );
        run.validate()
            .map_err(|invalid| VerbError::Usage(invalid.to_string()))?;
        context.create(run, self.dry_run).await?;
        Ok(Outcome::Created)
    }
}

async fn task_runs(context: &Context) -> Result<Vec<DynamicObject>, VerbError> {
    let kind = GroupVersionKind::gvk(GROUP, VERSION, "TaskRun");
    let resource = ApiResource::from_gvk_with_plural(&kind, "taskruns");
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &context.namespace, &resource);
    let mut page = ListParams::default().limit(500);
    let mut found = Vec::new();
    loop {
        let list = match api.list(&page).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(VerbError::NotFound(
                    "this cluster has no TaskRuns (taskruns.orchestrator.io)".to_owned(),
                ));
            }
            list => list.map_err(VerbError::cluster("listing TaskRuns"))?,
        };
        let token = list.metadata.continue_.clone().unwrap_or_default();
        found.extend(list.items);
        if token.is_empty() {
            return Ok(found);
        }
        page = page.continue_token(&token);
    }
}

/// The repository at `start`, and the tasks of its plan that a docs run can document; nothing is asked of its remote.
async fn plan_at(start: &Path) -> Option<(String, Vec<String>)> {
    let request = Request {
        ask: Ask::Last(None),
        tag: Some("master".to_owned()),
        ..Request::new(start.to_owned(), RunKind::Docs)
    };
    let facts = flightdeck_preflight::gather(request).await;
    let subject = Subject::of(&facts, &Report::of(&facts)).ok()?;
    let tasks = subject.tasks.into_iter().map(|(id, _)| id).collect();
    Some((remote_url::identity(&subject.repository_url), tasks))
}
